"""Cells of text by value: a table in CSV or JSON hashes as the same table in Parquet does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.model.table_kind import TableKind
from dsvc.table.index.index_builder import build_index
from dsvc.table.origin.memory_source import MemorySource
from dsvc.table.values.value_form import Form, form_of
from dsvc.table.values.value_hash import value_cells
from tests.tablekit import CSV, JSON, JSONL, parquet

Values = Sequence[Any]


def of_parquet(values: Values, type_: pa.DataType) -> list[int]:
    table = parquet(pa.table({"v": pa.array(values, type_)}))
    return table.index.cells(names=["v"])["v"].tolist()  # type: ignore[no-any-return]


def of_text(data: str, kind: TableKind, form: Form, rows: Sequence[int] | None = None) -> list[int]:
    source = MemorySource("t", data.encode())
    index = build_index(source, kind)
    wanted = np.arange(index.rows) if rows is None else np.array(rows, np.int64)
    return value_cells(source, kind, index, wanted, {"v": form})["v"].tolist()


def as_jsonl(values: Values) -> str:
    return "".join(json.dumps({"n": 1, "v": value}, ensure_ascii=False) + "\n" for value in values)


def as_json(values: Values) -> str:
    records = [json.dumps({"v": value, "n": [2]}, indent=1) for value in values]
    return "[\n" + " ,\n\n".join(records) + "\n]\n"


def as_csv(values: Values) -> str:
    def cell(value: Any) -> str:
        if value is None:
            return ""
        if isinstance(value, bool):
            return "True" if value else "false"
        return '"' + value.replace('"', '""') + '"' if isinstance(value, str) else repr(value)

    return "n,v\n" + "".join(f"1,{cell(value)}\n" for value in values)


FORMATS = [(CSV, as_csv), (JSONL, as_jsonl), (JSON, as_json)]
integers = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([2**53 - 1, 2**53 + 1, 9 * 10**15, -1, 0])
floats = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([-0.0, 1.0, 9e15, 1e22, 0.1])
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r\n")) | st.sampled_from(
    ["", "2024-01-02", "1.50", "null", "王芳", 'q"', "a,b"]
)


@pytest.mark.parametrize(
    ("values", "type_"),
    [(integers, pa.int64()), (floats, pa.float64()), (st.booleans(), pa.bool_()), (texts, pa.string())],
    ids=["int64", "double", "bool", "string"],
)
def test_text_hashes_as_parquet(values: st.SearchStrategy[Any], type_: pa.DataType) -> None:
    @settings(deadline=None, max_examples=9)
    @given(st.lists(values | st.none(), min_size=1, max_size=12))
    def each(column: list[Any]) -> None:
        expected = of_parquet(column, type_)
        for kind, write in FORMATS:
            assert of_text(write(column), kind, form_of(str(type_))) == expected

    each()


def test_whole_numbers_among_others_are_what_they_are() -> None:
    values = [1, 2.5, -0.0, 3.0, None, 10**15]
    expected = of_parquet(values, pa.float64())
    assert of_text(as_jsonl(values), JSONL, Form.NUMBER) == expected
    large = [2**53 + 1, 2**53 + 3, 0.5]
    hashes = of_text(as_jsonl(large), JSONL, Form.NUMBER)
    assert hashes[:2] == of_parquet(large[:2], pa.int64())
    assert hashes == of_text("v\n9007199254740993\n9007199254740995\n0.5\n", CSV, Form.NUMBER)
    assert of_text(as_jsonl([1.5, 7]), JSONL, Form.TEXT) == of_parquet(["1.5", "7"], pa.string())


def test_numbers_as_narrow_ones() -> None:
    values = [0.1, 1.0, -3.25, None, 16777216.0]
    expected = of_parquet(values, pa.float32())
    for kind, write in FORMATS:
        assert of_text(write(values), kind, Form.FLOAT32) == expected
    assert of_text(as_jsonl([1, 5]), JSONL, Form.FLOAT32) == of_parquet([1, 5], pa.float32())


def test_numbers_and_truth_as_text() -> None:
    assert of_text(as_jsonl([7, -1, None]), JSONL, Form.TEXT) == of_parquet(["7", "-1", None], pa.string())
    assert of_text(as_jsonl([True, False]), JSONL, Form.TEXT) == of_parquet(["true", "false"], pa.string())
    mixed = [1, "a", None, True, 2.50]
    expected = of_parquet(["1", "a", None, "true", "2.5"], pa.string())
    assert of_text(as_jsonl(mixed), JSONL, Form.TEXT) == expected


def test_nested_values_beside_plain_ones() -> None:
    values = [[1, 2], [], None, [3]]
    assert of_text(as_jsonl(values), JSONL, Form.NESTED) == of_parquet(values, pa.list_(pa.int64()))


@pytest.mark.parametrize(("kind", "write"), FORMATS, ids=["csv", "jsonl", "json"])
def test_some_rows_of_many(kind: TableKind, write: Any) -> None:
    values = [f"名{n}\t{n % 7}" for n in range(5000)]
    expected = np.array(of_parquet(values, pa.string()), np.uint64)
    data = write(values)
    for rows in (range(5000), range(0, 5000, 2), range(1, 4999, 3), [4, 5, 4999], [0]):
        form = Form.TIME  # what is no time is its text
        assert of_text(data, kind, form, list(rows)) == expected[list(rows)].tolist()


@pytest.mark.parametrize("count", [3, 2500])
def test_malformed_records_are_no_rows(count: int) -> None:
    lines = as_csv(list(range(count))).splitlines()
    lines[2:2] = ["1,2,3", ""]
    assert of_text("\r\n".join(lines), CSV, Form.NUMBER) == of_parquet(range(count), pa.int64())
    lines = as_jsonl(list(range(count))).splitlines()
    lines[1:1] = ["[1]", "", '{"v": 1, "v": 2}']
    assert of_text("\n".join(lines), JSONL, Form.NUMBER) == of_parquet(range(count), pa.int64())
