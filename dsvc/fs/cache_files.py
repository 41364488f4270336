"""Files of a cache: kept where that can be done, worked out again where it can't."""

from __future__ import annotations

import os
from collections.abc import Sequence

from dsvc.fs import files
from dsvc.fs.files import Buffer
from dsvc.model.errors import StorageError


def writable(path: str) -> bool:
    """Whether something can be made in a folder, or in the nearest one above it that there is.

    Nothing is tried: who looks at a disk that is mounted read-only leaves no trace in its log.
    """
    while not os.path.lexists(path) and path not in ("", "/"):
        path = os.path.dirname(path)
    return os.access(path or ".", os.W_OK | os.X_OK)


def keep(path: str, data: Buffer | Sequence[Buffer]) -> bool:
    """Write a file of a cache, with the folders that it is in; tells whether it was kept.

    Never fails for want of room or permission: that only costs the time to work it out again.
    """
    folder = os.path.dirname(path)
    if not writable(folder):
        return False
    try:
        files.make_folders(folder, durable=False)
        files.write_atomically(path, data, durable=False)
    except (StorageError, OSError):
        return False
    return True
