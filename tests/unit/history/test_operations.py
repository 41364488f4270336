from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from dsvc.history.git_object import encode_tree, object_id
from dsvc.history.operations import Operation, decode_operation, encode_operation
from dsvc.history.refs import OPERATIONS, RefChange
from dsvc.history.signature import Signature
from dsvc.model.errors import (
    ConcurrentChangeError,
    CorruptDataError,
    DsvcError,
    MalformedInputError,
    NotFoundError,
    UnsupportedFormatError,
)
from dsvc.model.ids import CommitId

MAIN = "refs/heads/main"
FULL = Operation(
    id=CommitId("a" * 40),
    verb="op undo",
    arguments=("-m", "消息", "a\nb"),
    seconds=5,
    refs=((MAIN, "b" * 40, None),),
    head_before=MAIN,
    head_after="c" * 40,
    staged_before="d" * 64,
    staged_after=None,
    discarded="e" * 64,
    undone="f" * 40,
    who=Signature(name="张", email="z@x", seconds=5, offset_minutes=-60),
    note="why",
)


def test_round_trip() -> None:
    data = encode_operation(FULL)
    assert decode_operation(CommitId("a" * 40), data) == FULL
    assert (
        data
        == json.dumps(json.loads(data), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        + b"\n"
    )


def test_arguments_of_any_bytes_are_kept_as_text() -> None:
    odd = replace(FULL, arguments=("\udcff", "\0", "x" * 100_000))
    read = decode_operation(CommitId("a" * 40), encode_operation(odd))
    assert read.arguments[:2] == ("\ufffd", "\0")
    assert len(read.arguments[2]) == 4096


@pytest.mark.parametrize(
    "fields",
    [
        {"verb": "Commit"},
        {"verb": "commit\n"},
        {"refs": (("refs/../x", None, None),)},
        {"refs": ((MAIN, "x", None),)},
        {"head_before": "main"},
        {"head_after": "refs/heads/.."},
        {"staged_before": "d" * 40},
        {"discarded": "../x"},
        {"undone": "@1"},
    ],
)
def test_h25_h27_malformed_operations_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(MalformedInputError):
        encode_operation(replace(FULL, **fields))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b'{"format":1}',
        encode_operation(FULL).replace(b'"note"', b'"nota"'),
        encode_operation(FULL).replace(b'"seconds":5', b'"seconds":1e999'),
        encode_operation(FULL).replace(b'"seconds":5', b'"seconds":' + b"9" * 5000),
        encode_operation(FULL).replace(b'"offset_minutes":-60', b'"offset_minutes":-6000'),
        encode_operation(FULL).replace(b"refs/heads/main", b"refs/../main"),
    ],
)
def test_h15_h24_hostile_operations_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedInputError):
        decode_operation(CommitId("a" * 40), data)


def test_a_newer_format_is_named() -> None:
    data = encode_operation(FULL).replace(b'"format":1', b'"format":2,"more":1')
    with pytest.raises(UnsupportedFormatError):
        decode_operation(CommitId("a" * 40), data)


def test_every_record_is_an_operation(repo: Any) -> None:
    made = repo.line(3)
    operations = repo.history.operations
    listed = operations.list()
    assert [one.refs for one in listed] == [
        ((MAIN, made[1], made[2]),),
        ((MAIN, made[0], made[1]),),
        ((MAIN, None, made[0]),),
    ]
    assert [one.head_before for one in listed] == [MAIN] * 3
    assert operations.list(1) == listed[:1]
    assert operations.list(0) == []
    for at, one in enumerate(listed):
        assert one.id is not None
        assert operations.get(f"@{at}") == one
        assert operations.get(one.id) == one
        assert operations.get(one.id[:12]) == one
    for text in ("@3", "@", "x", "abc", "0000", "HEAD", "@99999999999", ""):
        with pytest.raises(NotFoundError):
            operations.get(text)
    assert repo.git("log", "--format=%s", OPERATIONS).splitlines()[0] == "commit -m change 3"
    assert repo.history.refs.reflog(OPERATIONS) == []


def test_a_refused_record_leaves_no_operation(repo: Any) -> None:
    one, two = repo.line(2)
    before = repo.history.operations.list()
    with pytest.raises(ConcurrentChangeError):
        repo.commit(one, n=9)
    assert repo.history.operations.list() == before
    stale = replace(before[0], head_before="refs/heads/elsewhere")
    with pytest.raises(ConcurrentChangeError):
        repo.history.record(changes=(), operation=stale, message="m", who=stale.who, head=two)
    assert repo.history.operations.list() == before


def test_a_record_may_move_head_alone(repo: Any) -> None:
    one, _ = repo.line(2)
    last = repo.history.operations.list(1)[0]
    checkout = replace(last, verb="checkout", head_before=MAIN, staged_after="a" * 64, discarded="b" * 64)
    done = repo.history.record(
        changes=(), operation=checkout, message="checkout: moving", who=last.who, head=one
    )
    assert done == repo.history.operations.list(1)[0]
    assert (done.head_before, done.head_after, done.refs) == (MAIN, one, ())
    assert repo.history.refs.head().branch is None


def test_a_chain_that_was_tampered_with_is_refused(repo: Any) -> None:
    (one,) = repo.line(1)
    tip = repo.history.refs.get(OPERATIONS)
    repo.move(RefChange(OPERATIONS, tip, one))
    with pytest.raises(MalformedInputError):
        repo.history.operations.list()
    blob = repo.git("hash-object", "-w", "--stdin", text="{}")
    repo.move(RefChange(OPERATIONS, one, CommitId(blob)))
    with pytest.raises(CorruptDataError):
        repo.history.operations.list()


def test_the_manifest_file_and_the_trailers_must_agree(repo: Any) -> None:
    (one,) = repo.line(1)
    assert repo.history.verify_commit(one) == repo.history.read_commit(one)
    _, data = repo.history.odb.read(one)
    tree = encode_tree({"manifest": object_id("blob", b"format 1\n")})
    forged = b"tree " + object_id("tree", tree).encode() + data[45:]
    repo.history._writer.write([("blob", b"format 1\n"), ("tree", tree), ("commit", forged)])
    with pytest.raises(DsvcError):
        repo.history.verify_commit(object_id("commit", forged))
