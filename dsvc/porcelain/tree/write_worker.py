"""Writing files of the working tree, in this process or in a forked worker."""

from __future__ import annotations

import msgspec

from dsvc.fs.beneath import Beneath
from dsvc.model.encoding import encode
from dsvc.model.manifest import Entry
from dsvc.porcelain.tree.spread_write import SegmentTask, write_segment
from dsvc.porcelain.tree.stat_cache import UNKNOWN, StatCache, pack_stat
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.ingest import FileStat
from dsvc.store.materialize import TreeWriter


class WriteTask(msgspec.Struct, frozen=True, array_like=True, tag="write"):
    """Files of one folder to write: (entry, whether it replaces one)."""

    folder: bytes
    entries: list[tuple[Entry, bool]]


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
            write_segment(self._store, self._tree, work)
            return encode([b"", 0, 0, []])
        rows: list[tuple[bytes, bytes, Entry | None]] = []
        for entry, replace in work.entries:
            stat = self._writer.write(entry, replace=replace)
            if stat is not None:
                rows.append((entry.path.rpartition(b"/")[2], remembered(stat), entry))
        # Where this fails the command does: a row left as it was would speak of what the file held before.
        delta = self._cache.edit(work.folder, rows) if self._cache is not None and rows else 0
        return encode([work.folder, len(rows), delta, [stat for _, stat, _ in rows]])

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
        return UNKNOWN
    return pack_stat(stat)
