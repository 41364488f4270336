"""Arrow tables as text: CSV, TSV, JSON lines and JSON arrays, so that dsvc reads the same rows from them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from dsvc.table.exchange.json_value import json_cell

Write = Callable[[bytes], object]
_TEXT: Final = pa.large_string()
_BATCH_ROWS: Final = 65_536
# Other delimiters too: which one it is, readers guess from the header.
_NEEDS_QUOTES: Final = '[",;|\\t\r\n]|^[ \\t]*$'
_WHOLE: Final = r"^-?[0-9]+$"
_ZEROS: Final = r"\.([0-9]*?)0+$"


def write_csv(
    table: pa.Table, write: Write, delimiter: str = ",", texts: Mapping[str, pa.Array] | None = None
) -> None:
    """Write CSV: null is nothing, the empty text is ``""``, whole floats have a ``.0``.

    Values that CSV has no form for are written as JSON.

    Parameters
    ----------
    texts : mapping of str to pyarrow.Array or None
        How cells of some columns are written, null where as any other.
    """
    names = _quoted(pa.array(table.column_names, _TEXT))
    write(delimiter.join(names.to_pylist()).encode() + b"\n")
    # A line without anything would be no record.
    alone = '""' if table.num_columns == 1 else ""
    row = 0
    for batch in table.to_batches(max_chunksize=_BATCH_ROWS):
        cells = []
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            shown = _cells(column)
            if texts and name in texts:
                shown = pc.coalesce(_quoted(texts[name].slice(row, len(column))), shown)
            cells.append(pc.fill_null(shown, pa.scalar(alone, _TEXT)))
        row += batch.num_rows
        ended = _joined(cells[-1], "\n")
        write(_text(_joined(*cells[:-1], ended, between=delimiter)))


def _text(lines: pa.Array) -> bytes:
    """All lines, which stand one after the other in memory."""
    offsets = memoryview(lines.buffers()[1]).cast("q")
    start, end = offsets[lines.offset], offsets[lines.offset + len(lines)]
    data = lines.buffers()[2]
    return b"" if data is None else bytes(memoryview(data)[start:end])


def _joined(*parts: pa.Array | str, between: str = "") -> pa.Array:
    """Put texts together, row by row; null where one is."""
    whole = [pa.scalar(part, _TEXT) if isinstance(part, str) else part for part in parts]
    return pc.binary_join_element_wise(*whole, pa.scalar(between, _TEXT))


def _quoted(column: pa.Array) -> pa.Array:
    inner = pc.replace_substring(column, '"', '""')
    return pc.if_else(
        pc.match_substring_regex(column, _NEEDS_QUOTES),
        _joined('"', inner, '"'),
        column,
    )


def _cells(column: pa.Array) -> pa.Array:
    """Cells as they are written, null where they are."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _cells(column.dictionary_decode())
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_date32(kind):
        return column.cast(_TEXT)
    if pa.types.is_floating(kind):
        shown = column.cast(pa.float32()).cast(_TEXT) if pa.types.is_float16(kind) else column.cast(_TEXT)
        whole = pc.match_substring_regex(shown, _WHOLE)
        return pc.if_else(whole, _joined(shown, ".0"), shown)
    if pa.types.is_timestamp(kind) and kind.tz is None:
        shown = pc.replace_substring_regex(column.cast(_TEXT), _ZEROS, r".\1")
        return pc.replace_substring_regex(shown, r"\.$", "")
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return _quoted(column.cast(_TEXT))
    values = [json_cell(value) for value in _values(column)]
    shown_values = [
        each if each is None or isinstance(each, str) else json.dumps(each, ensure_ascii=False)
        for each in values
    ]
    return _quoted(pa.array(shown_values, _TEXT))


def _values(column: pa.Array) -> list[object]:
    try:
        found: list[object] = column.to_pylist()
    except (ValueError, OverflowError):
        found = column.cast(pa.string()).to_pylist()
    return found


def write_json(table: pa.Table, write: Write, *, array: bool) -> None:
    """Write JSON lines, or an array of objects, with values as in `dsvc.table.exchange.json_value`."""
    first = True
    if array:
        write(b"[")
    for batch in table.to_batches(max_chunksize=_BATCH_ROWS):
        lines = _json_lines(batch)
        if lines and array:
            # No line end stands within a line: in text it is escaped.
            write((b"\n" if first else b",\n") + lines[:-1].replace(b"\n", b",\n"))
        else:
            write(lines)
        first = first and not lines
    if array:
        write(b"]\n" if first else b"\n]\n")


def _json_lines(batch: pa.RecordBatch) -> bytes:
    names = batch.schema.names
    columns = [_json_values(column) for column in batch.columns]
    rows = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    return msgspec.json.Encoder().encode_lines(rows)


def _json_values(column: pa.Array) -> list[object]:
    kind = column.type
    plain = pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_large_string(kind)
    plain = plain or pa.types.is_string(kind)
    if pa.types.is_floating(kind) and not pa.types.is_float16(kind):
        plain = pc.all(pc.is_finite(column)).as_py() is not False
    values = _values(column)
    return values if plain else [json_cell(value) for value in values]
