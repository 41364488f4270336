"""Row index: hashes of a table's cells in content-defined pieces, so that versions compare by what differs.

Rows are cut into pieces of about 64 where a row's hash says so; a piece's id is a hash over its rows in
order. Two versions share the ids of all pieces that an edit didn't touch, and only the others are looked
into. Hashes are of cells, so that any columns can be the key, and counts by column and blame need no data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import numpy as np
import xxhash

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]
    Numbers = NDArray[np.int64]

PIECE_ROWS: Final = 64
"""Rows of a piece on average."""
MAX_PIECE_ROWS: Final = 1024
_ID_NAMES: Final = frozenset({"id", "key", "uuid", "guid", "编号", "序号", "标识"})
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)
_SPREAD: Final = np.uint64(0xD6E8FEB86659FD93)
_TWO: Final = np.uint64(2)
_HALF: Final = np.uint64(32)

PIECE: Final = np.dtype(
    [
        ("id", "<u8"),
        ("rows", "<u4"),
        ("file", "<u2"),
        ("stripe", "<u4"),
        ("start", "<u4"),
        ("offset", "<i8"),
    ]
)
"""A piece: its id, its number of rows, where its hashes are (file, stripe, first row in it), and where its
first record begins in the table's decompressed text, -1 in binary formats."""


class IndexColumn(NamedTuple):
    """A column: name, type as people write it, whether no cell is null, whether no value comes twice."""

    name: str
    type: str
    complete: bool
    unique: bool


def is_called_id(name: str) -> bool:
    """Whether a column's name says that it identifies rows."""
    lower = name.lower()
    return lower in _ID_NAMES or lower.endswith(("_id", "-id", "_key", "uuid")) or name.endswith("Id")


class Malformed(NamedTuple):
    """A record that was left out: its number (0-based), its line (1-based), and why."""

    record: int
    line: int
    message: str


class Stripe(Protocol):
    """Hashes of consecutive rows, column by column."""

    def column(self, name: str) -> Hashes | None:
        """Hashes of one column, None where all are null."""


class RowIndex:
    """Index of one version of a table.

    Parameters
    ----------
    columns : sequence of IndexColumn
        In the table's order.
    pieces : ndarray of `PIECE`
        In order of the rows.
    stripes : sequence of sequence of Stripe
        By file and number.
    malformed : sequence of Malformed
        Records left out, in order.
    evidence : mapping of (str, str) to int
        Of text: what the columns' types follow from, and rows that show it (`dsvc.table.hashes.text_types`).
    """

    def __init__(
        self,
        columns: Sequence[IndexColumn],
        pieces: NDArray[np.void],
        stripes: Sequence[Sequence[Stripe]],
        malformed: Sequence[Malformed] = (),
        evidence: Mapping[tuple[str, str], int] | None = None,
    ) -> None:
        self.columns = tuple(columns)
        self.pieces = pieces
        self.malformed = tuple(malformed)
        self.evidence = dict(evidence or {})
        self._stripes = stripes
        self.starts: Numbers = np.concatenate(([0], np.cumsum(pieces["rows"], dtype=np.int64)))
        """Row on which each piece begins; at last the number of rows."""
        self._records: Numbers = np.array([each.record for each in malformed], np.int64)
        self._shifts: Numbers = self._records - np.arange(len(malformed))

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.starts[-1])

    @property
    def stripes(self) -> Sequence[Sequence[Stripe]]:
        """Where the hashes are, by file and number."""
        return self._stripes

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return [column.name for column in self.columns]

    def column(self, name: str) -> IndexColumn | None:
        """Look a column up."""
        return next((column for column in self.columns if column.name == name), None)

    def records(self, rows: Numbers) -> Numbers:
        """Record numbers of rows: malformed records are counted, and are no rows."""
        if not len(self._shifts):
            return rows
        return rows + np.searchsorted(self._shifts, rows, side="right")

    def rows_at(self, records: Numbers) -> Numbers:
        """Rows that records are; they must not be malformed ones."""
        if not len(self.malformed):
            return records
        return records - np.searchsorted(self._records, records, side="left")

    def rows_of(self, pieces: Numbers) -> Numbers:
        """Numbers of the rows of some pieces, in the order given."""
        return _ranges(self.starts[pieces], self.pieces["rows"][pieces].astype(np.int64))

    def cells_at(self, rows: Numbers, names: Iterable[str] | None = None) -> dict[str, Hashes]:
        """Hashes of the cells of some rows, in the order given."""
        pieces = np.searchsorted(self.starts, rows, side="right") - 1
        chosen, place = np.unique(pieces, return_inverse=True)
        ends = np.cumsum(self.pieces["rows"][chosen], dtype=np.int64)
        at = ends[place] - self.pieces["rows"][pieces] + rows - self.starts[pieces]
        return {name: cells[at] for name, cells in self.cells(chosen, names).items()}

    def cells(self, pieces: Numbers | None = None, names: Iterable[str] | None = None) -> dict[str, Hashes]:
        """Hashes of the cells of some pieces (None: of all), by column.

        Parameters
        ----------
        pieces : ndarray of int64 or None
            Numbers of pieces, ascending.
        names : iterable of str or None
            Columns; None is all.
        """
        wanted = self.names if names is None else list(names)
        chosen = self.pieces if pieces is None else self.pieces[pieces]
        total = int(chosen["rows"].sum(dtype=np.int64))
        result = {name: np.zeros(total, np.uint64) for name in wanted}
        if not total:
            return result
        ends = np.cumsum(chosen["rows"], dtype=np.int64)
        place = chosen["file"].astype(np.int64) << 32 | chosen["stripe"]
        for number in sorted(set(place.tolist())):  # for few numbers np.unique would load masked arrays
            here = np.flatnonzero(place == number)
            counts = chosen["rows"][here].astype(np.int64)
            targets = _ranges(ends[here] - counts, counts)
            sources = _ranges(chosen["start"][here].astype(np.int64), counts)
            stripe = self._stripes[number >> 32][number & 0xFFFFFFFF]
            for name in wanted:
                column = stripe.column(name)
                if column is not None:
                    result[name][targets] = column[sources]
        return result


def _ranges(starts: Numbers, counts: Numbers) -> Numbers:
    """Numbers from each start on, as many as its count, one range after the other."""
    if not len(starts):
        return np.zeros(0, np.int64)
    before = np.cumsum(counts) - counts
    return np.repeat(starts - before, counts) + np.arange(int(counts.sum()), dtype=np.int64)


def row_hashes(cells: Mapping[str, Hashes], count: int, names: Mapping[str, str] | None = None) -> Hashes:
    """Hash whole rows; the order of columns doesn't matter, a null cell is as good as none.

    Parameters
    ----------
    cells : mapping of str to ndarray of uint64, shape (n,)
        By column.
    count : int
        Number of rows.
    names : mapping of str to str or None
        Other names for some columns.
    """
    total = np.zeros(count, np.uint64)
    for name, hashes in cells.items():
        seed = np.uint64(xxhash.xxh3_64_intdigest((names or {}).get(name, name).encode()) | 1)
        mixed = hashes * seed
        mixed ^= mixed >> _HALF
        mixed *= _MIX
        total += mixed
    return total


def key_hashes(cells: Mapping[str, Hashes], key: Sequence[str]) -> Hashes:
    """Hash the key of each row, by its columns in order."""
    first, *rest = (cells[name] for name in key)
    total = first
    for hashes in rest:
        total = (total ^ (total >> _HALF)) * _SPREAD + hashes
    return total


def cut(hashes: Hashes) -> Numbers:
    """Starts of the pieces of consecutive rows, the first being 0."""
    ends = np.flatnonzero((hashes & np.uint64(PIECE_ROWS - 1)) == 0) + 1
    starts = np.concatenate(([0], ends[ends < len(hashes)]))
    lengths = np.diff(np.append(starts, len(hashes)))
    if len(lengths) and int(lengths.max()) > MAX_PIECE_ROWS:
        parts = -(-lengths // MAX_PIECE_ROWS)
        number = _ranges(np.zeros(len(parts), np.int64), parts)
        starts = np.repeat(starts, parts) + number * MAX_PIECE_ROWS
    return starts


def piece_ids(hashes: Hashes, starts: Numbers) -> Hashes:
    """Ids of pieces: a hash over their rows' hashes in order."""
    lengths = np.diff(np.append(starts, len(hashes)))
    place = np.arange(len(hashes), dtype=np.uint64) - np.repeat(starts.astype(np.uint64), lengths)
    spread = (hashes ^ (hashes >> _HALF)) * (place * _TWO + _MIX)
    # With the number of rows, since rows of nulls alone add nothing.
    ids: Hashes = np.add.reduceat(spread, starts) + lengths.astype(np.uint64) * _SPREAD
    return ids
