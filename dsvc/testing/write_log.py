"""The write log: what a repository's writes were, as changes of files and of folders, in order.

A log takes what the write seam tells, and resolves names to files and folders at the time they were used. So
it can be carried out anew in part, as a disk does that loses its power: `dsvc.testing.crash_states`.
What others wrote (a user who edits files, a command that is run) is found by comparing with the folder: it is
durable at once, since dsvc promises nothing about it. In ``.dsvc`` nobody else writes; `settle` checks that.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple

from dsvc.fs import recording
from dsvc.fs.recording import Change
from dsvc.testing.faults import BrokenPromiseError

_OF_COMMANDS = re.compile(r"\.dsvc/tmp/[^/]+/")
LOCKS = ".dsvc/locks"
"""Lock files say nothing by being there; a crash leaves them or doesn't."""


class Content(NamedTuple):
    """What a file holds; of a symlink the target, with its type in the mode."""

    mode: int
    data: bytes


class FileMade(NamedTuple):
    """A file or symlink came to be, not yet under a name."""

    file: int
    content: Content


class FileWrite(NamedTuple):
    """Bytes were written into a file (`size` is None), it got another length, or another mode."""

    file: int
    offset: int
    data: bytes
    size: int | None = None
    mode: int | None = None

    def on(self, before: Content) -> Content:
        """What the file holds after it."""
        if self.mode is not None:
            return Content(self.mode, before.data)
        data = before.data
        if self.size is not None:
            return Content(before.mode, data[: self.size].ljust(self.size, b"\0"))
        data = (
            data[: self.offset].ljust(self.offset, b"\0") + self.data + data[self.offset + len(self.data) :]
        )
        return Content(before.mode, data)


class NameChange(NamedTuple):
    """Names that were given or taken away in one operation: (folder, name, what stands there or None)."""

    names: tuple[tuple[int, str, int | None], ...]


class Flush(NamedTuple):
    """A file (or, by `folder`, a folder) was flushed."""

    node: int
    folder: bool


class Foreign(NamedTuple):
    """Somebody else changed what a file holds or what a name stands for."""

    names: tuple[tuple[int, str, int | None], ...] = ()
    contents: tuple[tuple[int, Content], ...] = ()


Step = FileMade | FileWrite | NameChange | Flush | Foreign


@dataclass
class WriteLog:
    """The steps of a folder's changes, and what it holds at the end of them.

    Attributes
    ----------
    steps : list of Step
        In order.
    folders : dict
        Folders by number, each with its names; 0 is the top.
    contents : dict
        Files by number.
    """

    root: str
    steps: list[Step] = field(default_factory=list)
    folders: dict[int, dict[str, int]] = field(default_factory=lambda: {0: {}})
    contents: dict[int, Content] = field(default_factory=dict)
    _inodes: dict[tuple[int, int], int] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def settle(self) -> None:
        """Take over what others changed in the folder since.

        Raises
        ------
        BrokenPromiseError
            If something under ``.dsvc`` is not what the seam's operations make it: it has another writer.
        """
        names: list[tuple[int, str, int | None]] = []
        contents: list[tuple[int, Content]] = []
        self._compare(0, "", names, contents)
        if names or contents:
            self.steps.append(Foreign(tuple(names), tuple(contents)))

    def _compare(
        self,
        folder: int,
        path: str,
        names: list[tuple[int, str, int | None]],
        contents: list[tuple[int, Content]],
    ) -> None:
        if path == LOCKS:
            return
        known = self.folders[folder]
        found = os.listdir(os.path.join(self.root, path))
        for name in sorted({*known, *found}):
            place = os.path.join(path, name)
            node = known.get(name)
            if name not in found:
                self._foreign(place)
                del known[name]
                names.append((folder, name, None))
                continue
            full = os.path.join(self.root, place)
            mode = os.lstat(full).st_mode
            if stat.S_ISDIR(mode):
                if node not in self.folders:
                    self._foreign(place)
                    node = known[name] = next(self._numbers)
                    self.folders[node] = {}
                    names.append((folder, name, node))
                self._compare(node, place, names, contents)
                continue
            content = _content(full, mode)
            if node is None or self.contents.get(node) != content:
                self._foreign(place)
                node = known[name] = next(self._numbers)
                self.contents[node] = content
                names.append((folder, name, node))
                contents.append((node, content))
            self._inodes[_identity(full)] = node

    def _foreign(self, place: str) -> None:
        # What a command makes in a folder of its own under .dsvc/tmp is its own affair.
        if self.steps and place.startswith(".dsvc/") and not _OF_COMMANDS.match(place):
            raise BrokenPromiseError(f"{place} was changed by something other than the write seam")

    # What the seam tells

    def take(self, change: Change) -> None:
        """Take an operation that the seam carried out."""
        handler = getattr(self, f"_on_{change.name}")
        handler(change)

    def _on_open_new(self, change: Change) -> None:
        node = self._new_file(change)
        self._name(change.path, node)

    def _on_open_unnamed(self, change: Change) -> None:
        self._new_file(change)

    def _on_append(self, change: Change) -> None:
        place = self._place(change.path)
        if place is not None and self.folders[place[0]].get(place[1]) is None:
            self._on_open_new(change)

    def _on_link_unnamed(self, change: Change) -> None:
        self._name(change.path, self._inodes[change.file])

    def _on_write(self, change: Change) -> None:
        self._write(change, FileWrite(self._inodes.get(change.file, 0), change.offset, change.data))

    def _on_truncate(self, change: Change) -> None:
        self._write(change, FileWrite(self._inodes.get(change.file, 0), 0, b"", size=change.offset))

    def _on_set_mode(self, change: Change) -> None:
        self._write(change, FileWrite(self._inodes.get(change.file, 0), 0, b"", mode=change.mode))

    def _write(self, change: Change, step: FileWrite) -> None:
        if change.file in self._inodes:
            self.contents[step.file] = step.on(self.contents[step.file])
            self.steps.append(step)

    def _on_sync(self, change: Change) -> None:
        if change.file in self._inodes:
            self.steps.append(Flush(self._inodes[change.file], folder=False))

    def _on_sync_folder(self, change: Change) -> None:
        inside = self._inside(change.path)
        if inside is None:
            return
        node = 0
        for part in inside:
            node = self.folders[node][part]
        self.steps.append(Flush(node, folder=True))

    def _on_rename(self, change: Change) -> None:
        source = self._place(change.source)
        if source is None:
            return
        node = self.folders[source[0]].get(source[1])
        if node is None:
            # Made by somebody else a moment ago: it comes to its place as theirs.
            self.settle()
            return
        self._change((*self._named(change.path, node), (*source, None)))

    def _on_link(self, change: Change) -> None:
        source = self._place(change.source)
        node = None if source is None else self.folders[source[0]].get(source[1])
        if node is None:
            self.settle()
        else:
            self._name(change.path, node)

    def _on_symlink(self, change: Change) -> None:
        node = next(self._numbers)
        self._make(node, Content(stat.S_IFLNK, os.fsencode(change.source)))
        self._name(change.path, node)

    def _on_make_folder(self, change: Change) -> None:
        if self._place(change.path) is None:
            return
        node = next(self._numbers)
        self.folders[node] = {}
        self._name(change.path, node)

    def _on_unlink(self, change: Change) -> None:
        place = self._place(change.path)
        if place is not None and place[1] in self.folders[place[0]]:
            self._change(((*place, None),))

    _on_remove_folder = _on_discard_tree = _on_unlink

    def _new_file(self, change: Change) -> int:
        """A file of its own, even where its inode was another's before."""
        node = self._inodes[change.file] = next(self._numbers)
        self._make(node, Content(change.mode, b""))
        return node

    def _make(self, node: int, content: Content) -> None:
        self.contents[node] = content
        self.steps.append(FileMade(node, content))

    def _name(self, path: str, node: int) -> None:
        named = self._named(path, node)
        if named:
            self._change(named)

    def _named(self, path: str, node: int) -> tuple[tuple[int, str, int | None], ...]:
        place = self._place(path)
        return () if place is None else ((*place, node),)

    def _change(self, names: tuple[tuple[int, str, int | None], ...]) -> None:
        for folder, name, node in names:
            if node is None:
                self.folders[folder].pop(name, None)
            else:
                self.folders[folder][name] = node
        self.steps.append(NameChange(names))

    def _inside(self, path: str) -> list[str] | None:
        """The parts of a name below the folder; None for one that is elsewhere."""
        if path == self.root:
            return []
        if not path.startswith(self.root + "/") or path.startswith(os.path.join(self.root, LOCKS, "")):
            return None
        return path[len(self.root) + 1 :].split("/")

    def _place(self, path: str) -> tuple[int, str] | None:
        inside = self._inside(path)
        if not inside:
            return None
        node = 0
        for part in inside[:-1]:
            if part not in self.folders[node]:
                # A folder that somebody else made.
                self.settle()
            node = self.folders[node][part]
        return node, inside[-1]


def _content(path: str, mode: int) -> Content:
    if stat.S_ISLNK(mode):
        return Content(stat.S_IFLNK, os.readlink(os.fsencode(path)))
    with open(path, "rb") as file:
        return Content(mode & 0o7777, file.read())


def _identity(path: str) -> tuple[int, int]:
    found = os.lstat(path)
    return found.st_dev, found.st_ino


def begin(root: str) -> WriteLog:
    """A log of a folder in which everything is durable that is there."""
    log = WriteLog(os.path.realpath(root))
    log.settle()
    log.steps.append(Foreign())
    return log


@contextmanager
def recorded(log: WriteLog) -> Iterator[None]:
    """Record into `log` for the length of the block what this process writes.

    Raises
    ------
    BrokenPromiseError
        If afterwards ``.dsvc`` isn't what was recorded.
    """
    log.settle()
    with recording.recorded(log.take):
        yield
    log.settle()
