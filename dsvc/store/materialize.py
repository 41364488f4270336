"""Chunks to files: every byte is checked before it's written, every file appears whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TypeVar

from dsvc.fs import files
from dsvc.fs.beneath import Beneath
from dsvc.model.errors import CorruptDataError, StorageError, WouldOverwriteError
from dsvc.model.manifest import MODE_DIRECTORY, MODE_EXECUTABLE, MODE_SYMLINK, Entry
from dsvc.model.paths import display_path
from dsvc.store.chunk_list import chunks_of
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.ingest import FileStat

_Made = TypeVar("_Made")
_GATHER_BYTES = 1 << 20
_NO_UNNAMED_FILES = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL})


def content_parts(store: ChunkStore, entry: Entry) -> Iterator[bytes | memoryview | int]:
    """Content of a file in order: bytes, or the length of a hole; checked chunk by chunk.

    Raises
    ------
    CorruptDataError
        If a chunk has another length than its list says, or other bytes than its id.
    """
    for chunk in chunks_of(store, entry):
        if chunk.id is None:
            yield chunk.length_bytes
            continue
        data = store.get(chunk.id)
        if len(data) != chunk.length_bytes:
            raise CorruptDataError(
                f"chunk {chunk.id.hex()[:12]} of {display_path(entry.path)}: its list says another length"
            )
        yield data


def read_content(store: ChunkStore, entry: Entry) -> bytes:
    """Whole content of an entry; for files known to be small."""
    return b"".join(bytes(p) if isinstance(p, int) else p for p in content_parts(store, entry))


def _is_elsewhere(error: StorageError) -> bool:
    return isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EXDEV


class TreeWriter:
    """Writes entries into a working tree, below its root and without following links.

    Parameters
    ----------
    store : ChunkStore
        Where the content is.
    tree : Beneath
        The working tree.
    temporary : str
        Folder for files that replace others, on the same file system as the tree where possible.
    """

    def __init__(self, store: ChunkStore, tree: Beneath, temporary: str) -> None:
        self._store = store
        self._tree = tree
        self._temporary = temporary
        self._unnamed = hasattr(os, "O_TMPFILE")

    def write(self, entry: Entry, *, replace: bool = False) -> FileStat | None:
        """Write one entry.

        Parameters
        ----------
        replace : bool
            Whether a file or symlink that stands there goes; otherwise it's an error.

        Returns
        -------
        FileStat or None
            Stat of the written file or symlink, None for a folder.

        Raises
        ------
        WouldOverwriteError
            If something stands there that may not go.
        CorruptDataError, MissingDataError, ErasedError
            If the content can't be had; nothing is written then.
        """
        if entry.mode == MODE_DIRECTORY:
            self._tree.folder(entry.path, create=True)
            return None
        folder, name = self._tree.split(entry.path, create=True)
        try:
            if entry.mode == MODE_SYMLINK:
                return self._write_symlink(entry, folder, name, replace=replace)
            if self._unnamed and not replace:
                found = self._write_unnamed(entry, folder, name)
                if found is not None:
                    return found
            return self._write_named(entry, folder, name, replace=replace)
        except FileExistsError as error:
            raise WouldOverwriteError(
                f"{display_path(entry.path)} exists and is not what was expected",
                details={"path": display_path(entry.path)},
            ) from error
        except OSError as error:
            raise files.storage_error(error, "write", entry.path) from error

    def _fill(self, fd: int, entry: Entry) -> None:
        gathered: list[bytes | memoryview] = []
        size = 0
        for part in content_parts(self._store, entry):
            if isinstance(part, int):
                files.writev(fd, gathered, entry.path)
                gathered, size = [], 0
                os.lseek(fd, part, os.SEEK_CUR)
                continue
            gathered.append(part)
            size += len(part)
            if size >= _GATHER_BYTES:
                files.writev(fd, gathered, entry.path)
                gathered, size = [], 0
        files.writev(fd, gathered, entry.path)
        if entry.chunks is not None and os.fstat(fd).st_size != entry.size:
            files.truncate(fd, entry.size, entry.path)

    @staticmethod
    def _permissions(entry: Entry) -> int:
        return 0o777 if entry.mode == MODE_EXECUTABLE else 0o666

    def _write_unnamed(self, entry: Entry, folder: int, name: bytes) -> FileStat | None:
        try:
            fd = files.open_unnamed(folder, self._permissions(entry))
        except OSError as error:
            if error.errno in _NO_UNNAMED_FILES:
                self._unnamed = False
                return None
            raise
        try:
            self._fill(fd, entry)
            files.link_unnamed(fd, name, dir_fd=folder)
            return FileStat.of(os.fstat(fd))
        finally:
            os.close(fd)

    def _write_named(self, entry: Entry, folder: int, name: bytes, *, replace: bool) -> FileStat:
        with ExitStack() as stack:

            def make(temporary: files.Path, at: int | None) -> int:
                fd = files.open_new(temporary, dir_fd=at, mode=self._permissions(entry))
                stack.callback(os.close, fd)
                self._fill(fd, entry)
                return fd

            # Of the file that was written, whatever stands at its name by now.
            return FileStat.of(os.fstat(self._place(make, folder, name, replace=replace)))

    def _write_symlink(self, entry: Entry, folder: int, name: bytes, *, replace: bool) -> FileStat:
        target = read_content(self._store, entry)
        if replace:
            self._place(lambda path, at: files.symlink(target, path, dir_fd=at), folder, name, replace=True)
        else:
            files.symlink(target, name, dir_fd=folder)
        return FileStat.of(os.stat(name, dir_fd=folder, follow_symlinks=False))

    def _place(
        self, make: Callable[[files.Path, int | None], _Made], folder: int, name: bytes, *, replace: bool
    ) -> _Made:
        """Have a temporary file made and bring it to its place; returns what `make` did."""
        put = files.rename if replace else files.link
        label = files.temporary_name()
        temporary: files.Path = os.path.join(self._temporary, label)
        try:
            made = make(temporary, None)
            put(temporary, name, dst_dir_fd=folder)
            return made
        except StorageError as error:
            if not _is_elsewhere(error):
                raise
        finally:
            files.discard(temporary)
        # The folder is on another file system. A crash leaves the file there, where gc doesn't look.
        temporary = b".dsvc-" + label.encode()
        try:
            made = make(temporary, folder)
            put(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
            return made
        finally:
            files.discard(temporary, dir_fd=folder)

    def remove(self, path: bytes) -> None:
        """Remove a file or symlink."""
        self._tree.remove(path)
