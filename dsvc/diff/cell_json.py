"""Cells as JSON: the one place that says how a value of a table is written for programs.

| value | JSON |
|---|---|
| null, truth values, integers, finite floats, text | as they are |
| floats that JSON lacks | ``"NaN"``, ``"Infinity"``, ``"-Infinity"`` |
| decimals | text with all their digits: ``"1.50"`` |
| dates, times, timestamps | text in ISO 8601: ``"2026-11-22T08:00:00+08:00"`` |
| durations | text in ISO 8601: ``"P1DT2.5S"`` |
| bytes | text in base64 |
| lists and maps with keys that are no text | arrays; a map as an array of ``[key, value]`` |
| structs | objects |
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dsvc.diff.table_delta import TableDelta

MAX_DEPTH = 200
"""Deeper values are cut: what programs read must not end them."""


def json_cell(value: object, depth: int = 0) -> object:
    """Return a cell as a value that ``json.dumps`` takes, without NaN and the infinities."""
    if isinstance(value, Mapping | list | tuple):
        return _nested(value, depth) if depth < MAX_DEPTH else "…"
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else _not_finite(value)
    return _text(value)


def _nested(value: Mapping[object, object] | list[object] | tuple[object, ...], depth: int) -> object:
    if isinstance(value, Mapping):
        return {str(name): json_cell(cell, depth + 1) for name, cell in value.items()}
    return [json_cell(cell, depth + 1) for cell in value]


def _text(value: object) -> str:
    """Write a value that JSON has no kind for."""
    if isinstance(value, bytes | bytearray | memoryview):
        return b64encode(value).decode("ascii")
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return _duration(value)
    # Half a pair of surrogates can't be written as UTF-8.
    return str(value).encode("utf-8", "replace").decode("utf-8")


def json_row(row: Mapping[str, object] | None) -> dict[str, object] | None:
    """Return a row as a JSON object; None stays None."""
    return None if row is None else {name: json_cell(value) for name, value in row.items()}


def delta_json(delta: TableDelta) -> dict[str, object]:
    """Return a difference of tables as the ``table`` object of ``diff --json``."""
    schema = delta.schema
    return {
        "key": list(delta.key),
        "key_from": delta.key_from.value,
        "rows": {
            "added": delta.rows_added,
            "removed": delta.rows_removed,
            "changed": delta.rows_changed,
            "unchanged": delta.rows_unchanged,
        },
        "cells_changed": delta.cells_changed,
        "by_column": dict(delta.by_column),
        "schema": {
            "added": [{"name": column.name, "type": column.type} for column in schema.added],
            "removed": [{"name": column.name, "type": column.type} for column in schema.removed],
            "retyped": [{"name": item.name, "from": item.old, "to": item.new} for item in schema.retyped],
            "renamed": [{"from": item.old, "to": item.new} for item in schema.renamed],
        },
        "changes": [
            {
                "op": change.op.value,
                "key": json_row(change.key),
                "before": json_row(change.before),
                "after": json_row(change.after),
                "columns": list(change.columns),
                "before_position": change.before_position,
                "after_position": change.after_position,
            }
            for change in delta.changes
        ],
        "truncated": delta.truncated,
        "malformed": {
            "before": [{"line": row.line, "message": row.message} for row in delta.malformed_before],
            "after": [{"line": row.line, "message": row.message} for row in delta.malformed_after],
        },
    }


def _not_finite(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _duration(value: timedelta) -> str:
    sign = "-" if value < timedelta(0) else ""
    whole = abs(value)
    seconds = f"{whole.seconds}.{whole.microseconds:06d}".rstrip("0").rstrip(".")
    days = f"{whole.days}D" if whole.days else ""
    return f"{sign}P{days}T{seconds}S"
