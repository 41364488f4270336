"""What the write seam tells a recorder: operations that were carried out, with all that repeating them takes.

Only tests record (`dsvc.testing.write_log`). Unarmed, an operation costs one attribute load more.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

Path = str | bytes


class Change(NamedTuple):
    """An operation that was carried out.

    Attributes
    ----------
    name : str
        What was done, by the name of the function of `dsvc.fs.files`.
    path : str
        Absolute name that it was done to; empty where a descriptor says it all.
    source : str
        Absolute name that a rename or link was from; target of a symlink.
    file : tuple of int
        Device and inode of an open file; (0, 0) where there is none.
    mode : int
        Permission bits of a file that was created, or new ones.
    offset : int
        Where in the file `data` stands; the new length of a truncated one.
    data : bytes
        What was written.
    """

    name: str
    path: str = ""
    source: str = ""
    file: tuple[int, int] = (0, 0)
    mode: int = 0
    offset: int = 0
    data: bytes = b""


recorder: Callable[[Change], None] | None = None


@contextmanager
def recorded(new: Callable[[Change], None]) -> Iterator[None]:
    """Tell `new` of every operation of this process for the length of the block."""
    global recorder  # noqa: PLW0603  one process, one seam
    before, recorder = recorder, new
    try:
        yield
    finally:
        recorder = before


def of_name(name: str, path: Path, dir_fd: int | None = None) -> None:
    """Tell of an operation on a name."""
    if recorder is not None:
        recorder(Change(name, _absolute(path, dir_fd)))


def of_names(
    name: str, source: Path, target: Path, src_dir_fd: int | None = None, dst_dir_fd: int | None = None
) -> None:
    """Tell of an operation that gives what stands at `source` another name."""
    if recorder is not None:
        recorder(Change(name, _absolute(target, dst_dir_fd), _absolute(source, src_dir_fd)))


def of_symlink(target: bytes, name: Path, dir_fd: int | None = None) -> None:
    """Tell of a symlink; its target is kept as it is."""
    if recorder is not None:
        recorder(Change("symlink", _absolute(name, dir_fd), os.fsdecode(target)))


def of_file(name: str, fd: int, path: Path | None = None, dir_fd: int | None = None) -> None:
    """Tell of an operation on an open file, and under which name if it has got one by that."""
    if recorder is not None:
        stat = os.fstat(fd)
        place = "" if path is None else _absolute(path, dir_fd)
        recorder(
            Change(
                name, place, file=(stat.st_dev, stat.st_ino), mode=stat.st_mode & 0o7777, offset=stat.st_size
            )
        )


def of_write(fd: int, buffers: Sequence[memoryview], offset: int | None, done: int) -> None:
    """Tell of `done` bytes that were written at `offset`, or before the descriptor's position."""
    if recorder is not None:
        stat = os.fstat(fd)
        start = os.lseek(fd, 0, os.SEEK_CUR) - done if offset is None else offset
        data = b"".join(buffers)[:done]
        recorder(Change("write", file=(stat.st_dev, stat.st_ino), offset=start, data=data))


def _absolute(path: Path, dir_fd: int | None) -> str:
    """The name as it is now: folders above may be renamed later."""
    name = os.fsdecode(path)
    if dir_fd is not None and not os.path.isabs(name):
        name = os.path.join(os.readlink(f"/proc/self/fd/{dir_fd}"), name)
    return os.path.normpath(os.path.abspath(name))
