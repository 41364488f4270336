"""Three-way merge of tables, by row and by cell: what both sides changed, told apart by the key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from dsvc.diff.row_compare import RowComparison, compare_rows, match_keys
from dsvc.diff.row_diff import TableVersion
from dsvc.diff.row_place import insertion_points, locate
from dsvc.diff.schema_merge import MergedColumns, merge_columns
from dsvc.diff.table_conflict import RowConflict
from dsvc.model.table_kind import TableFormat
from dsvc.table.index.row_index import RowIndex, key_hashes
from dsvc.table.splice.splice_plan import CellEdit, Donor, OutputColumn, Segment, Splice

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

OURS, THEIRS = 0, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RowMerge:
    """What a merge of tables comes to.

    Attributes
    ----------
    splice : Splice or None
        The merged table, conflicting cells as ours has them; None where it is ours as it stands.
    conflicts : list of RowConflict
        In the order of ours.
    """

    splice: Splice | None
    conflicts: list[RowConflict]


class IncompatibleColumnsError(ValueError):
    """The sides changed columns in ways that don't go together."""


@dataclass(slots=True)
class _Edits:
    """What is done to ours: rows removed, cells replaced, rows of theirs to insert."""

    removed: list[int] = field(default_factory=list)
    cells: list[tuple[int, str, int]] = field(default_factory=list)
    inserted: list[int] = field(default_factory=list)
    conflicts: list[RowConflict] = field(default_factory=list)

    def take(self, rows: Numbers, column: str, others: Numbers) -> None:
        """Take cells of a column from rows of theirs."""
        self.cells.extend(
            (row, column, other) for row, other in zip(rows.tolist(), others.tolist(), strict=True)
        )


def merge_rows(base: TableVersion, ours: TableVersion, theirs: TableVersion, key: Sequence[str]) -> RowMerge:
    """Merge two versions of a table; the cost follows what either changed.

    Two rows are one by their key. A cell that one side changed is taken; that both changed alike too; that
    both changed differently is a conflict, as is a row that one deleted and the other changed.

    Raises
    ------
    NoSuchColumnError, DuplicateKeyError
        If the key is none in one of the versions.
    IncompatibleColumnsError
        If the columns can't be merged; the message says why.
    NotATableError, TableLimitError
        If a version can't be read.
    """
    a = compare_rows(base.index, ours.index, key)
    b = compare_rows(base.index, theirs.index, key)
    assert ours.kind is not None
    format_ = ours.kind.format
    is_json = format_ in (TableFormat.JSON, TableFormat.JSONL)
    columns = merge_columns(
        base.index, ours.index, theirs.index, a, b, typed=not format_.is_text, fixed=not is_json
    )
    if columns.problem is not None:
        raise IncompatibleColumnsError(columns.problem)
    merger = _Merger(base.index, ours.index, theirs.index, key, a, b, columns)
    edits = merger.run()
    same_columns = columns.order == ours.index.names and not columns.from_theirs
    # Records of JSON bring their own members.
    same_columns |= is_json and not columns.is_renamed
    if same_columns and not (edits.removed or edits.cells or edits.inserted):
        return RowMerge(splice=None, conflicts=edits.conflicts)
    return RowMerge(
        splice=_plan(merger, edits, ours, theirs, columns, keep_columns=same_columns),
        conflicts=edits.conflicts,
    )


class _Merger:
    """Decides row by row what theirs changed against what ours changed."""

    def __init__(
        self,
        base: RowIndex,
        ours: RowIndex,
        theirs: RowIndex,
        key: Sequence[str],
        a: RowComparison,
        b: RowComparison,
        columns: MergedColumns,
    ) -> None:
        self.base, self.ours, self.theirs = base, ours, theirs
        self.key = key
        self.a, self.b = a, b
        self._columns = columns
        self._final_theirs = {name: final for final, name in columns.theirs.items()}

    def run(self) -> _Edits:
        """Go through what theirs changed."""
        edits = _Edits()
        self._their_changes(edits)
        self._their_removals(edits)
        self._their_additions(edits)
        edits.conflicts.sort(key=lambda conflict: (conflict.ours < 0, conflict.ours, conflict.theirs))
        return edits

    def _their_changes(self, edits: _Edits) -> None:
        rows, others = self.b.old_changed, self.b.new_changed
        at = _positions(self.a.old_changed, rows)
        mine = locate(self.base, self.ours, rows, self.key)
        mine[at >= 0] = self.a.new_changed[at[at >= 0]]
        gone = np.isin(rows, self.a.removed)
        for deleted, edited in zip(rows[gone].tolist(), others[gone].tolist(), strict=True):
            edits.conflicts.append(self._conflict("delete/modify", deleted, -1, edited))
        conflicting: dict[int, list[str]] = {}
        for name, flags in self.b.cells.items():
            final = self._final_theirs.get(name)
            if final is None:
                continue
            both = self._both_changed(final, at) & flags & ~gone
            differs = self._differing(final, np.flatnonzero(both), mine, others)
            take = np.flatnonzero(flags & ~both & ~gone)
            edits.take(mine[take], final, others[take])
            for number in differs.tolist():
                conflicting.setdefault(number, []).append(final)
        for number, names in conflicting.items():
            row, place, other = int(rows[number]), int(mine[number]), int(others[number])
            edits.conflicts.append(self._conflict("content", row, place, other, names))

    def _both_changed(self, final: str, at: Numbers) -> NDArray[np.bool_]:
        """Whether ours changed the column too, in each of the rows that theirs changed."""
        flags = self.a.cells.get(self._columns.ours.get(final, final))
        if flags is None:
            return np.zeros(len(at), bool)
        both: NDArray[np.bool_] = (at >= 0) & flags[np.maximum(at, 0)]
        return both

    def _differing(self, final: str, numbers: Numbers, mine: Numbers, others: Numbers) -> Numbers:
        """Which of some pairs of rows have different cells in a column."""
        if not len(numbers):
            return numbers
        ours, theirs = self._columns.ours.get(final), self._columns.theirs.get(final)
        left = _column(self.ours, ours, mine[numbers])
        found: Numbers = numbers[left != _column(self.theirs, theirs, others[numbers])]
        return found

    def _their_removals(self, edits: _Edits) -> None:
        gone = self.b.removed[~np.isin(self.b.removed, self.a.removed)]
        at = _positions(self.a.old_changed, gone)
        edits.removed.extend(locate(self.base, self.ours, gone[at < 0], self.key).tolist())
        for row, number in zip(gone[at >= 0].tolist(), at[at >= 0].tolist(), strict=True):
            mine = int(self.a.new_changed[number])
            edits.conflicts.append(self._conflict("modify/delete", row, mine, -1))

    def _their_additions(self, edits: _Edits) -> None:
        mine, others = self._added_twice()
        edits.inserted.extend(self.b.added[~np.isin(self.b.added, others)].tolist())
        conflicting: dict[int, list[str]] = {}
        every = np.arange(len(mine))
        for final in self._columns.order:
            if final not in self._columns.theirs:
                continue
            if final not in self._columns.ours:
                edits.take(mine, final, others)
                continue
            for number in self._differing(final, every, mine, others).tolist():
                conflicting.setdefault(number, []).append(final)
        for number, names in conflicting.items():
            edits.conflicts.append(
                self._conflict("add/add", -1, int(mine[number]), int(others[number]), names)
            )

    def _added_twice(self) -> tuple[Numbers, Numbers]:
        """Rows that both sides added under one key."""
        none = np.zeros(0, np.int64)
        if not len(self.a.added) or not len(self.b.added):
            return none, none
        mine = key_hashes(self.ours.cells_at(self.a.added, self.key), self.key)
        other = key_hashes(self.theirs.cells_at(self.b.added, self.key), self.key)
        at_mine, at_other = match_keys(mine, other)
        return self.a.added[at_mine], self.b.added[at_other]

    def _conflict(
        self, kind: str, base: int, ours: int, theirs: int, columns: Sequence[str] = ()
    ) -> RowConflict:
        return RowConflict(
            kind,
            _record(self.base, base),
            _record(self.ours, ours),
            _record(self.theirs, theirs),
            tuple(columns),
        )


def _column(index: RowIndex, name: str | None, rows: Numbers) -> NDArray[np.uint64]:
    return np.zeros(len(rows), np.uint64) if name is None else index.cells_at(rows, [name])[name]


def _positions(known: Numbers, rows: Numbers) -> Numbers:
    """Place of each row among the known ones, -1 where it is not among them."""
    if not len(known):
        return np.full(len(rows), -1, np.int64)
    order = np.argsort(known)
    at = np.minimum(np.searchsorted(known[order], rows), len(known) - 1)
    return np.where(known[order[at]] == rows, order[at], -1)


def _record(index: RowIndex, row: int) -> int:
    return -1 if row < 0 else int(index.records(np.array([row]))[0])


def _plan(
    merger: _Merger,
    edits: _Edits,
    ours: TableVersion,
    theirs: TableVersion,
    columns: MergedColumns,
    *,
    keep_columns: bool,
) -> Splice:
    """Put the merged table together from runs of records of ours and theirs."""
    removed = ours.index.records(np.array(sorted(edits.removed), np.int64)).tolist()
    inserted = np.array(edits.inserted, np.int64)
    before = insertion_points(merger.ours, merger.theirs, merger.a, merger.b, inserted, merger.key)
    total = ours.index.rows + len(ours.index.malformed)
    points = ours.index.records(np.minimum(before, max(ours.index.rows - 1, 0)))
    points = np.where(before >= ours.index.rows, total, points)
    segments = segments_of(total, removed, points.tolist(), theirs.index.records(inserted).tolist())
    rows = np.array([row for row, _, _ in edits.cells], np.int64)
    targets = _output_rows(ours.index.records(rows), removed, points)
    donors = theirs.index.records(np.array([row for _, _, row in edits.cells], np.int64))
    cells = sorted(
        CellEdit(int(target), name, THEIRS, int(donor), columns.theirs[name])
        for target, donor, (_, name, _) in zip(targets, donors, edits.cells, strict=True)
    )
    return Splice(
        donors=[
            _donor(ours, columns.ours),
            _donor(theirs, columns.theirs),
        ],
        segments=segments,
        edits=cells,
        columns=None
        if keep_columns
        else [
            OutputColumn(name, THEIRS, columns.theirs[name])
            if name in columns.from_theirs
            else OutputColumn(name, OURS, columns.ours[name])
            for name in columns.order
        ],
    )


def _donor(version: TableVersion, names: dict[str, str]) -> Donor:
    assert version.source is not None
    assert version.kind is not None
    return Donor(
        version.source, version.kind, {name: final for final, name in names.items() if name != final}
    )


def segments_of(
    total: int, removed: Sequence[int], points: Sequence[int], rows: Sequence[int]
) -> list[Segment]:
    """Runs of records: ours without the removed ones, records of theirs before the points given.

    Parameters
    ----------
    total : int
        Number of records of ours.
    removed : sequence of int
        Records of ours that go, ascending.
    points, rows : sequence of int
        Records of theirs, and the record of ours before which each comes; `total` is the end.
    """
    segments: list[Segment] = []
    events = sorted(
        [(point, 0, row) for point, row in zip(points, rows, strict=True)]
        + [(record, 1, record) for record in removed]
    )
    done = 0
    for place, what, row in events:
        if place > done:
            segments.append(Segment(OURS, done, place - done))
            done = place
        if what == 1:
            done = place + 1
            continue
        last = segments[-1] if segments else None
        if last is not None and last.donor == THEIRS and last.start + last.count == row:
            segments[-1] = Segment(THEIRS, last.start, last.count + 1)
        else:
            segments.append(Segment(THEIRS, row, 1))
    if total > done:
        segments.append(Segment(OURS, done, total - done))
    return segments


def _output_rows(records: Numbers, removed: Sequence[int], points: Numbers) -> Numbers:
    """Where records of ours come to stand."""
    gone = np.searchsorted(np.array(removed, np.int64), records, side="left")
    come = np.searchsorted(np.sort(points), records, side="right")
    return records - gone + come
