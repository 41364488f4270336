"""Packs in folders: few descriptors, errors of the system with their numbers, a trash on a full disk too."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dsvc.fs.failpoints import Action, Plan, armed
from dsvc.model.errors import MalformedInputError, MissingDataError, StorageError
from dsvc.model.ids import PackId
from dsvc.store.local_backend import LocalBackend
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


@pytest.mark.parametrize("at_most", [None, 9_999])
def test_views_are_the_bytes(backend: LocalBackend, at_most: int | None) -> None:
    name = published(backend, 1)
    with reading(".pack", at_most=at_most):
        for offset, length in ((0, len(DATA)), (1, 16_384), (1, 16_385), (4097, 50_000), (len(DATA), 0)):
            assert bytes(backend.view(name, offset, length)) == DATA[offset : offset + length]


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
        backend.trash([published(backend, 2)], "000002-x")


def test_what_is_deleted_is_gone_though_it_was_open(backend: LocalBackend) -> None:
    name = published(backend, 1)
    assert backend.size(name) == len(DATA)
    backend.trash([name], "000001-x")
    backend.trash([name], "000001-x")
    assert backend.empty_trash("000001-x") == len(DATA)
    with pytest.raises(MissingDataError):
        backend.size(name)
    assert os.listdir(backend.layout.trash) == []
