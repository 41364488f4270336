"""Cells of CSV that nobody changed keep their writing; all others are written as ever."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from dsvc.lineage.kept_writing import kept_cells, united
from dsvc.lineage.links import ordered
from dsvc.table.origin.memory_source import MemorySource
from dsvc.table.reading.arrow_reader import open_arrow
from tests.tablekit import CSV, JSONL

TEXT = "id,x,ok,at,s,n\n1,1.50,True,2026-01-01T10:00,1.50,7\n2,2,false,2026-01-02,a,8\n3,,,,,\n"


def kept(table: pa.Table, pairs: list[tuple[int, int]]) -> dict[str, list[str | None]]:

    outputs, inputs = (np.array([pair[side] for pair in pairs], np.int64) for side in (0, 1))
    source = open_arrow(MemorySource("t", TEXT.encode()), CSV)
    found = kept_cells(table, ordered(outputs, inputs), source)
    return {name: column.to_pylist() for name, column in found.items()}


def test_by_value() -> None:
    table = pa.table({"x": [2.0, 1.5, 1.5, None], "ok": [False, True, False, None], "id": [2, 1, 1, 3]})
    assert kept(table, [(0, 1), (1, 0), (2, 0), (3, 2)]) == {
        "x": ["2", "1.50", "1.50", None],
        "ok": ["false", "True", None, None],
    }


def test_several_parents_and_none() -> None:
    table = pa.table({"x": [1.5, 1.5, 1.5]})
    assert kept(table, [(0, 0), (0, 1), (2, 0)]) == {"x": [None, None, "1.50"]}


def test_types_that_changed() -> None:
    assert kept(pa.table({"n": [7.0, 8.5]}), [(0, 0), (1, 1)]) == {"n": ["7", None]}
    assert kept(pa.table({"x": ["1.50"], "ok": [[True]]}), [(0, 0)]) == {}
    assert kept(pa.table({"s": ["1.50"], "id": [1], "new": [1.0]}), [(0, 0)]) == {}
    chunked = pa.table({"x": pa.chunked_array([[1.5], [], [2.0]]), "ok": pa.nulls(2)})
    assert kept(chunked, [(0, 0), (1, 1)]) == {"x": ["1.50", "2"], "ok": [None, None]}
    assert kept(chunked.slice(0, 0), []) == {"x": [], "ok": []}


def test_other_formats_and_several_inputs() -> None:
    lines = open_arrow(MemorySource("t", b'{"x": 1.50}\n'), JSONL)

    assert kept_cells(pa.table({"x": [1.5]}), ordered(np.zeros(1, int), np.zeros(1, int)), lines) == {}
    both = united({"a": pa.array(["1", None]), "b": pa.array(["x"])}, {"a": pa.array(["2", "3"])})
    assert {name: column.to_pylist() for name, column in both.items()} == {"a": ["1", "3"], "b": ["x"]}
