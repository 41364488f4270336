"""The pack index: which pack holds an object, by the mapped footers of all packs."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from itertools import repeat

from dsvc.model.errors import DsvcError
from dsvc.model.ids import PackId
from dsvc.store.backend import Backend
from dsvc.store.pack import Footer, Location

logger = logging.getLogger(__name__)
_FILTER_PACKS = 8
_FILTER_MISSES = 1000
_MERGED_PROBES = 20_000
"""After so many looks into packs in vain, one table of the ids of small packs is cheaper."""
_MERGED_IDS = 1 << 17


class _Filter:
    """Which ids may be in any of the footers: one bit for each prefix, so that a miss asks no pack.

    Ids are uniform, so that their first bits are hash enough: 32 bits of filter an id leave 3% false hits.
    """

    def __init__(self, footers: Iterable[Footer]) -> None:
        footers = list(footers)
        ids = sum(footer.count for footer in footers)
        self._shift = 32 - min(28, max(16, (32 * ids).bit_length()))
        self._bits = bytearray(1 << (29 - self._shift))
        self.room = (1 << (32 - self._shift)) // 8
        self._known: set[PackId] = set()
        self.ids = 0
        for footer in footers:
            self.add(footer)

    def add(self, footer: Footer) -> None:
        """Take in the ids of a footer."""
        if footer.pack in self._known:
            return
        self._known.add(footer.pack)
        self.ids += footer.count
        bits, shift = self._bits, self._shift
        for prefix in footer.prefixes():
            place = prefix >> shift
            bits[place >> 3] |= 1 << (place & 7)

    def may_have(self, id_: bytes) -> bool:
        """Whether an id may be there; no means no."""
        place = int.from_bytes(id_[:4], "big") >> self._shift
        return bool(self._bits[place >> 3] & (1 << (place & 7)))


class _Merged:
    """In which pack an object probably lies, by the first bytes of its id: one table for many small packs.

    What it says is looked up in the pack all the same. Packs that don't fit in are in `others`.
    """

    def __init__(self, footers: Iterable[Footer]) -> None:
        self.others: list[Footer] = []
        self._packs: dict[int, Footer] = {}
        room = _MERGED_IDS
        for footer in sorted(footers, key=lambda each: each.count):
            room -= footer.count
            if room < 0:
                self.others.append(footer)
            else:
                self._packs.update(zip(footer.prefixes(), repeat(footer)))

    def probable(self, id_: bytes) -> Footer | None:
        """Pack that has an id like this one; None: none of those in the table has it."""
        return self._packs.get(int.from_bytes(id_[:4], "big"))


class PackIndex:
    """Footers of the listed packs, most recently useful first.

    A pack whose footer can't be read is remembered in `broken`; its objects count as missing unless
    another pack has them.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._footers: list[Footer] | None = None
        self._filter: _Filter | None = None
        self._misses = 0
        self._merged: _Merged | None = None
        self._probes = 0
        self.broken: dict[PackId, DsvcError] = {}

    def footers(self) -> list[Footer]:
        """Footers of all readable packs."""
        if self._footers is None:
            self.reload()
        assert self._footers is not None
        return self._footers

    def reload(self) -> None:
        """Read the pack list again, keeping what is mapped."""
        known = {f.pack: f for f in self._footers or ()}
        self._footers = []
        self._merged, self._probes = None, 0
        told, self.broken = self.broken, {}
        for pack in self._backend.list_packs():
            try:
                self._footers.append(known.get(pack) or Footer(self._backend, pack))
            except DsvcError as error:
                if pack not in told:  # each miss reads the list again
                    logger.warning("pack %s can't be read: %s", pack.short(), error)
                self.broken[pack] = error
        if self._filter is not None:
            for footer in self._footers:
                self._filter.add(footer)
            if self._filter.ids > self._filter.room:
                self._filter = _Filter(self._footers)

    def find(self, id_: bytes) -> tuple[Footer, Location] | None:
        """Where an object lies; a place that still has the bytes is preferred to an erased one."""
        erased: tuple[Footer, Location] | None = None
        footers = self.footers()
        if self._filter is not None and not self._filter.may_have(id_):
            return None
        if self._merged is not None:
            likely = self._merged.probable(id_)
            if likely is None:
                footers = self._merged.others
            elif (row := likely.find(id_)) >= 0 and not (location := likely.location(row)).erased:
                return likely, location
        for position, footer in enumerate(footers):
            row = footer.find(id_)
            if row < 0:
                continue
            self._count_probes(position)
            location = footer.location(row)
            if location.erased:
                erased = (footer, location)
                continue
            if position:
                footers.insert(0, footers.pop(position))
            return footer, location
        self._count_probes(len(footers))
        if erased is None:
            self._count_miss(self.footers())
        return erased

    def _count_probes(self, packs: int) -> None:
        """Build the table of ids once probing packs one by one has become dear."""
        self._probes += packs
        if self._merged is None and self._probes >= _MERGED_PROBES:
            self._merged = _Merged(self.footers())

    def _count_miss(self, footers: list[Footer]) -> None:
        """Build the filter once misses in many packs have become dear."""
        self._misses += 1
        if self._misses >= _FILTER_MISSES and len(footers) >= _FILTER_PACKS and self._filter is None:
            self._filter = _Filter(footers)

    def places(self, id_: bytes, *, trash: bool = False) -> list[tuple[Footer, Location]]:
        """Every place of an object, for healing and salvage; with `trash` those in trashed packs too."""
        footers = [*self.footers(), *(self.trash_footers() if trash else ())]
        found = ((footer, footer.find(id_)) for footer in footers)
        return [(footer, footer.location(row)) for footer, row in found if row >= 0]

    def trash_footers(self) -> list[Footer]:
        """Footers of all readable packs in the trash."""
        footers = []
        for packs in self._backend.list_trash().values():
            for pack in packs:
                try:
                    footers.append(Footer(self._backend, pack))
                except DsvcError as error:
                    logger.warning("trashed pack %s can't be read: %s", pack.short(), error)
        return footers

    def find_in_trash(self, id_: bytes) -> tuple[Footer, Location] | None:
        """Where a trashed pack has an object; a place that still has the bytes is preferred."""
        found = ((footer, footer.find(id_)) for footer in self.trash_footers())
        places = [(footer, footer.location(row)) for footer, row in found if row >= 0]
        return min(places, key=lambda place: place[1].erased, default=None)
