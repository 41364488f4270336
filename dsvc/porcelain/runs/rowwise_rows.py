"""Rows of a row-wise run: their contents compared by value, and names by which people find them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from dsvc.model.errors import MalformedInputError
from dsvc.model.manifest import Entry
from dsvc.porcelain.runs.run_artifacts import ArtifactFiles
from dsvc.porcelain.runs.scratch import Scratch, scratch_table
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.row_indexes import RowIndexes
from dsvc.porcelain.tables.row_target import RowName, RowTarget
from dsvc.porcelain.tables.table_diff import known_table
from dsvc.table.index.row_index import row_hashes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dsvc.table.index.row_index import Hashes, Numbers

_NONE = np.zeros(0, np.uint64)


def table_contents(repo: Workspace, scratch: Scratch, full: Entry, rows: Numbers) -> tuple[Hashes, Hashes]:
    """Hashes of some rows of a stored table, and of all rows of the file at its path in a scratch folder.

    Texts are compared by what they stand for: a column of numbers may be written as 25 or as 25.0, depending
    on which rows are there. A file that isn't there, or is no table, has no rows.

    Raises
    ------
    NotATableError, TableLimitError
        If the stored table can't be read.
    """
    from dsvc.table.values.value_form import common_form
    from dsvc.table.values.value_hash import value_cells

    table, entry = known_table(repo, full), scratch.entry(full.path)
    other = None if entry is None else scratch_table(scratch, entry)
    indexes = RowIndexes(repo)
    index = None if table is None else indexes.get(table)
    try:
        found = None if other is None else indexes.get(other)
    except MalformedInputError:
        found = None
    if table is None or index is None or other is None or found is None:
        return _some(len(rows)), _some(0 if found is None else found.rows)
    sides = ((table, index, rows), (other, found, np.arange(found.rows)))
    types = {
        name: [(column.type, each.kind) for each, own, _ in sides if (column := own.column(name)) is not None]
        for name in {*index.names, *found.names}
    }
    forms = {name: common_form(each) for name, each in types.items()}
    hashes = []
    for each, own, wanted in sides:
        cells = value_cells(each.source, each.kind, own, wanted, {name: forms[name] for name in own.names})
        hashes.append(row_hashes(cells, len(wanted)))
    return hashes[0], hashes[1]


def _some(count: int) -> Hashes:
    """Hashes that equal nothing on the other side, which has none."""
    return np.arange(count, dtype=np.uint64) if count else _NONE


def row_names(repo: Workspace, entry: Entry, key: Sequence[str], rows: Numbers) -> list[str]:
    """Targets of some rows of a stored table: by its key where it has one, else by place."""
    table = known_table(repo, entry)
    if table is None:
        return []
    index = RowIndexes(repo).get(table)
    records = index.records(rows).tolist()
    values = {}
    if key:
        from dsvc.table.reading.row_reader import read_rows

        values = read_rows(table.source, table.kind, index, rows.tolist())
    names = []
    for row, record in zip(rows.tolist(), records, strict=True):
        parts = tuple((name, values.get(row, {}).get(name)) for name in key)
        if parts and all(isinstance(value, str | int) for _, value in parts):
            name = RowName(key=tuple((column, str(value)) for column, value in parts))
        else:
            name = RowName(position=record)
        names.append(str(RowTarget("", entry.path, name)).removeprefix(":"))
    return names


def file_names(artifact: ArtifactFiles, rows: Numbers) -> list[str]:
    """Paths of some files of a folder."""
    files = sorted(artifact.entries, key=lambda entry: entry.path)
    return [os.fsdecode(files[row].path) for row in rows.tolist()]
