"""One row from a version of a table to the version before: where it is there, and which cells are equal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from dsvc.diff.row_compare import piece_differences, renamed_columns
from dsvc.table.index.row_index import RowIndex, key_hashes, row_hashes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]
    Numbers = NDArray[np.int64]

_MAX_ALIKE: Final = 1000
"""Rows of one key that are compared; more are no key at all."""


class Step(NamedTuple):
    """A row in an older version.

    Attributes
    ----------
    row : TracedRow
        The row there.
    names : dict of str to str
        Columns of the newer version that have another name there.
    """

    row: TracedRow
    names: dict[str, str]


class TracedRow:
    """A row of one version, known again in others by its key, or by its content and occurrence.

    Parameters
    ----------
    index : RowIndex
        The version.
    piece, place : int
        The piece that holds it, and which of its rows it is.
    key : tuple of str
        Key columns, named as in this version; empty: content and occurrence.
    occurrence, count : int
        Without a key: how many rows of the same content stand before it, and how many there are.
    """

    def __init__(
        self,
        index: RowIndex,
        piece: int,
        place: int,
        key: tuple[str, ...],
        occurrence: int = 0,
        count: int = 1,
    ) -> None:
        self.index = index
        self.key = key
        self._piece = piece
        self._place = place
        self._occurrence = occurrence
        self._count = count
        self._cells: dict[str, int] | None = None

    @classmethod
    def find(cls, index: RowIndex, row: int, key: Sequence[str]) -> TracedRow:
        """Begin at a row of a version, given by its number."""
        piece = int(np.searchsorted(index.starts, row, side="right")) - 1
        place = row - int(index.starts[piece])
        if key:
            return cls(index, piece, place, tuple(key))
        hashes = row_hashes(index.cells(), index.rows)
        same = np.flatnonzero(hashes == hashes[row])
        return cls(index, piece, place, (), int(np.searchsorted(same, row)), len(same))

    def cells(self) -> dict[str, int]:
        """Hash of each cell; 0 is null."""
        if self._cells is None:
            found = self.index.cells(np.array([self._piece]))
            self._cells = {name: int(hashes[self._place]) for name, hashes in found.items()}
        return self._cells

    def step(self, older: RowIndex) -> Step | None:
        """Find the row in an older version; None where it isn't there.

        Only pieces that the two versions don't share are looked into, unless the columns differ. Where an
        older version has the key more than once, the row there that has the most cells in common is it.
        """
        if set(older.names) == set(self.index.names):
            found = self._by_key(older, self.key, {}) if self.key else self._by_content(older)
            return None if found is None else Step(found, {})
        back = {to: name for name, to in renamed_columns(older, self.index, self.key).items()}
        key = tuple(back.get(name, name) for name in self.key)
        found = self._by_key(older, key, back) if key else self._by_content_renamed(older, back)
        return None if found is None else Step(found, back)

    def _by_key(self, older: RowIndex, key: tuple[str, ...], names: dict[str, str]) -> TracedRow | None:
        pieces = older.pieces["id"]
        shared = np.flatnonzero(pieces == self.index.pieces["id"][self._piece])
        if len(shared):
            return TracedRow(older, int(shared[0]), self._place, key)
        if any(older.column(name) is None for name in key):
            return None
        others = np.flatnonzero(~np.isin(pieces, self.index.pieces["id"]))
        rows = self._with_key(older, key, others)
        if not len(rows) and not any(each.unique for each in self.index.columns if each.name in self.key):
            # A key that comes twice may stand in pieces that both versions have.
            rows = self._with_key(older, key, None)
        found = [_at(older, int(row), key) for row in rows[:_MAX_ALIKE]]
        cells = self.cells()
        return max(found, default=None, key=lambda each: _alike(each.cells(), cells, names))

    def _with_key(self, older: RowIndex, key: tuple[str, ...], pieces: Numbers | None) -> Numbers:
        own = {name: np.array([self.cells()[name]], np.uint64) for name in self.key}
        wanted = key_hashes(own, self.key)[0]
        hashes = key_hashes(older.cells(pieces, key), key)
        places = np.flatnonzero(hashes == wanted)
        return places if pieces is None else older.rows_of(pieces)[places]

    def _by_content(self, older: RowIndex) -> TracedRow | None:
        ours, theirs = piece_differences(self.index.pieces["id"], older.pieces["id"])
        wanted = self._hash({})
        count = self._count
        for index, pieces, sign in ((self.index, ours, -1), (older, theirs, 1)):
            rows = int(index.pieces["rows"][pieces].sum(dtype=np.int64))
            count += sign * int((row_hashes(index.cells(pieces), rows) == wanted).sum())
        return self._counted(older, count, wanted)

    def _by_content_renamed(self, older: RowIndex, names: dict[str, str]) -> TracedRow | None:
        wanted = self._hash(names)
        count = int((row_hashes(older.cells(), older.rows) == wanted).sum())
        return self._counted(older, count, wanted, names)

    def _counted(
        self, older: RowIndex, count: int, wanted: np.uint64, names: dict[str, str] | None = None
    ) -> TracedRow | None:
        if count <= self._occurrence:
            return None
        found = TracedRow(older, -1, -1, (), self._occurrence, count)
        found._cells = {(names or {}).get(name, name): hash_ for name, hash_ in self.cells().items()}
        return found

    def _hash(self, names: dict[str, str]) -> np.uint64:
        cells = {name: np.array([hash_], np.uint64) for name, hash_ in self.cells().items()}
        found: np.uint64 = row_hashes(cells, 1, names)[0]
        return found


def _at(index: RowIndex, row: int, key: tuple[str, ...]) -> TracedRow:
    piece = int(np.searchsorted(index.starts, row, side="right")) - 1
    return TracedRow(index, piece, row - int(index.starts[piece]), key)


def _alike(older: dict[str, int], newer: dict[str, int], names: dict[str, str]) -> int:
    return sum(older.get(names.get(name, name), 0) == hash_ for name, hash_ in newer.items())
