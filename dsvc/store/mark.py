"""Mark: which stored objects can be reached from a set of manifests.

One bit for each row of each pack, so that a terabyte needs some tens of megabytes; the bit of a node is also
the memo that its subtree was walked. Every error ends the walk: what can't be read is never taken for empty,
and what is missing may be in a pack that a failing disk didn't list. So gc deletes nothing then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from dsvc.model.errors import CorruptDataError, MalformedInputError, MissingDataError
from dsvc.model.ids import NodeId
from dsvc.model.manifest import Entry
from dsvc.store.block import ItemType
from dsvc.store.chunk_list import read_list_node
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.manifest_tree import EMPTY_ROOT, Child, read_node
from dsvc.store.pack import Footer, Location

_EMPTY = bytes(EMPTY_ROOT)


class MarkedPack(NamedTuple):
    """A pack with the bits of its rows."""

    footer: Footer
    bits: bytearray
    trashed: bool

    def is_marked(self, row: int) -> bool:
        """Whether the row was reached."""
        return bool(self.bits[row >> 3] >> (row & 7) & 1)

    def set(self, row: int) -> None:
        """Mark a row."""
        self.bits[row >> 3] |= 1 << (row & 7)

    @property
    def live_rows(self) -> int:
        """Number of marked rows."""
        return int.from_bytes(self.bits, "little").bit_count()


class Marks:
    """Reachability over the packs of a store.

    An id is marked in one place only, so that other copies count as dead. A place with bytes is preferred to
    an erased one, a live pack to a trashed one.

    Parameters
    ----------
    store : ChunkStore
        Its packs are listed anew.
    strict : bool
        Whether a pack that can't be read is an error; only fsck does without.

    Raises
    ------
    CorruptDataError
        If a pack can't be read at all: what it holds may be alive.
    """

    def __init__(self, store: ChunkStore, *, strict: bool = True) -> None:
        self.store = store
        self._strict = strict
        self._order: list[MarkedPack] = []
        self._trash: list[MarkedPack] | None = None
        self._seen = bytearray(1024)
        self.refresh()

    def refresh(self) -> bool:
        """Take in new packs; returns False where a known one is gone: then the marks are worth nothing.

        Raises
        ------
        CorruptDataError
            If a pack can't be read: what it holds may be needed.
        """
        index = self.store.index
        index.reload()
        footers = list(index.footers())
        for pack, error in index.broken.items() if self._strict else ():
            raise CorruptDataError(
                f"pack {pack.short()} can't be read, and what it holds may be needed: {error.message}",
                hint="run dsvc fsck --repair, then dsvc gc again",
                details={"pack": pack.hex()},
            ) from error
        known = {marked.footer.pack for marked in self._order}
        if not known <= {footer.pack for footer in footers}:
            return False
        for footer in footers:
            if footer.pack not in known:
                self._order.append(self._unmarked(footer, trashed=False))
        rows = sum(marked.footer.count for marked in self._order)
        if rows > 2 * len(self._seen) and not any(self._seen):
            self._seen = bytearray(rows)
        return True

    @staticmethod
    def _unmarked(footer: Footer, *, trashed: bool) -> MarkedPack:
        return MarkedPack(footer, bytearray((footer.count + 7) // 8), trashed)

    def packs(self) -> list[MarkedPack]:
        """Live packs with their bits, by name."""
        return sorted(self._order, key=lambda marked: marked.footer.pack)

    def rescued(self) -> list[MarkedPack]:
        """Trashed packs that hold something reachable which no live pack has."""
        return [marked for marked in self._trash or () if any(marked.bits)]

    # Marking

    def _remember(self, id_: bytes) -> bool:
        """Note an id in the filter; returns whether it may have been there (or surely wasn't)."""
        position = int.from_bytes(id_[8:16], "little") % (8 * len(self._seen))
        byte, bit = position >> 3, 1 << (position & 7)
        known = bool(self._seen[byte] & bit)
        self._seen[byte] |= bit
        return known

    def may_be_marked(self, id_: bytes) -> bool:
        """Whether the id may be marked somewhere; False is certain."""
        position = int.from_bytes(id_[8:16], "little") % (8 * len(self._seen))
        return bool(self._seen[position >> 3] >> (position & 7) & 1)

    def marked_place(self, id_: bytes) -> tuple[MarkedPack, Location] | None:
        """Where the id is marked, or None."""
        if not self.may_be_marked(id_):
            return None
        for marked in (*self._order, *(self._trash or ())):
            row = marked.footer.find(id_)
            if row >= 0 and marked.is_marked(row):
                return marked, marked.footer.location(row)
        return None

    def mark(self, id_: bytes, item_type: ItemType) -> bool:
        """Mark an object; returns whether it was unmarked before.

        Raises
        ------
        MissingDataError
            If neither a live pack nor the trash has it.
        CorruptDataError
            If it is stored as an object of another type.
        """
        marked, row = self._place(id_)
        if marked.is_marked(row):
            return False
        if marked.footer.location(row).item_type != item_type:
            raise CorruptDataError(
                f"object {id_.hex()[:12]} is stored as another type", details={"id": id_.hex()}
            )
        if self._remember(id_) and self.marked_place(id_) is not None:
            return False
        marked.set(row)
        return True

    def place(self, id_: bytes) -> tuple[MarkedPack, Location]:
        """Where an object is, live packs first.

        Raises
        ------
        MissingDataError
            If neither a live pack nor the trash has it.
        """
        marked, row = self._place(id_)
        return marked, marked.footer.location(row)

    def _place(self, id_: bytes) -> tuple[MarkedPack, int]:
        order = self._order
        erased: tuple[MarkedPack, int] | None = None
        for position, marked in enumerate(order):
            row = marked.footer.find(id_)
            if row < 0:
                continue
            if marked.footer.location(row).erased:
                erased = erased or (marked, row)
                continue
            if position:
                order.insert(0, order.pop(position))
            return marked, row
        if erased is not None:
            return erased
        if self._has_new_packs():
            return self._place(id_)
        return self._place_in_trash(id_)

    def _has_new_packs(self) -> bool:
        """Take in packs that writers published since; gc marks without their lock."""
        before = len(self._order)
        return self.refresh() and len(self._order) > before

    def _place_in_trash(self, id_: bytes) -> tuple[MarkedPack, int]:
        if self._trash is None:
            footers = self.store.index.trash_footers()
            self._trash = [self._unmarked(footer, trashed=True) for footer in footers]
        for marked in self._trash:
            row = marked.footer.find(id_)
            if row >= 0:
                return marked, row
        raise MissingDataError(
            f"object {id_.hex()[:12]} is reachable and missing from the store",
            hint="run dsvc fsck --repair to look for it; gc deletes nothing while something is missing",
            details={"id": id_.hex()},
        )

    # Walking

    def manifests(self, roots: Iterable[bytes]) -> None:
        """Mark everything reachable from the roots of manifests; a marked subtree is not walked again.

        Raises
        ------
        DsvcError
            For anything that is missing, damaged or malformed.
        """
        for root in roots:
            for entry in self._new_entries(bytes(root)):
                if entry.chunks is not None:
                    self._chunk_list(entry.chunks)
                elif entry.size:
                    self.mark(entry.digest, ItemType.CHUNK)

    def _new_entries(self, root: bytes) -> Iterator[Entry]:
        pending: list[tuple[bytes, int | None]] = [(root, None)]
        while pending:
            id_, expected = pending.pop()
            if id_ == _EMPTY or not self.mark(id_, ItemType.NODE):
                continue
            level, items = read_node(self.store, NodeId(id_))
            if expected is not None and level != expected:
                raise MalformedInputError(
                    f"manifest node {id_.hex()[:12]} is of another level than its parent says"
                )
            for item in items:
                if isinstance(item, Child):
                    pending.append((item.id, level - 1))
                elif item.is_tree:
                    pending.append((item.digest, None))
                else:
                    yield item

    def _chunk_list(self, root: bytes) -> None:
        pending: list[tuple[bytes, int | None]] = [(root, None)]
        while pending:
            id_, expected = pending.pop()
            if not self.mark(id_, ItemType.LIST):
                continue
            level, items = read_list_node(self.store, id_)
            if expected is not None and level != expected:
                raise MalformedInputError(
                    f"chunk list {id_.hex()[:12]} is of another level than its parent says"
                )
            for item in items:
                if isinstance(item, Child):
                    pending.append((item.id, level - 1))
                elif item.id is not None:
                    self.mark(item.id, ItemType.CHUNK)
