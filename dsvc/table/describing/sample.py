"""Columns of a table in text, as its first records show them.

Types are those that all records looked at agree on; a later record may say otherwise. They are written as
people write them: ``int64``, ``list<double>``, ``struct<a: string>``.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from dsvc.model.table_kind import TableFormat, TableKind
from dsvc.table.origin.source import NotATableError
from dsvc.table.text.dialect import BOM, sniff, unique_names

MAX_RECORDS: Final = 50
"""So many records are looked at: more would cost more than all else that is done to a file."""
_MAX_COLUMNS: Final = 400
"""More columns than any schema that fits into an entry has."""
_MAX_DEPTH: Final = 16
_INT64: Final = range(-(1 << 63), 1 << 63)

_DATE = r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
_TIME = r"(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?"
_TYPES: Final = (
    ("int64", re.compile(r"(?!-0$)-?(?:0|[1-9]\d{0,17})", re.ASCII).fullmatch),
    ("double", re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?", re.ASCII).fullmatch),
    ("bool", re.compile("true|false").fullmatch),
    ("date32[day]", re.compile(_DATE, re.ASCII).fullmatch),
    ("timestamp[us]", re.compile(f"{_DATE}[T ]{_TIME}", re.ASCII).fullmatch),
    ("timestamp[us, tz=UTC]", re.compile(rf"{_DATE}[T ]{_TIME}(?:Z|[-+]\d\d:?\d\d)", re.ASCII).fullmatch),
)

Columns = list[tuple[str, str]]
_Type = str | tuple[str, Any]
"""A name; or ``("list", type of the items)``, ``("struct", {name: type})``."""


def columns_of(kind: TableFormat, sample: bytes) -> Columns | None:
    """Names and types of the columns.

    Parameters
    ----------
    kind : TableFormat
        A format of text.
    sample : bytes
        The table's first bytes, decompressed. The last record is taken for cut off.

    Returns
    -------
    list of (name, type) or None
        None where the sample shows none.
    """
    if kind in (TableFormat.CSV, TableFormat.TSV):
        return _csv_columns(sample, kind)
    sample = sample.removeprefix(BOM)
    lines = _array_items(sample) if kind is TableFormat.JSON else _whole_lines(sample)
    return _json_columns(lines)


def text_of(data: bytes) -> str | None:
    """Decode UTF-8, else GB18030, a character at the end that is cut in two left out; None for neither."""
    for encoding in ("utf-8", "gb18030"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError as error:
            if error.start >= len(data) - 3:
                return data[: error.start].decode(encoding)
    return None


# CSV


def _csv_columns(sample: bytes, kind: TableFormat) -> Columns | None:
    try:
        dialect = sniff(sample, TableKind(kind), "")
        text = sample.removeprefix(BOM).decode(dialect.encoding, "ignore").lstrip("\r\n")
        rows = list(_csv_rows(text, dialect.delimiter))
    except (NotATableError, csv.Error):
        return None
    if len(rows) <= MAX_RECORDS:
        rows = rows[:-1]  # the last one is cut off
    if not rows or len(rows[0]) > _MAX_COLUMNS:
        return None
    names = rows.pop(0)
    cells: list[list[str]] = [[] for _ in names]
    for row in rows:
        for column, cell in zip(cells, row, strict=False):
            if cell:
                column.append(cell)
    return [(name, _text_type(column)) for name, column in zip(unique_names(names), cells, strict=True)]


def _csv_rows(text: str, delimiter: str) -> Iterator[list[str]]:
    found = 0
    for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
        if row and (len(row) > 1 or row[0].strip()):
            yield row
            found += 1
            if found > MAX_RECORDS:
                return


def _text_type(cells: list[str]) -> str:
    if not cells:
        return "null"
    return next((name for name, matches in _TYPES if all(map(matches, cells))), "string")


# JSON


def _whole_lines(sample: bytes) -> Iterator[bytes]:
    lines = sample.split(b"\n", MAX_RECORDS + 1)
    lines.pop()
    return (line for line in lines if line and not line.isspace())


def _array_items(sample: bytes) -> Iterator[bytes]:
    """Objects of an array, as far as they are whole; text by text, as the sample cuts the last one off."""
    text = text_of(sample) or ""
    start, depth, quoted = 0, 0, False
    for found in re.finditer(r'\\.|["\[\]{}]', text):
        sign = found.group()
        if sign == '"':
            quoted = not quoted
        elif quoted or len(sign) > 1:
            continue
        elif sign in "[{":
            depth += 1
            start = found.start() if depth == 2 else start
        else:
            depth -= 1
            if depth == 1:
                yield text[start : found.end()].encode("utf-8", "surrogatepass")


def _json_columns(lines: Iterable[bytes]) -> Columns | None:
    found: dict[str, _Type] = {}
    for number, line in enumerate(lines):
        if number == MAX_RECORDS:
            break
        try:
            record = _parsed(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict):
            _merge_fields(found, {name: _json_type(value) for name, value in record.items()})
        if len(found) > _MAX_COLUMNS:
            return None
    return [(name, _written(kind)) for name, kind in found.items()] or None


def _parsed(line: bytes) -> object:
    try:
        return msgspec.json.decode(line)
    except msgspec.DecodeError:
        import json  # takes NaN and Infinity too, which many write

        return json.loads(text_of(line) or "")


def _json_type(value: object, depth: int = 0) -> _Type:
    match value:
        case None:
            return "null"
        case bool():
            return "bool"
        case int():
            return "int64" if value in _INT64 else "string"
        case float():
            return "double"
        case list() if depth < _MAX_DEPTH:
            items: _Type = "null"
            for item in value:
                items = _merged(items, _json_type(item, depth + 1))
            return "list", items
        case dict() if depth < _MAX_DEPTH:
            return "struct", {name: _json_type(item, depth + 1) for name, item in value.items()}
    return "string"


def _merged(one: _Type, other: _Type) -> _Type:
    if other in (one, "null"):
        return one
    if one == "null":
        return other
    if isinstance(one, tuple) and isinstance(other, tuple) and one[0] == other[0]:
        if one[0] == "list":
            return "list", _merged(one[1], other[1])
        fields = dict(one[1])
        _merge_fields(fields, other[1])
        return "struct", fields
    return "double" if {str(one), str(other)} == {"int64", "double"} else "string"


def _merge_fields(fields: dict[str, _Type], more: dict[str, _Type]) -> None:
    for name, kind in more.items():
        known = fields.get(name)
        fields[name] = kind if known is None else _merged(known, kind)


def _written(kind: _Type) -> str:
    if isinstance(kind, str):
        return kind
    if kind[0] == "list":
        return f"list<{_written(kind[1])}>"
    return f"struct<{', '.join(f'{name}: {_written(field)}' for name, field in kind[1].items())}>"
