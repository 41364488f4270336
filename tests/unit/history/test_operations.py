from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from dsvc.history.git_object import encode_tree, object_id, parse_commit
from dsvc.history.operations import Operation, decode_operation, encode_operation
from dsvc.history.refs import OPERATIONS, RefChange
from dsvc.history.signature import Signature
from dsvc.model.errors import (
    ConcurrentChangeError,
    CorruptDataError,
    DsvcError,
    MalformedInputError,
    MissingDataError,
    NotFoundError,
    UnsupportedFormatError,
)
from dsvc.model.ids import CommitId
from tests.historykit import Repo

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
    newest = listed[0].id
    assert newest is not None
    assert operations.get(newest[:4]) == listed[0]
    for text in ("@3", "@", "x", "abc", newest[:3], "0000", "HEAD", "@99999999999", ""):
        with pytest.raises(NotFoundError):
            operations.get(text)
    with pytest.raises(NotFoundError, match="there is no operation @3"):
        operations.get("@3")
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


def objects(repo: Repo) -> set[str]:
    return {path.name for path in repo.path("objects").rglob("*") if path.is_file()}


def test_what_is_refused_writes_nothing(repo: Repo) -> None:
    one, two = repo.line(2)
    last = repo.history.operations.list(1)[0]
    before = objects(repo)
    blob = [("blob", b"never read")]
    for change, new, error in (
        (RefChange("refs/heads/-x", None, one), blob, MalformedInputError),
        (RefChange("refs/heads/a..b", None, one), blob, MalformedInputError),
        (RefChange(MAIN, one, two), [], ConcurrentChangeError),
        (RefChange("refs/heads/new", one, two), [], ConcurrentChangeError),
    ):
        with pytest.raises(error):
            repo.history.record(changes=[change], operation=last, message="m", who=last.who, new_objects=new)
        assert objects(repo) == before
    assert repo.history.operations.list(1) == [last]


def test_a_branch_that_goes_and_one_with_an_odd_name_that_another_tool_made(repo: Repo) -> None:
    one, two = repo.line(2)
    last = repo.history.operations.list(1)[0]
    odd = "refs/heads/-x"
    repo.path(odd).write_text(f"{one}\n")
    for change in (RefChange(odd, one, two), RefChange(odd, two, None)):
        repo.history.record(changes=[change], operation=last, message="m", who=last.who)
        assert repo.history.refs.get(odd) == change.new
    assert repo.history.refs.list("refs/heads/") == {MAIN: two}


def test_the_last_operations_are_read_without_the_rest(repo: Repo) -> None:
    repo.line(3)
    newest, middle, oldest = repo.history.operations.list()
    assert oldest.id is not None
    repo.path(f"objects/{oldest.id[:2]}/{oldest.id[2:]}").unlink()
    assert repo.open().operations.list(2) == [newest, middle]
    with pytest.raises(MissingDataError):
        repo.open().operations.list()


def test_git_shows_what_was_done_in_a_line(repo: Repo) -> None:
    repo.line(1)
    last = repo.history.operations.list(1)[0]
    for arguments, expected in (
        (tuple("abcdefghijklmnopqrstuvwxyz"), "do " + " ".join("abcdefghijklmnopqrst")),
        (("a\nb\t c", "\0", "\udcff"), "do a b c \ufffd \ufffd"),
        (("x" * 5000,), "do " + "x" * 197),
        ((), "do"),
    ):
        done = repo.history.record(
            changes=(), operation=replace(last, verb="do", arguments=arguments), message="m", who=last.who
        )
        assert done.id is not None
        assert parse_commit(repo.history.odb.read(done.id)[1]).message.decode() == expected + "\n"


def test_what_a_signature_covers_is_the_commit(repo: Repo) -> None:
    (one,) = repo.line(1)
    assert repo.history.signed_bytes(one) == repo.history.odb.read(one)[1]


def test_no_more_ids_are_listed_than_anybody_reads(repo: Repo) -> None:
    repo.line(1)
    folder = repo.path("objects/ab")
    folder.mkdir(exist_ok=True)
    for number in range(150):
        (folder / f"{number:038x}").touch()
    assert repo.history.odb.expand("ab0") == [f"ab{number:038x}" for number in range(100)]
