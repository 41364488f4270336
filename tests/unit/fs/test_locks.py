"""Locks: one exclusive holder or many shared ones, freed by the kernel, never in the way of each other."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import time
from pathlib import Path

import pytest

from dsvc.fs import locks
from dsvc.model.errors import LockedError, StorageError


def _holder(path: str, *, shared: bool = False) -> int:
    """A process that holds the lock; it is ready when this returns."""
    ready, tell = os.pipe()
    child = os.fork()
    if child == 0:
        with locks.hold(path, what="test", shared=shared):
            os.write(tell, b"x")
            time.sleep(60)
        os._exit(1)
    os.close(tell)
    assert os.read(ready, 1) == b"x"
    os.close(ready)
    return child


def _end(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


@pytest.mark.parametrize(("theirs", "ours", "free"), [(0, 0, 0), (0, 1, 0), (1, 0, 0), (1, 1, 1)])
def test_f33_shared_and_exclusive(tmp_path: Path, theirs: int, ours: int, free: int) -> None:
    path = str(tmp_path / "lock")
    child = _holder(path, shared=bool(theirs))
    try:
        if free:
            with locks.hold(path, what="test", shared=bool(ours), timeout=0):
                pass
        else:
            with (
                pytest.raises(LockedError) as caught,
                locks.hold(path, what="test", shared=bool(ours), timeout=0),
            ):
                pass
            assert caught.value.exit_code == 11
            assert theirs or str(child) in caught.value.message
    finally:
        _end(child)
    with locks.hold(path, what="test", timeout=0):
        pass


def test_f33_waiting_ends_when_the_holder_dies(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    child = _holder(path)
    killer = os.fork()
    if killer == 0:
        time.sleep(0.2)
        os.kill(child, signal.SIGKILL)
        os._exit(0)
    started = time.monotonic()
    with locks.hold(path, what="test", timeout=10):
        assert time.monotonic() - started < 2
    os.waitpid(killer, 0)
    os.waitpid(child, 0)


def test_the_holder_is_named_whatever_stood_there_before(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text('{"pid": 12345678901234567890, "note": "longer than what comes"}')
    child = _holder(str(path))
    try:
        with (
            pytest.raises(LockedError, match=rf"held by process {child}\)"),
            locks.hold(str(path), what="test", timeout=0),
        ):
            pass
    finally:
        _end(child)


def test_try_hold(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    with locks.try_hold(path) as free:
        assert free
        with locks.try_hold(path) as again:
            assert not again
    with locks.try_hold(path) as free:
        assert free


def test_another_descriptor_closed_does_not_free_it(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    with locks.hold(path, what="test"):
        os.close(os.open(path, os.O_RDONLY))
        with pytest.raises(LockedError), locks.hold(path, what="test", timeout=0):
            pass


def test_a_lock_file_is_no_link(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to("elsewhere")
    with pytest.raises(StorageError), locks.hold(str(tmp_path / "lock"), what="test"):
        pass
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b'{"pid": "x"}', b"null"])
def test_f33_whatever_a_lock_file_says(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "lock"
    child = _holder(str(path))
    try:
        path.write_bytes(content)
        with pytest.raises(LockedError) as caught, locks.hold(str(path), what="test", timeout=0):
            pass
        who = " (held by process x)" if b"pid" in content else ""
        assert caught.value.message == f"the test lock is held by another process{who}; waited 0 s"
    finally:
        _end(child)


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(fd: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    for lock in (locks.hold, locks.share):
        with pytest.raises(StorageError) as caught, lock(str(tmp_path / "lock"), what="test"):
            raise AssertionError("nothing is held")
        assert caught.value.details["errno"] == "ENOLCK"


def test_a_full_disk_keeps_nobody_from_a_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pwrite(fd: int, data: bytes, offset: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", pwrite)
    path = str(tmp_path / "lock")
    with locks.hold(path, what="test"), locks.try_hold(path) as free:
        assert not free


def test_an_interrupted_wait_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    was, calls = fcntl.flock, []

    def flock(fd: int, operation: int) -> None:
        calls.append(operation)
        if len(calls) < 3:
            raise OSError(errno.EINTR, os.strerror(errno.EINTR))
        was(fd, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    with locks.hold(str(tmp_path / "lock"), what="test", timeout=10):
        assert len(calls) == 3


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_where_nobody_can_write_a_reader_holds_what_there_is(fast_path: Path) -> None:
    """Without a lock file nothing is held; with one, a writer keeps readers out as everywhere."""
    fast_path.chmod(0o755)
    path = fast_path / "lock"

    def read() -> int:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.chdir(fast_path)
                os.setgroups([])
                os.setresuid(65534, 65534, 0)
                try:
                    with locks.share("./lock", what="test", timeout=0):
                        status = 0
                except LockedError:
                    status = 2
            finally:
                os.setresuid(0, 0, 0)  # what measures branches writes a file in the end
                os._exit(status)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    assert read() == 0
    assert not path.exists()
    with locks.hold(str(path), what="test"):
        assert read() == 2
        path.rename(fast_path / "elsewhere")
        path.symlink_to("elsewhere")
        assert read() == 0, "a lock file is no link"
    with locks.hold(str(fast_path / "elsewhere"), what="test", shared=True):
        path.unlink()
        (fast_path / "elsewhere").rename(path)
        assert read() == 0, "readers are in nobody's way"
    path.unlink()
    assert read() == 0
