"""How two versions of a table differ: rows, cells, columns."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

Cell = object
"""A value as Python has it: None, bool, int, float, Decimal, str, bytes, date, datetime, list, dict."""
Row = dict[str, Cell]


class KeySource(StrEnum):
    """Where the key of a comparison comes from."""

    CONFIG = "config"
    OPTION = "option"
    GUESSED = "guessed"
    NONE = "none"


class RowOp(StrEnum):
    """What happened to a row."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class Column(NamedTuple):
    """A column: its name and its type as people write it (``int64``, ``string``, ``list<double>``)."""

    name: str
    type: str


class Retyped(NamedTuple):
    """A column whose type changed."""

    name: str
    old: str
    new: str


class Renamed(NamedTuple):
    """A column that has another name and the same values."""

    old: str
    new: str


class MalformedRow(NamedTuple):
    """A record that can't be read: its line (1-based), and why."""

    line: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RowChange:
    """One row that differs.

    Attributes
    ----------
    op : RowOp
        What happened.
    key : dict or None
        Values of the key columns; None without a key.
    before, after : dict or None
        The whole row on either side; columns that a side doesn't have are left out.
    columns : tuple of str
        Of a changed row: the columns whose cells differ, named as on the new side (removed ones as on the
        old).
    before_position, after_position : int or None
        Place of the record on either side, 0-based.
    """

    op: RowOp
    key: Row | None
    before: Row | None
    after: Row | None
    columns: tuple[str, ...] = ()
    before_position: int | None = None
    after_position: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaDelta:
    """Columns that differ, each in the order of its side."""

    added: tuple[Column, ...] = ()
    removed: tuple[Column, ...] = ()
    retyped: tuple[Retyped, ...] = ()
    renamed: tuple[Renamed, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything differs."""
        return bool(self.added or self.removed or self.retyped or self.renamed)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableDelta:
    """Difference of two versions of a table.

    Attributes
    ----------
    key : tuple of str
        Key columns, named as on the new side; empty: a multiset of rows, none of which is ever changed.
    key_from : KeySource
        Who says that they are the key.
    rows_added, rows_removed, rows_changed, rows_unchanged : int
        Numbers of rows.
    cells_changed : int
        Cells that differ in changed rows; an absent column reads as null.
    by_column : dict
        The same by column; only columns with changes.
    schema : SchemaDelta
        Columns.
    changes : list of RowChange
        In the order of the new side, a removed row where it stood; at most as many as asked for.
    truncated : bool
        Whether there are more changes than listed.
    malformed_before, malformed_after : tuple of MalformedRow
        Records that can't be read, and are no part of the comparison.
    """

    key: tuple[str, ...]
    key_from: KeySource
    rows_added: int
    rows_removed: int
    rows_changed: int
    rows_unchanged: int
    cells_changed: int = 0
    by_column: dict[str, int] = field(default_factory=dict)
    schema: SchemaDelta = SchemaDelta()
    changes: list[RowChange] = field(default_factory=list)
    truncated: bool = False
    malformed_before: tuple[MalformedRow, ...] = ()
    malformed_after: tuple[MalformedRow, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether rows and columns are the same."""
        return not (self.rows_added or self.rows_removed or self.rows_changed or self.schema)
