"""The difference of two versions of a table, from their indexes and the rows that are shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dsvc.diff.row_compare import DuplicateKeyError, RowComparison, compare_rows, guess_key
from dsvc.diff.table_delta import (
    Column,
    KeySource,
    MalformedRow,
    Renamed,
    Retyped,
    Row,
    RowChange,
    RowOp,
    SchemaDelta,
    TableDelta,
)
from dsvc.diff.value_compare import compare_values
from dsvc.model.table_kind import TableKind
from dsvc.table.index.row_index import RowIndex
from dsvc.table.origin.source import TableSource


@dataclass(frozen=True, slots=True)
class TableVersion:
    """One version of a table.

    Attributes
    ----------
    source : TableSource or None
        Its bytes; None where the table isn't there, so that all rows are added or removed.
    kind : TableKind or None
        Its format.
    index : RowIndex
        Its rows' hashes.
    """

    source: TableSource | None
    kind: TableKind | None
    index: RowIndex

    def rows(self, numbers: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Read some rows, given in ascending order."""
        if self.source is None or self.kind is None:
            return {}
        # What reads rows takes longer to import than an index to be asked.
        from dsvc.table.reading.row_reader import read_rows

        return read_rows(self.source, self.kind, self.index, numbers)


def choose_key(
    old: RowIndex, new: RowIndex, option: Sequence[str] | None, configured: Sequence[str]
) -> tuple[tuple[str, ...], KeySource]:
    """Settle the key: the option's, else the configured one, else a guess, else none.

    Parameters
    ----------
    option : sequence of str or None
        Asked for; empty: none, rows are a multiset.
    """
    if option is not None:
        return tuple(option), KeySource.OPTION if option else KeySource.NONE
    if configured:
        return tuple(configured), KeySource.CONFIG
    guessed = guess_key(old, new)
    return guessed, KeySource.GUESSED if guessed else KeySource.NONE


def diff_tables(
    old: TableVersion,
    new: TableVersion,
    *,
    key: Sequence[str] | None = None,
    configured: Sequence[str] = (),
    limit: int | None = 50,
) -> TableDelta:
    """Compare two versions of a table.

    Parameters
    ----------
    key : sequence of str or None
        Key asked for, in place of the configured one.
    configured : sequence of str
        Key that ``dsvc.toml`` names; empty: it is guessed.
    limit : int or None
        How many changes to list; None: all.

    Raises
    ------
    NoSuchColumnError, DuplicateKeyError
        If the key is none.
    NotATableError, TableLimitError
        If rows that are shown can't be read.
    """
    columns, key_from = choose_key(old.index, new.index, key, configured)
    try:
        found = _compare(old, new, columns)
    except DuplicateKeyError as error:
        raise _with_values(error, old, new, columns) from error
    total = len(found.removed) + len(found.added) + len(found.new_changed)
    return TableDelta(
        key=columns,
        key_from=key_from,
        rows_added=len(found.added),
        rows_removed=len(found.removed),
        rows_changed=len(found.new_changed),
        rows_unchanged=found.unchanged,
        cells_changed=sum(int(flags.sum()) for flags in found.cells.values()),
        by_column={name: int(flags.sum()) for name, flags in found.cells.items()},
        schema=schema_delta(old.index, new.index, found.renamed),
        changes=row_changes(old, new, columns, found, limit),
        truncated=limit is not None and total > limit,
        malformed_before=_malformed(old.index),
        malformed_after=_malformed(new.index),
    )


def _compare(old: TableVersion, new: TableVersion, key: Sequence[str]) -> RowComparison:
    if old.source is None or old.kind is None or new.source is None or new.kind is None:
        return compare_rows(old.index, new.index, key)
    return compare_values((old.source, old.kind, old.index), (new.source, new.kind, new.index), key)


def _malformed(index: RowIndex) -> tuple[MalformedRow, ...]:
    return tuple(MalformedRow(each.line, each.message) for each in index.malformed)


def schema_delta(old: RowIndex, new: RowIndex, renamed: dict[str, str]) -> SchemaDelta:
    """Compare the columns; a table that isn't there has none to compare."""
    if not old.columns or not new.columns:
        return SchemaDelta()
    before = {renamed.get(column.name, column.name): column for column in old.columns}
    after = {column.name: column for column in new.columns}
    return SchemaDelta(
        added=tuple(Column(c.name, c.type) for c in new.columns if c.name not in before),
        removed=tuple(Column(c.name, c.type) for name, c in before.items() if name not in after),
        retyped=tuple(
            Retyped(name, before[name].type, c.type)
            for name, c in after.items()
            if name in before and before[name].type != c.type
        ),
        renamed=tuple(Renamed(old_name, new_name) for old_name, new_name in renamed.items()),
    )


def _with_values(
    error: DuplicateKeyError, old: TableVersion, new: TableVersion, key: Sequence[str]
) -> DuplicateKeyError:
    """Name the duplicates by their values."""
    rows = error.details["rows"]
    assert isinstance(rows, list)
    version = old if error.details["side"] == "old" else new
    shown: dict[str, None] = {}
    for row in version.rows(rows).values():
        shown[", ".join(f"{name}={row.get(name)}" for name in key if name in row)] = None
    records = [int(record) for record in version.index.records(np.asarray(rows, np.int64))]
    details = {"side": error.details["side"], "positions": records, "key": list(key), "values": list(shown)}
    return DuplicateKeyError(f"{error.message}: {'; '.join(shown)}", hint=error.hint, details=details)


def row_changes(
    old: TableVersion, new: TableVersion, key: Sequence[str], found: RowComparison, limit: int | None
) -> list[RowChange]:
    """List changes with their values, in the order of the new side, a removed row where it stood.

    Raises
    ------
    NotATableError, TableLimitError
        If rows can't be read.
    """
    changes = _in_order(found)[:limit]
    before = old.rows(sorted(row for _, row, _, _ in changes if row is not None))
    after = new.rows(sorted(row for _, _, row, _ in changes if row is not None))
    places_before = _records_of(old.index, [row for _, row, _, _ in changes])
    places_after = _records_of(new.index, [row for _, _, row, _ in changes])
    listed = []
    for (op, old_row, new_row, number), old_place, new_place in zip(
        changes, places_before, places_after, strict=True
    ):
        one = None if old_row is None else before.get(old_row, {})
        other = None if new_row is None else after.get(new_row, {})
        names = tuple(name for name, flags in found.cells.items() if number >= 0 and flags[number])
        listed.append(
            RowChange(
                op=op,
                key=_key_of(other if other is not None else one, key, found, is_new=other is not None),
                before=one,
                after=other,
                columns=names,
                before_position=old_place,
                after_position=new_place,
            )
        )
    return listed


def _records_of(index: RowIndex, rows: Sequence[int | None]) -> list[int | None]:
    records = index.records(np.array([0 if row is None else row for row in rows], np.int64))
    return [None if row is None else int(record) for row, record in zip(rows, records, strict=True)]


def _key_of(row: Row | None, key: Sequence[str], found: RowComparison, *, is_new: bool) -> Row | None:
    if not key or row is None:
        return None
    back = {} if is_new else {new: old for old, new in found.renamed.items()}
    return {name: row.get(back.get(name, name)) for name in key}


def _in_order(found: RowComparison) -> list[tuple[RowOp, int | None, int | None, int]]:
    """Every change as (what, old row, new row, number among the changed), in order of place."""
    changes: list[tuple[int, int, tuple[RowOp, int | None, int | None, int]]] = []
    changes += [(int(row), 0, (RowOp.REMOVED, int(row), None, -1)) for row in found.removed]
    changes += [(int(row), 1, (RowOp.ADDED, None, int(row), -1)) for row in found.added]
    changes += [
        (int(new), 1, (RowOp.CHANGED, int(old), int(new), number))
        for number, (old, new) in enumerate(zip(found.old_changed, found.new_changed, strict=True))
    ]
    changes.sort(key=lambda change: change[:2])
    return [change for _, _, change in changes]
