"""Folders that live as long as one command, under ``.dsvc/tmp``: whatever runs fills them, then they go."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from dsvc.fs import files, recording
from dsvc.fs.owner import hold_in_use


@contextmanager
def temporary_folder(parent: str, prefix: str) -> Iterator[str]:
    """Make a folder that nobody else chooses, and remove it with all that is in it at the end.

    Parameters
    ----------
    parent : str
        An existing folder.
    prefix : str
        Lower-case letters that its name begins with; the rest names the process. It is held as in use, so
        that gc tells what a killed process left from what a living one needs.

    Raises
    ------
    StorageError
        If it can't be made, or the file system has no locks.
    """
    path = os.path.join(parent, files.temporary_name(prefix))
    files.make_folder(path, exist_ok=False)
    try:
        fd = hold_in_use(path)
    except OSError as error:
        discard_tree(path)
        raise files.storage_error(error, "lock", path) from error
    try:
        yield path
    finally:
        os.close(fd)
        discard_tree(path)


def discard_tree(path: str) -> None:
    """Remove a folder with all that is in it, following no link; never fails, and leaves what can't go."""
    # A command may have taken away the right to change the folders.
    _open_up(path)
    for folder, names, _ in os.walk(path):
        for name in names:
            _open_up(os.path.join(folder, name))
    shutil.rmtree(path, ignore_errors=True)
    recording.of_name("discard_tree", path)


def _open_up(folder: str) -> None:
    try:
        if stat.S_ISDIR(os.lstat(folder).st_mode):
            os.chmod(folder, stat.S_IRWXU)
    except OSError:
        return
