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
