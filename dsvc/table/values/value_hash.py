"""Hashes of cells in text by the values that they stand for, so that 1.50 is 1.5, in whatever format.

A row index of a table in text hashes the text of its cells, which is quick and needs no types. Where that
finds a difference which may be one of writing only, the rows that differ are hashed once more by value: as
`dsvc.table.hashes.cell_hash` does it for binary formats.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pyarrow as pa

from dsvc.model.table_kind import TableFormat, TableKind
from dsvc.table.engine import connect
from dsvc.table.index.row_index import RowIndex
from dsvc.table.origin.source import NotATableError, TableSource
from dsvc.table.reading.row_reader import text_blocks
from dsvc.table.text.csv_cells import csv_cells
from dsvc.table.text.records import RecordBlock, TextRecords
from dsvc.table.values.form_hash import cell_hashes, text_hashes
from dsvc.table.values.json_value_hash import json_cells
from dsvc.table.values.value_form import Form

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]
    Numbers = NDArray[np.int64]


def value_cells(
    source: TableSource, kind: TableKind, index: RowIndex, rows: Numbers, forms: Mapping[str, Form]
) -> dict[str, Hashes]:
    """Hash cells by value.

    Parameters
    ----------
    index : RowIndex
        The table's index.
    rows : ndarray of int64
        Numbers of rows, ascending.
    forms : mapping of str to Form
        What the columns hold; those of binary formats are known.

    Returns
    -------
    dict of str to ndarray of uint64
        By column; 0 is null.

    Raises
    ------
    NotATableError, TableLimitError
        If the table can't be read.
    """
    if not len(rows):
        return {name: np.zeros(0, np.uint64) for name in forms}
    is_csv = kind.format in (TableFormat.CSV, TableFormat.TSV)
    # The index of CSV hashes texts as they are.
    known = [n for n, form in forms.items() if not kind.format.is_text or (is_csv and form is Form.TEXT)]
    cells = {name: found[rows] for name, found in index.cells(names=known).items()}
    rest = {name: form for name, form in forms.items() if name not in cells}
    if rest:
        try:
            cells |= _read(TextRecords(source, kind), index, rows, source.name, rest)
        except (duckdb.Error, pa.ArrowException) as error:
            raise NotATableError(
                f"{source.name} can't be read as a table: {error}", details={"path": source.name}
            ) from error
    return {name: cells[name] for name in forms}


def _read(
    records: TextRecords, index: RowIndex, rows: Numbers, name: str, forms: Mapping[str, Form]
) -> dict[str, Hashes]:
    types = {column.name: column.type for column in index.columns}
    is_csv = records.kind.format in (TableFormat.CSV, TableFormat.TSV)
    parts: list[dict[str, Hashes]] = []
    with connect() as connection:
        for _, block, places in text_blocks(records, index, rows):
            # Records that are no rows are left out.
            wanted = block if len(places) == len(block) else block.pick(places)
            parts.append(
                _csv_cells(connection, records, wanted, name, forms, types)
                if is_csv
                else json_cells(connection, wanted, forms, types)
            )
    return {each: np.concatenate([part[each] for part in parts]) for each in forms}


def _csv_cells(
    connection: DuckDBPyConnection,
    records: TextRecords,
    block: RecordBlock,
    name: str,
    forms: Mapping[str, Form],
    types: Mapping[str, str],
) -> dict[str, Hashes]:
    table, _, _ = csv_cells(records, block, name, list(forms))
    return {
        each: cell_hashes(connection, table.column(each).combine_chunks(), form, types.get(each, ""))
        for each, form in forms.items()
    }


def hashes_of_texts(texts: Sequence[str], form: Form) -> Hashes:
    """Hash values that are written as text, as `value_cells` does it for cells of text of that form."""
    with connect() as connection:
        return text_hashes(connection, pa.array(texts, pa.string()), form)
