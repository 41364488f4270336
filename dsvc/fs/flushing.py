"""Flushes several files or folders side by side: what waits together, a journal writes as one.

What is flushed together has no order among itself: nothing may need one of them on the disk before another.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Final, Self

from dsvc.fs import files, recording
from dsvc.fs.failpoints import hit

_SIDE_BY_SIDE: Final = 8
_MOST_OPEN: Final = 64


class Unflushed:
    """Files that were written and are open until they are flushed together; a context that closes them.

    Parameters
    ----------
    durable : bool
        Whether they are flushed at all.
    """

    def __init__(self, *, durable: bool) -> None:
        self._durable = durable
        self._open: list[tuple[int, str]] = []

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close what is still open, without flushing it."""
        self._close()

    def write(self, fd: int, path: str, data: files.Buffer) -> None:
        """Write a file that was just made; what fails leaves no file.

        Raises
        ------
        StorageError
            If the system refuses.
        """
        try:
            self._write(fd, path, data)
        except BaseException:
            files.discard(path)
            raise

    def append(self, path: str, data: files.Buffer) -> None:
        """Append to a log file in one write, creating it if need be.

        Raises
        ------
        StorageError
            If the system refuses.
        """
        self._write(files.open_log(path), path, data)

    def keep(self, fd: int, path: str) -> None:
        """Flush an open file with the others, and close it then."""
        self._open.append((fd, path))
        if len(self._open) == _MOST_OPEN:
            self.flush()

    def flush(self) -> None:
        """Flush all, and close them.

        Raises
        ------
        StorageError
            If the system refuses; which of them are on the disk is unknown.
        """
        try:
            if self._durable:
                _flush("fsync", "flush", self._open)
                for fd, _ in self._open:
                    recording.of_file("sync", fd)
        finally:
            self._close()

    def _write(self, fd: int, path: str, data: files.Buffer) -> None:
        try:
            files.write(fd, data, path)
        except BaseException:
            os.close(fd)
            raise
        self.keep(fd, path)

    def _close(self) -> None:
        while self._open:
            os.close(self._open.pop()[0])


def sync_folders(paths: Iterable[str]) -> None:
    """Flush folders together; see `dsvc.fs.files.sync_folder`.

    Raises
    ------
    StorageError
        If the system refuses; which of them are on the disk is unknown.
    """
    opened: list[tuple[int, str]] = []
    try:
        for path in paths:
            try:
                opened.append((os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), path))
            except OSError as error:
                raise files.storage_error(error, "flush folder", path) from error
        _flush("fsync_folder", "flush folder", opened)
    finally:
        for fd, _ in opened:
            os.close(fd)
    for _, path in opened:
        recording.of_name("sync_folder", path)


def _flush(name: str, doing: str, opened: Sequence[tuple[int, str]]) -> None:
    for _, path in opened:
        try:
            hit(name, path)
        except OSError as error:
            raise files.storage_error(error, doing, path) from error
    failed: list[tuple[str, OSError]] = []

    def work(first: int) -> None:
        for fd, path in opened[first::_SIDE_BY_SIDE]:
            try:
                os.fsync(fd)
            except OSError as error:
                failed.append((path, error))

    threads: list[threading.Thread] = []
    try:
        for first in range(1, min(len(opened), _SIDE_BY_SIDE)):
            thread = threading.Thread(target=work, args=(first,))
            try:
                thread.start()
                threads.append(thread)
            except RuntimeError:
                # The system has no thread to give.
                work(first)
        work(0)
    finally:
        for thread in threads:
            thread.join()
    for path, found in failed:
        raise files.storage_error(found, doing, path) from found
