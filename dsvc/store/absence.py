"""Absence: prove that no pack has the bytes of some chunks, by reading all of them."""

from __future__ import annotations

from collections.abc import Collection

from dsvc.model.errors import CorruptDataError
from dsvc.model.ids import PackId
from dsvc.store.backend import Backend
from dsvc.store.pack import Footer
from dsvc.store.salvage import salvage


class StillThereError(CorruptDataError):
    """What was erased is still stored, or again."""

    code = "still-there"


def stored_lengths(backend: Backend, ids: Collection[bytes]) -> dict[bytes, int]:
    """Lengths of those of some objects that packs and trash have or had, erased ones too.

    Raises
    ------
    CorruptDataError
        If a pack can't be looked into.
    """
    trashed = [pack for packs in backend.list_trash().values() for pack in packs]
    found: dict[bytes, int] = {}
    for pack in {*backend.list_packs(), *trashed}:
        footer = Footer(backend, pack)
        rows = ((bytes(id_), footer.find(bytes(id_))) for id_ in ids)
        found |= {id_: footer.location(row).length for id_, row in rows if row >= 0}
    return found


def prove_absent(backend: Backend, ids: Collection[bytes]) -> int:
    """Read every object of every pack, trashed ones too, and compare it with the ids; returns how many.

    Ids are computed from the bytes that stand in the blocks: what an index says of them isn't believed.

    Raises
    ------
    StillThereError
        If a pack has one of them.
    CorruptDataError
        If a pack can't be read, or has blocks that can't: it can't be told then.
    """
    wanted = {bytes(id_) for id_ in ids}
    trashed = [pack for packs in backend.list_trash().values() for pack in packs]
    return sum(_read(backend, pack, wanted) for pack in sorted({*backend.list_packs(), *trashed}))


def _read(backend: Backend, pack: PackId, wanted: set[bytes]) -> int:
    footer = Footer(backend, pack)
    expected = {id_ for id_, place in footer.rows() if not place.erased}
    count = 0
    for found in salvage(backend, pack):
        count += 1
        expected.discard(found.id)
        if found.id in wanted:
            raise StillThereError(
                f"pack {pack.short()} has the erased chunk {found.id.hex()[:12]}",
                hint="run the erasure again",
                details={"pack": pack.hex(), "id": found.id.hex()},
            )
    if expected or not footer.verify():
        raise CorruptDataError(
            f"pack {pack.short()} can't be read whole, so it may keep what was erased",
            hint="run dsvc fsck --read-data --repair",
            details={"pack": pack.hex()},
        )
    return count
