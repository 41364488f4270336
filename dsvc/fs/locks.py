"""Locks: flock on files that are never renamed or removed; the kernel frees them when a process dies."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from dsvc.fs.cache_files import writable
from dsvc.fs.files import storage_error
from dsvc.model.errors import LockedError

_POLL_SECONDS = 0.005


def _holder(fd: int) -> str:
    try:
        facts = json.loads(os.pread(fd, 4096, 0) or b"{}")
        return f" (held by process {facts['pid']})" if "pid" in facts else ""
    except (OSError, ValueError, TypeError, RecursionError):
        return ""


def _say_who(fd: int) -> None:
    """Name the holder, for messages only: a full disk keeps nobody from a lock."""
    try:
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps({"pid": os.getpid()}).encode(), 0)
    except OSError:
        return


def _acquire(fd: int, operation: int, timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while True:
        try:
            fcntl.flock(fd, operation | fcntl.LOCK_NB)
            return True
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EINTR):
                raise
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_SECONDS)


def _take(fd: int, path: str, what: str, shared: bool, timeout: float) -> None:
    try:
        taken = _acquire(fd, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, timeout)
    except OSError as error:
        raise storage_error(error, "lock", path) from error
    if not taken:
        raise LockedError(
            f"the {what} lock is held by another process{_holder(fd)}; waited {timeout:g} s",
            hint="wait until the other command ends, or raise core.lockTimeout",
        )


@contextmanager
def hold(path: str, *, what: str, shared: bool = False, timeout: float = 10.0) -> Iterator[None]:
    """Hold the lock file `path` for the length of the block.

    Parameters
    ----------
    path : str
        Lock file; made if missing, never removed.
    what : str
        Name of the lock for messages.
    shared : bool
        Shared with other shared holders, or exclusive.
    timeout : float
        Seconds to wait.

    Raises
    ------
    LockedError
        If it isn't free in time.
    StorageError
        If the lock file can't be opened or the file system has no locks.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        raise storage_error(error, "open lock", path) from error
    try:
        _take(fd, path, what, shared, timeout)
        if not shared:
            _say_who(fd)
        yield
    finally:
        os.close(fd)


@contextmanager
def share(path: str, *, what: str, timeout: float = 10.0) -> Iterator[None]:
    """Share a lock for the length of a block that only reads; parameters as `hold`.

    Where nobody can write, the lock file is held as it is, and nothing is held where there is none: there is
    nobody to be kept out.

    Raises
    ------
    LockedError
        If it isn't free in time.
    StorageError
        If the lock file can't be opened or the file system has no locks.
    """
    if writable(os.path.dirname(path)):
        with hold(path, what=what, shared=True, timeout=timeout):
            yield
        return
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        yield
        return
    try:
        _take(fd, path, what, True, timeout)
        yield
    finally:
        os.close(fd)


@contextmanager
def try_hold(path: str) -> Iterator[bool]:
    """Hold the lock exclusively if it's free this moment; yields whether it was."""
    try:
        with hold(path, what="cache", timeout=0.0):
            yield True
            return
    except LockedError:
        pass
    yield False
