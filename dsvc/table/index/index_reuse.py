"""Indexing a table in lines by one that shares bytes with it: only what differs is read.

Rows in bytes that both versions hold have equal hashes, and a piece of the other index that lies wholly in
such bytes, behind the end of a record, is a piece of this one. What a column's type follows from is known by
rows that show it; if one of them is gone, all is read again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from dsvc.model.table_kind import Compression, TableFormat, TableKind
from dsvc.table.engine import connect
from dsvc.table.hashes.cell_hash import HashedRows
from dsvc.table.hashes.text_hash import TextHasher
from dsvc.table.index.index_builder import IndexBuilder
from dsvc.table.index.index_gaps import index_by_gaps
from dsvc.table.index.row_index import RowIndex
from dsvc.table.origin.source import NotATableError, TableSource

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

IN_LINES: Final = (TableFormat.JSONL, TableFormat.CSV, TableFormat.TSV)
"""Formats of which a part can be read where a record begins."""
_PIECES_AT_ONCE: Final = 2000
_MIN_RUN_BYTES: Final = 256 << 10
"""Fewer bytes are read in less time than it takes to begin anew behind them."""
_WORTHWHILE: Final = 0.25
"""Share of the other version's rows below which all is read."""
_FEW_GAPS: Final = 0.9
"""Where long stretches hold less than this of the rows that all of them hold, they are looked for in gaps."""


class Kept(NamedTuple):
    """Bytes that both versions hold: where they begin and end in the other, and where they begin here."""

    start: int
    end: int
    now: int


@dataclass(frozen=True, slots=True)
class Like:
    """Another version of a table, and what of it is in this one too.

    Attributes
    ----------
    source : TableSource
        Its bytes.
    index : RowIndex
        Its index.
    kept : sequence of Kept
        Ascending on both sides.
    """

    source: TableSource
    index: RowIndex
    kept: Sequence[Kept]


class Run(NamedTuple):
    """Consecutive pieces of the other index, and the bytes of this table that they are the rows of."""

    first: int
    last: int
    start: int
    end: int


def index_like(source: TableSource, kind: TableKind, like: Like) -> RowIndex | None:
    """Index a table by another version of it; None where that can't be, or isn't worth it.

    Raises
    ------
    NotATableError, TableLimitError
        If what differs can't be read.
    """
    base = like.index
    if kind.format not in IN_LINES or kind.compression is not Compression.NONE or base.malformed:
        return None
    if any(column.type == "null" for column in base.columns) or not base.rows:
        return None
    hasher = TextHasher(source, kind)
    other = TextHasher(like.source, kind).records
    if (other.header, other.dialect) != (hasher.records.header, hasher.records.dialect):
        return None
    runs, every = (_runs(base, like.kept, least) for least in (_MIN_RUN_BYTES, 1))
    rows, most = (_count(base, each) for each in (runs, every))
    if most < base.rows * _WORTHWHILE:
        return None
    if rows < most * _FEW_GAPS:
        found = index_by_gaps(source, kind, like, every)
        if found is not None:
            return found
    if rows < base.rows * _WORTHWHILE:
        return None
    try:
        return _build(hasher, base, runs)
    except NotATableError:
        # A quote before a run may have opened what the run's bytes are inside of.
        return None


def _count(base: RowIndex, runs: Sequence[Run]) -> int:
    """Rows in runs."""
    return sum(int(base.starts[run.last] - base.starts[run.first]) for run in runs)


def _runs(base: RowIndex, kept: Sequence[Kept], least: int) -> list[Run]:
    """Pieces in what is kept, of at least so many bytes together."""
    offsets = base.pieces["offset"]
    runs = []
    for part in kept:
        # The first byte of a piece must have the end of a record in front of it here too. The last piece of
        # all may end without a line end, and go on here.
        first = int(np.searchsorted(offsets, part.start, side="right" if part.start else "left"))
        last = min(int(np.searchsorted(offsets, part.end, side="right")) - 1, len(offsets) - 1)
        if last > first and int(offsets[last] - offsets[first]) >= least:
            shift = part.now - part.start
            runs.append(Run(first, last, int(offsets[first]) + shift, int(offsets[last]) + shift))
    return runs


def _build(hasher: TextHasher, base: RowIndex, runs: Sequence[Run]) -> RowIndex | None:
    starts = np.array([base.starts[run.first] for run in runs], np.int64)
    ends = np.array([base.starts[run.last] for run in runs], np.int64)
    shown = np.array(list(base.evidence.values()), np.int64)
    run_of = np.searchsorted(starts, shown, side="right") - 1
    if (run_of < 0).any() or (shown >= ends[run_of]).any():
        return None
    # What is known already isn't looked for again; the rows that show it get their new numbers below.
    hasher.evidence.update(base.evidence)
    builder = IndexBuilder()
    firsts = []
    connection = connect()
    try:
        at = len(hasher.records.header)
        for run in runs:
            if run.start > at:
                builder.add_all(hasher.hash_blocks(connection, hasher.records.blocks(at, stop=run.start)))
            firsts.append(builder.rows)
            hasher.skip(int(base.starts[run.last] - base.starts[run.first]))
            builder.add_all(_copied(base, run))
            at = run.end
        builder.add_all(hasher.hash_blocks(connection, hasher.records.blocks(at)))
    finally:
        connection.close()
    if builder.malformed:
        return None
    now = np.array(firsts, np.int64)[run_of] + shown - starts[run_of]
    hasher.evidence.update(zip(base.evidence, now.tolist(), strict=True))
    index = builder.index(hasher.types(), hasher.evidence)
    return None if (index.pieces["offset"] < 0).any() else index


def _copied(base: RowIndex, run: Run) -> Iterator[HashedRows]:
    """Rows of a run, with their new offsets where a piece begins."""
    shift = run.start - int(base.pieces["offset"][run.first])
    for first in range(run.first, run.last, _PIECES_AT_ONCE):
        pieces = np.arange(first, min(first + _PIECES_AT_ONCE, run.last))
        count = int(base.starts[pieces[-1] + 1] - base.starts[first])
        offsets = np.full(count, -1, np.int64)
        offsets[base.starts[pieces] - base.starts[first]] = base.pieces["offset"][pieces] + shift
        yield HashedRows(base.cells(pieces), count, offsets)
