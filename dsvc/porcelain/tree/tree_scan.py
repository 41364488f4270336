"""The whole working tree, or some paths of it, against the staged manifest."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import msgspec

from dsvc.fs import files
from dsvc.fs.beneath import Beneath
from dsvc.model.encoding import encode
from dsvc.model.errors import NotFoundError, StorageError
from dsvc.model.manifest import MODE_DIRECTORY, Entry
from dsvc.model.paths import display_path, is_within
from dsvc.porcelain.state.sparse import SparsePatterns
from dsvc.porcelain.tree.folder_task import Reply, Settings, Task
from dsvc.porcelain.tree.folder_worker import FLUSH, FolderWorker
from dsvc.porcelain.tree.known_files import load_known
from dsvc.porcelain.tree.stat_cache import UNKNOWN, Shard, StatCache, State, shard_of
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.layout import Layout
from dsvc.store.manifest_tree import Manifest
from dsvc.store.workers import Runner

FORK_FROM: Final = 2000
"""Number of files from which on workers are forked."""
FORK_FROM_BYTES: Final = 8 * 1024 * 1024
"""Number of new bytes from which on they are."""
Progress = Callable[[str, int, int | None], None]


class Findings(msgspec.Struct):
    """What a scan found; paths as in `Reply`."""

    changed: list[tuple[bytes, bytes, int]] = []
    missing: list[bytes] = []
    untracked: list[bytes] = []
    untracked_folders: list[bytes] = []
    large: list[bytes] = []
    skipped: list[tuple[bytes, str]] = []
    warnings: list[tuple[bytes, str]] = []
    empty: list[bytes] = []
    visited: dict[bytes, int] = {}
    unreadable: list[bytes] = []
    unchanged: int = 0
    files_delta: int = 0
    put_bytes: int = 0
    published_bytes: int = 0
    cache_complete: bool = True


def file_system_now(folder: str) -> int:
    """Time in nanoseconds by the clock that stamps files; the process's own where nothing can be written."""
    path = os.path.join(folder, files.temporary_name("clock"))
    try:
        fd = files.open_new(path)
    except StorageError:
        return time.time_ns()
    try:
        return os.fstat(fd).st_ctime_ns
    finally:
        os.close(fd)
        files.discard(path)


def parents(path: bytes) -> Iterator[bytes]:
    """Folders above a path, nearest first, without the root."""
    while (path := path.rpartition(b"/")[0]) != b"":
        yield path


def rebuild_shards(cache: StatCache, manifest: Manifest) -> tuple[dict[bytes, Shard], State]:
    """Make shards that mirror a manifest, keeping the stats of the cached ones that still hold."""
    by_folder: dict[bytes, list[tuple[bytes, bytes, bytes]]] = {}
    known: dict[bytes, tuple[bytes, bytes]] = {}
    empty: list[bytes] = []
    at: bytes | None = None
    total = 0
    for entry in manifest.entries():
        if entry.mode == MODE_DIRECTORY:
            empty.append(entry.path)
            continue
        folder, _, name = entry.path.rpartition(b"/")
        if folder != at:
            at, shard = folder, cache.shard(folder)
            known = {} if shard is None else {n: (s, encode(e)) for n, s, e in shard.rows()}
        encoded = encode(entry)
        stat, before = known.get(name, (UNKNOWN, b""))
        by_folder.setdefault(folder, []).append((name, stat if before == encoded else UNKNOWN, encoded))
        total += 1
    shards = {folder: Shard.build(folder, sorted(rows)) for folder, rows in by_folder.items()}
    return shards, State(bytes(manifest.root), sorted(shards), empty, total)


class TreeScan:
    """A scan over folders, in workers where they are many.

    Parameters
    ----------
    store : ChunkStore
        The repository's store; workers open their own on its backend.
    manifest : Manifest
        The staged manifest.
    stage : bool
        Store and stage changes, or only compare.
    save : bool
        Whether the stat cache may be written; the caller holds the work lock then.
    """

    def __init__(
        self,
        *,
        layout: Layout,
        root: str,
        store: ChunkStore,
        manifest: Manifest,
        sparse: SparsePatterns,
        stage: bool,
        save: bool,
        progress: Progress | None = None,
    ) -> None:
        self.cache = StatCache(layout.cache)
        self._store = store
        self.manifest = manifest
        self._save = save
        self._progress = progress
        self._seen_files = 0
        self._seen_bytes = 0
        self.found = Findings()
        state = self.cache.state(manifest.root)
        shards: dict[bytes, Shard] | None = None
        if state is None:
            shards, state = rebuild_shards(self.cache, manifest)
        self.state = state
        self.settings = Settings(
            stage=stage,
            root=root,
            now_ns=file_system_now(layout.temporary) if save else time.time_ns(),
            save=save,
            sparse=sparse,
            shards=shards,
            mirrored=frozenset(state.folders),
            manifest=bytes(manifest.root),
            known=load_known(layout.cache) if stage else {},
        )
        self.settings.tracked_folders = tracked = set(state.folders)
        for folder in [*state.folders, *state.empty]:
            tracked.update(parents(folder))
        tracked.update(state.empty)
        self._by_number: dict[int, bytes] = {}
        self.written: set[bytes] = set()
        """Folders whose shard was saved during this scan."""
        self._runner = Runner(self._make_worker, self._on_reply, fork_now=state.files >= FORK_FROM)

    def _make_worker(self) -> FolderWorker:
        store = ChunkStore(self._store.backend)
        store.index = self._store.index
        return FolderWorker(store, self.cache, self.settings)

    # Scope

    def tasks(self, scope: Sequence[bytes]) -> list[Task]:
        """Tasks for paths: folders whole, files by name; what is gone but tracked counts as missing.

        Raises
        ------
        NotFoundError
            If a path is neither there nor tracked.
        """
        whole: set[bytes] = set()
        named: dict[bytes, list[bytes]] = {}
        with Beneath(self.settings.root) as tree:
            for path in dict.fromkeys(scope):
                stat = None if path == b"" else tree.lstat(path)
                if path == b"" or (stat is not None and stat.st_mode & 0o170000 == 0o040000):
                    whole.add(path)
                    if stat is not None and self.manifest.get(path) is not None:
                        self._note_replaced(path)
                elif stat is None:
                    self._note_gone(path)
                else:
                    self._note_below(path)
                    folder, _, name = path.rpartition(b"/")
                    named.setdefault(folder, []).append(name)
        return [
            *(Task(f) for f in sorted(whole) if b"" not in whole or f == b""),
            *(Task(f, sorted(n)) for f, n in sorted(named.items()) if b"" not in whole and f not in whole),
        ]

    def _note_replaced(self, path: bytes) -> None:
        entry = self.manifest.get(path)
        if entry is not None and entry.mode != MODE_DIRECTORY:
            folder, _, name = path.rpartition(b"/")
            self._take(self._make_reply_for_missing(folder, [name]))

    def _make_reply_for_missing(self, folder: bytes, names: list[bytes]) -> Reply:
        worker = self._make_worker()
        try:
            reply = worker.folder(Task(folder, names))
            worker.flush()
            return reply
        finally:
            worker.abandon()

    def _note_gone(self, path: bytes) -> None:
        entries = [e.path for e in self.manifest.entries(path)]
        if not entries:
            raise NotFoundError(
                f"no file or tracked path {display_path(path)!r}", details={"path": display_path(path)}
            )
        self._forget_all(entries)

    def _note_below(self, path: bytes) -> None:
        """Count what was tracked in a folder of whose name a file is now."""
        self._forget_all([e.path for e in self.manifest.entries(path) if e.path != path])

    def _forget_all(self, entries: Iterable[bytes]) -> None:
        by_folder: dict[bytes, list[bytes]] = {}
        for found in entries:
            folder, _, name = found.rpartition(b"/")
            by_folder.setdefault(folder, []).append(name)
        for folder, names in by_folder.items():
            self._forget(folder, names)

    def _forget(self, folder: bytes, names: Iterable[bytes] | None) -> None:
        """Count tracked files of a vanished folder (or some of its names) as missing."""
        if self.settings.shards is not None:
            stored = self.settings.shards.get(folder)
        else:
            stored = self.cache.shard(folder) or shard_of(self.manifest, folder)
        rows = [] if stored is None else list(stored.rows())
        wanted = {r[0] for r in rows} if names is None else set(names)
        kept = []
        for name, stat, entry in rows:
            path = folder + b"/" + name if folder else name
            if name in wanted and self.settings.sparse.includes(path):
                self.found.missing.append(path)
            else:
                kept.append((name, stat, encode(entry)))
        if self.settings.stage and len(kept) != len(rows):
            self.found.files_delta += len(kept) - len(rows)
            self.found.visited[folder] = len(kept)
            self.written.add(folder)
            self.cache.save_shard(Shard.build(folder, kept))

    # Run

    def run(self, scope: Sequence[bytes]) -> Findings:
        """Scan `scope` (``[b""]`` is the whole tree) and return what was found.

        Stored packs are durable and shards saved only after `finish`.
        """
        if self.settings.stage and self._save:
            self.cache.invalidate()
        try:
            tasks = self.tasks(scope)
            self._runner.run(encode(t) for t in tasks)
            whole = [t.folder for t in tasks if t.only is None]
            for folder in self.state.folders:
                if folder not in self.found.visited and self._was_looked_at(folder, whole):
                    self._forget(folder, None)
            self._compare_empty_folders(whole)
        except BaseException:
            self.abandon()
            raise
        return self.found

    def _was_looked_at(self, folder: bytes, whole: list[bytes]) -> bool:
        """Whether a folder that wasn't visited is gone, and not only behind one that can't be listed."""
        return is_within(folder, whole) and not is_within(folder, self.found.unreadable)

    def _compare_empty_folders(self, whole: list[bytes]) -> None:
        """Tracked empty folders that are gone or filled are missing; new ones are changes."""
        now = set(self.found.empty)
        for folder in self.state.empty:
            gone = (
                folder not in now and folder not in self.found.visited and self._was_looked_at(folder, whole)
            )
            if gone and self.settings.sparse.includes(folder):
                self.found.missing.append(folder)
        self.found.empty = sorted(now - set(self.state.empty))

    def _on_reply(self, data: bytes) -> list[bytes]:
        if not data:
            return []
        if data[:1] == b"\x92":
            number, ids = msgspec.msgpack.decode(data)
            self._by_number[number] = ids
            return []
        return self._take(msgspec.msgpack.decode(data, type=Reply))

    def _take(self, reply: Reply) -> list[bytes]:
        found = self.found
        if reply.gone:
            return []
        found.changed += reply.changed
        found.missing += reply.missing
        found.untracked += reply.untracked
        found.untracked_folders += reply.untracked_folders
        found.large += reply.large
        found.skipped += reply.skipped
        found.warnings += reply.warnings
        found.unchanged += reply.unchanged
        if reply.unreadable:
            found.unreadable.append(reply.folder)
            return []
        found.visited[reply.folder] = reply.files
        found.files_delta += reply.files - reply.files_before
        if reply.saved:
            self.written.add(reply.folder)
        if reply.empty and reply.folder:
            found.empty.append(reply.folder)
        self._seen_files += reply.unchanged + len(reply.changed)
        self._seen_bytes += sum([size for _, _, size in reply.changed])
        if self._seen_files >= FORK_FROM or self._seen_bytes >= FORK_FROM_BYTES:
            self._runner.fork_now = True
        if self._progress is not None:
            self._progress("files", self._seen_files, None)
        return [encode(Task(folder)) for folder in reply.folders]

    def store_segments(self, segments: Iterator[object], size: int) -> dict[int, bytes]:
        """Have the segments of a large file stored; returns the chunk ids by segment number."""
        self._by_number = {}
        self._runner.fork_now = self._runner.fork_now or size >= 4 * FORK_FROM * 1024
        for segment in segments:
            self._runner.submit(encode(segment))
        self._runner.run()
        return self._by_number

    def flush(self) -> None:
        """Have every worker publish its pack now, before `finish`."""
        self._runner.broadcast(FLUSH)

    def finish(self) -> None:
        """Have every worker publish its pack and save its shards."""
        try:
            for reply in self._runner.finish():
                put, published, complete = msgspec.msgpack.decode(reply)
                self.found.put_bytes += put
                self.found.published_bytes += published
                self.found.cache_complete &= complete
        finally:
            self._runner.abandon()

    def save_rebuilt(self) -> None:
        """Save the shards that had to be rebuilt and weren't written by this scan, and no others.

        Raises
        ------
        StorageError
            If they can't be written; the cache's state must not be saved then.
        """
        if self.settings.shards is None:
            return
        for folder, shard in self.settings.shards.items():
            if folder not in self.written:
                self.cache.save_shard(shard)
        self.cache.prune(self.written.union(self.settings.shards))

    def edit_rows(self, folder: bytes, rows: Sequence[tuple[bytes, bytes, Entry | None]]) -> None:
        """Set rows of a folder after the scan has been through it."""
        if self.settings.shards is not None and folder not in self.written:
            self.cache.save_shard(self.settings.shards.get(folder) or Shard.build(folder, []))
        self.written.add(folder)
        delta = self.cache.edit(folder, rows)
        self.found.files_delta += delta
        self.found.visited[folder] = self.found.visited.get(folder, 0) + delta

    def abandon(self) -> None:
        """Stop the workers; what they have published stays for the next attempt."""
        self._runner.abandon()
