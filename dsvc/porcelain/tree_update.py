"""The working tree from one state to another: checked whole before anything is written.

A path may change if the file there holds what it's expected to hold, or already what it shall hold (the
command was interrupted before). Anything else is uncommitted work: refused, or stored first and then
overwritten where the verb was made to discard.
"""

from __future__ import annotations

import os
import stat as stat_module
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec

from dsvc.fs import files
from dsvc.fs.beneath import Beneath, NotAFolderError
from dsvc.model.encoding import encode
from dsvc.model.errors import DsvcError, StorageError, WouldOverwriteError
from dsvc.model.manifest import MODE_DIRECTORY, MODE_SYMLINK, Entry
from dsvc.model.paths import check_structure, display_path, fold, portability_problem
from dsvc.porcelain.stat_cache import STAT, StatCache, pack_stat
from dsvc.porcelain.tree_scan import FORK_FROM, Progress, parents
from dsvc.store.chunk_list import chunks_of
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.ingest import FileStat, hash_file
from dsvc.store.layout import Layout
from dsvc.store.materialize import TreeWriter
from dsvc.store.workers import Runner

SPREAD_BYTES: Final = 32 * 1024 * 1024
"""From this size on the chunks of one file are written by several workers."""
_SEGMENT_BYTES = 4 * 1024 * 1024


class Transition(NamedTuple):
    """A path, what is expected there, what shall be there; None is nothing."""

    path: bytes
    old: Entry | None
    new: Entry | None


class Obstacle(NamedTuple):
    """Uncommitted work in the way of a transition."""

    path: bytes
    reason: str


@dataclass(slots=True)
class Updated:
    """What an update did."""

    written: int = 0
    removed: int = 0
    unchanged: int = 0
    bytes: int = 0
    stats: dict[bytes, list[tuple[bytes, bytes, Entry | None]]] = field(default_factory=dict)


class WriteTask(msgspec.Struct, frozen=True, array_like=True, tag="write"):
    """Files of one folder to write: (entry, whether it replaces one)."""

    folder: bytes
    entries: list[tuple[Entry, bool]]


class SegmentTask(msgspec.Struct, frozen=True, array_like=True, tag="segment"):
    """Chunks of one large file to write at an offset of a temporary file."""

    path: str
    offset: int
    chunks: list[tuple[int, bytes | None]]


class WriteWorker:
    """Writes files; a `dsvc.store.workers.Handler`."""

    def __init__(self, store: ChunkStore, cache: StatCache | None, root: str, temporary: str) -> None:
        self._store = store
        self._cache = cache
        self._tree = Beneath(root)
        self._writer = TreeWriter(store, self._tree, temporary)

    def handle(self, task: bytes) -> bytes:
        """Carry out an encoded task; replies with the stats of what was written."""
        work = msgspec.msgpack.decode(task, type=WriteTask | SegmentTask)
        if isinstance(work, SegmentTask):
            return self._segment(work)
        rows: list[tuple[bytes, bytes, Entry | None]] = []
        for entry, replace in work.entries:
            stat = self._writer.write(entry, replace=replace)
            if stat is not None:
                rows.append((entry.path.rpartition(b"/")[2], remembered(stat), entry))
        if self._cache is not None and rows:
            try:
                delta = self._cache.edit(work.folder, rows)
            except StorageError:
                delta = None
        else:
            delta = 0
        return encode([work.folder, len(rows), delta, [stat for _, stat, _ in rows]])

    def _segment(self, task: SegmentTask) -> bytes:
        fd = os.open(task.path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            position = task.offset
            for length, id_ in task.chunks:
                if id_ is not None:
                    files.pwrite(fd, self._store.get(id_), position, task.path)
                position += length
        finally:
            os.close(fd)
        return encode([b"", 0, 0, []])

    def finish(self) -> bytes:
        """Close the tree."""
        self._tree.close()
        return b""

    def abandon(self) -> None:
        """Close the tree."""
        self._tree.close()


def remembered(stat: FileStat) -> bytes:
    """Stat of a file that was just written here, to remember; unknown where stamps are coarse."""
    if stat.mtime_ns % 1_000_000_000 == 0 and stat.ctime_ns % 1_000_000_000 == 0:
        return STAT.pack(0, 0, -1, -1, 0)
    return pack_stat(stat)


class TreeUpdate:
    """Transitions of a working tree.

    Parameters
    ----------
    layout, root, store
        The repository.
    transitions : iterable of Transition
        Each path once.
    portable_names : bool
        Whether names that other systems refuse are refused here.
    mirror : bool
        Whether what is written is also what is staged, so that the stat cache takes it over.
    """

    def __init__(
        self,
        *,
        layout: Layout,
        root: str,
        store: ChunkStore,
        transitions: Iterable[Transition],
        portable_names: bool,
        progress: Progress | None = None,
        mirror: bool = True,
    ) -> None:
        self._layout = layout
        self._mirror = mirror
        self._root = root
        self._store = store
        self._progress = progress
        self.cache = StatCache(layout.cache)
        self.transitions = sorted(transitions)
        self._replaced: dict[bytes, bool] = {}
        self._done: set[bytes] = set()
        self.result = Updated()
        self._check_names(portable_names)

    def _check_names(self, portable: bool) -> None:
        """Refuse paths that may not be written, before anything is."""
        written = [t.new.path for t in self.transitions if t.new is not None]
        folders = {f for path in written for f in parents(path)} if written else set()
        for t in self.transitions:
            if t.new is None:
                continue
            check_structure(t.path)
            if t.new.mode != MODE_DIRECTORY and t.path in folders:
                raise DsvcMalformedTree(
                    f"the manifest has {display_path(t.path)} both as a file and as a folder",
                    details={"path": display_path(t.path)},
                )
            problem = portability_problem(t.path) if portable else None
            if problem:
                raise WouldOverwriteError(
                    f"{display_path(t.path)} can't be written here: {problem}",
                    hint="dsvc config core.portableNames false allows such names",
                )
        if portable or _folds_names(self._layout.temporary):
            self._check_twins(written)

    @staticmethod
    def _check_twins(written: Sequence[bytes]) -> None:
        seen: dict[str, bytes] = {}
        for path in written:
            twin = seen.setdefault(fold(path), path)
            if twin != path:
                raise WouldOverwriteError(
                    f"{display_path(twin)} and {display_path(path)} are one name on this file system",
                    hint="rename one of them on another system, or check out one only (--sparse)",
                )

    # Check

    def obstacles(self, known_absent: Callable[[bytes], bool] = lambda _: False) -> list[Obstacle]:
        """Uncommitted work in the way; also notes which paths are in place already.

        Parameters
        ----------
        known_absent : callable
            Whether a path was just found missing, so that it isn't looked at again.
        """
        found: list[Obstacle] = []
        removed = {t.path for t in self.transitions if t.new is None}
        with Beneath(self._root) as tree:
            rows = _CachedRows(self.cache)
            for t in self.transitions:
                if known_absent(t.path):
                    continue
                reason = self._look(tree, rows, t, removed)
                if reason is not None:
                    found.append(Obstacle(t.path, reason))
        return found

    def _look(self, tree: Beneath, rows: _CachedRows, t: Transition, removed: set[bytes]) -> str | None:
        """Say what is in the way of a transition, or note how it's carried out."""
        try:
            folder, name = tree.split(t.path)
        except FileNotFoundError:
            if t.new is None:
                self._done.add(t.path)
            return None
        except NotAFolderError as error:
            blocking = str(error.details.get("path", "")).encode()
            if any(p in removed for p in parents(t.path)):
                return None
            if t.new is None:
                self._done.add(t.path)
                return None
            return f"{display_path(blocking)} is not a folder"
        try:
            stat = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            if t.new is None:
                self._done.add(t.path)
            return None
        if stat_module.S_ISDIR(stat.st_mode):
            return self._look_at_folder(tree, t, removed)
        seen = FileStat.of(stat)
        for entry, done in ((t.new, True), (t.old, False)):
            if entry is not None and _holds(folder, name, seen, entry, rows.get(t.path)):
                if done:
                    self._done.add(t.path)
                self._replaced[t.path] = True
                return None
        self._replaced[t.path] = True
        return "it has changes that are not committed" if t.old is not None else "it is not tracked"

    def _look_at_folder(self, tree: Beneath, t: Transition, removed: set[bytes]) -> str | None:
        if t.new is None or t.new.mode == MODE_DIRECTORY:
            if t.new is not None:
                self._done.add(t.path)
            return None
        pending = [t.path]
        while pending:
            at = pending.pop()
            with os.scandir(tree.folder(at)) as found:
                for item in found:
                    path = at + b"/" + os.fsencode(item.name)
                    if item.is_dir(follow_symlinks=False):
                        pending.append(path)
                    elif path not in removed:
                        return f"a folder with the file {display_path(path)} stands there"
        return None

    # Apply

    def apply(self) -> Updated:
        """Remove, then write; the caller has dealt with the obstacles and invalidated the stat cache."""
        self._remove()
        runner = Runner(self._make_worker, self._on_reply, fork_now=self._worth_forking())
        try:
            by_folder: dict[bytes, list[tuple[Entry, bool]]] = {}
            spread: list[tuple[Entry, bool]] = []
            for t in self.transitions:
                if t.new is None or t.path in self._done:
                    self.result.unchanged += t.new is not None
                    continue
                work = (t.new, self._replaced.get(t.path, False))
                if t.new.chunks is not None and t.new.size >= SPREAD_BYTES:
                    spread.append(work)
                else:
                    by_folder.setdefault(t.path.rpartition(b"/")[0], []).append(work)
                self.result.bytes += t.new.size
            for entry, replace in spread:
                self._write_spread(runner, entry, replace)
            runner.run(encode(WriteTask(folder, entries)) for folder, entries in by_folder.items())
            runner.finish()
        finally:
            runner.abandon()
        return self.result

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
        _, written, _, _ = msgspec.msgpack.decode(data)
        self.result.written += written
        if self._progress is not None:
            self._progress("files", self.result.written, len(self.transitions))
        return ()

    def _remove(self) -> None:
        by_folder: dict[bytes, list[tuple[bytes, bytes, Entry | None]]] = {}
        with Beneath(self._root) as tree:
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

    def _write_spread(self, runner: Runner, entry: Entry, replace: bool) -> None:
        """Write one large file through a temporary file that several workers fill."""
        temporary = os.path.join(self._layout.temporary, files.temporary_name())
        fd = files.open_new(temporary, mode=0o777 if entry.mode == 0o100755 else 0o666)
        try:
            files.truncate(fd, entry.size, temporary)
            batch: list[tuple[int, bytes | None]] = []
            start = position = 0
            for chunk in chunks_of(self._store, entry):
                batch.append((chunk.length_bytes, chunk.id))
                position += chunk.length_bytes
                if position - start >= _SEGMENT_BYTES:
                    runner.submit(encode(SegmentTask(temporary, start, batch)))
                    batch, start = [], position
            if batch:
                runner.submit(encode(SegmentTask(temporary, start, batch)))
            runner.run()
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


class DsvcMalformedTree(DsvcError):
    """A manifest that no working tree can hold."""

    code = "malformed-input"
    exit_code = 41


class _CachedRows:
    """Rows of the stat cache by path, one shard at a time."""

    def __init__(self, cache: StatCache) -> None:
        self._cache = cache
        self._folder: bytes | None = None
        self._rows: dict[bytes, tuple[bytes, Entry]] = {}

    def get(self, path: bytes) -> tuple[bytes, Entry] | None:
        """Stat and entry of a path."""
        folder, _, name = path.rpartition(b"/")
        if folder != self._folder:
            shard = self._cache.shard(folder)
            self._rows = {} if shard is None else {n: (s, e) for n, s, e in shard.rows()}
            self._folder = folder
        return self._rows.get(name)


def _holds(folder: int, name: bytes, seen: FileStat, entry: Entry, known: tuple[bytes, Entry] | None) -> bool:
    """Whether the file at hand has an entry's content and mode."""
    if seen.size != entry.size or entry.mode == MODE_DIRECTORY:
        return False
    if known is not None and known[0] == pack_stat(seen):
        return known[1].same_content(entry)
    if stat_module.S_ISLNK(seen.mode):
        import blake3

        return entry.mode == MODE_SYMLINK and blake3.blake3(os.readlink(name, dir_fd=folder)).digest() == entry.digest
    if not stat_module.S_ISREG(seen.mode) or entry.mode != seen.entry_mode:
        return False
    return hash_file(name, folder, seen)[0] == entry.digest


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


def _folds_names(folder: str) -> bool:
    """Whether the file system takes two cases of a name for one."""
    name = files.temporary_name("Fold")
    try:
        fd = files.open_new(os.path.join(folder, name))
    except StorageError:
        return False
    os.close(fd)
    try:
        return os.path.lexists(os.path.join(folder, name.swapcase()))
    finally:
        files.discard(os.path.join(folder, name))
