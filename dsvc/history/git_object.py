"""Git objects as bytes: framing, ids, and strict parsers of commits, tags and trees."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from dsvc.model.errors import MalformedInputError
from dsvc.model.ids import CommitId

GitObject = tuple[str, bytes]
"""A type (``blob``, ``tree``, ``commit`` or ``tag``) and the bytes without their frame."""

TYPES: Final = ("commit", "tree", "blob", "tag")
MAX_BYTES: Final = 16 * 1024 * 1024
"""No object of a dsvc history is larger; checked before anything is allocated."""
MAX_PARENTS: Final = 1000
ZERO_ID: Final = "0" * 40

SIGNATURE: Final = b"gpgsig"
"""Header of a commit's signature, whatever made it; git calls it so for SSH keys too."""
TAG_SIGNATURE: Final = b"-----BEGIN SSH SIGNATURE-----\n"
"""Line with which the signature of a tag begins."""

_HEX_40 = re.compile(rb"[0-9a-f]{40}")
_TREE_MODES = frozenset({b"100644", b"100755", b"120000", b"40000", b"160000"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RawCommit:
    """A git commit, split but not interpreted."""

    tree: CommitId
    parents: tuple[CommitId, ...]
    author: bytes
    committer: bytes
    message: bytes
    signature: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RawTag:
    """An annotated tag, split but not interpreted."""

    target: CommitId
    target_type: str
    name: bytes
    tagger: bytes | None
    message: bytes
    signature: bytes | None = None


def frame(kind: str, data: bytes) -> bytes:
    """Put git's header before `data`."""
    return b"%s %d\0%s" % (kind.encode("ascii"), len(data), data)


def object_id(kind: str, data: bytes) -> CommitId:
    """Compute the id of an object: the SHA-1 of its framed bytes; it navigates, it proves nothing."""
    return CommitId(hashlib.sha1(frame(kind, data), usedforsecurity=False).hexdigest())


def _id_of_line(line: bytes, key: bytes) -> CommitId:
    if not line.startswith(key + b" ") or not _HEX_40.fullmatch(line, len(key) + 1):
        raise MalformedInputError(f"git object: expected a line '{key.decode()} ID', found {line[:80]!r}")
    return CommitId(line[len(key) + 1 :].decode("ascii"))


def _value_of_line(line: bytes, key: bytes) -> bytes:
    if not line.startswith(key + b" "):
        raise MalformedInputError(f"git object: expected a line '{key.decode()} …', found {line[:80]!r}")
    return line[len(key) + 1 :]


def _split_headers(data: bytes, what: str) -> tuple[list[bytes], bytes]:
    if len(data) > MAX_BYTES:
        raise MalformedInputError(f"a {what} of {len(data)} bytes; at most {MAX_BYTES} are read")
    head, separator, message = data.partition(b"\n\n")
    if not separator:
        raise MalformedInputError(f"a {what} without a message")
    if b"\0" in head:
        raise MalformedInputError(f"a {what} with NUL in its header")
    return head.split(b"\n"), message


def parse_commit(data: bytes) -> RawCommit:
    """Split the bytes of a commit; of the headers after the committer only the signature is looked at.

    Raises
    ------
    MalformedInputError
        If a header is missing or out of order, or there are more than `MAX_PARENTS` parents.
    """
    lines, message = _split_headers(data, "commit")
    tree = _id_of_line(lines[0], b"tree")
    at = 1
    while at < len(lines) and lines[at].startswith(b"parent "):
        at += 1
    if at - 1 > MAX_PARENTS:
        raise MalformedInputError(f"a commit with {at - 1} parents; at most {MAX_PARENTS} are read")
    if len(lines) < at + 2:
        raise MalformedInputError("a commit without author or committer")
    return RawCommit(
        tree=tree,
        parents=tuple(_id_of_line(line, b"parent") for line in lines[1:at]),
        author=_value_of_line(lines[at], b"author"),
        committer=_value_of_line(lines[at + 1], b"committer"),
        message=message,
        signature=_take_signature(lines)[0],
    )


def _take_signature(lines: list[bytes]) -> tuple[bytes | None, list[bytes]]:
    """Part the headers into the signature and the rest, as git does."""
    signature: list[bytes] = []
    rest: list[bytes] = []
    place = rest
    for line in lines:
        name, _, value = line.partition(b" ")
        if name:
            # A signature for another hash of the same commit covers nothing of this one, and isn't covered.
            place = signature if name == SIGNATURE else [] if name.startswith(SIGNATURE) else rest
        place.append(line if place is rest else value)
    return (b"\n".join(signature) + b"\n" if signature else None), rest


def signed_payload(data: bytes) -> bytes:
    """Give what the signature of a commit covers: the commit without it.

    Raises
    ------
    MalformedInputError
        As `parse_commit`.
    """
    lines, message = _split_headers(data, "commit")
    return b"\n".join(_take_signature(lines)[1]) + b"\n\n" + message


def with_signature(payload: bytes, signature: bytes) -> bytes:
    """Put a signature into a commit that has none: as its last header, the way git does."""
    head, _, message = payload.partition(b"\n\n")
    folded = signature.rstrip(b"\n").replace(b"\n", b"\n ")
    return head + b"\n" + SIGNATURE + b" " + folded + b"\n\n" + message


def parse_tag(data: bytes) -> RawTag:
    """Split the bytes of an annotated tag.

    Raises
    ------
    MalformedInputError
        If a header is missing or out of order.
    """
    payload, signature = split_tag_signature(data)
    lines, message = _split_headers(payload, "tag")
    if len(lines) < 3:
        raise MalformedInputError("a tag without object, type or name")
    kind = _value_of_line(lines[1], b"type").decode("ascii", "replace")
    if kind not in TYPES:
        raise MalformedInputError(f"a tag of an unknown type {kind[:80]!r}")
    return RawTag(
        target=_id_of_line(lines[0], b"object"),
        target_type=kind,
        name=_value_of_line(lines[2], b"tag"),
        tagger=_value_of_line(lines[3], b"tagger") if len(lines) > 3 else None,
        message=message,
        signature=signature,
    )


def split_tag_signature(data: bytes) -> tuple[bytes, bytes | None]:
    """Split a tag into what its signature covers and the signature; None where it has none.

    Git writes it below the message; of several lines that look like its beginning the last one counts.
    """
    at = data.rfind(b"\n" + TAG_SIGNATURE) + 1
    return (data[:at], data[at:]) if at else (data, None)


def encode_tree(blobs: dict[str, CommitId]) -> bytes:
    """Encode a tree of plain files; `blobs` maps names (ASCII, no ``/``) to ids."""
    rows = sorted((name.encode("ascii"), blob) for name, blob in blobs.items())
    return b"".join(b"100644 %s\0%s" % (name, bytes.fromhex(blob)) for name, blob in rows)


def parse_tree(data: bytes) -> Iterator[tuple[bytes, CommitId]]:
    """Yield name and id of each entry of a tree.

    Raises
    ------
    MalformedInputError
        If an entry is cut off or has an unknown mode.
    """
    at = 0
    while at < len(data):
        space = data.find(b" ", at)
        end = data.find(b"\0", space + 1)
        if space < 0 or end < 0 or end + 21 > len(data) or data[at:space] not in _TREE_MODES:
            raise MalformedInputError(f"a git tree is malformed at byte {at}")
        yield data[space + 1 : end], CommitId(data[end + 1 : end + 21].hex())
        at = end + 21
