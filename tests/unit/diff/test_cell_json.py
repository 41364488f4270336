"""Cells as JSON: one text for each value, and always JSON that any program reads."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsvc.diff.cell_json import delta_json, json_cell, json_row
from dsvc.diff.table_delta import KeySource, RowChange, RowOp, TableDelta

CASES = [
    (None, None),
    (True, True),
    (2**70, 2**70),
    (0.1, 0.1),
    (float("nan"), "NaN"),
    (float("inf"), "Infinity"),
    (float("-inf"), "-Infinity"),
    (Decimal("1.50"), "1.50"),
    (datetime(2026, 11, 22, 8, tzinfo=UTC), "2026-11-22T08:00:00+00:00"),
    (date(2026, 11, 22), "2026-11-22"),
    (time(1, 2, 3), "01:02:03"),
    (timedelta(days=1, milliseconds=2500), "P1DT2.5S"),
    (-timedelta(seconds=1), "-PT1S"),
    (b"\0\xff", "AP8="),
    ([1, float("nan")], [1, "NaN"]),
    ({"a": [b"x"]}, {"a": ["eA=="]}),
    ([("k", 1)], [["k", 1]]),
    ("中文", "中文"),
    ("\ud800", "?"),
]


@pytest.mark.parametrize(("value", "expected"), CASES)
def test_values(value: object, expected: object) -> None:
    assert json_cell(value) == expected
    assert type(json_cell(value)) is type(expected)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.decimals()
    | st.datetimes()
    | st.timedeltas(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(VALUES)
def test_it_is_always_json(value: object) -> None:
    text = json.dumps(json_cell(value), allow_nan=False, ensure_ascii=False)
    assert json.loads(text.encode("utf-8")) == json_cell(value)


def test_deep_values_are_cut() -> None:
    value: object = 1
    for _ in range(100_000):
        value = [value]
    json.dumps(json_cell(value))


def test_a_delta() -> None:
    change = RowChange(op=RowOp.ADDED, key={"id": 7}, before=None, after={"id": 7, "x": float("nan")})
    found = delta_json(
        TableDelta(
            key=("id",),
            key_from=KeySource.GUESSED,
            rows_added=1,
            rows_removed=0,
            rows_changed=0,
            rows_unchanged=4,
            changes=[change],
        )
    )
    assert set(found) >= {
        "key", "key_from", "rows", "cells_changed", "by_column", "schema", "changes", "truncated",
    }  # fmt: skip
    assert found["rows"] == {"added": 1, "removed": 0, "changed": 0, "unchanged": 4}
    (row,) = found["changes"]  # type: ignore[misc]
    assert (row["op"], row["key"], row["before"], row["after"]) == (
        "added",
        {"id": 7},
        None,
        {"id": 7, "x": "NaN"},
    )
    assert json_row(None) is None
