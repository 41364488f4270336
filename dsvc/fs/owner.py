"""Whose a temporary file or folder is: told by its name, and by a lock that its process holds on it.

The number of a process says nothing in another pid namespace or after another start, and it is given out
again. So names also tell where their number counts, and what a command needs for long is held locked: such a
lock ends with its process, whatever its number, wherever it runs.
"""

from __future__ import annotations

import fcntl
import functools
import os
import re
import zlib
from contextlib import suppress
from enum import Enum

_NAME = re.compile(r"(?:tmp_obj_)?[^\W\d_]+-([0-9]+)-([0-9a-f]{8})[0-9a-f]{8}")


class Owner(Enum):
    """What is known of the process that chose a temporary name."""

    RUNNING = "running"
    GONE = "gone"
    UNKNOWN = "unknown"


@functools.cache
def _process_space() -> str:
    """Eight digits for where numbers of processes mean the same: a start of a kernel, a pid namespace."""
    facts = b""
    with suppress(OSError), open("/proc/sys/kernel/random/boot_id", "rb") as file:
        facts = file.read() + os.readlink(b"/proc/self/ns/pid")
    return f"{zlib.crc32(facts):08x}"


def own_mark() -> str:
    """What stands in the names of temporary files of this process, before what is random."""
    return f"{os.getpid()}-{_process_space()}"


def owner_of(name: str) -> Owner | None:
    """Say what is known of the process that chose a name; None for one not of `files.temporary_name`.

    Another process may have its number by now: one that runs need not be it, one that is gone is.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    if match[2] != _process_space():
        return Owner.UNKNOWN
    try:
        os.kill(int(match[1]), 0)
    except ProcessLookupError:
        return Owner.GONE
    except (PermissionError, OverflowError):
        pass
    return Owner.GONE if _has_ended(match[1]) else Owner.RUNNING


def _has_ended(pid: str) -> bool:
    """Whether a process that has a number is over, and only waits for its parent: that may be for ever."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b") ")[2][:1] in (b"Z", b"X")
    except OSError:
        return False


def hold_in_use(path: str) -> int:
    """Show others that a file or folder is in use, until the descriptor that is returned is closed.

    Raises
    ------
    OSError
        If it can't be opened, or the file system has no locks.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        # Who asks whether it's in use holds it for a moment.
        fcntl.flock(fd, fcntl.LOCK_SH)
    except BaseException:
        os.close(fd)
        raise
    return fd


def in_use(path: str) -> bool:
    """Whether a process holds a file or folder by `hold_in_use`; one that can't be asked may be held."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False
