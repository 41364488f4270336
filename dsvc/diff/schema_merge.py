"""Three-way merge of a table's columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from dsvc.diff.row_compare import RowComparison
from dsvc.table.index.row_index import RowIndex

_WHOLE: Final = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


@dataclass(frozen=True, slots=True)
class MergedColumns:
    """The columns of a merged table.

    Attributes
    ----------
    order : list of str
        Names of the result, those of ours first.
    ours, theirs, base : dict of str to str
        Each version's names by the result's names, where it has the column.
    from_theirs : set of str
        Columns whose type, or existence, is theirs.
    problem : str or None
        Why the columns can't be merged.
    """

    order: list[str] = field(default_factory=list)
    ours: dict[str, str] = field(default_factory=dict)
    theirs: dict[str, str] = field(default_factory=dict)
    base: dict[str, str] = field(default_factory=dict)
    from_theirs: set[str] = field(default_factory=set)
    problem: str | None = None

    @property
    def is_renamed(self) -> bool:
        """Whether a side has a column under another name."""
        sides = (*self.ours.items(), *self.theirs.items())
        return any(final != name for final, name in sides)


def merge_columns(
    base: RowIndex,
    ours: RowIndex,
    theirs: RowIndex,
    a: RowComparison,
    b: RowComparison,
    *,
    typed: bool,
    fixed: bool,
) -> MergedColumns:
    """Merge what both sides did to the columns.

    Compatible are: a column added, removed, renamed or retyped on one side; the same done on both; a column
    that both added with one type. Not: two new names or types for one column, a column that one side removed
    and the other renamed, or changed cells of.

    Parameters
    ----------
    a, b : RowComparison
        Base against ours and against theirs.
    typed : bool
        Whether the format stores types; text doesn't, so that a retyped column is no more than other values.
    fixed : bool
        Whether a table has columns of its own. Of JSON each row has its own members, and a column that no row
        has is not removed: its cells are null.
    """
    merged = MergedColumns()
    types = {
        side: {c.name: c.type for c in index.columns}
        for side, index in (("base", base), ("ours", ours), ("theirs", theirs))
    }
    for name in base.names:
        mine, other = _now(name, ours, a.renamed), _now(name, theirs, b.renamed)
        if not fixed:
            mine, other = mine or name, other or name
        final, problem = _name(name, mine, other, a, b)
        if problem is None and final is not None and mine is not None and other is not None and typed:
            kept = _type(types["base"][name], types["ours"][mine], types["theirs"][other])
            if kept is None:
                problem = f"column {name} has another type on each side"
            elif kept == types["theirs"][other] != types["ours"][mine]:
                merged.from_theirs.add(final)
        if problem is not None:
            return MergedColumns(problem=problem)
        if final is not None:
            merged.base[final] = name
            if mine is not None:
                merged.ours[final] = mine
            if other is not None:
                merged.theirs[final] = other
    problem = _added(merged, base, ours, theirs, a, b, types if typed else None)
    if problem is not None:
        return MergedColumns(problem=problem)
    _order(merged, ours, theirs)
    return merged


def _now(name: str, side: RowIndex, renamed: Mapping[str, str]) -> str | None:
    """Name that a column of the base has on a side; None where it was removed."""
    if name in renamed:
        return renamed[name]
    return name if side.column(name) is not None and name not in renamed.values() else None


def _name(
    name: str, mine: str | None, other: str | None, a: RowComparison, b: RowComparison
) -> tuple[str | None, str | None]:
    """Name in the result (None: removed), and what is wrong."""
    if mine is None and other is None:
        return None, None
    if mine is None or other is None:
        kept, edits = (other, b) if mine is None else (mine, a)
        if kept != name or kept in edits.cells:
            return None, f"column {name} was removed on one side and changed on the other"
        return None, None
    if other in (mine, name):
        return mine, None
    if mine == name:
        return other, None
    return None, f"column {name} was renamed to {mine} and to {other}"


def _type(base: str, ours: str, theirs: str) -> str | None:
    if theirs in (ours, base):
        return ours
    if ours == base:
        return theirs
    if ours in _WHOLE and theirs in _WHOLE and ours[0] == theirs[0]:
        return max(ours, theirs, key=_WHOLE.index)
    return None


def _added(
    merged: MergedColumns,
    base: RowIndex,
    ours: RowIndex,
    theirs: RowIndex,
    a: RowComparison,
    b: RowComparison,
    types: Mapping[str, Mapping[str, str]] | None,
) -> str | None:
    """Take columns that a side added; returns what is wrong."""
    known_ours, known_theirs = set(merged.ours.values()), set(merged.theirs.values())
    new_ours = [
        n for n in ours.names if n not in known_ours and (n not in base.names or n in a.renamed.values())
    ]
    new_theirs = [
        n for n in theirs.names if n not in known_theirs and (n not in base.names or n in b.renamed.values())
    ]
    for name in [*new_ours, *(name for name in new_theirs if name not in new_ours)]:
        if name in merged.base:
            return f"column {name} is new on one side, and another one was renamed to it"
        both = name in new_ours and name in new_theirs
        if both and types is not None and types["ours"][name] != types["theirs"][name]:
            return f"column {name} was added with another type on each side"
        if name in new_ours:
            merged.ours[name] = name
        else:
            merged.from_theirs.add(name)
        if name in new_theirs:
            merged.theirs[name] = name
    return None


def _order(merged: MergedColumns, ours: RowIndex, theirs: RowIndex) -> None:
    by_ours = {name: final for final, name in merged.ours.items()}
    by_theirs = {name: final for final, name in merged.theirs.items()}
    merged.order.extend(by_ours[name] for name in ours.names if name in by_ours)
    merged.order.extend(
        by_theirs[name] for name in theirs.names if name in by_theirs and by_theirs[name] not in merged.ours
    )
