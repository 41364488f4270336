"""Packs in folders: few descriptors, errors of the system with their numbers, a trash on a full disk too."""

from __future__ import annotations

import errno
import logging
import mmap
import os
import resource
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from dsvc.fs.failpoints import Action, Plan, armed
from dsvc.model.errors import CorruptDataError, MalformedInputError, MissingDataError, StorageError
from dsvc.model.ids import PackId
from dsvc.store import local_backend
from dsvc.store.local_backend import LocalBackend
from dsvc.testing.faults import run_in_child
from tests.readkit import reading
from tests.storekit import make_layout

DATA = bytes(range(256)) * 400


@pytest.fixture
def backend(tmp_path: Path) -> LocalBackend:
    return LocalBackend(make_layout(tmp_path), durable=False)


def published(backend: LocalBackend, number: int, data: bytes = DATA) -> PackId:
    name = PackId(number.to_bytes(32, "big"))
    sink = backend.create()
    sink.write([data])
    sink.publish(name)
    return name


def test_however_many_packs_few_are_open(backend: LocalBackend) -> None:
    names = [published(backend, number, b"%d" % number) for number in range(150)]
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(2):
        for number, name in enumerate(names):
            assert backend.read(name, 0, backend.size(name)) == b"%d" % number
        assert len(os.listdir("/proc/self/fd")) < before + 100
    backend.forget()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(("allowed", "most"), [(-1, 64), (100, 25), (2, 1)])
def test_packs_leave_room_for_other_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: int, most: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda what: (allowed, 4096))
    backend = LocalBackend(make_layout(tmp_path), durable=False)
    names = [published(backend, number, b"%d" % number) for number in range(70)]
    before = len(os.listdir("/proc/self/fd"))
    for name in names:
        backend.size(name)
    assert len(os.listdir("/proc/self/fd")) == before + most
    backend.forget()


def test_a_pack_is_written_for_reading_only(backend: LocalBackend) -> None:
    path = Path(backend.layout.packs, f"{published(backend, 1).hex()}.pack")
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o444 & ~mask


def test_a_pack_given_up_leaves_nothing(backend: LocalBackend) -> None:
    before = len(os.listdir("/proc/self/fd"))
    os.unlink(os.path.join(backend.layout.packs, f"{published(backend, 1).hex()}.pack"))
    assert len(os.listdir("/proc/self/fd")) == before
    sink = backend.create()
    sink.write([DATA])
    sink.abandon()
    assert os.listdir(backend.layout.temporary) == os.listdir(backend.layout.packs) == []
    other = os.open(backend.layout.packs, os.O_RDONLY)  # gets the number that the sink had
    sink.abandon()
    assert len(os.listdir("/proc/self/fd")) == before + 1
    os.close(other)


@pytest.mark.parametrize("durable", [True, False])
def test_packs_are_flushed_before_they_count(tmp_path: Path, durable: bool) -> None:
    layout = make_layout(tmp_path)
    backend = LocalBackend(layout) if durable else LocalBackend(layout, durable=False)
    packs, run = layout.packs, os.path.join(layout.trash, "000001-x")

    def moves(plan: Plan) -> list[tuple[str, str]]:
        seen = [(what, os.fsdecode(path)) for what, path in plan.seen]
        return [each for each in seen if each[0] in ("fsync_folder", "rename") and "journal" not in each[1]]

    with armed(Plan()) as plan:
        name = published(backend, 1)
    here, there = (os.path.join(folder, f"{name.hex()}.pack") for folder in (packs, run))
    flushed = [("fsync_folder", packs)] if durable else []
    assert moves(plan) == [("rename", here), *flushed]
    assert ("fsync" in {what for what, _ in plan.seen}) is durable
    with armed(Plan()) as plan:
        backend.trash([name], "000001-x")
    both = [("fsync_folder", run), *flushed] if durable else []
    assert moves(plan)[-len([("rename", there), *both]) :] == [("rename", there), *both]
    with armed(Plan()) as plan:
        assert backend.recover("000001-x") == [name]
    assert moves(plan) == [("rename", here), *flushed]


def test_packs_that_can_not_be_listed_or_opened(backend: LocalBackend, tmp_path: Path) -> None:
    link = PackId(bytes(32))
    Path(backend.layout.packs, f"{link.hex()}.pack").symlink_to(tmp_path)
    with pytest.raises(StorageError) as caught:
        backend.size(link)
    assert caught.value.details["errno"] == "ELOOP"
    Path(backend.layout.packs).rename(tmp_path / "away")
    with pytest.raises(StorageError) as caught:
        backend.list_packs()
    assert caught.value.details["errno"] == "ENOENT"


def test_a_file_system_that_maps_nothing(backend: LocalBackend) -> None:
    name = published(backend, 1)

    def first(number: int) -> None:
        if number == 1:
            raise OSError(errno.ENODEV, "no such thing")

    with reading(".pack", before=first) as seen:
        assert bytes(backend.view(name, 7, 50_000)) == DATA[7:50_007]
    assert seen == ["preadv", "pread"]


@pytest.mark.parametrize("length", [1000, 50_000, 3 << 20])
def test_a_pack_that_is_cut_while_it_is_read(backend: LocalBackend, length: int) -> None:
    """Mapped beyond its end, it would end the process."""
    name = published(backend, 1, bytes(3 << 20))
    path = Path(backend.layout.packs, f"{name.hex()}.pack")

    def cut(number: int) -> None:
        if number == 1:
            path.chmod(0o644)
            os.truncate(path, 0)

    for read in (backend.read, backend.view):
        with reading(".pack", before=cut), pytest.raises(CorruptDataError):
            read(name, 0, length)
        os.truncate(path, 3 << 20)


def test_a_pack_is_no_worse_for_want_of_memory(backend: LocalBackend) -> None:
    name, length = published(backend, 1), 128 << 20
    path = Path(backend.layout.packs, f"{name.hex()}.pack")
    path.chmod(0o644)
    os.truncate(path, length)

    def look() -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        held = int(Path("/proc/self/statm").read_text().split()[0]) * mmap.PAGESIZE
        resource.setrlimit(resource.RLIMIT_AS, (held + (32 << 20), hard))
        try:
            backend.view(name, 0, length)
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))

    assert isinstance(run_in_child(look).error, MemoryError)


@pytest.mark.parametrize("at_most", [None, 9_999])
def test_views_are_the_bytes(backend: LocalBackend, at_most: int | None) -> None:
    name = published(backend, 1)
    with reading(".pack", at_most=at_most):
        for offset, length in ((0, len(DATA)), (1, 16_384), (1, 16_385), (4097, 50_000), (len(DATA), 0)):
            assert bytes(backend.view(name, offset, length)) == DATA[offset : offset + length]


def test_what_lies_beyond_a_pack_is_not_read(backend: LocalBackend) -> None:
    name = published(backend, 1)
    end = len(DATA)
    for offset, length in ((end - 9, 10), (end, 1), (0, end + 1), (end + 1, 0), (-1, 5), (5, -1)):
        with pytest.raises(CorruptDataError):
            backend.read(name, offset, length)
    assert backend.read(name, end, 0) == b""
    for offset, length in ((end - 9, 10), (end - 50_000, 50_001), (end, 1), (0, end + 1)):
        with pytest.raises(CorruptDataError, match="its trailer says"):
            backend.view(name, offset, length)


def test_small_ranges_are_read_and_large_ones_mapped(backend: LocalBackend) -> None:
    name = published(backend, 1, bytes(3 << 20))
    calls = [(1, ["pread"]), (16 << 10, ["pread"]), ((16 << 10) + 1, ["preadv"]), (1 << 20, ["preadv"])]
    for length, expected in [*calls, ((1 << 20) + 1, ["preadv", "preadv"]), (0, [])]:
        with reading(".pack") as seen:
            assert backend.view(name, 4097, length) == bytes(length)
        assert seen == expected, length


def test_a_file_that_can_not_be_mapped_says_why(tmp_path: Path) -> None:
    fd = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)
    try:
        os.write(fd, DATA)
        with pytest.raises(PermissionError):
            local_backend._map(fd, 0, 10)
    finally:
        os.close(fd)


@pytest.mark.parametrize("run", ["", ".", "..", "a/b", "/etc"])
def test_names_of_runs_never_lead_elsewhere(backend: LocalBackend, run: str) -> None:
    calls: list[Callable[[str], object]] = [backend.recover, backend.empty_trash, backend.trash_age]
    calls.append(lambda run: backend.trash([], run))
    for call in calls:
        with pytest.raises(MalformedInputError):
            call(run)


def test_runs_that_are_not_there(backend: LocalBackend) -> None:
    assert backend.recover("000001-x") == []
    assert backend.empty_trash("000001-x") == 0
    with pytest.raises(MissingDataError):
        backend.trash_age("000001-x")
    os.rmdir(backend.layout.trash)
    assert backend.list_trash() == {}
    with pytest.raises(MissingDataError):
        backend.read(PackId(bytes(32)), 0, 1)


def journal_write(backend: LocalBackend, name: PackId) -> int:
    """Which operation of `trash` writes the journal."""
    with armed(Plan()) as plan:
        backend.trash([name], "000001-x")
    backend.recover("000001-x")
    return next(number for number, (what, _) in enumerate(plan.seen, 1) if what == "write")


def test_a_full_disk_has_a_trash_without_a_journal(
    backend: LocalBackend, caplog: pytest.LogCaptureFixture
) -> None:
    name = published(backend, 1)
    at = journal_write(backend, name)
    with armed(Plan(action=Action.ENOSPC, at=at)), caplog.at_level(logging.WARNING):
        backend.trash([name], "000001-x")
    assert "no journal" in caplog.text
    assert backend.list_trash() == {"000001-x": [name]}
    assert 0 <= backend.trash_age("000001-x") < 3600
    assert backend.read(name, 0, 10) == DATA[:10]
    with armed(Plan(action=Action.EIO, at=at)), pytest.raises(StorageError):
        backend.trash([name], "000002-x")


def test_what_is_deleted_is_gone_though_it_was_open(backend: LocalBackend) -> None:
    name = published(backend, 1)
    assert backend.size(name) == len(DATA)
    backend.trash([name], "000001-x")
    backend.trash([name], "000001-x")
    assert backend.empty_trash("000001-x") == len(DATA)
    with pytest.raises(MissingDataError):
        backend.size(name)
    assert os.listdir(backend.layout.trash) == []
