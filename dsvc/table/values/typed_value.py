"""Values that people wrote, hashed by the engine as cells of a column."""

from __future__ import annotations

import re
from base64 import b64decode
from datetime import time
from typing import TYPE_CHECKING, Final

import duckdb
import numpy as np
import pyarrow as pa

from dsvc.model.table_kind import TableFormat, TableKind
from dsvc.table.binary.plain_arrow import plain
from dsvc.table.engine import connect
from dsvc.table.hashes.cell_hash import cell_expression, hash_table
from dsvc.table.hashes.json_cells import JsonBlock
from dsvc.table.text.records import block_of
from dsvc.table.values.key_value import INTEGER, INTEGER_TYPES, TEXT_TYPES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from duckdb import DuckDBPyConnection
    from numpy.typing import NDArray

_TIMESTAMP: Final = re.compile(r"timestamp\[(s|ms|us|ns)(?:, tz=(.+))?\]")
_DECIMAL: Final = re.compile(r"decimal(32|64|128|256)\((\d+), (-?\d+)\)")
_DECIMALS: Final = {"32": "decimal32", "64": "decimal64", "128": "decimal128", "256": "decimal256"}
# What the engine reads from text itself; making Arrow arrays of Python values imports pandas where it is.
_ENGINE_TYPES: Final = {**dict.fromkeys(TEXT_TYPES, "VARCHAR"), **dict.fromkeys(INTEGER_TYPES, "BIGINT")}


def hash_value(text: str, type_: str, kind: TableKind) -> int:
    """Hash one value, in text formats as it is written there.

    Raises
    ------
    ValueError
        If the text is no value of this type.
    """
    is_csv = kind.format in (TableFormat.CSV, TableFormat.TSV)
    try:
        with connect(threads=1) as connection:
            if kind.format.is_text and not is_csv:
                return int(_hash_json_lines(connection, [text])[0])
            return _hash_typed(connection, text, "string" if is_csv else type_)
    except (pa.ArrowException, duckdb.Error, OverflowError) as error:
        raise ValueError(str(error)) from error


def hash_values(texts: Sequence[str], type_: str, kind: TableKind) -> NDArray[np.uint64]:
    """Hash many values, as `hash_value`; raises as it."""
    is_csv = kind.format in (TableFormat.CSV, TableFormat.TSV)
    try:
        with connect() as connection:
            if kind.format.is_text and not is_csv:
                return _hash_json_lines(connection, texts)
            return _hash_column(connection, _typed_column(texts, "string" if is_csv else type_))
    except (pa.ArrowException, duckdb.Error, OverflowError) as error:
        raise ValueError(str(error)) from error


def typed_column(texts: Sequence[str | None], type_: pa.DataType) -> pa.Array:
    """Read texts as values of a type; None is null.

    Raises
    ------
    ValueError
        If a text is no value of this type: its arguments are the text, and why.
    """
    known: dict[str | None, pa.Array] = {None: pa.nulls(1, type_)}
    for text in dict.fromkeys(texts):
        if text is None:
            continue
        try:
            known[text] = _typed(text, str(type_)).cast(type_)
        except (pa.ArrowException, OverflowError, ValueError) as error:
            raise ValueError(text, str(error).partition("\n")[0][:200]) from error
    return pa.concat_arrays([known[text] for text in texts]) if texts else pa.nulls(0, type_)


def _hash_typed(connection: DuckDBPyConnection, text: str, type_: str) -> int:
    engine_type = _ENGINE_TYPES.get(type_)
    if engine_type is None:
        return int(_hash_column(connection, _typed(text, type_))[0])
    if engine_type == "BIGINT" and not INTEGER.fullmatch(text):
        raise ValueError(f"{text!r} is no {type_}")
    query = f"SELECT {cell_expression('v', engine_type)} FROM (SELECT CAST(? AS {engine_type}) AS v)"
    found = connection.execute(query, [text]).fetchall()
    return int(found[0][0])


def _typed_column(texts: Sequence[str], type_: str) -> pa.Array:
    engine_type = _ENGINE_TYPES.get(type_)
    if engine_type == "VARCHAR":
        return pa.array(texts, pa.string())
    if engine_type == "BIGINT":
        wrong = next((text for text in texts if not INTEGER.fullmatch(text)), None)
        if wrong is not None:
            raise ValueError(f"{wrong!r} is no {type_}")
        return pa.array([int(text) for text in texts], pa.int64())
    return pa.concat_arrays([_typed(text, type_) for text in texts])


def _hash_column(connection: DuckDBPyConnection, column: pa.Array) -> NDArray[np.uint64]:
    return hash_table(connection, plain(pa.RecordBatch.from_arrays([column], ["v"])), ["v"])["v"]


def _hash_json_lines(connection: DuckDBPyConnection, values: Sequence[str]) -> NDArray[np.uint64]:
    lines = [f'{{"v": {value}}}'.encode() for value in values]
    found = JsonBlock(connection, block_of(lines), "value").hashes()
    if "v" not in found or len(found["v"]) != len(values):
        raise ValueError("not a JSON value")
    return found["v"]


# Parquet and Arrow


def _typed(text: str, type_: str) -> pa.Array:
    wanted = _arrow_type(type_)
    if pa.types.is_binary(wanted) or pa.types.is_large_binary(wanted):
        return pa.array([b64decode(text, validate=True)], wanted)
    if pa.types.is_time(wanted):
        return pa.array([time.fromisoformat(text)], wanted)
    if pa.types.is_timestamp(wanted) and wanted.tz is not None and not _has_offset(text):
        # Without an offset a person means the column's own zone.
        import pyarrow.compute as pc

        return pc.assume_timezone(pa.array([text]).cast(pa.timestamp(wanted.unit)), wanted.tz)
    return pa.array([text]).cast(wanted)


def _has_offset(text: str) -> bool:
    return bool(re.search(r"(Z|[+-]\d\d(:?\d\d)?)$", text[10:]))


def _arrow_type(name: str) -> pa.DataType:
    if found := _TIMESTAMP.fullmatch(name):
        return pa.timestamp(found[1], found[2])
    if found := _DECIMAL.fullmatch(name):
        return getattr(pa, _DECIMALS[found[1]])(int(found[2]), int(found[3]))
    if found := re.fullmatch(r"fixed_size_binary\[(\d+)\]", name):
        return pa.binary(-1)
    try:
        return pa.type_for_alias(name)
    except ValueError as error:
        raise ValueError(f"values of type {name} can't be written here") from error
