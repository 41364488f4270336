"""Results of queries as files: CSV, JSON, JSON lines and Parquet, batch by batch."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from dsvc.diff.cell_json import json_cell
from dsvc.table.query.sql import SqlError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

Write = Callable[[bytes], object]
_NEEDS_QUOTES: Final = re.compile('[",\r\n]')


class QueryFormat(StrEnum):
    """A format that results are written in."""

    CSV = "csv"
    JSON = "json"
    JSONL = "jsonl"
    PARQUET = "parquet"


def write_rows(reader: pa.RecordBatchReader, format_: QueryFormat, write: Write) -> int:
    """Write a result.

    In CSV null is nothing and the empty text is ``""``; cells that begin with ``=``, ``+``, ``-`` or ``@``
    are written as they are, since they are data. JSON and CSV write values as `dsvc.diff.cell_json` says, but
    whole decimals (sums of integers) as numbers.

    Parameters
    ----------
    write : callable
        Takes the bytes, piece by piece.

    Returns
    -------
    int
        Number of rows.

    Raises
    ------
    SqlError
        If the format has no such type.
    """
    if format_ is QueryFormat.PARQUET:
        return _write_parquet(reader, write)
    if format_ is QueryFormat.CSV:
        return _write_csv(reader, write)
    return _write_json(reader, write, array=format_ is QueryFormat.JSON)


def row_values(batch: pa.RecordBatch) -> Iterator[tuple[object, ...]]:
    """Yield the rows of a batch as Python values; times that Python can't hold come as text."""
    columns = [_values(column) for column in batch.columns]
    return zip(*columns, strict=True)


def json_value(value: object) -> object:
    """Return a value of a result as JSON has it."""
    if isinstance(value, Decimal) and value.as_tuple().exponent == 0:
        return int(value)
    return json_cell(value)


def json_rows(batch: pa.RecordBatch) -> Iterator[dict[str, object]]:
    """Yield the rows of a batch as JSON objects."""
    names = batch.schema.names
    for row in row_values(batch):
        yield {name: json_value(value) for name, value in zip(names, row, strict=True)}


def _values(column: pa.Array) -> list[Any]:
    try:
        found: list[Any] = column.to_pylist()
    except (ValueError, OverflowError):
        found = column.cast(pa.string()).to_pylist()
    return found


def _write_json(reader: pa.RecordBatchReader, write: Write, *, array: bool) -> int:
    count = 0
    if array:
        write(b"[")
    for batch in reader:
        lines = [json.dumps(row, ensure_ascii=False) for row in json_rows(batch)]
        if not lines:
            continue
        if array:
            write(((",\n" if count else "\n") + ",\n".join(lines)).encode())
        else:
            write(("\n".join(lines) + "\n").encode())
        count += len(lines)
    if array:
        write(b"\n]\n" if count else b"]\n")
    return count


def _write_csv(reader: pa.RecordBatchReader, write: Write) -> int:
    count = 0
    write((",".join(map(_csv_cell, reader.schema.names)) + "\n").encode())
    # A line without anything would be no record, so that a null alone on it can't be told from empty text.
    alone = len(reader.schema.names) == 1
    for batch in reader:
        lines = [",".join(map(_csv_cell, row)) for row in row_values(batch)]
        count += len(lines)
        if lines:
            write(("\n".join(line or '""' if alone else line for line in lines) + "\n").encode())
    return count


def _csv_cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    shown = json_value(value)
    text = shown if isinstance(shown, str) else json.dumps(shown, ensure_ascii=False)
    if not text or _NEEDS_QUOTES.search(text):
        return '"' + text.replace('"', '""') + '"'
    return text


class _Sink(io.RawIOBase):
    """What Arrow writes to."""

    def __init__(self, write: Write) -> None:
        super().__init__()
        self._write = write

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        piece = bytes(data)
        self._write(piece)
        return len(piece)


def _write_parquet(reader: pa.RecordBatchReader, write: Write) -> int:
    import pyarrow.parquet as pq

    count = 0
    try:
        with pq.ParquetWriter(_Sink(write), reader.schema, compression="zstd") as writer:
            for batch in reader:
                writer.write_batch(batch)
                count += batch.num_rows
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
        raise SqlError(f"the result can't be written as Parquet: {error}") from error
    return count


__all__ = ["QueryFormat", "json_rows", "row_values", "write_rows"]
