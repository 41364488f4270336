"""Hashes of cells in text by the values that they stand for, so that 1.50 is 1.5, in whatever format.

A row index of a table in text hashes the text of its cells, which is quick and needs no types. Where that
finds a difference which may be one of writing only, the rows that differ are hashed once more by value: as
`dsvc.table.cell_hash` does it for binary formats.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import duckdb
import numpy as np
import pyarrow as pa
import xxhash

from dsvc.table.cell_hash import cell_expression, cell_hash, hash_table
from dsvc.table.csv_cells import csv_cells
from dsvc.table.engine import connect
from dsvc.table.kind import TableFormat, TableKind
from dsvc.table.nested_hash import nested_hashes
from dsvc.table.plain_arrow import plain
from dsvc.table.records import TextRecords
from dsvc.table.row_index import RowIndex
from dsvc.table.row_reader import block_of, text_records, whole_number
from dsvc.table.source import NotATableError, TableSource
from dsvc.table.value_form import Form

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]
    Numbers = NDArray[np.int64]

_EXACT: Final = 2**53
_FLOAT32_MAX: Final = 3e38
_NESTED_AT_ONCE: Final = 128
"""Nested values whose structure is found together: objects with names of their own take room for all."""


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
    if not kind.format.is_text:
        return {name: cells[rows] for name, cells in index.cells(names=forms).items()}
    if not len(rows):
        return {name: np.zeros(0, np.uint64) for name in forms}
    records = TextRecords(source, kind)
    is_csv = kind.format in (TableFormat.CSV, TableFormat.TSV)
    parts: list[dict[str, Hashes]] = []
    with connect() as connection:
        try:
            for _, found in text_records(records, index, rows):
                part = (
                    _csv_cells(connection, records, found, source.name, forms)
                    if is_csv
                    else _json_cells(connection, found, forms)
                )
                parts.append(part)
        except (duckdb.Error, pa.ArrowException) as error:
            raise NotATableError(
                f"{source.name} can't be read as a table: {error}", details={"path": source.name}
            ) from error
    return {name: np.concatenate([part[name] for part in parts]) for name in forms}


def hashes_of_texts(texts: Sequence[str], form: Form) -> Hashes:
    """Hash values that are written as text, as `value_cells` does it for cells of text of that form."""
    with connect() as connection:
        return _text_hashes(connection, pa.array(texts, pa.string()), form)


def json_cells_by_value(
    source: TableSource, kind: TableKind, index: RowIndex, rows: Numbers, names: Iterable[str]
) -> dict[str, Hashes]:
    """Hash cells of JSON by their canonical text, to be compared with each other only; raises as above."""
    wanted = list(names)
    found: dict[str, list[int]] = {name: [] for name in wanted}
    if len(rows):
        for _, records in text_records(TextRecords(source, kind), index, rows):
            for record in records:
                row = _json_row(record, wanted)
                for name, hashes in found.items():
                    hashes.append(_canonical_hash(row.get(name)))
    return {name: np.array(hashes, np.uint64) for name, hashes in found.items()}


def _canonical_hash(value: Any) -> int:
    if value is None:
        return 0
    text = json.dumps(_with_whole_numbers(value), sort_keys=True)
    return xxhash.xxh3_64_intdigest(text.encode()) or 1


def _csv_cells(
    connection: DuckDBPyConnection,
    records: TextRecords,
    found: Sequence[bytes],
    name: str,
    forms: Mapping[str, Form],
) -> dict[str, Hashes]:
    table, _, _ = csv_cells(records, block_of(found), name)
    return {
        each: _text_hashes(connection, table.column(each).combine_chunks(), form)
        for each, form in forms.items()
    }


def _json_cells(
    connection: DuckDBPyConnection, found: Sequence[bytes], forms: Mapping[str, Form]
) -> dict[str, Hashes]:
    rows = [_json_row(record, forms) for record in found]
    cells = {}
    for name, form in forms.items():
        values = [row.get(name) for row in rows]
        if form in (Form.TEXT, Form.DATE, Form.TIME):
            texts = [v if v is None or isinstance(v, str) else json.dumps(v) for v in values]
            cells[name] = _text_hashes(connection, pa.array(texts, pa.large_string()), form)
        elif form is Form.FLOAT32:
            narrow = [_narrow(value) for value in values]
            cells[name] = _value_hashes(connection, narrow, len(values))
        else:
            at_once = _NESTED_AT_ONCE if form is Form.NESTED else len(values)
            cells[name] = _value_hashes(connection, values, at_once)
    return cells


def _json_row(record: bytes, names: Iterable[str]) -> dict[str, Any]:
    try:
        row = json.loads(record, parse_int=whole_number)
    except (ValueError, RecursionError):
        row = None
    # The engine takes what is a little off; then the record differs as a whole.
    return row if isinstance(row, dict) else dict.fromkeys(names, record.decode("utf-8", "replace"))


def _narrow(value: Any) -> Any:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(np.float32(value)) if is_number and abs(value) < _FLOAT32_MAX else value


def _value_hashes(connection: DuckDBPyConnection, values: Sequence[Any], at_once: int) -> Hashes:
    """Hash values of JSON; those whose types don't go together one by one."""

    def scalars(column: pa.Array) -> Hashes:
        return hash_table(connection, plain(pa.RecordBatch.from_arrays([column], ["v"])), ["v"])["v"]

    def hashes(part: Sequence[Any]) -> Hashes:
        return nested_hashes(pa.array(part), scalars)

    found = []
    for start in range(0, len(values), at_once):
        part = values[start : start + at_once]
        try:
            found.append(hashes(part))
        except (pa.ArrowException, ValueError, OverflowError):
            found.extend(_one_by_one(part, hashes))
    return np.concatenate(found)


def _one_by_one(part: Sequence[Any], hashes: Callable[[Sequence[Any]], Hashes]) -> Iterator[Hashes]:
    for value in part:
        try:
            yield hashes([value])
        except (pa.ArrowException, ValueError, OverflowError):
            # Elements of several types, or a number of very many digits.
            yield hashes([json.dumps(_with_whole_numbers(value), sort_keys=True)])


def _with_whole_numbers(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return int(value)
    if isinstance(value, list):
        return [_with_whole_numbers(each) for each in value]
    if isinstance(value, dict):
        return {name: _with_whole_numbers(each) for name, each in value.items() if each is not None}
    return value


def _text_hashes(connection: DuckDBPyConnection, texts: pa.Array, form: Form) -> Hashes:
    if not len(texts):
        return np.zeros(0, np.uint64)
    connection.register("texts", pa.table({"v": texts}))
    table = connection.sql(f"SELECT {_EXPRESSIONS.get(form, _TEXT)} AS h FROM texts").to_arrow_table()
    connection.unregister("texts")
    hashes: Hashes = table.column("h").to_numpy()
    return hashes


def _number(type_: str) -> str:
    # Whole numbers of more digits than fit hash as text in binary formats too.
    return (
        f"CASE WHEN TRY_CAST(v AS BIGINT)::VARCHAR = v THEN {cell_hash('v', 'TRY_CAST(v AS BIGINT)')} "
        f"WHEN TRY_CAST(v AS {type_}) IS NULL OR regexp_full_match(v, '-?[0-9]{{19,}}') THEN {_TEXT} "
        f"ELSE {cell_expression(f'TRY_CAST(v AS {type_})', 'DOUBLE')} END"
    )


def _cast(type_: str, value: str) -> str:
    return f"CASE WHEN TRY_CAST(v AS {type_}) IS NULL THEN {_TEXT} ELSE {cell_hash('v', value)} END"


_TEXT: Final = cell_hash("v", "v")
_IS_TRUE: Final = cell_hash("v", "lower(v) = 'true'")
_EXPRESSIONS: Final = {
    Form.NUMBER: _number("DOUBLE"),
    Form.FLOAT32: _number("FLOAT"),
    Form.BOOL: f"CASE WHEN lower(v) IN ('true', 'false') THEN {_IS_TRUE} ELSE {_TEXT} END",
    Form.DATE: _cast("DATE", "TRY_CAST(v AS DATE)"),
    Form.TIME: _cast("TIMESTAMP", "epoch_us(TRY_CAST(v AS TIMESTAMP))"),
}
