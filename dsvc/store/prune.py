"""Prune: take out of the packs what nothing reaches, by way of the trash.

`collect` marks without a lock, then under the exclusive lock marks again what came since, plans, writes new
packs, and only then moves old ones to the trash. A crash at any step leaves at most a second copy of
something, which the next run takes out.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

from dsvc.fs import files
from dsvc.model.errors import CorruptDataError, NotFoundError, StorageError
from dsvc.model.ids import PackId
from dsvc.store.backend import Backend
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.mark import MarkedPack, Marks
from dsvc.store.pack import Location
from dsvc.store.rewrite import Rewriter, is_sound

logger = logging.getLogger(__name__)

SMALL_PACK_BYTES: Final = 16 * 1024 * 1024
DEAD_SHARE: Final = 0.30
DEFAULT_GRACE_SECONDS: Final = 14 * 24 * 3600.0
UNLIKELY_SECONDS: Final = 365 * 24 * 3600.0
SKEW_SECONDS: Final = 24 * 3600.0
"""How far clocks of honest machines are apart."""
QUARANTINE: Final = "quarantine"
"""Runs whose name begins so hold packs that repair could not heal wholly; they never expire."""
REPAIRED: Final = "repaired"
"""Runs whose name begins so hold damaged packs whose every object is whole elsewhere."""

Roots = Callable[[], Iterable[bytes]]
"""Roots of all manifests that must live, asked for again under the lock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackUse:
    """How much of a pack is reachable; bytes are raw, but for `size_bytes`, the file's length."""

    pack: PackId
    size_bytes: int
    rows: int
    live_rows: int
    raw_bytes: int
    live_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run is going to do with the packs.

    Attributes
    ----------
    drop : tuple of PackId
        Packs without anything alive.
    rewrite : tuple of PackId
        Packs whose live objects move to new packs.
    candidates : int
        Objects that nothing reaches, in all packs.
    bytes : int
        Their raw bytes.
    """

    drop: tuple[PackId, ...]
    rewrite: tuple[PackId, ...]
    candidates: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What a run did.

    Attributes
    ----------
    candidates, bytes : int
        Objects that nothing reaches, and their raw bytes.
    deleted : int
        Packs deleted for good, those of older runs included.
    trashed : int
        Packs moved to the trash and still there.
    freed_bytes : int
        Bytes of the deleted packs.
    run : str or None
        Name of the run in the trash.
    """

    candidates: int
    bytes: int
    deleted: int
    trashed: int
    freed_bytes: int = 0
    run: str | None = None


def usage(backend: Backend, marked: MarkedPack) -> PackUse:
    """Count what is alive in a pack; that something was erased is kept for good, so it counts as alive."""
    footer, all_marked = marked.footer, marked.live_rows == marked.footer.count
    raw = live = live_rows = 0
    for row in range(footer.count):
        place = footer.location(row)
        length = 0 if place.erased else place.length
        raw += length
        if all_marked or place.erased or marked.is_marked(row):
            live += length
            live_rows += 1
    size = backend.size(footer.pack)
    return PackUse(
        pack=footer.pack,
        size_bytes=size,
        rows=footer.count,
        live_rows=live_rows,
        raw_bytes=raw,
        live_bytes=live,
    )


def plan(uses: Sequence[PackUse]) -> Plan:
    """Decide which packs go, which are rewritten and which stay; the same input has the same plan.

    A pack without anything alive goes. One with more than 30% dead is rewritten. Packs under 16 MiB are
    merged where there are several, or where one is rewritten anyway.
    """
    drop = tuple(use.pack for use in uses if not use.live_rows)
    partly = [use for use in uses if use.live_rows]
    decayed = [use for use in partly if use.raw_bytes - use.live_bytes > DEAD_SHARE * use.raw_bytes]
    small = [use for use in partly if use.size_bytes < SMALL_PACK_BYTES]
    chosen = {use.pack for use in decayed}
    if len({use.pack for use in small} | chosen) > 1:
        chosen |= {use.pack for use in small}
    return Plan(
        drop=drop,
        rewrite=tuple(use.pack for use in partly if use.pack in chosen),
        candidates=sum(use.rows - use.live_rows for use in uses),
        bytes=sum(use.raw_bytes - use.live_bytes for use in uses),
    )


def expired(backend: Backend, grace_seconds: float) -> list[str]:
    """Runs in the trash whose grace is over, oldest name first; quarantined packs never are.

    Neither is one that is older by years, or of a time to come: rather a clock is wrong. See `begin_anew`.
    """
    found = [(run, backend.trash_age(run)) for run in _collected(backend)]
    return [run for run, age in found if age >= grace_seconds and not _doubtful(age, grace_seconds)]


def begin_anew(backend: Backend, grace_seconds: float) -> None:
    """Let the grace of runs in the trash begin now where a clock that jumped may have said their age."""
    for run in _collected(backend):
        if _doubtful(backend.trash_age(run), grace_seconds):
            backend.trash([], run)


def _collected(backend: Backend) -> list[str]:
    return [run for run in sorted(backend.list_trash()) if not run.startswith(QUARANTINE)]


def _doubtful(age: float, grace_seconds: float) -> bool:
    return grace_seconds > 0 and not -SKEW_SECONDS <= age < grace_seconds + UNLIKELY_SECONDS


def new_run(backend: Backend, prefix: str = "") -> str:
    """Name a run so that names sort by age, whatever the clock says."""
    numbers = [int(name) for run in backend.list_trash() if (name := run.split("-")[-2:][0]).isdigit()]
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    return f"{prefix}{max(numbers, default=0) + 1:06d}-{stamp}"


def newest_run(backend: Backend) -> str:
    """Name of the newest run in the trash.

    Raises
    ------
    NotFoundError
        If the trash is empty.
    """
    runs = [run for run, packs in backend.list_trash().items() if packs and run[:1].isdigit()]
    if not runs:
        raise NotFoundError("there is no run of gc left in the trash to undo")
    return max(runs)


def collect(
    store: ChunkStore,
    roots: Roots,
    exclusive: Callable[[], AbstractContextManager[None]],
    *,
    grace_seconds: float = DEFAULT_GRACE_SECONDS,
    dry_run: bool = False,
    step: Callable[[str], None] = lambda _: None,
) -> Collected:
    """Collect what nothing reaches.

    Parameters
    ----------
    store : ChunkStore
        Store without unpublished objects.
    roots : callable
        Gives the roots of every manifest that must live; called without and again with the lock.
    exclusive : callable
        Gives the context in which no writer is between its first lookup and its commit point.
    grace_seconds : float
        Age at which trash is deleted; 0 deletes at once.
    dry_run : bool
        Only say what would happen.
    step : callable
        Told the name of each step before it begins: mark, lock, re-mark, expire, rewrite, trash, delete.

    Raises
    ------
    DsvcError
        If anything reachable can't be read; nothing was deleted then.
    """
    step("mark")
    marks = Marks(store)
    marks.manifests(roots())
    if dry_run:
        return _foresee(store, marks, grace_seconds)
    step("lock")
    with exclusive():
        step("re-mark")
        if not marks.refresh():
            marks = Marks(store)
        marks.manifests(roots())
        return _Run(store, marks, grace_seconds, step).execute()


def _foresee(store: ChunkStore, marks: Marks, grace_seconds: float) -> Collected:
    backend = store.backend
    decided = plan([usage(backend, marked) for marked in marks.packs()])
    trash = backend.list_trash()
    old = [pack for run in expired(backend, grace_seconds) for pack in trash[run]]
    moved = len(decided.drop) + len(decided.rewrite)
    at_once = moved if grace_seconds <= 0 else 0
    return Collected(
        candidates=decided.candidates,
        bytes=decided.bytes,
        deleted=len(old) + at_once,
        trashed=moved - at_once,
        freed_bytes=sum(backend.size(pack) for pack in old),
    )


class _Run:
    """The part of a run that holds the exclusive lock."""

    def __init__(
        self, store: ChunkStore, marks: Marks, grace_seconds: float, step: Callable[[str], None]
    ) -> None:
        self._store = store
        self._backend = store.backend
        self._marks = marks
        self._grace_seconds = grace_seconds
        self._step = step
        self._by_name = {marked.footer.pack: marked for marked in marks.packs()}
        self._run: str | None = None
        self._deleted = self._freed = self._trashed = 0

    def execute(self) -> Collected:
        decided = plan([usage(self._backend, marked) for marked in self._marks.packs()])
        rescued = self._marks.rescued()
        for name in (*decided.drop, *decided.rewrite):
            if not self._by_name[name].footer.verify():
                raise CorruptDataError(
                    f"the footer of pack {name.short()} has wrong bytes; nothing was deleted",
                    hint="run dsvc fsck --repair, then dsvc gc again",
                    details={"pack": name.hex()},
                )
        self._step("expire")
        begin_anew(self._backend, self._grace_seconds)
        needed = {marked.footer.pack for marked in rescued}
        self._delete_expired(sparing=needed)
        self._step("rewrite")
        # What has nothing alive goes first: where trash is deleted at once, that makes room for the rest.
        carried = [self._by_name[name] for name in decided.drop if self._must_carry(name)]
        self._trash([name for name in decided.drop if self._by_name[name] not in carried])
        try:
            self._rewrite([*rescued, *carried, *(self._by_name[name] for name in decided.rewrite)])
            needed = set()
        except StorageError as error:
            if not files.is_full(error):
                raise
            # What has nothing alive is gone; packs that are alive in part stay whole until there is room.
            logger.warning("no room to write packs anew that are needed in part; they stay: %s", error)
        self._delete_expired(sparing=needed)
        self._store.forget()
        return Collected(
            candidates=decided.candidates,
            bytes=decided.bytes,
            deleted=self._deleted,
            trashed=self._trashed,
            freed_bytes=self._freed,
            run=self._run if self._trashed else None,
        )

    def _needs_this_copy(self, id_: bytes) -> bool:
        """Whether an unmarked row is the second copy of something alive whose first copy is damaged."""
        kept = self._marks.marked_place(id_)
        if kept is None or kept[1].erased:
            return False
        return not is_sound(self._store, kept[0].footer, id_, kept[1])

    def _must_carry(self, name: PackId) -> bool:
        return any(self._needs_this_copy(id_) for id_, _ in self._by_name[name].footer.rows())

    def _rewrite(self, sources: list[MarkedPack]) -> None:
        done: list[PackId] = []
        with Rewriter(self._store) as rewriter:
            for marked in sources:
                rewriter.copy(marked.footer, self._wanted(marked))
                if not marked.trashed:
                    done.append(marked.footer.pack)
                if rewriter.full:
                    rewriter.publish()
                    self._trash(done, rewriter.published)
                    done = []
        self._trash(done, rewriter.published)

    def _wanted(self, marked: MarkedPack) -> Callable[[int, bytes, Location], bool]:
        def choose(row: int, id_: bytes, place: Location) -> bool:
            return place.erased or marked.is_marked(row) or self._needs_this_copy(id_)

        return choose

    def _trash(self, packs: Iterable[PackId], published: Sequence[PackId] = ()) -> None:
        """Move packs to the trash of this run, but for one that came out of a rewrite unchanged."""
        gone = [pack for pack in packs if pack not in published]
        if not gone:
            return
        self._step("trash")
        self._run = self._run or new_run(self._backend)
        self._backend.trash(gone, self._run)
        self._store.index.reload()
        if self._grace_seconds <= 0:
            self._step("delete")
            self._freed += self._backend.empty_trash(self._run)
            self._deleted += len(gone)
        else:
            self._trashed += len(gone)

    def _delete_expired(self, sparing: set[PackId]) -> None:
        trash = self._backend.list_trash()
        for run in expired(self._backend, self._grace_seconds):
            if run != self._run and not sparing & set(trash[run]):
                self._step("delete")
                self._freed += self._backend.empty_trash(run)
                self._deleted += len(trash[run])
                logger.info("deleted %d packs of run %s", len(trash[run]), run)
