"""Erase: take the bytes of chosen chunks out of every pack, trashed ones and second copies included.

The id stays as an erased row, so that reading says `ErasedError` and not that something is damaged; gc keeps
such rows for good. Storing the same content again is refused (`ChunkStore.refuse_erased`) unless asked for:
the next `add` of a folder that still has the file must not undo an erasure unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from dsvc.model.errors import CorruptDataError, NotFoundError, UsageError
from dsvc.model.ids import ChunkId, PackId
from dsvc.store.block import ItemType
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.pack import Footer, Location
from dsvc.store.prune import new_run
from dsvc.store.rewrite import Rewriter

_RUN = "erased-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What an erasure did.

    Attributes
    ----------
    objects : int
        Ids asked for whose bytes were there.
    packs : int
        Packs that were rewritten and deleted.
    dropped : int
        Objects that were left out since nothing needs them.
    """

    objects: int
    packs: int
    dropped: int = 0


def erase(
    store: ChunkStore, ids: Collection[ChunkId], *, needed: Callable[[bytes], bool] | None = None
) -> Erased:
    """Erase chunks; the caller holds the exclusive lock. Called again after a crash it finishes the work.

    Parameters
    ----------
    ids : collection of ChunkId
    needed : callable or None
        Whether an object is needed by anything. What isn't goes too, at once and without the grace of gc:
        nobody can tell any more what it was. None: only `ids` are looked at.

    New packs are published before old ones are deleted, so a crash in between leaves the bytes, never a hole.
    Copies that other programs made of ``.dsvc``, and what a disk keeps of deleted files, are not reached.

    Raises
    ------
    NotFoundError
        If no pack has ever had one of the ids.
    UsageError
        If an id is that of a manifest node or of a chunk list: others hang on it.
    CorruptDataError
        If a pack can't be read, or something else in it is damaged and can't be carried over; nothing was
        deleted.
    """
    wanted = {bytes(id_) for id_ in ids}
    store.forget()
    if store.index.broken:
        raise CorruptDataError(
            "a pack can't be read, so it may keep what shall be erased", hint="run dsvc fsck --repair first"
        )
    trashed = [pack for packs in store.backend.list_trash().values() for pack in packs]
    footers = [*store.index.footers(), *(Footer(store.backend, pack) for pack in trashed)]
    holding = _holding(footers, wanted, needed)
    dropped: set[bytes] = set()
    with Rewriter(store) as rewriter:
        for footer in holding:
            dropped |= _copy_without(rewriter, footer, wanted, needed)
            if rewriter.full:
                rewriter.publish()
    found = {id_ for id_ in wanted for footer in holding if _has_bytes(footer, id_)}
    _delete(store, [footer.pack for footer in holding if footer.pack not in rewriter.published])
    return Erased(objects=len(found), packs=len(holding), dropped=len(dropped))


def _has_bytes(footer: Footer, id_: bytes) -> bool:
    row = footer.find(id_)
    return row >= 0 and not footer.location(row).erased


def _holding(
    footers: list[Footer], wanted: set[bytes], needed: Callable[[bytes], bool] | None
) -> list[Footer]:
    """Packs that still have bytes of one of the ids, or of what nothing needs."""
    holding: list[Footer] = []
    unknown = set(wanted)
    for footer in {footer.pack: footer for footer in footers}.values():
        places = [(id_, footer.location(row)) for id_ in wanted if (row := footer.find(id_)) >= 0]
        unknown -= {id_ for id_, _ in places}
        for id_, place in places:
            if place.item_type in (ItemType.NODE, ItemType.LIST):
                raise UsageError(f"object {id_.hex()[:12]} is no chunk; only content is erased")
        if any(not place.erased for _, place in places) or (needed is not None and _has_dead(footer, needed)):
            holding.append(footer)
    if unknown:
        missing = sorted(id_.hex() for id_ in unknown)
        raise NotFoundError(f"there is no chunk {missing[0][:12]}", details={"ids": missing})
    return holding


def _has_dead(footer: Footer, needed: Callable[[bytes], bool]) -> bool:
    return any(not place.erased and not needed(id_) for id_, place in footer.rows())


def _copy_without(
    rewriter: Rewriter, footer: Footer, wanted: set[bytes], needed: Callable[[bytes], bool] | None
) -> set[bytes]:
    """Copy a pack without the ids; returns what was left out since nothing needs it."""
    dropped: set[bytes] = set()

    def keep(row: int, id_: bytes, place: Location) -> bool:
        if id_ in wanted:
            return False
        if place.erased or needed is None or needed(id_):
            return True
        dropped.add(id_)
        return False

    rewriter.copy(footer, keep)
    for id_ in wanted:
        row = footer.find(id_)
        if row >= 0:
            place = footer.location(row)
            rewriter.put_erased(id_, place.length, place.item_type)
    return dropped


def _delete(store: ChunkStore, packs: list[PackId]) -> None:
    """Delete packs wherever they lie; what shared a run of the trash with them goes back into the list."""
    backend, gone = store.backend, set(packs)
    for run, trashed in backend.list_trash().items():
        if gone & set(trashed):
            recovered = backend.recover(run)
            rest = [pack for pack in recovered if pack not in gone]
            if rest:
                backend.trash(rest, run)
    live = [pack for pack in backend.list_packs() if pack in gone]
    if live:
        run = new_run(backend, _RUN)
        backend.trash(live, run)
        backend.empty_trash(run)
    store.forget()
