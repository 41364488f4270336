"""Commit ⇄ git commit.

The manifest's root and the lineage record's root stand in the message as trailers, so that a signature over
the commit covers them. The tree holds one small text file, ``manifest``, that repeats them for people who
look with git alone; the trailers are what counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias, TypeVar

import msgspec

from dsvc.history.git_object import (
    MAX_PARENTS,
    GitObject,
    encode_tree,
    object_id,
    parse_commit,
    with_signature,
)
from dsvc.history.signature import Signature
from dsvc.history.trailers import Trailer, join_message, split_message
from dsvc.model.errors import MalformedInputError
from dsvc.model.ids import CommitId, NodeId

BLOB_NAME: Final = "manifest"
MAX_COUNT: Final = 1 << 62

MANIFEST, FILES, BYTES, LINEAGE = "Dsvc-Manifest", "Dsvc-Files", "Dsvc-Bytes", "Dsvc-Lineage"
_OWN = {key.lower(): key for key in (MANIFEST, FILES, BYTES, LINEAGE)}
_COUNT = re.compile("0|[1-9][0-9]{0,18}")

V = TypeVar("V")
SignatureText: TypeAlias = bytes
Sign: TypeAlias = Callable[[bytes], SignatureText]


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded state of the data, with its history.

    Attributes
    ----------
    id : CommitId
        Navigates; proves nothing.
    parents : tuple of CommitId
        First the state it was made on, then what was merged.
    author, committer : Signature
        Who made the change, who recorded it.
    message : str
        What the person wrote, without the trailers under it.
    manifest : NodeId
        Root of the manifest.
    files : int
        Number of paths in it.
    bytes : int
        Sum of their logical sizes.
    lineage : NodeId or None
        Root of the lineage manifest, where there is one.
    trailers : tuple of (str, str)
        Every trailer in order, dsvc's own ones too.
    signature : bytes or None
        What a key says of it, as text; nothing is proven by its being there.
    """

    id: CommitId
    parents: tuple[CommitId, ...]
    author: Signature
    committer: Signature
    message: str
    manifest: NodeId
    files: int
    bytes: int
    lineage: NodeId | None
    trailers: tuple[Trailer, ...]
    signature: SignatureText | None = None


def manifest_blob(*, manifest: NodeId, files: int, total_bytes: int, lineage: NodeId | None) -> bytes:
    """Write the text of the file ``manifest`` in a commit's tree."""
    lines = ["format 1", f"root {manifest.hex()}", f"files {files}", f"bytes {total_bytes}"]
    if lineage is not None:
        lines.append(f"lineage {lineage.hex()}")
    return ("\n".join(lines) + "\n").encode("ascii")


def encode_commit(
    *,
    parents: Sequence[CommitId],
    author: Signature,
    committer: Signature,
    message: str,
    manifest: NodeId,
    files: int,
    bytes: int,  # noqa: A002
    lineage: NodeId | None = None,
    trailers: Sequence[Trailer] = (),
    sign: Sign | None = None,
) -> list[GitObject]:
    """Encode a commit as git objects: the blob, the tree, and last the commit itself.

    Parameters
    ----------
    trailers : sequence of (str, str)
        More trailers, written before dsvc's own.
    sign : callable or None
        Makes a signature, as text, of the commit's bytes.

    Raises
    ------
    MalformedInputError
        If the message has NUL, a trailer is malformed or one of dsvc's own, a parent is named twice or
        there are more than 1,000, or a count is out of range.
    """
    if len(parents) > MAX_PARENTS or len(set(parents)) != len(parents):
        raise MalformedInputError(f"a commit with {len(parents)} parents, or one of them twice")
    if not (0 <= files <= MAX_COUNT and 0 <= bytes <= MAX_COUNT):
        raise MalformedInputError(f"a commit of {files} files and {bytes} bytes")
    for key, _ in trailers:
        if key.lower() in _OWN:
            raise MalformedInputError(f"trailer {key} is written by dsvc itself")
    own = [(MANIFEST, manifest.hex()), (FILES, str(files)), (BYTES, str(bytes))]
    if lineage is not None:
        own.append((LINEAGE, lineage.hex()))
    blob = manifest_blob(manifest=manifest, files=files, total_bytes=bytes, lineage=lineage)
    tree = encode_tree({BLOB_NAME: object_id("blob", blob)})
    head = [b"tree " + object_id("tree", tree).encode()]
    head += [b"parent " + CommitId.parse(parent).encode() for parent in parents]
    head += [b"author " + author.encode(), b"committer " + committer.encode()]
    text = b"\n".join(head) + b"\n\n" + join_message(message, [*trailers, *own])
    if sign is not None:
        text = with_signature(text, sign(text))
    return [("blob", blob), ("tree", tree), ("commit", text)]


def _parse_count(text: str) -> int:
    if not _COUNT.fullmatch(text) or int(text) > MAX_COUNT:
        raise MalformedInputError(f"not a count: {text[:80]!r}")
    return int(text)


def _own_value(own: dict[str, str], key: str, parse: Callable[[str], V], what: str) -> V:
    if key not in own:
        raise MalformedInputError(f"{what} has no trailer {key}", hint="did another tool than dsvc make it?")
    try:
        return parse(own[key])
    except MalformedInputError as error:
        raise MalformedInputError(f"{what}: trailer {key}: {error.message}") from error


def decode_commit(id: CommitId, data: bytes) -> Commit:  # noqa: A002
    """Decode a git commit that dsvc made.

    Parameters
    ----------
    id : CommitId
        Its id; the reader of objects has checked it.
    data : bytes
        Its bytes, without git's frame.

    Raises
    ------
    MalformedInputError
        If a header is malformed, or one of dsvc's trailers is missing, repeated or malformed.
    """
    what = f"commit {id[:12]}"
    raw = parse_commit(data)
    message, trailers = split_message(raw.message)
    own: dict[str, str] = {}
    for key, value in trailers:
        known = _OWN.get(key.lower())
        if known is not None and (known in own or key != known):
            raise MalformedInputError(f"{what}: trailer {key} is repeated or misspelt")
        if known is not None:
            own[known] = value
    return Commit(
        id=id,
        parents=raw.parents,
        author=Signature.parse(raw.author),
        committer=Signature.parse(raw.committer),
        message=message,
        manifest=_own_value(own, MANIFEST, NodeId.parse, what),
        files=_own_value(own, FILES, _parse_count, what),
        bytes=_own_value(own, BYTES, _parse_count, what),
        lineage=_own_value(own, LINEAGE, NodeId.parse, what) if LINEAGE in own else None,
        trailers=trailers,
        signature=raw.signature,
    )
