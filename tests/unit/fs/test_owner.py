"""Temporary names and files in use: whose they are is told rightly, or not at all."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dsvc.fs import files, owner
from dsvc.fs.owner import Owner, hold_in_use, in_use, owner_of
from dsvc.fs.temporary_folder import temporary_folder
from dsvc.model.errors import StorageError


def _of_another_process() -> str:
    code = "from dsvc.fs import files; print(files.temporary_name('pack'))"
    words = [sys.executable, "-c", code]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout[:-1]


def test_f33_owners_by_name() -> None:
    """A number that nobody has, that somebody has, and one of another start or pid namespace."""
    assert owner_of(files.temporary_name()) is Owner.RUNNING
    assert owner_of("tmp_obj_" + files.temporary_name()) is Owner.RUNNING
    theirs = _of_another_process()
    assert owner_of(theirs) is Owner.GONE
    prefix, number, place = theirs.split("-")
    elsewhere = f"{int(place[:8], 16) ^ 1:08x}{place[8:]}"
    for pid in (number, str(os.getpid())):
        assert owner_of(f"{prefix}-{pid}-{elsewhere}") is Owner.UNKNOWN
    assert owner_of(f"{prefix}-{10**30}-{place}") is Owner.RUNNING
    for name in ("", "pack", f"pack-{number}", f"pack-x-{place}", f"pack-{number}-{place}0", "main.lock"):
        assert owner_of(name) is None


def test_f33_a_process_that_nobody_waited_for_has_ended() -> None:
    """Where the first process of a container waits for nobody, numbers of killed ones stay taken."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    try:
        name = files.temporary_name().replace(f"-{os.getpid()}-", f"-{pid}-")
        os.kill(pid, 0)
        assert owner_of(name) is Owner.GONE
    finally:
        os.waitpid(pid, 0)
    assert owner_of(name) is Owner.GONE


def test_f33_a_process_removes_its_own_files_and_none_of_a_namesake(tmp_path: Path) -> None:
    own, namesake = files.temporary_name(), f"tmp-{os.getpid()}-{'0' * 16}"
    for name in (own, namesake, "pack-1-x"):
        (tmp_path / name).touch()
    files.discard_own(str(tmp_path))
    assert sorted(os.listdir(tmp_path)) == ["pack-1-x", namesake]


def test_f33_in_use_until_it_is_closed_or_its_process_ends(tmp_path: Path) -> None:
    for path in (tmp_path / "file", tmp_path / "folder"):
        path.touch() if path.name == "file" else path.mkdir()
        assert not in_use(str(path))
        fds = [hold_in_use(str(path)), hold_in_use(str(path))]
        assert in_use(str(path))
        os.close(fds.pop())
        assert in_use(str(path))
        os.close(fds.pop())
        assert not in_use(str(path))
    assert not in_use(str(tmp_path / "none"))
    (tmp_path / "link").symlink_to("none")
    assert in_use(str(tmp_path / "link")), "what can't be asked may be in use"


def test_f33_without_locks_there_is_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_fd: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(StorageError), temporary_folder(str(tmp_path), "run"):
        pass
    assert in_use(str(tmp_path)), "what can't be asked may be in use"
    assert os.listdir("/proc/self/fd") == before
    assert os.listdir(tmp_path) == []


def test_names_are_made_where_nothing_is_known_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_path: bytes) -> bytes:
        raise FileNotFoundError

    monkeypatch.setattr(os, "readlink", refuse)
    owner._process_space.cache_clear()
    try:
        assert owner_of(files.temporary_name()) is Owner.RUNNING
    finally:
        monkeypatch.undo()
        owner._process_space.cache_clear()
