"""The working tree from one state to another: checked whole before anything is written.

A path may change if the file there holds what it's expected to hold, or already what it shall hold (the
command was interrupted before). Anything else is uncommitted work: refused, or stored first and then
overwritten where the verb was made to discard.
"""

from __future__ import annotations

import os
import stat as stat_module
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import msgspec

from dsvc.fs import files
from dsvc.fs.beneath import Beneath
from dsvc.model.encoding import encode
from dsvc.model.errors import MalformedInputError, StorageError, WouldOverwriteError
from dsvc.model.manifest import MODE_DIRECTORY, MODE_EXECUTABLE, Entry
from dsvc.model.paths import check_structure, display_path, fold, portability_problem
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tree.spread_write import SPREAD_BYTES, can_spread, segment_tasks
from dsvc.porcelain.tree.stat_cache import UNKNOWN, StatCache
from dsvc.porcelain.tree.tree_look import Look, Obstacle, Transition, TreeLook
from dsvc.porcelain.tree.tree_scan import FORK_FROM, Progress, parents
from dsvc.porcelain.tree.write_worker import (
    NOT_TO_BE_HAD,
    Lost,
    WriteTask,
    WriteWorker,
    Written,
    lost_files,
    remembered,
)
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.ingest import FileStat
from dsvc.store.workers import Runner

__all__ = ["Obstacle", "Transition", "TreeUpdate", "Updated"]


@dataclass(slots=True)
class Updated:
    """What an update did."""

    written: int = 0
    removed: int = 0
    unchanged: int = 0
    bytes: int = 0


class TreeUpdate:
    """Transitions of a working tree.

    Parameters
    ----------
    repo : Workspace
        The repository; where ``core.portableNames`` is set, names that other systems refuse are refused.
    transitions : iterable of Transition
        Each path once.
    mirror : bool
        Whether what is written is also what is staged, so that the stat cache takes it over.
    """

    def __init__(
        self,
        repo: Workspace,
        transitions: Iterable[Transition],
        *,
        progress: Progress | None = None,
        mirror: bool = True,
    ) -> None:
        self._layout = repo.layout
        self._mirror = mirror
        self._root = repo.root
        self._store = repo.store
        self._progress = progress
        self.cache = StatCache(repo.layout.cache)
        self.cache.state(None)
        self.transitions = sorted(transitions)
        self._replaced: dict[bytes, bool] = {}
        self._done: set[bytes] = set()
        self._cleared: set[bytes] = set()
        self._lost: dict[bytes, Lost] = {}
        self.settled: list[bytes] = []
        """Paths that held what they shall hold already, uncommitted: what `undo` has to leave alone."""
        self.result = Updated()
        self._check_names(repo.config.flag("core.portableNames"))

    def _check_names(self, portable: bool) -> None:
        """Refuse paths that may not be written, before anything is."""
        written = [t.new.path for t in self.transitions if t.new is not None]
        folders = {f for path in written for f in parents(path)} if written else set()
        for t in self.transitions:
            if t.new is None:
                continue
            check_structure(t.path)
            if t.new.mode != MODE_DIRECTORY and t.path in folders:
                raise MalformedInputError(
                    f"the manifest has {display_path(t.path)} both as a file and as a folder",
                    details={"path": display_path(t.path)},
                )
            problem = portability_problem(t.path) if portable else None
            if problem:
                raise WouldOverwriteError(
                    f"{display_path(t.path)} can't be written here: {problem}",
                    hint="dsvc config core.portableNames false allows such names",
                )
        one = fold if portable else _taken_for_one(self._layout.temporary)
        if one is not None:
            self._check_twins(written, one)

    @staticmethod
    def _check_twins(written: Sequence[bytes], one: Callable[[bytes], str]) -> None:
        seen: dict[str, bytes] = {}
        for path in written:
            twin = seen.setdefault(one(path), path)
            if twin != path:
                raise WouldOverwriteError(
                    f"{display_path(twin)} and {display_path(path)} are one name on this file system",
                    hint="rename one of them on another system, or check out one only (--sparse)",
                )

    # Check

    def obstacles(self) -> list[Obstacle]:
        """Uncommitted work in the way; also notes which paths are in place already."""
        found: list[Obstacle] = []
        removed = {t.path for t in self.transitions if t.new is None}
        with Beneath(self._root) as tree:
            looker = TreeLook(tree, self.cache, removed)
            for t in self.transitions:
                seen = looker.look(t)
                if isinstance(seen, Obstacle):
                    found.append(seen)
                # A folder that stands may go with the last file in it: it's made again then.
                folder = t.new is not None and t.new.mode == MODE_DIRECTORY
                if (seen is Look.DONE and not folder) or (seen is Look.ABSENT and t.new is None):
                    self._done.add(t.path)
                self._replaced[t.path] = seen is not Look.ABSENT
                if seen is Look.DONE and not folder and t.old != t.new:
                    self.settled.append(t.path)
        self._cleared = looker.gives_way.union(looker.in_the_way)
        return found + [Obstacle(path, reason) for path, reason in looker.in_the_way.items()]

    # Apply

    def apply(self) -> Updated:
        """Remove, then write; the caller has dealt with the obstacles and invalidated the stat cache.

        Raises
        ------
        CorruptDataError, MissingDataError, ErasedError, UnreadableError
            If the content of files can't be had: they are named and stay as they were, all others are
            written.
        """
        self._remove()
        self._mirror_done()
        runner = Runner(self._make_worker, self._on_reply, fork_now=self._worth_forking())
        try:
            by_folder, spread = self._work()
            for entry, replace, old in spread:
                self._write_spread(runner, entry, replace, old if replace else None)
            runner.run(encode(WriteTask(folder, entries)) for folder, entries in by_folder.items())
            runner.finish()
        finally:
            runner.abandon()
        if self._lost:
            raise lost_files(self._lost)
        return self.result

    def _work(self) -> tuple[dict[bytes, list[tuple[Entry, bool]]], list[tuple[Entry, bool, Entry | None]]]:
        """Sort what is to be written: files by folder, and large files that several workers share."""
        by_folder: dict[bytes, list[tuple[Entry, bool]]] = {}
        spread: list[tuple[Entry, bool, Entry | None]] = []
        with Beneath(self._root) as tree:
            for t in self.transitions:
                if t.new is None or t.path in self._done:
                    self.result.unchanged += t.new is not None
                    continue
                replace = self._replaced.get(t.path, False)
                if can_spread(tree, t.new, self._layout.temporary):
                    spread.append((t.new, replace, t.old))
                else:
                    by_folder.setdefault(t.path.rpartition(b"/")[0], []).append((t.new, replace))
                self.result.bytes += t.new.size
        return by_folder, spread

    def _worth_forking(self) -> bool:
        total = count = 0
        for t in self.transitions:
            if t.new is not None and t.path not in self._done:
                total += t.new.size
                count += 1
        return count >= FORK_FROM or total >= SPREAD_BYTES

    def _make_worker(self) -> WriteWorker:
        store = ChunkStore(self._store.backend)
        store.index = self._store.index
        return WriteWorker(store, self.cache if self._mirror else None, self._root, self._layout.temporary)

    def _on_reply(self, data: bytes) -> Iterable[bytes]:
        done = msgspec.msgpack.decode(data, type=Written)
        self.result.written += done.count
        self._lost.update((each.path, each) for each in done.lost)
        if self._progress is not None:
            self._progress("files", self.result.written, len(self.transitions))
        return ()

    def _remove(self) -> None:
        by_folder: dict[bytes, list[tuple[bytes, bytes, Entry | None]]] = {}
        with Beneath(self._root) as tree:
            for path in sorted(self._cleared, reverse=True):
                tree.remove(path)
                tree.remove_empty_folders(path.rpartition(b"/")[0])
            for t in self.transitions:
                if t.new is not None or t.old is None:
                    continue
                folder, _, name = t.path.rpartition(b"/")
                if t.old.mode == MODE_DIRECTORY:
                    by_folder.setdefault(t.path, [])
                    continue
                if t.path not in self._done:
                    tree.remove(t.path)
                    self.result.removed += 1
                by_folder.setdefault(folder, []).append((name, b"", None))
            for folder in sorted(by_folder, reverse=True):
                if by_folder[folder] and self._mirror:
                    self.cache.edit(folder, by_folder[folder])
                if folder:
                    tree.remove_empty_folders(folder)
            for t in self.transitions:
                if t.new is not None and t.new.mode != MODE_DIRECTORY and t.path not in self._done:
                    _clear_folder(tree, t.path)

    def _mirror_done(self) -> None:
        """Tell the stat cache of files that were in place already: its rows are of what was there before."""
        rows: dict[bytes, list[tuple[bytes, bytes, Entry | None]]] = {}
        for t in self.transitions:
            if self._mirror and t.new is not None and t.path in self._done and t.new.mode != MODE_DIRECTORY:
                folder, _, name = t.path.rpartition(b"/")
                rows.setdefault(folder, []).append((name, UNKNOWN, t.new))
        for folder, changes in rows.items():
            self.cache.edit(folder, changes)

    def _write_spread(self, runner: Runner, entry: Entry, replace: bool, old: Entry | None) -> None:
        """Write one large file through a temporary file that several workers fill."""
        temporary = os.path.join(self._layout.temporary, files.temporary_name())
        fd = files.open_new(temporary, mode=0o777 if entry.mode == MODE_EXECUTABLE else 0o666)
        try:
            files.truncate(fd, entry.size, temporary)
            try:
                for task in segment_tasks(self._store, entry, temporary, old):
                    runner.submit(encode(task))
            except NOT_TO_BE_HAD as error:
                self._lost[entry.path] = Lost.by(entry.path, error)
            runner.run()
            if entry.path not in self._lost:
                self._place(temporary, fd, entry, replace)
        finally:
            os.close(fd)
            files.discard(temporary)

    def _place(self, temporary: str, fd: int, entry: Entry, replace: bool) -> None:
        with Beneath(self._root) as tree:
            folder, name = tree.split(entry.path, create=True)
            if replace:
                files.rename(temporary, name, dst_dir_fd=folder)
            else:
                try:
                    files.link(temporary, name, dst_dir_fd=folder)
                except FileExistsError as error:
                    raise WouldOverwriteError(f"{display_path(entry.path)} exists") from error
                files.unlink(temporary)
            stat = FileStat.of(os.fstat(fd))
        if self._mirror:
            self.cache.edit(entry.path.rpartition(b"/")[0], [(name, remembered(stat), entry)])
        self.result.written += 1


def _clear_folder(tree: Beneath, path: bytes) -> None:
    """Remove empty folders that stand where a file goes."""
    stat = tree.lstat(path)
    if stat is None or not stat_module.S_ISDIR(stat.st_mode):
        return
    pending, order = [path], []
    while pending:
        at = pending.pop()
        order.append(at)
        with os.scandir(tree.folder(at)) as found:
            pending += [at + b"/" + os.fsencode(i.name) for i in found if i.is_dir(follow_symlinks=False)]
    tree.forget()
    for at in reversed(order):
        folder, name = tree.split(at)
        files.remove_folder(name, dir_fd=folder)
        tree.forget()


def _taken_for_one(folder: str) -> Callable[[bytes], str] | None:
    """How a file system takes two names for one: by case, by normalisation, or not (None)."""
    name = files.temporary_name("Fold\u00e9")
    try:
        fd = files.open_new(os.path.join(folder, name))
    except StorageError:
        return None
    os.close(fd)
    try:
        by_case = os.path.lexists(os.path.join(folder, name.swapcase().replace("\u00c9", "\u00e9")))
        by_form = os.path.lexists(os.path.join(folder, unicodedata.normalize("NFD", name)))
    finally:
        files.discard(os.path.join(folder, name))
    if by_case:
        # One that folds case may do more than it shows: rather too much is refused.
        return fold
    return _composed if by_form else None


def _composed(path: bytes) -> str:
    return unicodedata.normalize("NFC", path.decode("utf-8", "surrogateescape"))
