"""Repair: bring back damaged and missing objects from wherever a whole copy is.

New packs are written first; only then a damaged pack leaves the list, and it is moved, not deleted: with
everything in it healed it goes to the trash like any old pack, else to quarantine, which never expires.
Repair run again finds nothing to do, after a crash too.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from dsvc.model.errors import DsvcError
from dsvc.model.ids import PackId
from dsvc.model.manifest import ChunkClass, Entry
from dsvc.store import pack
from dsvc.store.block import ItemType
from dsvc.store.chunk_store import ChunkStore, check_id
from dsvc.store.pack import Footer, Location
from dsvc.store.prune import QUARANTINE, REPAIRED, new_run
from dsvc.store.rewrite import Rewriter, is_sound, stream_of
from dsvc.store.salvage import Found, rebuild, salvage
from dsvc.store.scrub import PackReport
from dsvc.store.tree_check import Need, TreeCheck

Find = Callable[[Entry, int, int], bytes | None]
"""Read a range of a file of the working tree (entry, offset, length), or None; checked by the caller."""

_BYTES_WRONG = frozenset({"F008", "F009", "F010", "F011", "F012"})
_UNTRUSTED = frozenset({"F001", "F002", "F004", "F005", "F006"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """What a repair did.

    Attributes
    ----------
    healed : int
        Objects brought back.
    lost : tuple of str
        Hex ids of objects of which no whole copy was found.
    packs : tuple of str
        Damaged packs that were replaced.
    quarantined : tuple of str
        Those of them that are kept for good, since something in them was not healed.
    """

    healed: int
    lost: tuple[str, ...]
    packs: tuple[str, ...]
    quarantined: tuple[str, ...]


class Repair:
    """One repair; the caller holds the exclusive lock.

    Parameters
    ----------
    store : ChunkStore
        What to repair.
    find : callable
        Looks into the working tree.
    """

    def __init__(self, store: ChunkStore, find: Find) -> None:
        self._store = store
        self._find = find
        self._rewriter = Rewriter(store)
        self._put: set[bytes] = set()
        self._rebuilt: list[PackId] = []
        self._healed = 0
        self._lost: dict[PackId, dict[bytes, int]] = {}

    def run(
        self, reports: Sequence[PackReport], missing: Iterable[bytes], roots: Iterable[bytes]
    ) -> Repaired:
        """Repair what checks have found.

        Parameters
        ----------
        reports : sequence of PackReport
            Of all packs, those in the trash too.
        missing : iterable of bytes
            Ids of objects that are reachable and in no pack.
        roots : iterable of bytes
            Manifests that say which files need what.
        """
        damaged = [report for report in reports if report.defects]
        sought = set(missing)
        live = set(self._store.backend.list_packs())
        with self._rewriter:
            for report in damaged:
                if report.pack in live:
                    self._carry_over(report, sought)
                elif sought:
                    self._carry_salvaged(report.pack, lambda id_: id_ in sought)
            self._from_working_tree({*sought, *(i for ids in self._lost.values() for i in ids)}, roots)
        lost = {id_ for ids in self._lost.values() for id_ in ids if id_ not in self._put}
        quarantined = self._put_away(damaged, live)
        self._store.forget()
        found = {id_ for id_ in sought if id_ in self._put or self._is_whole(id_)}
        lost |= sought - found
        return Repaired(
            healed=self._healed + len(found),
            lost=tuple(sorted(id_.hex() for id_ in lost)),
            packs=tuple(report.pack.hex() for report in damaged),
            quarantined=tuple(name.hex() for name in quarantined),
        )

    def _is_whole(self, id_: bytes) -> bool:
        places = self._store.index.places(id_)
        return any(not place.erased and is_sound(self._store, footer, id_, place) for footer, place in places)

    def _add(self, id_: bytes, data: bytes | memoryview, item_type: int, stream: int) -> None:
        if id_ in self._put:
            return
        self._put.add(id_)
        self._rewriter.put(id_, data, item_type, stream)
        if self._rewriter.full:
            self._rewriter.publish()

    def _carry_over(self, report: PackReport, sought: set[bytes]) -> None:
        """Take everything whole out of a damaged pack, and what other copies have of the rest."""
        numbers = {defect.id for defect in report.defects}
        if not numbers & _BYTES_WRONG and self._rebuilt_in_place(report.pack):
            return
        footer = self._footer(report.pack)
        if footer is not None and not numbers & _UNTRUSTED:
            self._carry_rows(footer, {bad.id for bad in report.bad})
            return
        rows = dict(footer.rows()) if footer is not None else {}
        self._carry_salvaged(report.pack, lambda id_: id_ in rows or id_ in sought, trusted=True)
        # What the footer says, though it can't be trusted: what it has and nobody else is worth a search.
        for id_, place in rows.items():
            if id_ in self._put:
                continue
            if place.erased and not self._is_elsewhere(id_, report.pack):
                self._rewriter.put_erased(id_, place.length, min(place.item_type, max(ItemType)))
            elif not place.erased and self._whole_copy(id_, place.item_type) is None:
                self._lost.setdefault(report.pack, {})[id_] = place.length

    def _is_elsewhere(self, id_: bytes, name: PackId) -> bool:
        return any(footer.pack != name for footer, _ in self._store.index.places(id_))

    def _rebuilt_in_place(self, name: PackId) -> bool:
        done = rebuild(self._store.backend, name)
        if done:
            self._rebuilt.append(name)
            self._store.forget()
        return done

    def _footer(self, name: PackId) -> Footer | None:
        try:
            return Footer(self._store.backend, name)
        except DsvcError:
            return None

    def _carry_rows(self, footer: Footer, bad: set[bytes]) -> None:
        for id_, place in footer.rows():
            if place.erased:
                self._rewriter.put_erased(id_, place.length, place.item_type)
                continue
            data = self._whole_copy(id_, place.item_type)
            if data is None:
                self._lost.setdefault(footer.pack, {})[id_] = place.length
                continue
            self._healed += id_ in bad
            codec = footer.block(place.block).codec if place.block < footer.blocks else 0
            self._add(id_, data, place.item_type, stream_of(place.item_type, codec))

    def _whole_copy(self, id_: bytes, item_type: int) -> bytes | memoryview | None:
        """Bytes of an object from any pack, listed or trashed, checked."""
        listed = self._store.index.places(id_)
        return self._first_whole(listed, id_, item_type) or self._first_whole(
            self._store.index.places(id_, trash=True)[len(listed) :], id_, item_type
        )

    def _first_whole(
        self, places: list[tuple[Footer, Location]], id_: bytes, item_type: int
    ) -> bytes | memoryview | None:
        for footer, place in places:
            if place.erased or place.item_type != item_type or item_type > max(ItemType):
                continue
            try:
                data = self._store.read_at(footer, place)
            except DsvcError:
                continue
            if check_id(id_, data, item_type):
                return data
        return None

    def _carry_salvaged(self, name: PackId, known: Callable[[bytes], bool], *, trusted: bool = False) -> None:
        """Take from the blocks of a pack what is needed; with `trusted` everything that is whole."""
        for found in self._salvaged(name):
            if known(found.id) or (trusted and found.trusted):
                self._add(found.id, found.data, found.item_type, stream_of(found.item_type, found.codec))

    def _salvaged(self, name: PackId) -> Iterator[Found]:
        """Yield what is found in a pack that can be opened. Errors of writing don't end up here."""
        with contextlib.suppress(DsvcError):
            yield from salvage(self._store.backend, name)

    def _from_working_tree(self, ids: set[bytes], roots: Iterable[bytes]) -> None:
        """Look for chunks in the files that need them."""
        ids -= self._put
        if not ids:
            return
        check = TreeCheck(self._store, read_data=False, wanted=ids.__contains__)
        check.check(roots)
        for need in check.needs.values():
            data = self._read(need)
            if data is not None:
                is_raw = need.entry.chunk_class == ChunkClass.RAW
                self._add(need.id, data, ItemType.CHUNK, pack.STREAM_RAW if is_raw else pack.STREAM_TEXT)

    def _read(self, need: Need) -> bytes | None:
        data = self._find(need.entry, need.offset, need.length)
        if data is None or len(data) != need.length or not check_id(need.id, data, ItemType.CHUNK):
            return None
        return data

    def _put_away(self, damaged: Sequence[PackReport], live: set[PackId]) -> list[PackId]:
        """Move damaged packs out of the list; returns those in quarantine."""
        backend = self._store.backend
        lost: list[PackId] = []
        healed: list[PackId] = []
        for report in damaged:
            if report.pack not in live or report.pack in self._rebuilt:
                continue
            unhealed = {id_ for id_ in self._lost.get(report.pack, ()) if id_ not in self._put}
            self._healed += len(self._lost.get(report.pack, ())) - len(unhealed)
            unknown = bool({d.id for d in report.defects} & _UNTRUSTED)
            if report.pack not in self._rewriter.published:
                (lost if unhealed or unknown else healed).append(report.pack)
        if healed:
            backend.trash(healed, new_run(backend, f"{REPAIRED}-"))
        for run, packs in backend.list_trash().items():
            kept = {*healed, *self._rebuilt}
            bad = [report.pack for report in damaged if report.pack in packs and report.pack not in kept]
            if bad and not run.startswith(QUARANTINE):
                rest = [name for name in backend.recover(run) if name not in bad]
                if rest:
                    backend.trash(rest, run)
                lost += [name for name in bad if name not in lost]
        if lost:
            backend.trash(lost, new_run(backend, f"{QUARANTINE}-"))
        return lost
