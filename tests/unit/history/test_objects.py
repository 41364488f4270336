"""Loose objects: written whole or not at all, read with bounds."""

from __future__ import annotations

import contextlib
import os
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from dsvc.fs.failpoints import Action, Plan, armed
from dsvc.history.git_object import frame, object_id
from dsvc.history.git_writer import GitWriter, init_bare
from dsvc.history.loose_reader import LooseReader
from dsvc.model.errors import (
    CorruptDataError,
    DsvcError,
    MalformedInputError,
    MissingDataError,
    StorageError,
)
from dsvc.model.ids import CommitId

Killed = Callable[[Callable[[], object], Plan], bool]

DATA = b"format 1\n"
ID = object_id("blob", DATA)


@pytest.fixture
def git_dir(tmp_path: Path) -> str:
    path = str(tmp_path / "git")
    init_bare(path, durable=False)
    return path


def file_of(git_dir: str, id_: str) -> Path:
    return Path(git_dir, "objects", id_[:2], id_[2:])


def plant(git_dir: str, id_: str, data: bytes) -> None:
    file_of(git_dir, id_).parent.mkdir(exist_ok=True)
    file_of(git_dir, id_).write_bytes(data)


def test_round_trip(git_dir: str) -> None:
    objects = [("blob", DATA), ("blob", b""), ("blob", b"x" * 100_000), ("blob", DATA)]
    ids = GitWriter(git_dir, durable=True).write(objects)
    reader = LooseReader(git_dir)
    assert [reader.read(id_) for id_ in ids] == objects
    assert reader.expand(ID[:6]) == [ID]
    assert reader.expand(ID[0]) == [i for i in sorted(set(ids)) if i[0] == ID[0]]
    assert reader.has(ID)
    assert not reader.has(CommitId("0" * 40))


def test_missing_is_typed(git_dir: str) -> None:
    with pytest.raises(MissingDataError):
        LooseReader(git_dir).read(CommitId("0" * 40))


@pytest.mark.parametrize("text", ["../../../../etc/passwd", "HEAD", "", "A" * 40, "a" * 39, "a" * 40 + "\n"])
def test_h27_an_id_never_becomes_a_path_unchecked(git_dir: str, text: str) -> None:
    reader = LooseReader(git_dir)
    for call in (reader.read, reader.has):
        with pytest.raises(MalformedInputError):
            call(CommitId(text))
    with pytest.raises(MalformedInputError):
        reader.expand(text + "/..")


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"\0",
        zlib.compress(frame("blob", DATA))[:-5],
        zlib.compress(frame("blob", DATA)) + b"more",
        zlib.compress(frame("blob", b"other")),
        zlib.compress(frame("tree", DATA)),
        zlib.compress(b"blob 5\0" + DATA),
        zlib.compress(b"blob 99\0" + DATA),
        zlib.compress(b"blob -9\0" + DATA),
        zlib.compress(b"blob 09\0" + DATA),
        zlib.compress(DATA),
        zlib.compress(b"blob 9" + DATA),
    ],
)
def test_wrong_bytes_are_named(git_dir: str, stored: bytes) -> None:
    plant(git_dir, ID, stored)
    with pytest.raises(CorruptDataError, match=ID):
        LooseReader(git_dir).read(ID)


def test_every_flipped_bit_is_caught(git_dir: str) -> None:
    whole = zlib.compress(frame("blob", DATA), 1)
    reader = LooseReader(git_dir)
    for bit in range(8 * len(whole)):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        plant(git_dir, ID, bytes(data))
        with contextlib.suppress(CorruptDataError, MalformedInputError):
            assert reader.read(ID) == ("blob", DATA)


def test_h20_bombs_are_not_inflated(git_dir: str) -> None:
    zeros = bytes(64 * 1024 * 1024)
    plant(git_dir, "1" * 40, zlib.compress(b"blob 5\0" + zeros))
    plant(git_dir, "2" * 40, zlib.compress(b"blob %d\0" % (1 << 40)))
    plant(git_dir, "3" * 40, zlib.compress(b"blob %d\0" % (1 << 63) + zeros))
    del zeros
    tracemalloc.start()
    try:
        for digit in "123":
            with pytest.raises((CorruptDataError, MalformedInputError)):
                LooseReader(git_dir).read(CommitId(digit * 40))
        assert tracemalloc.get_traced_memory()[1] < 4 * 1024 * 1024
    finally:
        tracemalloc.stop()


def test_what_is_no_file_is_refused(git_dir: str) -> None:
    file_of(git_dir, ID).parent.mkdir()
    os.mkfifo(file_of(git_dir, ID))
    with pytest.raises(CorruptDataError):
        LooseReader(git_dir).read(ID)
    os.unlink(file_of(git_dir, ID))
    os.symlink("/etc/passwd", file_of(git_dir, ID))
    with pytest.raises(DsvcError):
        LooseReader(git_dir).read(ID)
    os.unlink(file_of(git_dir, ID))
    whole = Path(git_dir, "whole")
    whole.write_bytes(zlib.compress(frame("blob", DATA)))
    os.symlink(whole, file_of(git_dir, ID))
    with pytest.raises(StorageError):  # also where what it leads to would do
        LooseReader(git_dir).read(ID)


def test_a_damaged_object_is_replaced_and_a_whole_one_kept(git_dir: str) -> None:
    writer = GitWriter(git_dir, durable=True)
    plant(git_dir, ID, b"damaged")
    writer.write([("blob", DATA)])
    assert LooseReader(git_dir).read(ID) == ("blob", DATA)
    before = os.stat(file_of(git_dir, ID)).st_ino
    writer.write([("blob", DATA)])
    assert os.stat(file_of(git_dir, ID)).st_ino == before


def test_an_object_that_goes_between_two_looks_is_written(
    git_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git packs it and takes the file away, after it was read and before it is opened to be flushed."""
    GitWriter(git_dir, durable=True).write([("blob", DATA)])
    read = LooseReader.read_loose

    def read_and_pack(reader: LooseReader, id_: CommitId) -> object:
        found = read(reader, id_)
        os.unlink(file_of(git_dir, ID))
        return found

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(LooseReader, "read_loose", read_and_pack)
        GitWriter(git_dir, durable=True).write([("blob", DATA)])
    assert LooseReader(git_dir).read(ID) == ("blob", DATA)


def test_every_object_and_folder_is_flushed_before_write_returns(git_dir: str) -> None:
    with armed(Plan()) as plan:
        GitWriter(git_dir, durable=True).write([("blob", DATA), ("blob", b"2")])
    names = [name for name, _ in plan.seen]
    assert names.count("fsync") == 2
    last_rename = max(at for at, name in enumerate(names) if name == "rename")
    assert [path for name, path in plan.seen[last_rename:] if name == "fsync_folder"] != []
    assert all(at < last_rename for at, name in enumerate(names) if name == "fsync")
    with armed(Plan()) as plan:
        GitWriter(git_dir, durable=False).write([("blob", b"3")])
    assert not [name for name, _ in plan.seen if name.startswith("fsync")]


@pytest.mark.parametrize("action", [Action.EIO, Action.ENOSPC, Action.SHORT_WRITE])
def test_a_failure_at_every_step_leaves_nothing_half(git_dir: str, action: Action) -> None:
    at = 0
    while True:
        at += 1
        data = b"%d" % at
        with armed(Plan(action=action, at=at)) as plan, contextlib.suppress(StorageError):
            GitWriter(git_dir, durable=True).write([("blob", data)])
        id_ = object_id("blob", data)
        if LooseReader(git_dir).has(id_):
            assert LooseReader(git_dir).read(id_) == ("blob", data)
        assert not [name for name in os.listdir(Path(git_dir, "objects")) if name.startswith("tmp")]
        if not plan.fired:
            break
    assert at > 4


def test_killed_writers_leave_only_what_gc_removes(git_dir: str, killed: Killed) -> None:
    writer = GitWriter(git_dir, durable=True)
    at = 1
    while killed(lambda: writer.write([("blob", DATA), ("blob", b"2")]), Plan(action=Action.KILL, at=at)):
        reader = LooseReader(git_dir)
        if reader.has(ID):
            assert reader.read(ID) == ("blob", DATA)
            file_of(git_dir, ID).unlink()
        at += 1
    assert at > 8
    assert writer.remove_temporary(min_age_seconds=3600) == []
    assert writer.remove_temporary(min_age_seconds=-1)
    assert not [name for name in os.listdir(Path(git_dir, "objects")) if name.startswith("tmp")]


def test_init_killed_at_every_step_is_finished_by_the_next(tmp_path: Path, killed: Killed) -> None:
    at = 1
    while True:
        path = str(tmp_path / f"git{at}")
        was = killed(lambda path=path: init_bare(path), Plan(action=Action.KILL, at=at))  # type: ignore[misc]
        init_bare(path)
        assert Path(path, "HEAD").read_text() == "ref: refs/heads/main\n"
        assert not [name for name in os.listdir(path) if name.startswith("tmp")]
        if not was:
            break
        at += 1
    assert at > 15


def test_init_leaves_a_whole_repository_as_it_is(git_dir: str) -> None:
    Path(git_dir, "HEAD").write_text("ref: refs/heads/other\n")
    init_bare(git_dir)
    assert Path(git_dir, "HEAD").read_text() == "ref: refs/heads/other\n"


def test_what_another_wrote_is_flushed_before_it_is_relied_on(git_dir: str) -> None:
    GitWriter(git_dir, durable=False).write([("blob", DATA)])
    before = len(os.listdir("/proc/self/fd"))
    with armed(Plan()) as plan:
        GitWriter(git_dir, durable=True).write([("blob", DATA)])
    assert ("fsync", str(file_of(git_dir, ID))) in plan.seen
    assert ("fsync_folder", str(file_of(git_dir, ID).parent)) in plan.seen
    assert len(os.listdir("/proc/self/fd")) == before


def test_init_writes_what_a_crash_left_empty(git_dir: str) -> None:
    config = Path(git_dir, "config").read_bytes()
    for name in ("HEAD", "config"):
        Path(git_dir, name).write_bytes(b"")
    init_bare(git_dir)
    assert Path(git_dir, "HEAD").read_text() == "ref: refs/heads/main\n"
    assert Path(git_dir, "config").read_bytes() == config


def test_init_flushes_every_folder_and_the_one_it_is_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with armed(Plan()) as plan:
        init_bare("git")
    flushed = {os.path.abspath(path) for name, path in plan.seen if name == "fsync_folder"}
    folders = {folder for folder, _, _ in os.walk(tmp_path)}
    assert flushed == folders
    assert [name for name, _ in plan.seen].count("fsync") == 2
    with armed(Plan()) as plan:
        init_bare("other", durable=False)
    assert not [name for name, _ in plan.seen if name.startswith("fsync")]
    assert {folder.replace("other", "git", 1) for folder, _, _ in os.walk(tmp_path / "other")} <= folders


def test_an_object_is_nobodys_to_write(git_dir: str) -> None:
    before = os.umask(0)
    try:
        GitWriter(git_dir, durable=False).write([("blob", DATA)])
    finally:
        os.umask(before)
    assert file_of(git_dir, ID).stat().st_mode & 0o777 == 0o444
