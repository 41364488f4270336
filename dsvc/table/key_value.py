"""A value that a person wrote, as a cell of a column: what its hash in a row index is."""

from __future__ import annotations

import json
import math
import re
from base64 import b64decode
from datetime import time
from typing import TYPE_CHECKING, Any, Final

import duckdb
import numpy as np
import pyarrow as pa

from dsvc.table.cell_hash import cell_expression, hash_table
from dsvc.table.engine import connect
from dsvc.table.json_cells import JsonBlock
from dsvc.table.kind import TableFormat, TableKind
from dsvc.table.plain_arrow import plain
from dsvc.table.records import RecordBlock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from duckdb import DuckDBPyConnection
    from numpy.typing import NDArray

_TIMESTAMP: Final = re.compile(r"timestamp\[(s|ms|us|ns)(?:, tz=(.+))?\]")
_DECIMAL: Final = re.compile(r"decimal(32|64|128|256)\((\d+), (-?\d+)\)")
_DECIMALS: Final = {"32": "decimal32", "64": "decimal64", "128": "decimal128", "256": "decimal256"}
# What the engine reads from text itself; making Arrow arrays of Python values imports pandas where it is.
_ENGINE_TYPES: Final = {
    **dict.fromkeys(("string", "large_string", "string_view"), "VARCHAR"),
    **dict.fromkeys(("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"), "BIGINT"),
}
_INTEGER: Final = re.compile(r"[-+]?[0-9]+")
_NUMBERS: Final = frozenset({"int64", "double"})


def value_hashes(text: str, type_: str, kind: TableKind) -> list[int]:
    """Hashes that a cell of this value may have.

    Parameters
    ----------
    text : str
        As a person wrote it.
    type_ : str
        The column's type, as its row index names it.
    kind : TableKind
        The table's format.

    Returns
    -------
    list of int
        More than one where the format keeps apart what is one value: ``1.50`` and ``1.5`` in CSV.

    Raises
    ------
    ValueError
        If the text is no value of this type.
    """
    connection = connect(threads=1)
    try:
        if not kind.format.is_text:
            return [_hash_typed(connection, text, type_)]
        if kind.format in (TableFormat.CSV, TableFormat.TSV):
            spellings = dict.fromkeys(_csv_spellings(text, type_))
            return [_hash_typed(connection, each, "string") for each in spellings]
        spellings = dict.fromkeys(_json_spellings(text, type_))
        return list(dict.fromkeys(_hash_json(connection, each) for each in spellings))
    except (pa.ArrowException, duckdb.Error, OverflowError) as error:
        raise ValueError(str(error)) from error
    finally:
        connection.close()


def hashes_of_values(texts: Sequence[str], type_: str, kind: TableKind) -> NDArray[np.uint64]:
    """Hashes that cells of these values may have, as `value_hashes`, of many at once; raises as it.

    Returns
    -------
    ndarray of uint64, shape (n, m)
        A line for each text; a text with fewer spellings than others repeats its first.
    """
    if not len(texts):
        return np.zeros((0, 1), np.uint64)
    try:
        with connect() as connection:
            if not kind.format.is_text:
                return _hash_column(connection, _typed_column(texts, type_)).reshape(len(texts), 1)
            is_csv = kind.format in (TableFormat.CSV, TableFormat.TSV)
            found = [
                _csv_spellings(text, type_) if is_csv else _json_spellings(text, type_) for text in texts
            ]
            most = max(map(len, found))
            spellings = [each for own in found for each in (*own, *own[:1] * (most - len(own)))]
            hashes = (
                _hash_column(connection, pa.array(spellings, pa.string()))
                if is_csv
                else _hash_json_lines(connection, spellings)
            )
            return hashes.reshape(len(texts), most)
    except (pa.ArrowException, duckdb.Error, OverflowError) as error:
        raise ValueError(str(error)) from error


def _typed_column(texts: Sequence[str], type_: str) -> pa.Array:
    engine_type = _ENGINE_TYPES.get(type_)
    if engine_type == "VARCHAR":
        return pa.array(texts, pa.string())
    if engine_type == "BIGINT":
        wrong = next((text for text in texts if not _INTEGER.fullmatch(text)), None)
        if wrong is not None:
            raise ValueError(f"{wrong!r} is no {type_}")
        return pa.array([int(text) for text in texts], pa.int64())
    return pa.concat_arrays([_typed(text, type_) for text in texts])


def _hash_column(connection: DuckDBPyConnection, column: pa.Array) -> NDArray[np.uint64]:
    return hash_table(connection, plain(pa.RecordBatch.from_arrays([column], ["v"])), ["v"])["v"]


def _hash_json_lines(connection: DuckDBPyConnection, values: Sequence[str]) -> NDArray[np.uint64]:
    lines = [f'{{"v": {value}}}\n'.encode() for value in values]
    ends = np.cumsum([len(line) for line in lines], dtype=np.int64)
    starts = np.concatenate((np.zeros(1, np.int64), ends[:-1]))
    block = RecordBlock(0, 0, 1, b"".join(lines), starts, ends - 1)
    found = JsonBlock(connection, block, "value").hashes()
    if "v" not in found or len(found["v"]) != len(values):
        raise ValueError("not a JSON value")
    return found["v"]


def _hash_typed(connection: DuckDBPyConnection, text: str, type_: str) -> int:
    engine_type = _ENGINE_TYPES.get(type_)
    if engine_type is None:
        batch = plain(pa.RecordBatch.from_arrays([_typed(text, type_)], ["v"]))
        return int(hash_table(connection, batch, ["v"])["v"][0])
    if engine_type == "BIGINT" and not _INTEGER.fullmatch(text):
        raise ValueError(f"{text!r} is no {type_}")
    query = f"SELECT {cell_expression('v', engine_type)} FROM (SELECT CAST(? AS {engine_type}) AS v)"
    found = connection.execute(query, [text]).fetchall()
    return int(found[0][0])


def _hash_json(connection: DuckDBPyConnection, value: str) -> int:
    data = f'{{"v": {value}}}\n'.encode()
    block = RecordBlock(0, 0, 1, data, np.zeros(1, np.int64), np.array([len(data) - 1], np.int64))
    found = JsonBlock(connection, block, "value").hashes()
    if "v" not in found:
        raise ValueError("not a JSON value")
    return int(found["v"][0])


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


# Text


def _csv_spellings(text: str, type_: str) -> list[str]:
    if type_ == "int64":
        return [str(int(text))]
    if type_ == "double":
        number = float(text)
        short = [repr(number)] if math.isfinite(number) else []
        return [text, *short, *([str(int(number))] if short and number.is_integer() else [])]
    if type_ == "bool":
        if text.lower() not in ("true", "false"):
            raise ValueError(f"{text!r} is neither true nor false")
        return [text.lower(), text.capitalize(), text.upper()]
    if type_ == "timestamp":
        return [text, text.replace("T", " "), text.replace(" ", "T")]
    return [text]


def _json_spellings(text: str, type_: str) -> list[str]:
    if type_ == "string":
        return [json.dumps(text, ensure_ascii=False)]
    value = _parsed(text)
    if type_ in _NUMBERS or type_ == "bool":
        wanted = bool if type_ == "bool" else int | float
        if not isinstance(value, wanted) or (type_ != "bool" and isinstance(value, bool)):
            raise ValueError(f"{text!r} is no {type_}")
        return [text]
    quoted = json.dumps(text, ensure_ascii=False)
    return [quoted] if value is None else [text, quoted]


def _parsed(text: str) -> Any:
    """Value of a JSON text; None where it is none."""
    try:
        return json.loads(text, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return None
