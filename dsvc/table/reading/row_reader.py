"""Rows of a table by number, as Python values; little more than those is decoded where the format allows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from dsvc.model.table_kind import Compression, TableFormat, TableKind
from dsvc.table.binary.plain_arrow import python_values
from dsvc.table.index.row_index import RowIndex
from dsvc.table.origin.source import TableSource
from dsvc.table.text.records import RecordBlock, TextRecords, block_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

_BATCH_ROWS: Final = 1024
_BUFFER_BYTES: Final = 256 << 10
_NEAR_ROWS: Final = 20_000
"""Rows that lie closer together than this are read in one go."""
_MAX_DIGITS: Final = 4000
_MICROSECONDS: Final = len("2000-01-01 00:00:00.000000")


def read_rows(
    source: TableSource, kind: TableKind, index: RowIndex, rows: Sequence[int]
) -> dict[int, dict[str, Any]]:
    """Read some rows of a table.

    Parameters
    ----------
    index : RowIndex
        The table's index.
    rows : sequence of int
        Numbers of rows, ascending.

    Returns
    -------
    dict of int to dict
        Each row's values by column, in the table's order.

    Raises
    ------
    NotATableError, TableLimitError
        If it can't be read.
    """
    if not rows:
        return {}
    wanted = np.asarray(rows, np.int64)
    if kind.format is TableFormat.PARQUET:
        return _parquet_rows(source, wanted)
    if kind.format is TableFormat.ARROW:
        from dsvc.table.binary.arrow_ipc import open_ipc

        with open_ipc(source) as (_schema, batches):
            return _pick(batches, wanted, 0)
    return _text_rows(source, kind, index, wanted)


def row_blocks(
    source: TableSource, kind: TableKind, index: RowIndex, rows: Numbers
) -> Iterator[tuple[Numbers, list[dict[str, Any]]]]:
    """Read many rows of a table in one pass, a block at a time; parameters and errors as `read_rows`.

    Yields
    ------
    (ndarray of int64, list of dict)
        Numbers of rows, ascending, and the values of each by column.
    """
    if not len(rows):
        return
    if kind.format.is_text:
        decode = _json_rows if kind.format in (TableFormat.JSONL, TableFormat.JSON) else _csv_rows
        records = TextRecords(source, kind)
        for numbers, found in text_records(records, index, rows):
            yield numbers, decode(records, index, source.name, found)
        return
    from dsvc.table.reading.arrow_reader import open_arrow

    first, last = 0, int(rows[-1])
    with open_arrow(source, kind) as table:
        for batch in table.batches():
            here = rows[np.searchsorted(rows, first) : np.searchsorted(rows, first + batch.num_rows)]
            if len(here):
                kept = batch.filter(_mask(here - first, batch.num_rows))
                columns = [python_values(column) for column in kept.columns]
                names = batch.schema.names
                values = zip(*columns, strict=True) if columns else ((),) * len(here)
                yield here, [dict(zip(names, each, strict=True)) for each in values]
            first += batch.num_rows
            if first > last:
                break


def _mask(places: Numbers, count: int) -> pa.Array:
    flags = np.zeros(count, np.bool_)
    flags[places] = True
    return pa.array(flags)


def _parquet_rows(source: TableSource, wanted: Numbers) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    from dsvc.table.binary.parquet_file import open_parquet

    # The index was made of this file, within the limits on what its values may grow to.
    with open_parquet(source, buffer_bytes=_BUFFER_BYTES) as file:
        first = 0
        for number in range(file.num_row_groups):
            count = file.metadata.row_group(number).num_rows
            here = wanted[(wanted >= first) & (wanted < first + count)]
            if len(here):
                batches = file.iter_batches(_BATCH_ROWS, row_groups=[number], use_threads=False)
                found |= _pick(batches, here, first)
            first += count
    return found


def _pick(batches: Iterator[pa.RecordBatch], wanted: Numbers, first: int) -> dict[int, dict[str, Any]]:
    """Take rows from batches until the last one wanted is there."""
    found: dict[int, dict[str, Any]] = {}
    for batch in batches:
        here = wanted[(wanted >= first) & (wanted < first + batch.num_rows)]
        if len(here):
            places = (here - first).tolist()
            # Slices put together: taking by number would load pandas where it is installed.
            columns = [
                python_values(pa.concat_arrays([column.slice(place, 1) for place in places]))
                for column in batch.columns
            ]
            for number, *values in zip(here.tolist(), *columns, strict=True):
                found[number] = dict(zip(batch.schema.names, values, strict=True))
        first += batch.num_rows
        if first > wanted[-1]:
            break
    return found


# Text


def _text_rows(
    source: TableSource, kind: TableKind, index: RowIndex, wanted: Numbers
) -> dict[int, dict[str, Any]]:
    records = TextRecords(source, kind)
    decode = _json_rows if kind.format in (TableFormat.JSONL, TableFormat.JSON) else _csv_rows
    return {
        int(number): row
        for numbers, found in text_records(records, index, wanted)
        for number, row in zip(numbers, decode(records, index, source.name, found), strict=True)
    }


def text_records(
    records: TextRecords, index: RowIndex, wanted: Numbers
) -> Iterator[tuple[Numbers, list[bytes]]]:
    """Yield the text of some rows, a block's at a time; as `text_blocks`."""
    for numbers, block, places in text_blocks(records, index, wanted):
        yield numbers, [block.record(int(place)) for place in places]


def text_blocks(
    records: TextRecords, index: RowIndex, wanted: Numbers
) -> Iterator[tuple[Numbers, RecordBlock, Numbers]]:
    """Yield the blocks in which some rows of a table in text are, and the rows' places there.

    Parameters
    ----------
    index : RowIndex
        The table's index.
    wanted : ndarray of int64
        Numbers of rows, ascending.

    Raises
    ------
    NotATableError, TableLimitError
        If it can't be read.
    """
    for numbers, first, start in _stretches(index, records.kind, wanted):
        places = index.records(numbers) - int(index.records(np.array([first]))[0])
        last = int(places[-1])
        for block in records.blocks(start, small=last < _NEAR_ROWS):
            begin, end = np.searchsorted(places, (block.first, block.first + len(block)))
            if begin < end:
                yield numbers[begin:end], block, places[begin:end] - block.first
            if block.first + len(block) > last:
                break


def _stretches(index: RowIndex, kind: TableKind, wanted: Numbers) -> Iterator[tuple[Numbers, int, int]]:
    """Rows that are read together, with the row and the byte where their reading begins."""
    if kind.compression is not Compression.NONE:
        # Decompression begins at the front in any case.
        yield wanted, 0, int(index.pieces["offset"][0])
        return
    for numbers in np.split(wanted, np.flatnonzero(np.diff(wanted) > _NEAR_ROWS) + 1):
        piece = int(np.searchsorted(index.starts, numbers[0], side="right")) - 1
        yield numbers, int(index.starts[piece]), int(index.pieces["offset"][piece])


def _json_rows(
    records: TextRecords, index: RowIndex, name: str, found: Sequence[bytes]
) -> list[dict[str, Any]]:
    del records, index, name
    return [_json_row(record) for record in found]


def _json_row(record: bytes) -> dict[str, Any]:
    try:
        row = json.loads(record, parse_int=whole_number)
    except (ValueError, RecursionError):
        # The engine takes what is a little off, such as a comma too many; its text is shown then.
        return {"": record.decode("utf-8", "replace")}
    return row if isinstance(row, dict) else {"": row}


def whole_number(digits: str) -> int | str:
    """Whole number of JSON; text where Python would take its time with it."""
    return int(digits) if len(digits) < _MAX_DIGITS else digits


def _csv_rows(
    records: TextRecords, index: RowIndex, name: str, found: Sequence[bytes]
) -> list[dict[str, Any]]:
    from dsvc.table.text.csv_cells import csv_cells

    table, _places, _malformed = csv_cells(records, block_of(found), name)
    types = {column.name: column.type for column in index.columns}
    columns = [
        [typed(value, types.get(column, "string")) for value in table.column(column).to_pylist()]
        for column in table.column_names
    ]
    return [dict(zip(table.column_names, values, strict=True)) for values in zip(*columns, strict=True)]


def typed(text: str | None, type_: str) -> Any:
    """Value of a CSV cell in its column's type; text where it doesn't fit."""
    if text is None or type_ == "string":
        return text
    try:
        if type_ == "int64":
            return int(text)
        if type_ == "double":
            return float(text)
        if type_ == "bool":
            return text.lower() == "true"
        if type_ == "date32":
            return date.fromisoformat(text)
        if type_ == "timestamp" and len(text) <= _MICROSECONDS:
            return datetime.fromisoformat(text)
    except ValueError:
        pass
    return text
