"""A stored table with some rows replaced: new bytes, new entry, new row index; the rest is as it was."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dsvc.model.manifest import Entry
from dsvc.porcelain.file_entry import entry_of_bytes
from dsvc.porcelain.row_indexes import KnownTable, RowIndexes
from dsvc.porcelain.table_source import StoredSource
from dsvc.porcelain.workspace import Workspace
from dsvc.table.index_splice import Replacement, spliced_index
from dsvc.table.memory_source import MemorySource
from dsvc.table.row_index import RowIndex
from dsvc.table.splice import CellEdit, Donor, Segment, Splice, splice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from dsvc.table.kind import TableKind

    Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TableBytes:
    """A table, with its index.

    Attributes
    ----------
    table : KnownTable
        Its bytes and its format.
    index : RowIndex
    """

    table: KnownTable
    index: RowIndex


def in_memory(name: str, data: bytes, kind: TableKind) -> TableBytes:
    """Index a table that is in memory.

    Raises
    ------
    NotATableError, TableLimitError
        If it can't be read as a table.
    """
    from dsvc.porcelain.row_indexes import EMPTY_INDEX
    from dsvc.table.guard import build_indexes

    table = KnownTable(MemorySource(name, data), kind)
    return TableBytes(table, build_indexes([table])[0] if data else EMPTY_INDEX)


def loaded(old: TableBytes) -> TableBytes:
    """The same with its bytes in memory: its records are looked for, then copied."""
    if isinstance(old.table.source, MemorySource):
        return old
    with old.table.source.open() as stream:
        source = MemorySource(old.table.source.name, stream.read())
    return TableBytes(KnownTable(source, old.table.kind), old.index)


def replace_rows(
    repo: Workspace, entry: Entry, old: TableBytes, fresh: TableBytes, change: Replacement
) -> Entry:
    """Store a table in which rows are replaced by rows of another.

    Records that stay keep their bytes in text formats; malformed ones stay where they are.

    Parameters
    ----------
    entry : Entry
        The table's file.
    old : TableBytes
        The table.
    fresh : TableBytes
        What rows are taken from.

    Returns
    -------
    Entry
        The new file, stored and published; its row index is in the cache.

    Raises
    ------
    IncompatibleTablesError
        If the rows don't go with the table's columns.
    NotATableError, TableLimitError
        If one can't be read.
    """
    table = loaded(old).table
    donors = [Donor(table.source, table.kind), Donor(fresh.table.source, fresh.table.kind)]
    plan = Splice(donors=donors, segments=_segments(old.index, fresh.index, change))
    new, data = _written(repo, entry, plan)
    _keep_index(repo, new, data, old, fresh.index, change)
    return new


def edit_table(
    repo: Workspace,
    entry: Entry,
    table: TableBytes,
    base: RowIndex,
    drop: Numbers,
    rows: Numbers,
    donor: Donor | None,
    edits: Sequence[CellEdit],
) -> tuple[Entry, RowIndex | None]:
    """Store a table without some rows, and with some cells set.

    Parameters
    ----------
    entry : Entry
        Its file.
    table : TableBytes
        The table, in memory.
    base : RowIndex
        Its index as the cache has it.
    drop, rows : ndarray of int64
        Rows that go, and those of which cells are set; ascending.
    donor : Donor or None
        Where the cells come from, donor 1 of `edits`.
    edits : sequence of CellEdit
        By rows of the new table; malformed records aren't counted there.

    Returns
    -------
    entry : Entry
        Stored and published.
    index : RowIndex or None
        Of the new table; None where it has no byte.

    Raises
    ------
    IncompatibleTablesError, NotATableError, TableLimitError
        If it can't be written.
    """
    from dsvc.table.source import NotATableError

    index, none = table.index, np.zeros(0, np.int64)
    segments = _segments(index, index, Replacement(drop, none, none))
    gone = index.records(drop)
    kept = np.setdiff1d(np.arange(index.rows), drop, assume_unique=True)
    placed = index.records(kept)
    placed = placed - np.searchsorted(gone, placed)
    moved = [edit._replace(row=int(placed[edit.row])) for edit in edits]
    donors = [Donor(table.table.source, table.table.kind), *([donor] if donor is not None else [])]
    new, data = _written(repo, entry, Splice(donors=donors, segments=segments, edits=sorted(moved, key=_row)))
    if not new.size:
        return new, None
    known = KnownTable(StoredSource(repo, new), table.table.kind)
    at = np.searchsorted(kept, rows)
    source = MemorySource(table.table.source.name, data)
    if not index.malformed:
        change = Replacement(np.union1d(drop, rows), np.arange(len(rows)), rows)
        try:
            part = part_of(KnownTable(source, known.kind), at)
            fresh = in_memory(source.name, part, known.kind).index
            if fresh.rows == len(rows) and (not len(rows) or set(fresh.names) <= set(index.names)):
                old = TableBytes(table.table, base)
                _keep_index(repo, new, data, old, fresh, change)
        except NotATableError:
            pass  # a few records may not show how the table is written; it is read as a whole then
    return new, RowIndexes(repo).get(known, base)


def _row(edit: CellEdit) -> int:
    return edit.row


def _written(repo: Workspace, entry: Entry, plan: Splice) -> tuple[Entry, bytes]:
    output = io.BytesIO()
    splice(plan, output)
    data = output.getvalue()
    new = entry_of_bytes(repo.store, entry.path, entry.mode, data, entry)
    repo.store.publish()
    return new, data


def part_of(table: KnownTable, records: Numbers) -> bytes:
    """Write a table of some records of another, ascending, in its format and with its settings.

    Raises
    ------
    NotATableError, TableLimitError
        If it can't be read.
    """
    starts = np.flatnonzero(np.diff(records, prepend=-2) != 1)
    ends = np.append(starts[1:], len(records))[: len(starts)]
    segments = [
        Segment(0, int(records[start]), int(end - start)) for start, end in zip(starts, ends, strict=True)
    ]
    output = io.BytesIO()
    splice(Splice(donors=[Donor(table.source, table.kind)], segments=segments), output)
    return output.getvalue()


def _segments(old: RowIndex, fresh: RowIndex, change: Replacement) -> Sequence[Segment]:
    """Runs of records: those that stay, and between them those that are put in."""
    total = old.rows + len(old.malformed)
    found: list[Segment] = []

    def add(donor: int, start: int, count: int) -> None:
        last = found[-1] if found else None
        if last is not None and last.donor == donor and last.start + last.count == start:
            found[-1] = Segment(donor, last.start, last.count + count)
        elif count:
            found.append(Segment(donor, start, count))

    taken = old.records(change.touched).tolist()
    before = np.full(len(change.before), total, np.int64)
    inside = change.before < old.rows
    before[inside] = old.records(change.before[inside])
    # What is put in before a record that is taken out comes first.
    events = sorted(
        [(at, 0, row) for at, row in zip(before.tolist(), fresh.records(change.rows).tolist(), strict=True)]
        + [(at, 1, 0) for at in taken],
        key=lambda event: event[:2],
    )
    at = 0
    for place, takes, row in events:
        add(0, at, place - at)
        if takes:
            at = place + 1
        else:
            add(1, row, 1)
            at = place
    add(0, at, total - at)
    return found


def _keep_index(
    repo: Workspace, new: Entry, data: bytes, old: TableBytes, fresh: RowIndex, change: Replacement
) -> None:
    """Put the index of the new table together; where that can't be, it is made when it is asked for."""
    kind = old.table.kind
    indexes = RowIndexes(repo)
    if not new.size or indexes.cached(new.digest) is not None:
        return
    source = MemorySource(old.table.source.name, data)
    starts = None
    if kind.format.is_text:
        from dsvc.table.text_donor import TextDonor

        with TextDonor(source, kind) as donor:
            starts = donor.starts
    index = spliced_index(old.index, fresh, change, source, kind, starts)
    if index is not None:
        indexes.put(KnownTable(StoredSource(repo, new), kind), index, old.index)
