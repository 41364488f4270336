"""What is done with one folder, in this process or in a forked worker: compare it, or stage it."""

from __future__ import annotations

import os
import stat as stat_module
from typing import Final

import blake3
import msgspec

from dsvc.fs.beneath import Beneath, NotAFolderError
from dsvc.fs.files import storage_error
from dsvc.model.encoding import encode
from dsvc.model.errors import DsvcError, ErasedError, MalformedInputError, StorageError
from dsvc.model.ids import NodeId
from dsvc.model.manifest import Entry
from dsvc.model.paths import check_structure, is_plain, portability_problem
from dsvc.porcelain.tree import scan
from dsvc.porcelain.tree.file_entry import entry_of_bytes
from dsvc.porcelain.tree.folder_task import Reply, Settings, Task
from dsvc.porcelain.tree.ignore import IgnoreRules
from dsvc.porcelain.tree.new_files import stage_new_files
from dsvc.porcelain.tree.scan import Comparison, unpack_stat
from dsvc.porcelain.tree.stat_cache import UNKNOWN, Shard, StatCache, shard_of, trusted_stat
from dsvc.store.chunk_list import chunks_of
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.ingest import (
    LARGE_BYTES,
    FileStat,
    UnstableFileError,
    hash_file,
    is_gone,
    open_file,
    read_stable,
    store_symlink,
)
from dsvc.store.large_file import Segment, store_segment
from dsvc.store.manifest_tree import Manifest

FLUSH: Final = b"flush"
_MAX_WARNINGS = 5
_TYPE_MASK = 0o170000


class FolderWorker:
    """Handles folders and segments of large files; a `dsvc.store.workers.Handler`."""

    def __init__(self, store: ChunkStore, cache: StatCache, settings: Settings) -> None:
        self._store = store
        self._cache = cache
        self._settings = settings
        self._tree = Beneath(settings.root)
        self._ignore = IgnoreRules(self._tree)
        self._unsaved: list[Shard] = []
        self.cache_complete = True

    # Handler

    def handle(self, task: bytes) -> bytes:
        """Carry out an encoded `Task` or `Segment`, or flush."""
        if task == FLUSH:
            self.flush()
            return b""
        work = msgspec.msgpack.decode(task, type=Task | Segment)
        if isinstance(work, Segment):
            return self._segment(work)
        reply = self.folder(work)
        if self._store.pack_is_full:
            self.flush()
        return encode(reply)

    def flush(self) -> None:
        """Make what was stored durable, then save the shards that speak of it."""
        self._store.publish()
        for shard in self._unsaved:
            try:
                self._cache.save_shard(shard)
            except StorageError:
                self.cache_complete = False
        self._unsaved.clear()

    def finish(self) -> bytes:
        """Flush; the last reply tells bytes put, bytes published, and whether every shard was saved."""
        self.flush()
        self._tree.close()
        return encode([self._store.put_bytes, self._store.published_bytes, self.cache_complete])

    def abandon(self) -> None:
        """Throw the unpublished pack away."""
        self._store.abandon()
        self._tree.close()

    def _segment(self, segment: Segment) -> bytes:
        try:
            folder, name = self._tree.split(segment.path)
            fd = open_file(name, folder)
            try:
                same = tuple(FileStat.of(os.fstat(fd))) == segment.stat
                ids = store_segment(self._store, fd, segment) if same else b""
            finally:
                os.close(fd)
        except (NotAFolderError, UnstableFileError):
            ids = b""
        except OSError as error:
            # The parent finds out that the file is gone.
            if not is_gone(error):
                raise storage_error(error, "read", segment.path) from error
            ids = b""
        if self._store.pack_is_full:
            self.flush()
        return encode([segment.number, ids])

    # Folders

    def folder(self, task: Task) -> Reply:
        """Compare or stage one folder."""
        reply = Reply(task.folder, [])
        try:
            listing = scan.list_folder(self._tree, task.folder)
        except (FileNotFoundError, NotAFolderError):
            reply.gone = True
            return reply
        except OSError as error:
            reply.skipped.append((task.folder, f"cannot list it: {error.strerror}"))
            reply.unreadable = True
            return reply
        stored = self._cache.shard(task.folder)
        rebuilt = self._settings.shards
        shard = self._shard(task.folder, stored)
        only = None if task.only is None else frozenset(task.only)
        found = scan.compare(listing, shard, only)
        reply.empty = listing.empty
        reply.unchanged = found.unchanged
        reply.files = reply.files_before = 0 if shard is None else len(shard)
        if only is None:
            self._sub_folders(task.folder, listing.folders, reply)
        self._special(task.folder, listing.special, only, reply)
        if found.touched or found.untracked or found.missing:
            resume = stored if rebuilt is not None else None
            self._differences(task.folder, shard, found, reply, resume)
        return reply

    def _shard(self, folder: bytes, stored: Shard | None) -> Shard | None:
        """Shard that mirrors the staged manifest; one that is damaged is made from the manifest."""
        settings = self._settings
        if settings.shards is not None:
            return settings.shards.get(folder)
        if folder not in settings.mirrored:
            return None
        return stored or shard_of(Manifest(self._store, NodeId(settings.manifest)), folder)

    def _path(self, folder: bytes, name: bytes) -> bytes:
        return folder + b"/" + name if folder else name

    def _sub_folders(self, folder: bytes, names: list[bytes], reply: Reply) -> None:
        settings = self._settings
        for name in names:
            path = self._path(folder, name)
            reason = scan.refuse_folder(self._tree, folder, name)
            if reason is not None:
                if settings.stage:
                    reply.skipped.append((path, reason))
                continue
            if path not in settings.tracked_folders:
                if not settings.force and self._ignore.ignored(path, is_folder=True):
                    continue
                if not settings.stage and not settings.descend_untracked:
                    if self._holds_anything(path):
                        reply.untracked_folders.append(path)
                    continue
            reply.folders.append(path)

    def _holds_anything(self, folder: bytes) -> bool:
        """Whether an untracked folder holds a path that isn't ignored (or is empty altogether)."""
        pending = [folder]
        while pending:
            at = pending.pop()
            try:
                listing = scan.list_folder(self._tree, at)
            except (FileNotFoundError, NotAFolderError):
                continue
            except OSError:  # nobody can tell
                return True
            if listing.empty:
                return True
            if any(not self._ignore.ignored(self._path(at, n), is_folder=False) for n, _ in listing.rows):
                return True
            for name in listing.folders:
                path = self._path(at, name)
                if scan.refuse_folder(self._tree, at, name) is None and not self._ignore.ignored(
                    path, is_folder=True
                ):
                    pending.append(path)
        return False

    def _special(
        self, folder: bytes, special: list[tuple[bytes, str]], only: frozenset[bytes] | None, reply: Reply
    ) -> None:
        for name, reason in special:
            path = self._path(folder, name)
            if only is not None and name not in only:
                continue
            if self._settings.force or not self._ignore.ignored(path, is_folder=False):
                reply.skipped.append((path, reason))

    def _not_ignored(self, folder: bytes, items: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        if self._settings.force or not items or not self._ignore.chain(folder):
            return items
        return [i for i in items if not self._ignore.ignored(self._path(folder, i[0]), is_folder=False)]

    def _differences(
        self, folder: bytes, shard: Shard | None, found: Comparison, reply: Reply, resume: Shard | None
    ) -> None:
        rows: dict[bytes, tuple[bytes, bytes]] = {}
        entries: dict[bytes, Entry] = {}
        if shard is not None:
            for name, stat, entry in shard.rows():
                rows[name] = (stat, b"")
                entries[name] = entry
        before = dict(rows)
        spared = {} if resume is None else {name: (stat, entry) for name, stat, entry in resume.rows()}
        for name in found.missing:
            path = self._path(folder, name)
            if self._settings.sparse.includes(path):
                reply.missing.append(path)
                if self._settings.stage:
                    del rows[name]
        for name, packed in found.touched:
            known = self._settings.known.get(self._path(folder, name))
            if not self._spare(self._path(folder, name), packed, known, rows, reply, entries[name]):
                self._take(folder, name, packed, entries[name], rows, reply)
        new = self._not_ignored(folder, found.untracked)
        if not self._settings.stage:
            reply.untracked.extend(self._path(folder, name) for name, _ in new)
            new = []
        if spared or self._settings.known:
            stored = self._settings.known
            new = [
                (name, packed)
                for name, packed in new
                if not self._spare(
                    path := self._path(folder, name),
                    packed,
                    spared.get(name) or stored.get(path),
                    rows,
                    reply,
                )
            ]
        if new:
            folder_fd = self._tree.folder(folder)
            now_ns = self._settings.now_ns
            new = stage_new_files(self._store, folder, folder_fd, new, now_ns, rows, reply.changed)
        for name, packed in new:
            self._take(folder, name, packed, None, rows, reply)
        reply.files = len(rows)
        if self._settings.save and rows != before:
            self._save(folder, rows, entries)
            reply.saved = True

    def _save(
        self, folder: bytes, rows: dict[bytes, tuple[bytes, bytes]], entries: dict[bytes, Entry]
    ) -> None:
        shard = Shard.build(
            folder, ((name, rows[name][0], rows[name][1] or encode(entries[name])) for name in sorted(rows))
        )
        if self._settings.stage:
            self._unsaved.append(shard)
            return
        try:
            self._cache.save_shard(shard)
        except StorageError:
            self.cache_complete = False

    def _spare(
        self,
        path: bytes,
        packed: bytes,
        known: tuple[bytes, Entry] | None,
        rows: dict[bytes, tuple[bytes, bytes]],
        reply: Reply,
        old: Entry | None = None,
    ) -> bool:
        """Take a file that a run or an interrupted `add` has stored already without reading it again."""
        if known is None or known[0] != packed or known[1].path != path:
            return False
        entry = known[1]
        try:
            if not all(c.id is None or self._store.has(c.id) for c in chunks_of(self._store, entry)):
                return False
        except DsvcError:
            return False
        name = path.rpartition(b"/")[2]
        if old is not None and old.same_content(entry):
            rows[name] = (packed, b"")
            reply.unchanged += 1
            return True
        encoded = encode(entry)
        rows[name] = (packed, encoded)
        reply.changed.append((path, encoded, entry.size))
        return True

    def _take(
        self,
        folder: bytes,
        name: bytes,
        packed: bytes,
        old: Entry | None,
        rows: dict[bytes, tuple[bytes, bytes]],
        reply: Reply,
    ) -> None:
        """Look into one file whose stat is new."""
        path = self._path(folder, name)
        seen = unpack_stat(packed)
        try:
            if self._settings.stage:
                self._stage(folder, path, name, seen, old, rows, reply)
            else:
                self._compare(path, name, seen, old, rows, reply)
        except MalformedInputError as error:
            reply.skipped.append((path, str(error.details.get("why", error.message))))
        except (UnstableFileError, ErasedError) as error:
            reply.skipped.append((path, error.message))

    def _stage(
        self,
        folder: bytes,
        path: bytes,
        name: bytes,
        seen: FileStat,
        old: Entry | None,
        rows: dict[bytes, tuple[bytes, bytes]],
        reply: Reply,
    ) -> None:
        if old is None and not is_plain(path):
            check_structure(path)
            if self._settings.check_names and len(reply.warnings) < _MAX_WARNINGS:
                problem = portability_problem(path)
                if problem is not None:
                    reply.warnings.append((path, problem))
        folder_fd = self._tree.folder(folder)
        if seen.mode & _TYPE_MASK == stat_module.S_IFLNK:
            entry = store_symlink(self._store, path, os.readlink(name, dir_fd=folder_fd))
        elif seen.size >= LARGE_BYTES:
            reply.large.append(path)
            return
        else:
            try:
                data, seen = read_stable(name, folder_fd, seen)
            except StorageError as error:
                reply.skipped.append((path, error.message))
                return
            entry = entry_of_bytes(self._store, path, seen.entry_mode, data, old)
        stat = trusted_stat(seen, self._settings.now_ns)
        if old is not None and old.same_content(entry):
            rows[name] = (stat, b"")
            reply.unchanged += 1
            return
        encoded = encode(entry)
        rows[name] = (stat, encoded)
        reply.changed.append((path, encoded, entry.size))

    def _compare(
        self,
        path: bytes,
        name: bytes,
        seen: FileStat,
        old: Entry | None,
        rows: dict[bytes, tuple[bytes, bytes]],
        reply: Reply,
    ) -> None:
        assert old is not None
        same = False
        is_link = stat_module.S_ISLNK(seen.mode)
        if seen.size == old.size and is_link != old.is_file and (is_link or seen.entry_mode == old.mode):
            folder_fd = self._tree.split(path)[0]
            if is_link:
                same = blake3.blake3(os.readlink(name, dir_fd=folder_fd)).digest() == old.digest
            else:
                try:
                    digest, _, seen = hash_file(name, folder_fd, seen)
                except StorageError as error:
                    reply.skipped.append((path, error.message))
                    return
                same = digest == old.digest
        if same:
            rows[name] = (trusted_stat(seen, self._settings.now_ns), b"")
            reply.unchanged += 1
        else:
            rows[name] = (UNKNOWN, b"")
            reply.changed.append((path, b"", seen.size))
