"""A folder in memory, and a place where one after the other is laid out.

Fault loops do both for every operation of a command, and from one to the next little changes: a file is read
or written again only where it may have changed. What tells is the rule of git's index ("racy git"): inode,
length and times are the same, and the times were old when the content was last seen.
"""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Iterator
from typing import Final, NamedTuple

_TICK_NS: Final = 50_000_000
"""Longer than the clock stands still by which a file system tells times."""


class Stamp(NamedTuple):
    """What tells that a file is the one that was seen."""

    inode: int
    size: int
    mode: int
    mtime: int
    ctime: int

    @classmethod
    def of(cls, found: os.stat_result) -> Stamp:
        """Take it from what the file system says."""
        return cls(found.st_ino, found.st_size, found.st_mode, found.st_mtime_ns, found.st_ctime_ns)

    def settled(self) -> bool:
        """Whether a change from now on gives it another time."""
        return self.ctime + _TICK_NS < time.time_ns()


class _File(NamedTuple):
    """What a file holds; a `stamp` where that says that it still does."""

    mode: int
    data: bytes
    stamp: Stamp | None


class Image:
    """A folder in memory, laid out anew for each fault in a fraction of the time that a copy takes.

    Parameters
    ----------
    root : str or None
        Folder to take; None for nothing.
    earlier : Image or None
        What the same folder was before; what didn't change since is not read again.
    """

    def __init__(self, root: str | None, earlier: Image | None = None) -> None:
        self.folders: dict[str, int] = {}
        self.files: dict[str, tuple[int, bytes]] = {}
        self.links: dict[str, bytes] = {}
        self._stamps: dict[str, Stamp] = {}
        for path, entry in () if root is None else _entries(root):
            mode = entry.st_mode
            if stat.S_ISLNK(mode):
                self.links[path] = os.readlink(os.fsencode(f"{root}/{path}"))
            elif stat.S_ISDIR(mode):
                self.folders[path] = mode & 0o7777
            else:
                self._take(f"{root}/{path}", path, entry, earlier)

    @classmethod
    def holding(
        cls, folders: dict[str, int], files: dict[str, tuple[int, bytes]], links: dict[str, bytes]
    ) -> Image:
        """An image of what was never a folder: modes of folders and of files, bytes, targets of links."""
        made = cls(None)
        made.folders, made.files, made.links = folders, files, links
        return made

    def stamp(self, path: str) -> Stamp | None:
        """What tells that a file still holds what the image has; None where nothing does."""
        return self._stamps.get(path)

    def _take(self, full: str, path: str, entry: os.stat_result, earlier: Image | None) -> None:
        stamp, before = Stamp.of(entry), None
        if earlier is not None:
            before = earlier.files.get(path)
            if before is not None and earlier.stamp(path) == stamp:
                self.files[path] = before
                self._stamps[path] = stamp
                return
        settled = stamp.settled()
        found = (entry.st_mode & 0o7777, _read(full))
        # The same object where it is the same: its hash is known, and images take less memory.
        self.files[path] = before if before == found else found
        if settled:
            self._stamps[path] = stamp

    def key(self) -> tuple[frozenset[object], ...]:
        """All names, modes and bytes; equal where two folders are."""
        return frozenset(self.folders.items()), frozenset(self.files.items()), frozenset(self.links.items())

    def lay_out(self, root: str) -> None:
        """Write everything into the folder `root`, which is made."""
        os.mkdir(root)
        for path, mode in self.folders.items():
            os.mkdir(f"{root}/{path}", mode)
        for path, (mode, data) in self.files.items():
            _write(f"{root}/{path}", mode, data)
        for path, target in self.links.items():
            os.symlink(target, os.fsencode(f"{root}/{path}"))


class Bench:
    """A folder in which one image after the other is laid out, whatever was done to the one before.

    Parameters
    ----------
    root : str
        The folder; made when the first is laid out.
    mtime : int or None
        When all files shall have been changed, in seconds; None for when they were written.
    """

    def __init__(self, root: str, *, mtime: int | None = None) -> None:
        self.root = root
        self._mtime = mtime
        self._known: dict[str, _File] = {}

    def lay_out(self, image: Image) -> None:
        """Make the folder hold `image`, and nothing else."""
        os.makedirs(self.root, exist_ok=True)
        known, self._known = self._known, {}
        found = dict(_entries(self.root))
        self._clear(found, image)
        for path, mode in image.folders.items():
            if path not in found:
                os.mkdir(f"{self.root}/{path}", mode)
            elif found[path].st_mode & 0o7777 != mode:
                os.chmod(f"{self.root}/{path}", mode)
        for path, (mode, data) in image.files.items():
            self._known[path] = self._file(path, mode, data, found.get(path), known.get(path))
        for path, target in image.links.items():
            if path not in found:
                os.symlink(target, os.fsencode(f"{self.root}/{path}"))

    def _clear(self, found: dict[str, os.stat_result], image: Image) -> None:
        """Take away what doesn't belong there, or is of another kind; what is below goes first."""
        for path in reversed(list(found)):
            mode, full = found[path].st_mode, f"{self.root}/{path}"
            if stat.S_ISDIR(mode):
                if path not in image.folders:
                    os.rmdir(full)
                    del found[path]
            elif stat.S_ISLNK(mode):
                if path not in image.links or os.readlink(os.fsencode(full)) != image.links[path]:
                    os.unlink(full)
                    del found[path]
            elif path not in image.files or not stat.S_ISREG(mode):
                os.unlink(full)
                del found[path]

    def _file(
        self, path: str, mode: int, data: bytes, found: os.stat_result | None, known: _File | None
    ) -> _File:
        full = f"{self.root}/{path}"
        if found is not None:
            stamp = Stamp.of(found)
            if known is not None and known.stamp == stamp and (known.mode, known.data) == (mode, data):
                return known
            settled = stamp.settled()
            if (
                self._mtime in (None, found.st_mtime)
                and found.st_mode & 0o7777 == mode
                and found.st_size == len(data)
                and _read(full) == data
            ):
                return _File(mode, data, stamp if settled else None)
            os.unlink(full)
        _write(full, mode, data)
        if self._mtime is not None:
            os.utime(full, (self._mtime, self._mtime))
        return _File(mode, data, None)

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.root, ignore_errors=True)


def _entries(root: str) -> Iterator[tuple[str, os.stat_result]]:
    """Everything in a folder, each folder before what it holds."""
    pending = [""]
    while pending:
        inside = pending.pop()
        with os.scandir(f"{root}/{inside}") as entries:
            for entry in entries:
                path = inside + entry.name
                found = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(found.st_mode):
                    pending.append(path + "/")
                yield path, found


def _read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        parts = []
        while part := os.read(fd, 1 << 20):
            parts.append(part)
    finally:
        os.close(fd)
    return b"".join(parts)


def _write(path: str, mode: int, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
    finally:
        os.close(fd)
