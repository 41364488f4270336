"""Bounds of what history reads and writes: the last value that is taken, and the first that isn't."""

from __future__ import annotations

import json
import os
import time
import zlib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dsvc.fs.failpoints import Plan, armed
from dsvc.history import ref_lock, reflog
from dsvc.history.commit_codec import decode_commit, encode_commit
from dsvc.history.git_object import frame, object_id, parse_commit, parse_tag, parse_tree
from dsvc.history.history import History
from dsvc.history.loose_reader import check_prefix, inflate
from dsvc.history.odb import verified
from dsvc.history.operations import encode_operation
from dsvc.history.ref_files import RefFiles
from dsvc.history.ref_name import branch_ref, check_ref_format, tag_ref
from dsvc.history.reflog import encode_line, parse_line
from dsvc.history.refs import RefChange
from dsvc.history.signature import Signature
from dsvc.history.trailers import clean_message, join_message
from dsvc.model.errors import (
    CorruptDataError,
    LockedError,
    MalformedInputError,
    StorageError,
    UnsupportedFormatError,
)
from dsvc.model.ids import CommitId, NodeId
from tests.historykit import MAIN, WHO, Repo, operation

TOPIC = "refs/heads/topic"


def commit(**fields: Any) -> bytes:
    plain: dict[str, Any] = {"parents": (), "manifest": NodeId(bytes(32)), "files": 0, "bytes": 0}
    return encode_commit(message="m", author=WHO, committer=WHO, **plain | fields)[-1][1]


def ids(count: int) -> list[CommitId]:
    return [CommitId(f"{number:040x}") for number in range(1, count + 1)]


def test_parents_and_counts_of_a_commit() -> None:
    largest = commit(parents=ids(1000), files=1 << 62, bytes=1 << 62)
    found = decode_commit(object_id("commit", largest), largest)
    assert (len(found.parents), found.files, found.bytes) == (1000, 1 << 62, 1 << 62)
    for fields in ({"parents": ids(1001)}, {"files": (1 << 62) + 1}, {"bytes": (1 << 62) + 1}, {"files": -1}):
        with pytest.raises(MalformedInputError):
            commit(**fields)
    for old, new in (
        (str(1 << 62).encode(), str((1 << 62) + 1).encode()),
        (b"author", b"parent " + b"f" * 40 + b"\nauthor"),
    ):
        more = largest.replace(old, new, 1)
        with pytest.raises(MalformedInputError):
            decode_commit(object_id("commit", more), more)


def test_a_commit_without_one_of_its_lines() -> None:
    lines = commit().partition(b"\n\n")[0].split(b"\n")
    assert parse_commit(b"\n".join(lines) + b"\n\nm").message == b"m"
    for at in range(len(lines)):
        with pytest.raises(MalformedInputError):
            parse_commit(b"\n".join(lines[:at] + lines[at + 1 :]) + b"\n\nm")


def test_a_tag_ends_after_its_name_or_its_tagger() -> None:
    lines = [b"object " + b"a" * 40, b"type commit", b"tag v1", b"tagger A <a> 1 +0000"]
    assert parse_tag(b"\n".join(lines[:3]) + b"\n\nm").tagger is None
    assert parse_tag(b"\n".join(lines) + b"\n\nm").tagger == b"A <a> 1 +0000"
    for at in range(3):
        with pytest.raises(MalformedInputError):
            parse_tag(b"\n".join(lines[:at] + lines[at + 1 :]) + b"\n\nm")


def test_entries_of_a_tree_to_the_last_byte() -> None:
    entry = b"100644 a\0" + bytes(range(20))
    assert list(parse_tree(entry * 2)) == [(b"a", bytes(range(20)).hex())] * 2
    assert list(parse_tree(b"40000 a b\0" + bytes(20))) == [(b"a b", "0" * 40)]
    assert list(parse_tree(b"40000 \0" + bytes(20))) == [(b"", "0" * 40)]
    assert list(parse_tree(b"")) == []
    for cut in range(1, len(entry)):
        with pytest.raises(MalformedInputError):
            list(parse_tree(entry + entry[:cut]))


def test_an_object_as_large_as_any_and_one_byte_more() -> None:
    largest = bytes(16 << 20)
    id_ = object_id("blob", largest)
    assert inflate(id_, zlib.compress(frame("blob", largest), 1))[1] == largest
    with pytest.raises(MalformedInputError):
        inflate(id_, zlib.compress(frame("blob", largest + b"\0"), 1))
    with pytest.raises(CorruptDataError, match="unknown type"):
        verified(object_id("blub", b"x"), "blub", b"x")


def test_beginnings_of_ids() -> None:
    for prefix in ("0", "a" * 40):
        check_prefix(prefix)
    for prefix in ("", "a" * 41, "g", "A", "a\n"):
        with pytest.raises(MalformedInputError):
            check_prefix(prefix)


def test_files_of_refs_and_packed_ones(tmp_path: Path) -> None:
    files = RefFiles(str(tmp_path))
    before = os.listdir("/proc/self/fd")
    path = tmp_path / "refs" / "heads" / "x"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"a" * 40 + b"\n" * (4096 - 40))
    assert files.raw("refs/heads/x") == "a" * 40
    path.write_bytes(b"a" * 40 + b"\n" * (4097 - 40))
    with pytest.raises(MalformedInputError, match="more than 4096 bytes"):
        files.raw("refs/heads/x")
    packed = tmp_path / "packed-refs"
    for size, why in ((64 << 20, "malformed line"), ((64 << 20) + 1, "more than 67108864 bytes")):
        packed.touch()
        os.truncate(packed, size)
        with pytest.raises(MalformedInputError, match=why):
            files.packed()
    assert os.listdir("/proc/self/fd") == before


def test_names_of_refs() -> None:
    for name in (
        "refs/" + "x" * 250,
        "refs/" + "文" * 83 + "x",
        "/".join(["refs", *["x" * 200] * 5, "x" * 14]),
    ):
        check_ref_format(name)
    check_ref_format("refs/stash")
    for name in ("refs/" + "x" * 251, "refs/" + "文" * 84, "refs/" + "x/" * 509 + "xx"):
        with pytest.raises(MalformedInputError):
            check_ref_format(name)


def test_names_that_are_made() -> None:
    for make in (branch_ref, tag_ref):
        for name in ("-d", "HEAD", "a" * 40, "a..b"):
            with pytest.raises(MalformedInputError):
                make(name)


def test_people_and_moments() -> None:
    fields: dict[str, Any] = {"name": "n" * 1024, "email": "e" * 1024, "seconds": 1 << 53}
    for offset in (-840, 840):
        who = Signature(**fields, offset_minutes=offset)
        assert Signature.parse(who.encode()) == who
    for change in ({"name": "n" * 1025}, {"email": "文" * 342}, {"seconds": (1 << 53) + 1}, {"seconds": -1}):
        with pytest.raises(MalformedInputError):
            Signature(**fields | change)
    for offset in (-841, 841):
        with pytest.raises(MalformedInputError):
            Signature(**fields, offset_minutes=offset)


def test_what_is_written_about_an_operation() -> None:

    long = msgspec.structs.replace(
        operation("commit"), head_before=MAIN, head_after=MAIN, arguments=("x",) * 1001
    )
    assert len(json.loads(encode_operation(long))["arguments"]) == 1000


def test_text_that_is_none() -> None:
    with pytest.raises(MalformedInputError, match="message that is not text"):
        clean_message("a\udcff")
    with pytest.raises(MalformedInputError, match="trailer that is not text"):
        join_message("a", [("Key", "a\udcff")])


# Logs


def test_lines_of_logs() -> None:
    line = encode_line(None, CommitId("a" * 40), WHO, "x y " * 1000)
    found = parse_line(line[:-1])
    assert found is not None
    assert (found.old, found.new, found.who, found.message) == (None, "a" * 40, WHO, ("x y " * 1000)[:1000])
    longest = line[:-1] + b"y" * (8192 - len(line) + 1)
    assert len(longest) == 8192
    assert parse_line(longest) is not None
    assert parse_line(longest + b"y") is None


@pytest.mark.parametrize("limit", [1, 100, 101, 500, 10_000])
def test_the_end_of_a_long_log(repo: Repo, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    """Of a log that is too long to be read whole, the lines that are whole in the last part count."""
    made = repo.line(5)
    lines = repo.path(f"logs/{MAIN}").read_bytes().splitlines(keepends=True)
    whole = [new for at, new in enumerate(made) if sum(map(len, lines[at:])) < limit]
    monkeypatch.setattr(reflog, "MAX_READ_BYTES", limit)
    assert [each.new for each in repo.history.refs.reflog(MAIN)] == whole[::-1]


def test_a_log_is_read_through_no_link(repo: Repo) -> None:
    repo.commit()
    path = repo.path(f"logs/{MAIN}")
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")
    with pytest.raises(StorageError):
        repo.history.refs.reflog(MAIN)


# Locks of other tools


def opened(plan: Plan, path: Path) -> int:
    return plan.seen.count(("open", str(path)))


def test_a_lock_that_goes_in_time_is_waited_for(repo: Repo) -> None:
    first = repo.commit()
    lock = repo.path(f"{TOPIC}.lock")
    lock.write_bytes(b"theirs")

    def look(_number: int, name: str, _path: str) -> None:
        if name == "open" and opened(plan, lock) == 3:
            lock.unlink()

    with armed(Plan(observer=look)) as plan:
        repo.move(RefChange(TOPIC, None, first))
    assert repo.history.refs.get(TOPIC) == first


def test_a_lock_is_waited_for_as_long_as_is_said(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    first = repo.commit()
    lock = repo.path(f"{TOPIC}.lock")
    lock.write_bytes(b"theirs")
    monkeypatch.setattr(ref_lock, "WAIT_SECONDS", 0.0)
    with armed(Plan()) as plan, pytest.raises(LockedError):
        repo.move(RefChange(TOPIC, None, first))
    assert opened(plan, lock) == 1


def test_a_lock_that_leads_nowhere_gets_old_too(tmp_path: Path) -> None:
    lock = tmp_path / "ref.lock"
    lock.symlink_to("nowhere")
    assert not ref_lock.is_stale(str(lock))
    now = time.time()
    os.utime(lock, (now - 20, now - 20), follow_symlinks=False)
    assert ref_lock.is_stale(str(lock))


def test_packed_refs_are_listed_by_the_beginning_of_their_names(tmp_path: Path) -> None:
    id_ = "a" * 40
    (tmp_path / "refs" / "heads" / "a").mkdir(parents=True)
    for name in ("heads/a/loose", "heads/ab", "tags"):
        (tmp_path / "refs" / name).write_text(f"{id_}\n")
    (tmp_path / "packed-refs").write_text(f"{id_} refs/heads/a/packed\n{id_} refs/heads/b\n")
    files = RefFiles(str(tmp_path))
    everything = {"refs/heads/a/loose", "refs/heads/ab", "refs/tags", "refs/heads/a/packed", "refs/heads/b"}
    for prefix in (
        "",
        "refs",
        "refs/",
        "refs/heads",
        "refs/heads/",
        "refs/heads/a",
        "refs/heads/a/",
        "refs/t",
    ):
        assert files.names(prefix) == {name for name in everything if name.startswith(prefix)}, prefix


def test_an_inherited_log_is_flushed(repo: Repo) -> None:
    repo.commit()
    with armed(Plan()) as plan:
        repo.open(durable=True).refs.inherit_reflog(TOPIC, MAIN)
    assert ("fsync", str(repo.path(f"logs/{TOPIC}"))) in plan.seen
    assert ("fsync_folder", str(repo.path("logs/refs/heads"))) in plan.seen


def test_head_goes_to_no_id_that_is_none(repo: Repo) -> None:
    repo.commit()
    before = repo.path("HEAD").read_bytes()
    for text in ("x", "a" * 39, "A" * 40):
        with pytest.raises(MalformedInputError):
            repo.move(head=CommitId(text))
    assert repo.path("HEAD").read_bytes() == before


def test_what_is_recorded_lasts_unless_asked_otherwise(repo: Repo) -> None:
    first = repo.commit()
    for history in (History(repo.git_dir, repo.lock_path), History.open(repo.git_dir, repo.lock_path)):
        with armed(Plan()) as plan:
            repo.commit(first, n=2, history=history)
        names = {name for name, _ in plan.seen}
        assert {"fsync", "fsync_folder"} <= names
        repo.move(RefChange(MAIN, history.refs.get(MAIN), first))


def test_a_format_of_git_that_is_not_known_is_not_opened(repo: Repo) -> None:
    repo.path("config").write_text("[core]\nrepositoryformatversion = 2\n")
    with pytest.raises(UnsupportedFormatError):
        repo.open()
