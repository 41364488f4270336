"""Some pieces of a table in lines as a table of its own; what is changed in it is put back into the whole.

The row index says on which byte each piece begins, so that the rest of the table need not be taken apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np

from dsvc.model.table_kind import Compression, TableKind
from dsvc.table.index.index_reuse import IN_LINES
from dsvc.table.index.row_index import RowIndex
from dsvc.table.origin.memory_source import MemorySource
from dsvc.table.origin.source import NotATableError, TableSource
from dsvc.table.text.records import TextRecords
from dsvc.table.text.text_donor import TextDonor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]


class Patched(NamedTuple):
    """The whole table after its excerpt was changed.

    Attributes
    ----------
    data : bytes
        Its text.
    starts : ndarray of int64
        Where each record of the changed excerpt begins in it.
    deltas : ndarray of int64, shape (regions + 1,)
        By how much bytes before, between and behind the regions moved.
    """

    data: bytes
    starts: Numbers
    deltas: Numbers


class Excerpt:
    """Pieces of a table in lines; made by `excerpt_of`.

    Attributes
    ----------
    source : MemorySource
        A table of the rows of these pieces.
    pieces : ndarray of int64
        Their numbers, ascending.
    """

    def __init__(self, source: MemorySource, index: RowIndex, pieces: Numbers, size: int) -> None:
        self.source = source
        self.pieces = pieces
        self._rows = index.rows
        first, last = _regions(pieces)
        self._first_pieces = first
        self._row_starts = index.starts[first]
        self._row_ends = index.starts[last + 1]
        counts = self._row_ends - self._row_starts
        self._local = np.cumsum(counts) - counts
        ends = np.append(index.pieces["offset"][1:], size)
        self._byte_starts: Numbers = index.pieces["offset"][first]
        self._byte_ends: Numbers = ends[last]
        self._head = int(index.pieces["offset"][0])

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int((self._row_ends - self._row_starts).sum())

    def local(self, rows: Numbers) -> Numbers:
        """Numbers that rows of the table have here; the table's end is the end here, if its last piece is."""
        region = np.searchsorted(self._row_starts, np.minimum(rows, self._rows - 1), side="right") - 1
        found: Numbers = rows - self._row_starts[region] + self._local[region]
        return found

    def put_back(
        self, data: bytes, text: bytes, kind: TableKind, touched: Numbers, before: Numbers
    ) -> Patched:
        """Put the changed excerpt in the place of these pieces.

        Parameters
        ----------
        data : bytes
            The whole table.
        text : bytes
            The excerpt, changed.
        touched, before : ndarray of int64
            Rows of the table that were taken out, and rows before which others were put in.

        Raises
        ------
        NotATableError
            If the excerpt doesn't hold as many records as it must.
        """
        with TextDonor(MemorySource(self.source.name, text), kind) as donor:
            starts = donor.starts
        inside = np.minimum(before, self._rows - 1)
        region_of = [np.searchsorted(self._row_starts, rows, side="right") - 1 for rows in (touched, inside)]
        counts = self._row_ends - self._row_starts
        np.subtract.at(counts, region_of[0], 1)
        np.add.at(counts, region_of[1], 1)
        ends = np.cumsum(counts)
        if len(starts) != int(ends[-1]):
            raise NotATableError(f"{self.source.name} has other records in part than as a whole")
        cuts = np.append(starts, len(text))[ends]
        cuts[-1] = len(text)
        begins = np.concatenate(([self._head], cuts[:-1]))
        if not len(starts):
            begins = cuts = np.full(len(counts), len(text))
        view, new, parts = memoryview(data), memoryview(text), list[memoryview]()
        at = 0
        for old_start, old_end, start, end in zip(
            self._byte_starts.tolist(), self._byte_ends.tolist(), begins.tolist(), cuts.tolist(), strict=True
        ):
            parts += [view[at:old_start], new[start:end]]
            at = old_end
        parts.append(view[at:])
        grown = np.cumsum((cuts - begins) - (self._byte_ends - self._byte_starts))
        deltas = np.concatenate(([0], grown))
        shifts = self._byte_starts + deltas[:-1] - begins
        return Patched(b"".join(parts), starts + np.repeat(shifts, counts), deltas)

    def moved(self, patched: Patched, index: RowIndex, pieces: Numbers) -> Numbers:
        """Where pieces of the table that are not among these begin afterwards."""
        region = np.searchsorted(self._first_pieces, pieces, side="right")
        return index.pieces["offset"][pieces] + patched.deltas[region]


def _regions(pieces: Numbers) -> tuple[Numbers, Numbers]:
    """First and last pieces of runs of pieces."""
    breaks = np.flatnonzero(np.diff(pieces) > 1)
    return (
        pieces[np.concatenate(([0], breaks + 1))],
        pieces[np.concatenate((breaks, [len(pieces) - 1]))],
    )


def excerpt_of(
    source: TableSource, kind: TableKind, index: RowIndex, pieces: Numbers, data: bytes | None = None
) -> Excerpt | None:
    """Take some pieces of a table out; None where that can't be done in this format, or isn't worth it.

    Parameters
    ----------
    index : RowIndex
        The table's index.
    pieces : ndarray of int64
        Which pieces, ascending.
    data : bytes or None
        The table's bytes, where they are at hand.

    Raises
    ------
    NotATableError, TableLimitError
        If it can't be read.
    """
    if kind.format not in IN_LINES or kind.compression is not Compression.NONE or index.malformed:
        return None
    offsets = index.pieces["offset"]
    if not len(pieces) or len(pieces) * 2 > len(index.pieces) or int(offsets.min()) < 0:
        return None
    first, last = _regions(pieces)
    ends = np.append(offsets[1:], source.size)
    spans = [(0, int(offsets[0])), *zip(offsets[first].tolist(), ends[last].tolist(), strict=True)]
    if data is not None:
        text = b"".join([data[start:end] for start, end in spans])
    else:
        with source.open() as stream:
            text = b"".join([_read(stream, start, end) for start, end in spans])
    if spans[-1][1] == source.size and not text.endswith(b"\n"):
        return None
    found = Excerpt(MemorySource(source.name, text), index, pieces, source.size)
    whole, own = TextRecords(source, kind), TextRecords(found.source, kind)
    with TextDonor(found.source, kind) as donor:
        is_alike = (whole.header, whole.dialect) == (own.header, own.dialect) and len(donor) == found.rows
    return found if is_alike else None


def _read(stream: BinaryIO, start: int, end: int) -> bytes:
    stream.seek(start)
    return stream.read(end - start)
