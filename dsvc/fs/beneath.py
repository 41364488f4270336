"""Walks and writes below a root without following links.

Every component is opened relative to its parent's descriptor with ``O_NOFOLLOW``, so a symlink that is
planted between a check and a write leads nowhere.
"""

from __future__ import annotations

import errno
import os
from collections import OrderedDict
from types import TracebackType
from typing import Self

from dsvc.fs import files
from dsvc.model.errors import WouldOverwriteError
from dsvc.model.paths import display_path

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CACHED_FOLDERS = 32


def _refuse_if_too_many(error: OSError, path: str | bytes) -> None:
    if error.errno in (errno.EMFILE, errno.ENFILE):
        raise files.storage_error(error, "open folder", path) from error


class NotAFolderError(WouldOverwriteError):
    """Something other than a folder stands where a folder is needed."""


class Beneath:
    """A root folder and descriptors of recently used folders below it.

    Parameters
    ----------
    root : str
        The working tree; the root itself may be reached through links, nothing below it.

    Raises
    ------
    StorageError
        If no more files can be opened.
    OSError
        As the system says, where it can't be opened for another reason.
    """

    def __init__(self, root: str) -> None:
        self._open: OrderedDict[bytes, int] = OrderedDict()
        try:
            self.root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            _refuse_if_too_many(error, root)
            raise

    def close(self) -> None:
        """Close every descriptor."""
        self.forget()
        if self.root_fd >= 0:
            os.close(self.root_fd)
            self.root_fd = -1

    def forget(self) -> None:
        """Close the remembered folders; call after folders were removed or replaced."""
        for fd in self._open.values():
            os.close(fd)
        self._open.clear()

    def __del__(self) -> None:
        """Close with the object; a name that was never opened has nothing to close."""
        if hasattr(self, "root_fd"):
            self.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def folder(self, path: bytes, *, create: bool = False) -> int:
        """Return a descriptor of the folder `path` (``b""`` is the root); it stays owned by this object.

        Raises
        ------
        FileNotFoundError
            If it isn't there and `create` is false.
        NotAFolderError
            If a component is a file or a symlink.
        StorageError
            If no more files can be opened.
        """
        if not path:
            return self.root_fd
        known = self._open.get(path)
        if known is not None:
            self._open.move_to_end(path)
            return known
        parent, _, name = path.rpartition(b"/")
        parent_fd = self.folder(parent, create=create)
        try:
            fd = self._enter(parent_fd, name, create)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                raise NotAFolderError(
                    f"{display_path(path)} is not a folder", details={"path": display_path(path)}
                ) from error
            _refuse_if_too_many(error, path)
            raise
        self._open[path] = fd
        if len(self._open) > _CACHED_FOLDERS:
            _, oldest = self._open.popitem(last=False)
            os.close(oldest)
        return fd

    @staticmethod
    def _enter(parent_fd: int, name: bytes, create: bool) -> int:
        try:
            return os.open(name, _FOLDER_FLAGS, dir_fd=parent_fd)
        except FileNotFoundError:
            if not create:
                raise
        files.make_folder(name, dir_fd=parent_fd)
        return os.open(name, _FOLDER_FLAGS, dir_fd=parent_fd)

    def split(self, path: bytes, *, create: bool = False) -> tuple[int, bytes]:
        """Return the descriptor of the folder that holds `path`, and the last name."""
        parent, _, name = path.rpartition(b"/")
        return self.folder(parent, create=create), name

    def lstat(self, path: bytes) -> os.stat_result | None:
        """Stat without following; None where nothing is there (or its parent is no folder)."""
        try:
            fd, name = self.split(path)
            return os.stat(name, dir_fd=fd, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError, NotAFolderError):
            return None

    def readlink(self, path: bytes) -> bytes:
        """Target of a symlink."""
        fd, name = self.split(path)
        return os.readlink(name, dir_fd=fd)

    def remove(self, path: bytes) -> None:
        """Remove a file or symlink; nothing happens where it's gone already."""
        try:
            fd, name = self.split(path)
        except (FileNotFoundError, NotAFolderError):
            return
        files.unlink(name, dir_fd=fd, missing_ok=True)

    def remove_empty_folders(self, path: bytes) -> None:
        """Remove the folder `path` and its parents as long as they're empty; the root stays."""
        self.forget()
        while path:
            parent, _, name = path.rpartition(b"/")
            try:
                fd = self.folder(parent)
            except (FileNotFoundError, NotAFolderError):
                return
            if not files.remove_folder(name, dir_fd=fd):
                return
            self.forget()
            path = parent
