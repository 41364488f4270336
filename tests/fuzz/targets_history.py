"""What git keeps: commits, tags, trees, deltas, refs, logs, operations; revisions as people write them."""

from __future__ import annotations

import contextlib
import hashlib
import zlib
from collections.abc import Sequence

from dsvc.history.commit_codec import decode_commit, encode_commit
from dsvc.history.git_object import (
    encode_tree,
    object_id,
    parse_commit,
    parse_tag,
    parse_tree,
    signed_payload,
    with_signature,
)
from dsvc.history.loose_reader import inflate
from dsvc.history.operations import Operation, decode_operation, encode_operation
from dsvc.history.pack_delta import apply_delta, delta_lengths
from dsvc.history.ref_files import parse_packed, parse_value, without_packed
from dsvc.history.ref_name import branch_ref, check_ref_name, is_ref_format, short_name, tag_ref
from dsvc.history.ref_transaction import Transaction, parse_transaction
from dsvc.history.reflog import encode_line, parse_line
from dsvc.history.revision import split_range
from dsvc.history.signature import Signature
from dsvc.history.signature_frame import SshSignature, parse, write
from dsvc.history.trailers import join_message, split_message
from dsvc.model.errors import DsvcError
from dsvc.model.ids import CommitId, NodeId
from dsvc.model.ssh_key import SshKey, parse_public_key
from tests.fuzz.registry import Form, target

ID = CommitId("1" * 40)
OTHER = CommitId("2" * 40)
WHO = Signature(name="安 Ann", email="ann@example.org", seconds=1_790_000_000, offset_minutes=-330)
_BLOB = b"".join(len(part).to_bytes(4, "big") + part for part in (b"ssh-ed25519", b"k" * 32))
KEY = SshKey.of_blob(_BLOB)
FRAME = write(SshSignature(KEY, "git", b"sha512", b"\0\0\0\x0bssh-ed25519\0\0\0\x40" + b"s" * 64))


def _commit(*, signed: bool = False) -> bytes:
    return encode_commit(
        parents=[ID, OTHER],
        author=WHO,
        committer=WHO,
        message="首次\n\nmore",
        manifest=NodeId(b"m" * 32),
        lineage=NodeId(b"l" * 32),
        files=3,
        bytes=90,
        trailers=[("Defect", "d-1")],
        sign=(lambda _: FRAME) if signed else None,
    )[-1][1]


@target("commit", lambda: [_commit(), _commit(signed=True)], runs=4000)
def commit(data: bytes) -> None:
    raw = parse_commit(data)
    payload = signed_payload(data)
    assert parse_commit(payload).signature is None
    if raw.signature is not None and b"gpgsig" not in payload.partition(b"\n\n")[0]:
        signed = parse_commit(with_signature(payload, raw.signature))
        assert (signed.signature or b"").rstrip(b"\n") == raw.signature.rstrip(b"\n")
    found = decode_commit(object_id("commit", data), data)
    for who in (found.author, found.committer):
        assert Signature.parse(who.encode()) == who
        assert who.rfc3339()


@target(
    "tag", [b"object %s\ntype commit\ntag v1\ntagger %s\n\nfirst\n" % (ID.encode(), WHO.encode()) + FRAME]
)
def tag(data: bytes) -> None:
    parse_tag(data)


@target("git-tree", [encode_tree({"dsvc": ID, "readme": OTHER})])
def git_tree(data: bytes) -> None:
    list(parse_tree(data))


def _loose(data: bytes) -> bytes:
    return zlib.compress(b"commit %d\0%s" % (len(data), data), 1)


@target("loose-object", lambda: [_loose(_commit())])
def loose_object(data: bytes) -> None:
    """Named by what it inflates to, so that the id is right."""
    inflater = zlib.decompressobj()
    raw = b""
    with contextlib.suppress(zlib.error):
        raw = inflater.decompress(data, 1 << 20)
    inflate(CommitId(hashlib.sha1(raw, usedforsecurity=False).hexdigest()), data)


@target("git-delta", [b"\x08\x05" + b"\x90\x04" + b"\x01x", b"\x08\x08\x90\x08"])
def git_delta(data: bytes) -> None:
    """Its two callers translate the one error that it has."""
    with contextlib.suppress(ValueError):
        _, result, _ = delta_lengths(data)
        assert len(apply_delta(b"abcdefgh", data)) == result


@target("ref-value", [ID.encode() + b"\n", b"ref: refs/heads/main\n"])
def ref_value(data: bytes) -> None:
    found = parse_value(data, "HEAD")
    again = found.encode() if isinstance(found, CommitId) else b"ref: " + found.encode("utf-8")
    assert parse_value(again, "HEAD") == found


_PACKED = b"# pack-refs with: peeled fully-peeled sorted \n%s refs/heads/main\n%s refs/tags/v1\n^%s\n"


@target("packed-refs", [_PACKED % (ID.encode(), OTHER.encode(), ID.encode())])
def packed_refs(data: bytes) -> None:
    found = parse_packed(data, "packed-refs")
    gone = set(list(found)[:1])
    kept = parse_packed(without_packed(data, gone), "packed-refs")
    assert kept == {name: value for name, value in found.items() if name not in gone}


@target(
    "reflog-line",
    [encode_line(ID, OTHER, WHO, "commit: 首次").rstrip(b"\n"), encode_line(None, ID, WHO, "")[:-1]],
)
def reflog_line(data: bytes) -> None:
    found = parse_line(data)
    if found is not None:
        again = parse_line(encode_line(found.old, found.new, found.who, found.message).rstrip(b"\n"))
        assert again is not None
        assert (again.old, again.new, again.who) == (found.old, found.new, found.who)


def _transactions() -> Sequence[bytes]:
    import msgspec

    whole = Transaction(
        refs=(("refs/heads/main", None, str(ID)), ("refs/tags/v1", str(ID), None)),
        head=("ref: refs/heads/main", str(ID)),
        logs=(("HEAD", "line"),),
    )
    return [msgspec.json.encode(whole)]


@target("ref-journal", _transactions, form=Form.JSON)
def ref_journal(data: bytes) -> None:
    found = parse_transaction(data)
    if found is not None:
        found.lock_names()
        found.content("HEAD")
        found.content("refs/heads/main")


def _operations() -> Sequence[bytes]:
    operation = Operation(
        id=ID,
        verb="commit",
        arguments=("-m", "首次"),
        seconds=1_790_000_000,
        refs=(("refs/heads/main", None, ID),),
        head_before="refs/heads/main",
        head_after="refs/heads/main",
        staged_before="1" * 64,
        staged_after="2" * 64,
        discarded=None,
        undone=None,
        who=WHO,
        note=None,
    )
    return [encode_operation(operation)]


@target("operation", _operations, form=Form.JSON)
def operation(data: bytes) -> None:
    found = decode_operation(ID, data)
    # What is too long is cut once.
    again = decode_operation(ID, encode_operation(found))
    assert decode_operation(ID, encode_operation(again)) == again


@target("ref-name", [b"main", "refs/heads/分支/a".encode(), b"refs/tags/v1.0"])
def ref_name(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    short_name(text)
    for check in (branch_ref, tag_ref):
        with contextlib.suppress(DsvcError):
            assert is_ref_format(check(text))
    with contextlib.suppress(DsvcError):
        check_ref_name(text)
        assert is_ref_format(text)


@target("revision-range", [b"main..topic", b"HEAD~3...", b"..v1"])
def revision_range(data: bytes) -> None:
    found = split_range(data.decode("utf-8", "surrogateescape"))
    assert found is None or (found.left and found.right)


@target("trailers", [join_message("首次", [("Manifest", "a" * 64), ("Files", "3")])])
def trailers(data: bytes) -> None:
    message, found = split_message(data)
    again = join_message(message, found)
    if message and found:
        assert split_message(again) == (message, found)


@target("signature-frame", [FRAME])
def signature_frame(data: bytes) -> None:
    found = parse(data)
    assert parse(write(found)) == found


@target("public-key", [f"{KEY} ann@example.org".encode(), str(KEY).encode()])
def public_key(data: bytes) -> None:
    key, comment = parse_public_key(data.decode("utf-8", "surrogateescape"))
    assert parse_public_key(f"{key} {comment}".rstrip(" "))[0] == key


@target("author", [WHO.encode()])
def author(data: bytes) -> None:
    found = Signature.parse(data)
    assert Signature.parse(found.encode()) == found
    assert found.rfc3339()
