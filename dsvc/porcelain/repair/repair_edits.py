"""What a repair does to the rows of the artifact that it changes: rows that go, and cells with new values.

Everything is read from the plan, the version and the bytes that the repair keeps, so that planning a repair
and applying it come to the same.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from dsvc.diff.patch_format import TABLE_LINE
from dsvc.lineage.links import distinct
from dsvc.model.errors import NotFoundError, UsageError
from dsvc.model.manifest import Entry
from dsvc.model.paths import display_path
from dsvc.model.repair import Action, ActionKind
from dsvc.porcelain.repair.repair_table import ValueTable, read_table, rows_of_keys, text_rows
from dsvc.porcelain.runs.rowwise_rows import row_names
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.row_indexes import KnownTable, RowIndexes
from dsvc.porcelain.tables.table_diff import known_table
from dsvc.table.index.row_index import RowIndex
from dsvc.table.origin.memory_source import MemorySource
from dsvc.table.values.key_value import TEXT_TYPES, hashes_of_values, value_hashes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

NONE: Numbers = np.zeros(0, np.int64)
_NAMED = 10


class UnflaggedRowsError(UsageError):
    """A repair would change rows that are neither flagged nor selected; nothing was recorded."""

    code: ClassVar[str] = "unflagged-rows"


class RepairValueError(UsageError):
    """A value doesn't fit its column, or there is no such column; nothing was recorded."""

    code: ClassVar[str] = "repair-value"


class Cells(NamedTuple):
    """New values of a column, as text in its type (None: null), for rows in ascending order."""

    rows: Numbers
    values: tuple[str | None, ...]


class Edits(NamedTuple):
    """What happens to rows of an artifact.

    Attributes
    ----------
    drop : ndarray of int64
        Rows that go, ascending.
    cells : mapping of str to Cells
        By column.
    left : ndarray of int64
        Flagged and selected rows that stay as they are.
    """

    drop: Numbers
    cells: Mapping[str, Cells]
    left: Numbers = NONE

    @property
    def rows(self) -> Numbers:
        """Rows that go or change, ascending."""
        return distinct(np.concatenate([self.drop, *(each.rows for each in self.cells.values())]))


NO_EDITS = Edits(NONE, {})


def edits_of(
    repo: Workspace,
    entry: Entry | None,
    action: Action,
    chosen: Numbers,
    *,
    file: bytes = b"",
    key: Sequence[str] = (),
) -> Edits:
    """Say what an action does to rows of an artifact.

    Parameters
    ----------
    entry : Entry or None
        The artifact; None: a folder whose files are the rows.
    chosen : ndarray of int64
        Flagged and selected rows, ascending.
    file : bytes
        The patch, or the table of new values.
    key : sequence of str
        Columns that its rows are known by, where the action names none.

    Raises
    ------
    UsageError
        If the action is none for such an artifact.
    RepairValueError
        If a value doesn't fit, or there is no such column.
    UnflaggedRowsError
        If it would change other rows; they are named.
    MalformedInputError
        If the file, or the artifact, can't be read as what it should be.
    """
    if action.kind in (ActionKind.DROP, ActionKind.EXCLUDE_SOURCE, ActionKind.WITHDRAW_SOURCE):
        return Edits(chosen, {})
    if action.kind is ActionKind.RERUN:
        return NO_EDITS
    table = None if entry is None else known_table(repo, entry)
    if entry is None or table is None:
        name = "a folder" if entry is None else display_path(entry.path)
        raise UsageError(f"{name} is no table: it has no cells", hint="its records can be dropped")
    edited = _Edited(repo, entry, table, RowIndexes(repo).get(table))
    if action.kind is ActionKind.SET:
        rows = {name: Cells(chosen, (value,) * len(chosen)) for name, value in action.values.items()}
        return edited.with_effect(rows, chosen)
    if action.kind is ActionKind.PATCH and _is_patch(file):
        return edited.by_patch(file, chosen)
    values = read_table(repo, action.file or "", file, tuple(action.key) or tuple(key))
    return edited.by_table(values, chosen, strict=action.kind is ActionKind.PATCH)


def unmet(repo: Workspace, entry: Entry, cells: Mapping[str, Cells]) -> Numbers:
    """Rows of a table that don't have the values that they should, ascending; raises as `edits_of`."""
    table = known_table(repo, entry)
    if table is None:
        return distinct(np.concatenate([NONE, *(each.rows for each in cells.values())]))
    edited = _Edited(repo, entry, table, RowIndexes(repo).get(table))
    return edited.with_effect(cells, NONE).rows


def _is_patch(data: bytes) -> bool:
    start = data[:4096].decode("utf-8", "replace")
    return any(line.startswith((TABLE_LINE, "diff --git ", "--- ")) for line in start.splitlines())


@dataclass(frozen=True, slots=True)
class _Edited:
    """The table that is edited."""

    repo: Workspace
    entry: Entry
    table: KnownTable
    index: RowIndex

    @property
    def name(self) -> str:
        return display_path(self.entry.path)

    def by_table(self, values: ValueTable, chosen: Numbers, *, strict: bool) -> Edits:
        """New values from a table; `strict`: it may speak of rows that are chosen only."""
        for name in (*values.key, *values.columns):
            self._check_column(name)
        places = rows_of_keys(self.index, self.table.kind, values)
        found = np.isin(places.rows, chosen)
        if strict:
            if len(places.missing):
                names = [values.name_of(each) for each in places.missing[:_NAMED].tolist()]
                raise NotFoundError(
                    f"{self.name} has no row {_list(names, len(places.missing))}", details={"rows": names}
                )
            if not found.all():
                self._refuse(distinct(places.rows[~found]))
        numbers, entries = places.rows[found], places.entries[found]
        cells: dict[str, Cells] = {}
        for name in values.columns:
            has = np.array([name in values.rows[n] for n in entries.tolist()], np.bool_)
            given = tuple(values.rows[n][name] for n in entries[has].tolist())
            cells[name] = Cells(numbers[has], given)
        return self.with_effect(cells, chosen)

    def by_patch(self, data: bytes, chosen: Numbers) -> Edits:
        """New values, and rows that go, from a patch as ``diff --patch`` writes it."""
        from dsvc.diff.apply_table import apply_table, check_result
        from dsvc.diff.patch_file import parse_patch
        from dsvc.diff.row_compare import compare_rows

        patches = parse_patch(data)
        block = patches[0].table
        path = self.entry.path
        if len(patches) != 1 or block is None or block.is_literal or patches[0].new_path != path:
            raise UsageError(
                f"the patch changes something else than rows of {self.name}",
                hint="a patch of this table alone: dsvc diff --patch REV1 REV2 PATH",
            )
        output = io.BytesIO()
        done = apply_table(block, self.table.source, output)
        source = MemorySource(self.name, output.getvalue())
        if done.exact:
            check_result(block, source)
        new = KnownTable(source, self.table.kind)
        index = RowIndexes(self.repo).get(new)
        if set(index.names) != set(self.index.names):
            raise UsageError(f"the patch changes the columns of {self.name}, not only rows")
        found = compare_rows(self.index, index, tuple(block.head.key))
        old, rows, removed = found.old_changed, found.new_changed, found.removed
        if len(found.added):
            if removed.tolist() != found.added.tolist():
                raise UsageError(
                    f"the patch adds rows to {self.name}, which no repair does",
                    hint="where it changes rows, make it with a key: dsvc diff --patch --key COL",
                )
            # Without a key a row that changed is one that went, and one that came in its place.
            old, rows, removed = removed, removed, NONE
        touched = distinct(np.concatenate([old, removed]))
        others = np.setdiff1d(touched, chosen)
        if len(others):
            self._refuse(others)
        return Edits(removed, self._changed_cells(old, new, index, rows), np.setdiff1d(chosen, touched))

    def _changed_cells(
        self, old: Numbers, new: KnownTable, index: RowIndex, rows: Numbers
    ) -> dict[str, Cells]:
        """New values of cells that differ between rows of this table and rows of another."""
        order = np.argsort(old)
        old, rows = old[order], rows[order]
        values, cells = text_rows(new, index, rows), {}
        for name in index.names if len(old) else ():
            differs = self.index.cells_at(old, [name])[name] != index.cells_at(rows, [name])[name]
            if differs.any():
                given = tuple(values[number].get(name) for number in rows[differs].tolist())
                cells[name] = Cells(old[differs], given)
        return cells

    def with_effect(self, cells: Mapping[str, Cells], chosen: Numbers) -> Edits:
        """Leave out cells that have the value already."""
        kept = {}
        for name, each in cells.items():
            type_ = self._check_column(name)
            # Nothing is no number; of a column of texts it is a text without letters.
            values = tuple(None if v == "" and type_ not in TEXT_TYPES else v for v in each.values)
            differs = self._differs(name, type_, Cells(each.rows, values))
            if differs.any():
                given = tuple(value for value, flag in zip(values, differs, strict=True) if flag)
                kept[name] = Cells(each.rows[differs], given)
        edits = Edits(NONE, kept)
        return edits._replace(left=np.setdiff1d(chosen, edits.rows))

    def _differs(self, name: str, type_: str, cells: Cells) -> NDArray[np.bool_]:
        texts = sorted({value for value in cells.values if value is not None})
        try:
            hashes = hashes_of_values(texts, type_, self.table.kind)
        except ValueError as error:
            raise self._unfit(name, type_, texts) from error
        differs = np.ones(len(cells.rows), np.bool_)
        place = {text: number for number, text in enumerate(texts)}
        known = [(n, place[value]) for n, value in enumerate(cells.values) if value is not None]
        if known:
            at, which = np.array(known, np.int64).T
            now = self.index.cells_at(cells.rows[at], [name])[name]
            differs[at] = (hashes[which] != now[:, None]).all(axis=1)
        nulls = np.array([n for n, value in enumerate(cells.values) if value is None], np.int64)
        if len(nulls):
            before = text_rows(self.table, self.index, cells.rows[nulls])
            differs[nulls] = [before[row].get(name) not in (None, "") for row in cells.rows[nulls].tolist()]
        return differs

    def _unfit(self, name: str, type_: str, texts: Sequence[str]) -> RepairValueError:
        for text in texts:
            try:
                value_hashes(text, type_, self.table.kind)
            except ValueError:
                return RepairValueError(
                    f"{text[:80]!r} is no value of {name}, which is {type_} in {self.name}",
                    details={"path": self.name, "column": name, "value": text[:200]},
                )
        return RepairValueError(f"a value is none of {name}, which is {type_} in {self.name}")

    def _check_column(self, name: str) -> str:
        """Type of a column; refuses one that isn't there."""
        column = self.index.column(name)
        if column is not None:
            return column.type
        from difflib import get_close_matches

        close, names = get_close_matches(name, self.index.names, 3), self.index.names[:20]
        raise RepairValueError(
            f"{self.name} has no column {name[:80]}",
            hint=f"did you mean {' or '.join(close)}?" if close else f"it has {', '.join(names)}",
            details={"column": name[:200]},
        )

    def _refuse(self, rows: Numbers) -> None:
        names = row_names(self.repo, self.entry, (), rows[:_NAMED])
        raise UnflaggedRowsError(
            f"the repair would touch {len(rows)} unflagged rows: {_list(names, len(rows))}",
            hint="leave them out; or flag them first: dsvc feedback import",
            details={"rows": rows[:_NAMED].tolist(), "count": len(rows)},
        )


def _list(names: Sequence[str], count: int) -> str:
    return ", ".join(names) + (f" and {count - len(names)} more" if count > len(names) else "")
