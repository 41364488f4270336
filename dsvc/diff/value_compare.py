"""Comparing tables by the values that text stands for, where their row indexes can't tell.

Row indexes of tables in text hash text. So two versions in different formats have no hash in common, and a
cell of CSV that was 1.5 and is 1.50 seems to have changed. Here both are compared by value: all rows in the
first case, in the second those that seem to differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from dsvc.diff.row_compare import RowComparison, Rows, compare_cells, compare_rows
from dsvc.model.table_kind import Family, TableKind
from dsvc.table.index.row_index import RowIndex
from dsvc.table.origin.source import TableSource
from dsvc.table.values.value_form import Form, common_form

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

Side = tuple[TableSource, TableKind, RowIndex]


def compare_values(old: Side, new: Side, key: Sequence[str]) -> RowComparison:
    """Compare two versions by value, at the cost of their indexes alone where these can tell.

    Raises
    ------
    NoSuchColumnError, DuplicateKeyError
        As `compare_rows`.
    NotATableError, TableLimitError
        If rows can't be read.
    """
    families = old[1].format.family, new[1].format.family
    if families[0] != families[1]:
        from dsvc.table.index.index_builder import index_of_cells
        from dsvc.table.values.value_hash import value_cells

        forms = _forms(old, new, {})
        first, second = (
            index_of_cells(
                index,
                value_cells(
                    source, kind, index, np.arange(index.rows), {name: forms[name] for name in index.names}
                ),
            )
            for source, kind, index in (old, new)
        )
        return compare_rows(first, second, key)
    found = compare_rows(old[2], new[2], key)
    if families[0] is Family.BINARY or not _may_be_writing(old, new, key, found):
        return found
    return _again(old, new, key, found)


def _forms(old: Side, new: Side, renamed: Mapping[str, str]) -> dict[str, Form]:
    """What each column holds, by its name on either side."""
    forms: dict[str, Form] = {}
    before = {renamed.get(column.name, column.name): column for column in old[2].columns}
    after = {column.name: column for column in new[2].columns}
    for name in {**before, **after}:
        sides = ((before, old[1]), (after, new[1]))
        form = common_form((columns[name].type, kind) for columns, kind in sides if name in columns)
        forms[name] = form
        if name in before:
            forms[before[name].name] = form
    return forms


def _may_be_writing(old: Side, new: Side, key: Sequence[str], found: RowComparison) -> bool:
    """Whether a column that differs can have the same value written in two ways."""
    if not (len(found.new_changed) or (len(found.removed) and len(found.added))):
        return False
    seems = set(found.cells) if key else {*old[2].names, *new[2].names}
    if key and len(found.removed) and len(found.added):
        seems |= set(key)
    forms = _forms(old, new, found.renamed)
    types = {column.name: column.type for index in (old[2], new[2]) for column in index.columns}
    return any(
        forms[name] in (Form.BOOL, Form.TIME, Form.NESTED)
        or (forms[name] in (Form.NUMBER, Form.FLOAT32) and _has_fractions(name, old, new, types))
        for name in seems
    )


def _has_fractions(name: str, old: Side, new: Side, types: Mapping[str, str]) -> bool:
    sides = [side[2].column(name) for side in (old, new)]
    return any((each.type if each is not None else types.get(name)) != "int64" for each in sides)


def _again(old: Side, new: Side, key: Sequence[str], found: RowComparison) -> RowComparison:
    """Compare what seems to differ once more."""
    from dsvc.table.values.json_value_hash import json_cells_by_value
    from dsvc.table.values.value_hash import value_cells

    is_json = new[1].format.family is Family.JSON
    forms = _forms(old, new, found.renamed)
    before = np.sort(np.concatenate((found.removed, found.old_changed)))
    after = np.sort(np.concatenate((found.added, found.new_changed)))
    sides = []
    for (source, kind, index), numbers in ((old, before), (new, after)):
        cells = (
            json_cells_by_value(source, kind, index, numbers, index.names)
            if is_json
            else value_cells(source, kind, index, numbers, {name: forms[name] for name in index.names})
        )
        named = found.renamed if index is old[2] else {}
        sides.append(Rows(numbers, {named.get(name, name): hashes for name, hashes in cells.items()}))
    if key and any(len(np.unique(side.key(key))) < len(side.numbers) for side in sides):
        # Keys that differ in writing only are different keys.
        return found
    return compare_cells(key, found.renamed, new[2].rows, *sides)
