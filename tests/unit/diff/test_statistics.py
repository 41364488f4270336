"""Statistics of columns, beside those that Polars and numpy compute."""

from __future__ import annotations

import io
import json
import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.diff.statistics import ColumnDrift, compare_statistics, psi
from dsvc.model.table_kind import TableFormat, TableKind
from dsvc.table.origin.memory_source import MemorySource
from dsvc.table.reading.arrow_reader import ArrowTable, open_arrow


def opened(table: pa.Table) -> ArrowTable:
    out = io.BytesIO()
    pq.write_table(table, out)
    return open_arrow(MemorySource("t.parquet", out.getvalue()), TableKind(TableFormat.PARQUET))


def drift(one: pa.Array, other: pa.Array) -> ColumnDrift:
    (found,) = compare_statistics(opened(pa.table({"c": one})), opened(pa.table({"c": other})))
    return found


VALUES = [
    (pa.int64(), st.integers(-5, 5)),
    (pa.float64(), st.floats(-9, 9, allow_nan=False)),
    (pa.string(), st.sampled_from(["a", "b", "猫", ""])),
    (pa.bool_(), st.booleans()),
    (pa.decimal128(9, 2), st.sampled_from([Decimal("1.50"), Decimal("-2.00")])),
]


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(VALUES).flatmap(
        lambda v: st.tuples(st.just(v[0]), st.lists(st.none() | v[1], max_size=30))
    )
)
def test_figures_are_those_of_polars(case: tuple[pa.DataType, list[Any]]) -> None:
    kind, values = case
    found = drift(pa.array(values, kind), pa.array([], kind)).before
    assert found is not None
    series = pl.Series(values, dtype=pl.Decimal(9, 2) if pa.types.is_decimal(kind) else None, strict=False)
    known = series.drop_nulls()
    assert found.rows == len(values)
    assert found.nulls == series.null_count()
    assert found.distinct == known.n_unique()
    if len(known):
        assert (found.minimum, found.maximum) == (min(known), max(known))
        if kind not in (pa.string(), pa.bool_()):
            assert found.mean == pytest.approx(float(sum(known)) / len(known), abs=1e-12)
        counts = sorted(known.value_counts()["count"], reverse=True)
        assert [count for _value, count in found.top] == counts[:5]
        assert all((known == value).sum() == count for value, count in found.top)


def numpy_psi(old: np.ndarray[Any, Any], new: np.ndarray[Any, Any]) -> float:
    edges = np.quantile(old, np.arange(1, 10) / 10, method="inverted_cdf")
    edges = np.unique(edges)
    p = np.maximum(np.bincount(np.searchsorted(edges, old), minlength=len(edges) + 1) / len(old), 1e-4)
    q = np.maximum(np.bincount(np.searchsorted(edges, new), minlength=len(edges) + 1) / len(new), 1e-4)
    used = (p > 1e-4) | (q > 1e-4)
    return float(((q - p) * np.log(q / p))[used].sum())


@pytest.mark.parametrize("shift", [0.0, 0.2, 3.0])
def test_drift_of_numbers_is_that_of_numpy(shift: float) -> None:
    random = np.random.default_rng(7)
    old, new = random.normal(size=5000), random.normal(size=4000) + shift
    found = drift(pa.array(old), pa.array(new)).psi
    assert found == pytest.approx(numpy_psi(old, new), rel=1e-9)
    # The thresholds of the textbook: little, some, a significant change.
    assert found is not None
    assert (found < 0.1) == (shift < 1)


def test_drift_of_categories() -> None:
    found = drift(pa.array(["a"] * 6 + ["b"] * 4), pa.array(["a"] * 4 + ["b"] * 4 + ["c"] * 2))
    expected = (0.4 - 0.6) * math.log(0.4 / 0.6) + (0.2 - 1e-4) * math.log(0.2 / 1e-4)
    assert found.psi == pytest.approx(expected)
    assert psi({0: 1}, {}) is None
    assert psi({0: 3, 1: 1}, {0: 6, 1: 2}) == pytest.approx(0)


def test_columns_of_one_side_and_types_that_change() -> None:
    old = pa.table({"id": [1, 2], "gone": ["x", "y"], "v": [1, 2]})
    new = pa.table({"id": [1, 2], "v": ["1", "zwei"], "neu": [None, None]})
    found = {drift.name: drift for drift in compare_statistics(opened(old), opened(new))}
    assert list(found) == ["id", "v", "neu", "gone"]
    assert not found["id"].moved
    assert (found["gone"].after, found["neu"].before) == (None, None)
    assert found["v"].moved
    assert found["neu"].as_json()["after"]["null_share"] == 1.0  # type: ignore[index]
    assert compare_statistics(None, opened(new))[0].before is None


def test_values_that_python_or_the_engine_find_hard() -> None:
    moment = datetime(2026, 11, 22, tzinfo=UTC)
    table = pa.table(
        {
            "when": [moment, moment + timedelta(days=1)],
            "ns": pa.array([1, 1_000_000_000_000], pa.timestamp("ns")),
            "nested": [{"a": [1]}, {"a": [1]}],
            "bytes": [b"x", b"y"],
            "nan": [float("nan"), 1.0],
            "half": pa.array([1.0, 2.0], pa.float32()).cast(pa.float16()),
            "words": pa.array(["a", "a"]).dictionary_encode(),
            "nothing": pa.nulls(2),
        }
    )
    found = {drift.name: drift.after for drift in compare_statistics(opened(table), opened(table))}
    assert found["when"] is not None
    assert found["when"].maximum == moment + timedelta(days=1)
    assert found["nested"] is not None
    assert found["nested"].distinct == 1
    assert found["nan"] is not None
    assert (found["nan"].maximum, found["nan"].mean, found["nan"].distinct) == (1.0, 1.0, 2)
    assert not any(drift.moved for drift in compare_statistics(opened(table), opened(table)))


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        (pa.list_(pa.float64()), [[0.5], [1.5], None], [[0.5], [2.5], [2.5]]),
        (pa.list_(pa.float32(), 2), [[0.5, 1.0]], [[0.5, 2.0]]),
        (pa.list_(pa.decimal128(5, 2)), [[Decimal("1.50")]], [[Decimal("2.50")]]),
        (pa.list_(pa.date32()), [[datetime(2026, 1, 1, tzinfo=UTC).date()]], [[]]),
        (pa.list_(pa.timestamp("us")), [[datetime(2026, 1, 1)]], [[datetime(2026, 1, 2)]]),  # noqa: DTZ001
    ],
)
def test_lists_of_numbers_and_times_are_no_numbers(
    kind: pa.DataType, one: list[Any], other: list[Any]
) -> None:
    found = drift(pa.array(one, kind), pa.array(other, kind))
    assert found.moved
    assert found.psi is not None
    assert found.psi > 0
    assert found.before is not None
    assert (found.before.minimum, found.before.mean, found.before.top) == (None, None, ())
    assert drift(pa.array(one, kind), pa.array(one, kind)).psi == pytest.approx(0)


def test_figures_of_numbers_that_json_lacks_are_text() -> None:
    high = 1.7e308
    old, new = pa.array([1.0, 2.0, high] * 40), pa.array([math.inf, -math.inf, math.nan] * 40)
    found = drift(old, new)
    json.dumps(found.as_json(), allow_nan=False)
    assert found.after is not None
    assert found.after.as_json()["max"] == "Infinity"
    assert found.after.as_json()["mean"] == "NaN"
