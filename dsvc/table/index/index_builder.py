"""Making a row index of a table, stripe by stripe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from dsvc.model.table_kind import TableKind
from dsvc.table.hashes.cell_hash import BinaryHasher, HashedRows
from dsvc.table.index.row_index import (
    PIECE,
    IndexColumn,
    Malformed,
    RowIndex,
    cut,
    is_called_id,
    piece_ids,
    row_hashes,
)
from dsvc.table.origin.source import TableSource

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsvc.table.index.index_reuse import Like

    Hashes = NDArray[np.uint64]

_KEY_TYPES: Final = (
    "int",
    "uint",
    "string",
    "large_string",
    "string_view",
    "date",
    "timestamp",
    "binary",
    "fixed_size_binary",
)


class MemoryStripe(NamedTuple):
    """Hashes in memory."""

    columns: Mapping[str, Hashes]

    def column(self, name: str) -> Hashes | None:
        """Hashes of one column, None where all are null."""
        return self.columns.get(name)


class _Facts:
    """What is known of a column while its hashes come by."""

    def __init__(self, missed: int) -> None:
        self.complete = missed == 0
        self.unique = True
        self._parts: list[Hashes] = []

    def see(self, hashes: Hashes) -> None:
        """Take in further cells."""
        if not self.complete:
            return
        if not hashes.all():
            self.complete = False
            self._parts.clear()
            return
        # Most columns that are no key show it early, so that the rest need not be kept.
        if self.unique and (self._parts or not has_twins(hashes)):
            self._parts.append(hashes)
        else:
            self.unique = False

    def is_unique(self) -> bool:
        """Whether no value came twice."""
        return self.unique and self.complete and not has_twins(np.concatenate(self._parts))


def has_twins(hashes: Hashes) -> bool:
    """Whether a hash comes twice."""
    ordered = np.sort(hashes)
    return bool((ordered[1:] == ordered[:-1]).any())


class IndexBuilder:
    """Puts an index together from hashed rows."""

    def __init__(self) -> None:
        self.pieces: list[NDArray[np.void]] = []
        self.stripes: list[MemoryStripe] = []
        self.malformed: list[Malformed] = []
        self._facts: dict[str, _Facts] = {}
        self.rows = 0

    def add_all(self, blocks: Iterable[HashedRows]) -> None:
        """Take in the next rows, block by block."""
        for rows in blocks:
            self.add(rows)

    def add(self, rows: HashedRows) -> None:
        """Take in the next rows as one stripe."""
        self.malformed.extend(Malformed(*each) for each in rows.malformed)
        if not rows.count:
            return
        hashes = row_hashes(rows.cells, rows.count)
        starts = cut(hashes)
        pieces = np.zeros(len(starts), PIECE)
        pieces["id"] = piece_ids(hashes, starts)
        pieces["rows"] = np.diff(np.append(starts, rows.count))
        pieces["stripe"] = len(self.stripes)
        pieces["start"] = starts
        pieces["offset"] = -1 if rows.offsets is None else rows.offsets[starts]
        self.pieces.append(pieces)
        self.stripes.append(MemoryStripe(rows.cells))
        for name in [*self._facts, *(name for name in rows.cells if name not in self._facts)]:
            cells = rows.cells.get(name)
            facts = self._facts.setdefault(name, _Facts(self.rows))
            facts.see(np.zeros(1, np.uint64) if cells is None else cells)
        self.rows += rows.count

    def index(
        self, types: Mapping[str, str], evidence: Mapping[tuple[str, str], int] | None = None
    ) -> RowIndex:
        """Index of what was taken in."""
        unique = unique_columns(types, lambda name: name in self._facts and self._facts[name].is_unique())
        columns = [
            IndexColumn(name, type_, name in self._facts and self._facts[name].complete, name in unique)
            for name, type_ in types.items()
        ]
        pieces = np.concatenate(self.pieces) if self.pieces else np.zeros(0, PIECE)
        return RowIndex(columns, pieces, [self.stripes], self.malformed, evidence)


def unique_columns(types: Mapping[str, str], is_unique: Callable[[str], bool]) -> set[str]:
    """Columns that can be a key: of those that are called an id all, of the others only where none is.

    Parameters
    ----------
    types : mapping of str to str
        Types of the columns.
    is_unique : callable
        Tells of a column whether no value is null and none comes twice; asked only where it matters.
    """
    names = [name for name, type_ in types.items() if type_.startswith(_KEY_TYPES)]
    ids = [name for name in names if is_called_id(name)]
    found = {name for name in ids if is_unique(name)}
    others = [] if found else [name for name in names if name not in ids]
    return found | {name for name in others if is_unique(name)}


def index_of_cells(index: RowIndex, cells: Mapping[str, Hashes]) -> RowIndex:
    """Index the rows of another index by other hashes of their cells; it is for comparing only.

    Parameters
    ----------
    cells : mapping of str to ndarray of uint64
        By column, of all rows.
    """
    hashes = row_hashes(cells, index.rows)
    starts = cut(hashes)
    pieces = np.zeros(len(starts) if index.rows else 0, PIECE)
    if index.rows:
        pieces["id"] = piece_ids(hashes, starts)
        pieces["rows"] = np.diff(np.append(starts, index.rows))
        pieces["start"] = starts
    return RowIndex(index.columns, pieces, [[MemoryStripe(cells)]], index.malformed)


def build_index(source: TableSource, kind: TableKind, like: Like | None = None) -> RowIndex:
    """Read a table and index its rows.

    Parameters
    ----------
    like : Like or None
        A version that shares bytes with it; rows in those are not read again, where the format allows it.

    Raises
    ------
    NotATableError, TableLimitError
        If it can't be read.
    """
    from dsvc.table.hashes.text_hash import TextHasher
    from dsvc.table.index.index_reuse import index_like

    found = None if like is None else index_like(source, kind, like)
    if found is not None:
        return found
    builder = IndexBuilder()
    if kind.format.is_text:
        hasher = TextHasher(source, kind)
        builder.add_all(hasher.rows())
        return builder.index(hasher.types(), hasher.evidence)
    binary = BinaryHasher(source, kind)
    builder.add_all(binary.rows())
    return builder.index(binary.types())
