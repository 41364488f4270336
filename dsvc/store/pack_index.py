"""The pack index: which pack holds an object, by the mapped footers of all packs."""

from __future__ import annotations

import logging

from dsvc.model.errors import DsvcError
from dsvc.model.ids import PackId
from dsvc.store.backend import Backend
from dsvc.store.pack import Footer, Location

logger = logging.getLogger(__name__)


class PackIndex:
    """Footers of the listed packs, most recently useful first.

    A pack whose footer can't be read is remembered in `broken`; its objects count as missing unless
    another pack has them.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._footers: list[Footer] | None = None
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
        self.broken = {}
        for pack in self._backend.list_packs():
            try:
                self._footers.append(known.get(pack) or Footer(self._backend, pack))
            except DsvcError as error:
                logger.warning("pack %s can't be read: %s", pack.short(), error)
                self.broken[pack] = error

    def find(self, id_: bytes) -> tuple[Footer, Location] | None:
        """Where an object lies; a place that still has the bytes is preferred to an erased one."""
        erased: tuple[Footer, Location] | None = None
        footers = self.footers()
        for position, footer in enumerate(footers):
            row = footer.find(id_)
            if row < 0:
                continue
            location = footer.location(row)
            if location.erased:
                erased = (footer, location)
                continue
            if position:
                footers.insert(0, footers.pop(position))
            return footer, location
        return erased

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
