"""A stored table with some rows replaced: new bytes, new entry, new row index; the rest is as it was."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dsvc.model.manifest import Entry
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.row_indexes import KnownTable, RowIndexes
from dsvc.porcelain.tables.table_source import StoredSource
from dsvc.porcelain.tree.file_entry import entry_of_bytes, facts_of_bytes
from dsvc.store.content import Facts
from dsvc.store.ingest import store_bytes
from dsvc.table.index.index_splice import Cut, Offsets, Replacement, opened_pieces, spliced_index
from dsvc.table.index.row_index import RowIndex
from dsvc.table.origin.memory_source import MemorySource
from dsvc.table.splice.splice import CellEdit, Donor, Segment, Splice, splice
from dsvc.table.splice.text_excerpt import Excerpt, Patched, excerpt_of
from dsvc.table.text.dialect import SAMPLE_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from dsvc.model.table_kind import TableKind

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


def in_memory(name: str, data: bytes, kind: TableKind, *, is_known: bool = False) -> TableBytes:
    """Index a table that is in memory.

    Parameters
    ----------
    is_known : bool
        Whether it is part of a table that was read already, so that nothing in it needs a guard.

    Raises
    ------
    NotATableError, TableLimitError
        If it can't be read as a table.
    """
    from dsvc.porcelain.tables.row_indexes import EMPTY_INDEX
    from dsvc.table.guard import build_indexes
    from dsvc.table.index.index_builder import build_index

    table = KnownTable(MemorySource(name, data), kind)
    if not data:
        return TableBytes(table, EMPTY_INDEX)
    return TableBytes(table, build_index(*table) if is_known else build_indexes([table])[0])


class Loaded(NamedTuple):
    """A table whose bytes are in memory: its records are looked for, then copied."""

    table: KnownTable
    index: RowIndex  # type: ignore[assignment]  # hides the method of tuples, which nobody calls
    data: bytes


def loaded(old: TableBytes) -> Loaded:
    """Read a table's bytes."""
    with old.table.source.open() as stream:
        source = MemorySource(old.table.source.name, stream.read())
    return Loaded(KnownTable(source, old.table.kind), old.index, source.data)


def replace_rows(
    repo: Workspace, entry: Entry, old: TableBytes, fresh: TableBytes, change: Replacement
) -> Entry:
    """Store a table in which rows are replaced by rows of another.

    Records that stay keep their bytes in text formats.

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
    table, index, data = loaded(old)
    kind, records = table.kind, fresh.index.records(change.rows)
    other = Donor(fresh.table.source, fresh.table.kind)
    excerpt = excerpt_of(table.source, kind, index, opened_pieces(index, change), data)
    if excerpt is None:
        segments = _segments(index, change.touched, change.before, records)
        new_data = _spliced([Donor(table.source, kind), other], segments)
        offsets = _read_offsets(table.source.name, new_data, kind, index.rows, change)
    else:
        touched, before = excerpt.local(change.touched), excerpt.local(change.before)
        segments = _merged(excerpt.rows, touched, before, records)
        text = _spliced([Donor(excerpt.source, kind), other], segments)
        patched = excerpt.put_back(data, text, kind, change.touched, change.before)
        new_data, offsets = patched.data, _known_offsets(excerpt, patched, index)
    added = len(change.rows) - len(change.touched)
    new = _stored(repo, entry, new_data, None if excerpt is None else (index.rows, added))
    _keep_index(repo, new, new_data, old, fresh.index, change, offsets)
    return new


def edit_table(
    repo: Workspace,
    entry: Entry,
    old: TableBytes,
    drop: Numbers,
    rows: Numbers,
    donor: Donor | None,
    edits: Sequence[CellEdit],
) -> tuple[Entry, RowIndex | None]:
    """Store a table without some rows, and with some cells set.

    Malformed records stay where they are.

    Parameters
    ----------
    entry : Entry
        Its file.
    old : TableBytes
        The table.
    drop, rows : ndarray of int64
        Rows that go, and those of which cells are set; ascending.
    donor : Donor or None
        Where the cells come from, donor 1 of `edits`.
    edits : sequence of CellEdit
        By rows of the table as it was.

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
    index, kind = old.index, old.table.kind
    change = Replacement(np.union1d(drop, rows), np.arange(len(rows)), rows)
    made = _edited(old, drop, rows, donor, edits, change)
    new = _stored(repo, entry, made.data, (index.rows, -len(drop)) if made.by_pieces else None)
    if not new.size:
        return new, None
    name = old.table.source.name
    if not index.malformed:
        part = part_of(KnownTable(MemorySource(name, made.text), kind), made.records)
        fresh = _index_of(name, part, kind)
        if fresh is not None and fresh.rows == len(rows) and set(fresh.names) <= set(index.names):
            _keep_index(repo, new, made.data, old, fresh, change, made.offsets)
    return new, RowIndexes(repo).get(KnownTable(StoredSource(repo, new), kind), index)


class _EditedTable(NamedTuple):
    """A table that was edited.

    Attributes
    ----------
    data, text : bytes
        Of the whole table, and of the part of it that was written.
    records : ndarray of int64
        Records in `text` of the rows that were set.
    offsets : callable or None
        Where pieces of rows begin in `data`.
    by_pieces : bool
        Whether only a part was written.
    """

    data: bytes
    text: bytes
    records: Numbers
    offsets: Offsets | None
    by_pieces: bool


def _edited(
    old: TableBytes,
    drop: Numbers,
    rows: Numbers,
    donor: Donor | None,
    edits: Sequence[CellEdit],
    change: Replacement,
) -> _EditedTable:
    """Write a table without some rows, with some cells set; of a text only the pieces that these are in."""
    table, index, data = loaded(old)
    kind, none = table.kind, np.zeros(0, np.int64)
    excerpt = excerpt_of(table.source, kind, index, opened_pieces(index, change), data)
    if excerpt is None:
        source, gone, set_ = table.source, index.records(drop), index.records(rows)
        segments = _segments(index, drop, none, none)
    else:
        source, gone, set_ = excerpt.source, excerpt.local(drop), excerpt.local(rows)
        segments = _merged(excerpt.rows, gone, none, none)
    donors = [Donor(source, kind), *([] if donor is None else [donor])]
    text = _spliced(donors, segments, _moved(edits, rows, set_, gone))
    records = set_ - np.searchsorted(gone, set_)
    if excerpt is None:
        offsets = _read_offsets(source.name, text, kind, index.rows, change)
        return _EditedTable(text, text, records, offsets, by_pieces=False)
    patched = excerpt.put_back(data, text, kind, drop, none)
    offsets = _known_offsets(excerpt, patched, index)
    return _EditedTable(patched.data, text, records, offsets, by_pieces=True)


def _moved(edits: Sequence[CellEdit], rows: Numbers, records: Numbers, gone: Numbers) -> list[CellEdit]:
    """Edits by records of what is written, sorted."""
    places = (records - np.searchsorted(gone, records)).tolist()
    now = dict(zip(rows.tolist(), places, strict=True))
    return sorted((edit._replace(row=now[edit.row]) for edit in edits), key=lambda edit: edit.row)


def part_of(table: KnownTable, records: Numbers, index: RowIndex | None = None) -> bytes:
    """Write a table of some records of another, ascending, in its format and with its settings.

    Parameters
    ----------
    index : RowIndex or None
        Index of the table, where it is known: less of it is read then.

    Raises
    ------
    NotATableError, TableLimitError
        If it can't be read.
    """
    source = table.source
    if index is not None and len(records) and not index.malformed:
        pieces = np.unique(np.searchsorted(index.starts, records, side="right") - 1)
        excerpt = excerpt_of(source, table.kind, index, pieces)
        if excerpt is not None:
            source, records = excerpt.source, excerpt.local(records)
    starts = np.flatnonzero(np.diff(records, prepend=-2) != 1)
    ends = np.append(starts[1:], len(records))[: len(starts)]
    segments = [
        Segment(0, int(records[start]), int(end - start)) for start, end in zip(starts, ends, strict=True)
    ]
    return _spliced([Donor(source, table.kind)], segments)


# Bytes


def _spliced(donors: Sequence[Donor], segments: Sequence[Segment], edits: Sequence[CellEdit] = ()) -> bytes:
    output = io.BytesIO()
    splice(Splice(donors=donors, segments=segments, edits=edits), output)
    return output.getvalue()


def _stored(repo: Workspace, entry: Entry, data: bytes, counted: tuple[int, int] | None) -> Entry:
    """Store the new file; `counted` are the rows that it had and those that came, where nothing else did."""
    if counted is None or entry.rows != counted[0] or len(data) < SAMPLE_BYTES:
        new = entry_of_bytes(repo.store, entry.path, entry.mode, data, entry)
    else:
        rows = entry.rows + counted[1]

        def facts(kind: TableKind, _: bytes) -> Facts:
            # Types are told from the front alone.
            return rows, facts_of_bytes(kind, data[:SAMPLE_BYTES])[1]

        new = store_bytes(repo.store, entry.path, data, entry, facts).entry(entry.path, entry.mode)
    repo.store.publish()
    return new


def _segments(old: RowIndex, touched: Numbers, before: Numbers, fresh: Numbers) -> list[Segment]:
    """As `_merged`, of a whole table, by its rows."""
    total = old.rows + len(old.malformed)
    places = np.full(len(before), total, np.int64)
    inside = before < old.rows
    places[inside] = old.records(before[inside])
    return _merged(total, old.records(touched), places, fresh)


def _merged(total: int, touched: Numbers, before: Numbers, fresh: Numbers) -> list[Segment]:
    """Runs of records: those that stay, and between them those that are put in."""
    found: list[Segment] = []

    def add(donor: int, start: int, count: int) -> None:
        last = found[-1] if found else None
        if last is not None and last.donor == donor and last.start + last.count == start:
            found[-1] = Segment(donor, last.start, last.count + count)
        elif count:
            found.append(Segment(donor, start, count))

    # What is put in before a record that is taken out comes first.
    events = sorted(
        [(at, 0, row) for at, row in zip(before.tolist(), fresh.tolist(), strict=True)]
        + [(at, 1, 0) for at in touched.tolist()],
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


# Indexes


def _index_of(name: str, data: bytes, kind: TableKind) -> RowIndex | None:
    """Index a few records; None where they don't show how they are written."""
    from dsvc.table.origin.source import NotATableError

    try:
        return in_memory(name, data, kind, is_known=True).index
    except NotATableError:
        return None


def _read_offsets(name: str, data: bytes, kind: TableKind, rows: int, change: Replacement) -> Offsets | None:
    """Where records begin, by looking for all of them; None where their number is another than it must be."""
    if not kind.format.is_text or not data:
        return None
    from dsvc.table.text.text_donor import TextDonor

    with TextDonor(MemorySource(name, data), kind) as donor:
        starts = donor.starts
    if len(starts) != rows + len(change.rows) - len(change.touched):
        return None
    return lambda cut: starts[cut.first]


def _known_offsets(excerpt: Excerpt, patched: Patched, index: RowIndex) -> Offsets:
    def offsets(cut: Cut) -> Numbers:
        found = np.empty(len(cut.old), np.int64)
        stays = cut.old >= 0
        found[stays] = excerpt.moved(patched, index, cut.old[stays])
        found[~stays] = patched.starts[cut.place[~stays]]
        return found

    return offsets


def _keep_index(
    repo: Workspace,
    new: Entry,
    data: bytes,
    old: TableBytes,
    fresh: RowIndex,
    change: Replacement,
    offsets: Offsets | None,
) -> None:
    """Put the index of the new table together; where that can't be, it is made when it is asked for."""
    kind, indexes = old.table.kind, RowIndexes(repo)
    if not new.size or indexes.cached(new.digest) is not None:
        return
    source = MemorySource(old.table.source.name, data)
    index = spliced_index(old.index, fresh, change, source, kind, offsets)
    if index is not None:
        indexes.put(KnownTable(StoredSource(repo, new), kind), index, old.index)
