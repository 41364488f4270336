"""Hashes of JSON members by value.

Members that are text, true and false, or numbers of one kind are read and hashed column by column. All else,
such as lists, objects and members of several types, is taken apart value by value.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.json as pj
import xxhash

from dsvc.model.table_kind import TableKind
from dsvc.table.hashes.json_cells import records_alone
from dsvc.table.hashes.nested_hash import nested_hashes
from dsvc.table.index.row_index import RowIndex
from dsvc.table.origin.source import TableSource
from dsvc.table.reading.row_reader import text_records, whole_number
from dsvc.table.text.records import RecordBlock, TextRecords
from dsvc.table.values.form_hash import all_held, scalar_hashes, text_hashes
from dsvc.table.values.value_form import Form

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]
    Numbers = NDArray[np.int64]

_EXACT: Final = 2**53
_FLOAT32_MAX: Final = 3e38
_NESTED_AT_ONCE: Final = 128
"""Nested values whose structure is found together: objects with names of their own take room for all."""
_TYPES: Final = {"string": pa.string(), "int64": pa.int64(), "double": pa.float64(), "bool": pa.bool_()}
_TEXT_FORMS: Final = frozenset({Form.TEXT, Form.DATE, Form.TIME})
_SURE_CHARACTERS: Final = 4000
"""No whole number in a shorter record has so many digits that Python would take its time with it."""
_DECODER: Final = json.JSONDecoder()


def json_cells(
    connection: DuckDBPyConnection, block: RecordBlock, forms: Mapping[str, Form], types: Mapping[str, str]
) -> dict[str, Hashes]:
    """Hash members of the records of a block by value.

    Parameters
    ----------
    forms : mapping of str to Form
        What the members are compared as.
    types : mapping of str to str
        Their types as the row index has them.
    """
    wanted = {name: _TYPES[types[name]] for name in forms if types.get(name) in _TYPES}
    found: dict[str, Hashes] = {}
    for name, column in _columns(block, wanted).items() if wanted else ():
        hashes = _column_hashes(connection, column, forms[name])
        if hashes is not None:
            found[name] = hashes
    rest = {name: form for name, form in forms.items() if name not in found}
    if rest:
        found |= _hash_values(connection, [block.record(n) for n in range(len(block))], rest)
    return found


def json_cells_by_value(
    source: TableSource, kind: TableKind, index: RowIndex, rows: Numbers, names: Iterable[str]
) -> dict[str, Hashes]:
    """Hash cells of JSON by their canonical text, to be compared with each other only.

    Parameters
    ----------
    index : RowIndex
        The table's index.
    rows : ndarray of int64
        Numbers of rows, ascending.

    Raises
    ------
    NotATableError, TableLimitError
        If the table can't be read.
    """
    wanted = list(names)
    found: dict[str, list[int]] = {name: [] for name in wanted}
    if len(rows):
        for _, records in text_records(TextRecords(source, kind), index, rows):
            for record in records:
                row = _json_row(record, wanted)
                for name, hashes in found.items():
                    hashes.append(_canonical_hash(row.get(name)))
    return {name: np.array(hashes, np.uint64) for name, hashes in found.items()}


# Column by column


def _columns(block: RecordBlock, types: Mapping[str, pa.DataType]) -> dict[str, pa.Array]:
    """Members of records as columns; none where some value isn't of its column's type."""
    data = records_alone(block)
    try:
        table = pj.read_json(
            io.BytesIO(data),
            read_options=pj.ReadOptions(use_threads=False, block_size=len(data) + 1),
            parse_options=pj.ParseOptions(
                explicit_schema=pa.schema(list(types.items())),
                unexpected_field_behavior="ignore",
                newlines_in_values=data.count(b"\n") > len(block),
            ),
        )
    except pa.ArrowException:
        return {}
    if table.num_rows != len(block):
        return {}
    return {name: table.column(name).combine_chunks() for name in types}


def _column_hashes(connection: DuckDBPyConnection, column: pa.Array, form: Form) -> Hashes | None:
    """Hash a column of scalars; None where that isn't what its values hash as one by one."""
    type_ = column.type
    if pa.types.is_floating(type_) and (form in _TEXT_FORMS or not all_held(column)):
        # Whole numbers among the others look different as text, and as numbers where they are large.
        return None
    if form in _TEXT_FORMS:
        return text_hashes(connection, column.cast(pa.string()), form)
    if form is Form.FLOAT32 and type_ in (pa.int64(), pa.float64()):
        if not all_held(column):
            return None
        column = column.cast(pa.float64()).cast(pa.float32(), safe=False)
    return scalar_hashes(connection, column)


# Value by value


def _hash_values(
    connection: DuckDBPyConnection, records: Sequence[bytes], forms: Mapping[str, Form]
) -> dict[str, Hashes]:
    rows = [_json_row(record, forms) for record in records]
    cells = {}
    for name, form in forms.items():
        values = [row.get(name) for row in rows]
        if form in _TEXT_FORMS:
            texts = [v if v is None or isinstance(v, str) else json.dumps(v) for v in values]
            cells[name] = text_hashes(connection, pa.array(texts, pa.large_string()), form)
        elif form is Form.FLOAT32:
            narrow = [_narrow(value) for value in values]
            cells[name] = _value_hashes(connection, narrow, len(values))
        else:
            at_once = _NESTED_AT_ONCE if form is Form.NESTED else len(values)
            cells[name] = _value_hashes(connection, values, at_once)
    return cells


def _json_row(record: bytes, names: Iterable[str]) -> dict[str, Any]:
    try:
        row = (
            _DECODER.decode(record.decode())
            if len(record) < _SURE_CHARACTERS
            else json.loads(record, parse_int=whole_number)
        )
    except (ValueError, RecursionError):
        row = None
    # The engine takes what is a little off; then the record differs as a whole.
    return row if isinstance(row, dict) else dict.fromkeys(names, record.decode("utf-8", "replace"))


def _narrow(value: Any) -> Any:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(np.float32(value)) if is_number and abs(value) < _FLOAT32_MAX else value


def _value_hashes(connection: DuckDBPyConnection, values: Sequence[Any], at_once: int) -> Hashes:
    """Hash values of JSON; those whose types don't go together one by one."""

    def hashes(part: Sequence[Any]) -> Hashes:
        return nested_hashes(pa.array(part), lambda column: scalar_hashes(connection, column))

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


def _canonical_hash(value: Any) -> int:
    if value is None:
        return 0
    text = json.dumps(_with_whole_numbers(value), sort_keys=True)
    return xxhash.xxh3_64_intdigest(text.encode()) or 1
