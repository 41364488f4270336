"""Values that people wrote, as a table from which cells of another take them: each in its column's type."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, ClassVar, Final

from dsvc.model.errors import UsageError
from dsvc.model.table_kind import TableFormat, TableKind
from dsvc.table.index.row_index import RowIndex
from dsvc.table.origin.memory_source import MemorySource
from dsvc.table.origin.source import TableSource
from dsvc.table.splice.splice_plan import Donor

_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?", re.ASCII)
_INT64: Final = range(-(2**63), 2**63)
_BOOLEANS: Final = ("true", "false", "True", "False", "TRUE", "FALSE")
_MAX_DIGITS: Final = 40


class ValueMisfitError(UsageError):
    """A value is none of the type that its column has; nothing was written."""

    code: ClassVar[str] = "value-misfit"


def values_donor(
    source: TableSource, kind: TableKind, index: RowIndex, columns: Mapping[str, Sequence[str | None]]
) -> Donor:
    """Make a table of values that cells of another can be taken from.

    Parameters
    ----------
    source, kind, index : TableSource, TableKind, RowIndex
        The table whose cells they will be.
    columns : mapping of str to sequence of (str or None)
        Values by column, as text; what None stands for is of no matter. All have one length.

    Raises
    ------
    ValueMisfitError
        If one doesn't fit the type of its column.
    NotATableError
        If the table can't be read.
    """
    if not kind.format.is_text:
        return Donor(MemorySource(source.name, _arrow(source, kind, columns)), TableKind(TableFormat.ARROW))
    types = {column.name: column.type for column in index.columns}
    if kind.format in (TableFormat.JSON, TableFormat.JSONL):
        data = _json(columns, types, source.name)
        return Donor(MemorySource(source.name, data), TableKind(TableFormat.JSONL))
    for name, values in columns.items():
        for value in set(values) - {None}:
            if not _fits_csv(str(value), types[name]):
                raise _misfit(source.name, name, types[name], str(value))
    return Donor(MemorySource(source.name, _csv(columns)), TableKind(TableFormat.CSV))


def _misfit(table: str, column: str, type_: str, value: str, why: str = "") -> ValueMisfitError:
    return ValueMisfitError(
        f"{value[:80]!r} is no value of column {column} of {table}, which is {type_}{why}",
        hint="nothing was written",
        details={"path": table, "column": column, "type": type_, "value": value[:200]},
    )


# CSV


def _fits_csv(text: str, type_: str) -> bool:
    try:
        if type_ == "int64":
            return len(text) < _MAX_DIGITS and bool(_INTEGER.fullmatch(text)) and int(text) in _INT64
        if type_ == "double":
            return bool(_NUMBER.fullmatch(text)) and math.isfinite(float(text))
        if type_ == "bool":
            return text in _BOOLEANS
        if type_ == "date32":
            return str(date.fromisoformat(text)) == text
        if type_ == "timestamp":
            return bool(_MOMENT.fullmatch(text)) and bool(datetime.fromisoformat(text[:19]))
    except ValueError:
        return False
    return True


def _csv(columns: Mapping[str, Sequence[str | None]]) -> bytes:
    output = io.StringIO(newline="")
    # Everything in quotes, with a column in front, so that nothing in it passes for another dialect.
    writer = csv.writer(output, quoting=csv.QUOTE_ALL, lineterminator="\n")
    front = "n"
    while front in columns:
        front += "n"
    writer.writerow([front, *columns])
    for number, values in enumerate(zip(*columns.values(), strict=True)):
        writer.writerow([number, *("" if value is None else value for value in values)])
    return output.getvalue().encode("utf-8", "surrogateescape")


# JSON


def _json(columns: Mapping[str, Sequence[str | None]], types: Mapping[str, str], table: str) -> bytes:
    written = [
        [_json_value(value, types[name], name, table) for value in values] for name, values in columns.items()
    ]
    names = [json.dumps(name, ensure_ascii=False) for name in columns]
    lines = [
        "{" + ", ".join(f"{name}: {value}" for name, value in zip(names, row, strict=True)) + "}"
        for row in zip(*written, strict=True)
    ]
    try:
        return "".join(line + "\n" for line in lines).encode()
    except UnicodeEncodeError as error:
        raise _misfit(table, next(iter(columns)), "text", str(error.object), "; it is no UTF-8") from error


def _json_value(text: str | None, type_: str, column: str, table: str) -> str:
    if text is None:
        return "null"
    if type_ in ("string", "null"):
        return json.dumps(text, ensure_ascii=False)
    try:
        value = _decoded(text)
    except ValueError as error:
        if type_ == "mixed":
            return json.dumps(text, ensure_ascii=False)
        raise _misfit(table, column, type_, text) from error
    if not _fits_json(value, text, type_):
        raise _misfit(table, column, type_, text)
    return text.strip()


def _decoded(text: str) -> Any:
    def refuse(name: str) -> None:
        raise ValueError(name)

    try:
        return json.loads(text, parse_constant=refuse)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _fits_json(value: Any, text: str, type_: str) -> bool:
    if type_ in ("mixed", "struct", "list"):
        # In lines a record is one of them.
        return "\n" not in text and isinstance(value, {"struct": dict, "list": list}.get(type_, object))
    if type_ == "bool" or isinstance(value, bool):
        return type_ == "bool" and isinstance(value, bool)
    if type_ == "int64":
        return isinstance(value, int) and value in _INT64
    return type_ == "double" and isinstance(value, int | float) and math.isfinite(value)


# Parquet and Arrow


def _arrow(source: TableSource, kind: TableKind, columns: Mapping[str, Sequence[str | None]]) -> bytes:
    import pyarrow as pa

    from dsvc.table.reading.record_access import ColumnarAccess
    from dsvc.table.values.typed_value import typed_column

    schema = ColumnarAccess(source, kind).schema
    arrays = []
    for name, values in columns.items():
        wanted = schema.field(name).type
        plain = wanted.value_type if pa.types.is_dictionary(wanted) else wanted
        try:
            arrays.append(typed_column(values, plain))
        except ValueError as error:
            text, why = error.args
            raise _misfit(source.name, name, str(plain), str(text), f" ({why})") from error
    output = io.BytesIO()
    table = pa.table(arrays, names=list(columns))
    with pa.ipc.new_file(output, table.schema) as writer:
        writer.write_table(table)
    return output.getvalue()
