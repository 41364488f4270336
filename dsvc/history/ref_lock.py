"""``<ref>.lock``: what keeps other git tools off a ref while dsvc moves it.

dsvc's own writers wait for each other at a flock; a lock file that is found under that flock is another
tool's, or was left by one that died.
"""

from __future__ import annotations

import os
import time
from typing import Final

from dsvc.fs import files
from dsvc.fs.boot import boot_seconds
from dsvc.fs.flushing import Unflushed
from dsvc.model.errors import LockedError, StorageError

SUFFIX: Final = ".lock"
WAIT_SECONDS: Final = 1.0
STALE_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.02
_ATTEMPTS: Final = 100


def is_stale(path: str) -> bool:
    """Whether a lock file is older than 10 s, or from before the machine's last start."""
    try:
        made = os.stat(path, follow_symlinks=False).st_mtime
    except OSError:
        return False
    return time.time() - made > STALE_SECONDS or made < boot_seconds()


def _make(path: str, *, durable: bool) -> int:
    deadline = time.monotonic() + WAIT_SECONDS
    for _ in range(_ATTEMPTS):
        try:
            return files.open_new(path)
        except StorageError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                files.make_folders(os.path.dirname(path), durable=durable)
                continue
            if not isinstance(error.__cause__, FileExistsError):
                raise
        if time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        elif is_stale(path):
            files.unlink(path, missing_ok=True)
        else:
            break
    raise held(path)


def take(path: str, data: bytes, unflushed: Unflushed, *, durable: bool) -> None:
    """Make the lock file `path` with `data`; one that is there is waited for, then removed if it's stale.

    Parameters
    ----------
    unflushed : Unflushed
        Takes the file, to be flushed with others.
    durable : bool
        Whether folders that are made for it are flushed.

    Raises
    ------
    LockedError
        If another tool holds it.
    StorageError
        If the system refuses.
    """
    unflushed.write(_make(path, durable=durable), path, data)


def held(path: str) -> LockedError:
    """Make the error for a lock that another tool holds."""
    return LockedError(
        f"another git tool holds {path}",
        hint="wait until it ends; a lock that was left behind is removed when it is 10 s old",
        details={"path": path},
    )
