"""Writing files of the working tree, in this process or in a forked worker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from dsvc.fs.beneath import Beneath
from dsvc.model.encoding import encode
from dsvc.model.errors import CorruptDataError, DsvcError, ErasedError, MissingDataError
from dsvc.model.manifest import Entry
from dsvc.model.paths import display_path
from dsvc.porcelain.tree.spread_write import SegmentTask, write_segment
from dsvc.porcelain.tree.stat_cache import UNKNOWN, StatCache, pack_stat
from dsvc.store.backend import UnreadableError
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.ingest import FileStat
from dsvc.store.materialize import TreeWriter

NOT_TO_BE_HAD: Final = (CorruptDataError, MissingDataError, ErasedError, UnreadableError)
"""Errors of one file's content, worst first: the other files can be written all the same."""
_SHOWN = 20


class Lost(msgspec.Struct, frozen=True, array_like=True):
    """A file whose content can't be had, and why."""

    path: bytes
    kind: int
    message: str
    hint: str | None

    @classmethod
    def by(cls, path: bytes, error: DsvcError) -> Lost:
        """Say it of an error of `NOT_TO_BE_HAD`."""
        kind = [issubclass(type(error), each) for each in NOT_TO_BE_HAD].index(True)
        return cls(path, kind, error.message, error.hint)


class Written(msgspec.Struct, frozen=True, array_like=True):
    """What became of a task: how many files were written, and those that could not be."""

    count: int = 0
    lost: list[Lost] = []


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
        """Carry out an encoded task; replies with what was `Written`."""
        work = msgspec.msgpack.decode(task, type=WriteTask | SegmentTask)
        if isinstance(work, SegmentTask):
            try:
                write_segment(self._store, self._tree, work)
            except NOT_TO_BE_HAD as error:
                return encode(Written(0, [Lost.by(work.source, error)]))
            return encode(Written())
        rows: list[tuple[bytes, bytes, Entry | None]] = []
        lost: list[Lost] = []
        for entry, replace in work.entries:
            try:
                stat = self._writer.write(entry, replace=replace)
            except NOT_TO_BE_HAD as error:
                lost.append(Lost.by(entry.path, error))
                continue
            if stat is not None:
                rows.append((entry.path.rpartition(b"/")[2], remembered(stat), entry))
        # Where this fails the command does: a row left as it was would speak of what the file held before.
        if self._cache is not None and rows:
            self._cache.edit(work.folder, rows)
        return encode(Written(len(rows), lost))

    def finish(self) -> bytes:
        """Close the tree."""
        self._tree.close()
        return b""

    def abandon(self) -> None:
        """Close the tree."""
        self._tree.close()


def lost_files(lost: Mapping[bytes, Lost]) -> DsvcError:
    """Name the files that could not be written, in an error of the kind that the worst of them has."""
    worst = min(each.kind for each in lost.values())
    paths = sorted(lost)
    shown = "".join(f"\n  {display_path(path)}: {lost[path].message}" for path in paths[:_SHOWN])
    more = f"\n  and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    what = "1 file" if len(paths) == 1 else f"{len(paths)} files"
    return NOT_TO_BE_HAD[worst](
        f"the content of {what} can't be had; all others were written:{shown}{more}",
        hint=next(each.hint for each in lost.values() if each.kind == worst),
        details={"paths": [display_path(path) for path in paths]},
    )


def remembered(stat: FileStat) -> bytes:
    """Stat of a file that was just written here, to remember; unknown where stamps are coarse."""
    if stat.mtime_ns % 1_000_000_000 == 0 and stat.ctime_ns % 1_000_000_000 == 0:
        return UNKNOWN
    return pack_stat(stat)
