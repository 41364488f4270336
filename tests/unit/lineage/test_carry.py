"""Row ids: what joins, group-bys and pandas make of their column, and what is no id; the folder of a run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dsvc.lineage.carry import LostRowIdsWarning, RunFolder
from dsvc.lineage.declared_maps import read_run_folder
from dsvc.lineage.row_ids import COLUMN, RowIdError, RowIds
from dsvc.model.errors import DsvcError, NotFoundError, UsageError
from dsvc.model.run_record import Capture
from dsvc.table.origin.source import NotATableError

A, B = b"a.csv", "数据/b.csv".encode()


@pytest.fixture
def ids() -> RowIds:
    found = RowIds()
    found.attach(pa.table({"x": range(5)}), A)
    found.attach(pa.table({"y": range(3)}), B)
    return found


def of(path: bytes, *rows: int) -> list[int]:
    """Ids of rows, as an input's table has them."""
    again = RowIds()
    for each, count in ((A, 5), (B, 3)):
        table = again.attach(pa.table({"x": range(count)}), each)
        if each == path:
            return [table.column(COLUMN)[row].as_py() for row in rows]
    raise AssertionError


def links(ids: RowIds, **columns: Any) -> dict[bytes, list[tuple[int, int]]]:
    table, found = ids.detach(pa.table(columns))
    assert not [name for name in table.column_names if COLUMN in name]
    assert found is not None
    return {
        path: list(zip(each.outputs.tolist(), each.inputs.tolist(), strict=True))
        for path, each in found.items()
    }


def test_ids_differ_over_inputs_and_are_exact_as_floats(ids: RowIds) -> None:
    every = of(A, 0, 1, 2, 3, 4) + of(B, 0, 1, 2)
    assert len(set(every)) == 8
    assert [int(float(each)) for each in every] == every
    assert np.asarray(every).dtype == np.int64


def test_one_column(ids: RowIds) -> None:
    assert links(ids, z=[1, 2, 3], _dsvc_row=[*of(A, 4, 1), *of(B, 2)]) == {A: [(0, 4), (1, 1)], B: [(2, 2)]}
    assert links(ids, z=[1, 2], _dsvc_row=of(A, 3, 3)) == {A: [(0, 3), (1, 3)]}


def test_several_columns_and_missing_parents(ids: RowIds) -> None:
    found = links(ids, z=[1, 2, 3], _dsvc_row_x=[*of(A, 0, 1), None], _dsvc_row_y=[None, *of(B, 1, 1)])
    assert found == {A: [(0, 0), (1, 1)], B: [(1, 1), (2, 1)]}
    floats = pa.array([of(A, 2)[0] * 1.0, float("nan"), None])
    assert links(ids, z=[1, 2, 3], _dsvc_row=floats) == {A: [(0, 2)]}


@pytest.mark.parametrize("form", ["list", "large_list", "sliced", "deep", "dictionary", "view", "chunks"])
def test_lists(ids: RowIds, form: str) -> None:
    rows = [of(A, 1, 0), [], None, [*of(A, 3), *of(B, 0), None]]
    column: Any = pa.array(rows)
    if form == "large_list":
        column = column.cast(pa.large_list(pa.int64()))
    elif form == "sliced":
        column = pa.array([of(A, 4), *rows, of(A, 4)]).slice(1, 4)
    elif form == "deep":
        column = pa.array([None if row is None else [row, []] for row in rows])
    elif form == "dictionary":
        column = pa.array([None if row is None else [each for each in row if each] for row in rows])
        column = pa.ListArray.from_arrays(column.offsets, column.values.dictionary_encode())
        assert links(ids, z=[1] * 4, _dsvc_row=column)[A] == [(0, 0), (0, 1), (3, 3)]
        return
    elif form == "view":
        column = pa.array(rows, pa.list_view(pa.int64()))
    elif form == "chunks":
        column = pa.chunked_array([column.slice(0, 1), column.slice(1, 0), column.slice(1, 3)])
    assert links(ids, z=[1] * 4, _dsvc_row_list=column) == {A: [(0, 0), (0, 1), (3, 3)], B: [(3, 0)]}


def test_lists_of_one_length(ids: RowIds) -> None:
    column = pa.array([of(A, 1, 0), None, of(B, 1, 2)], pa.list_(pa.int64(), 2))
    assert links(ids, z=[1] * 3, _dsvc_row=column) == {A: [(0, 0), (0, 1)], B: [(2, 1), (2, 2)]}


def test_no_parents_at_all(ids: RowIds) -> None:
    assert links(ids, z=[1, 2], _dsvc_row=pa.nulls(2)) == {}
    assert links(ids, z=pa.array([], pa.int8()), _dsvc_row=pa.array([], pa.int64())) == {}
    assert ids.detach(pa.table({"z": [1]}))[1] is None


@pytest.mark.parametrize(
    "column",
    [
        [0],
        [3],
        [-1],
        [2**62],
        [sum(of(A, 0, 1))],
        [sum(of(A, 0) + of(B, 0))],
        [of(A, 0)[0] + 5],
        [of(B, 2)[0] + 1],
        [of(A, 0)[0] + 0.5],
        [[of(A, 0)[0], 7]],
        [str(of(A, 0)[0])],
        [True],
        pa.array([1.0], pa.float32()),
        [{"id": 1}],
    ],
)
def test_what_is_no_id(ids: RowIds, column: Any) -> None:
    with pytest.raises(RowIdError):
        ids.detach(pa.table({"z": [1], COLUMN: column}))


def test_a_table_that_has_the_column_already(ids: RowIds) -> None:
    with pytest.raises(RowIdError):
        ids.attach(pa.table({"_dsvc_row_x": [1]}), b"c.csv")


@pytest.mark.parametrize(
    "chosen",
    [
        [1, 3],
        (3, 1),
        {1, 3},
        np.array([1, 3]),
        pa.array([3, 1]),
        pd.Series([1, 3]),
        pl.Series([3, 1]),
        of(A, 1, 3),
        pd.Series([*of(A, 3, 1), None]),
        pa.chunked_array([of(A, 1), of(A, 3)]),
        pd.Series([of(A, 3, 1)]),
        [False, True, False, True, False],
        np.array([0, 1, 0, 1, 0], bool),
        pd.Series([False, True, None, True, False], dtype="boolean"),
        pl.Series([False, True, None, True, False]),
    ],
)
def test_rows_are_chosen(ids: RowIds, chosen: Any) -> None:
    assert sorted(ids.rows_of(chosen, A).tolist()) == [1, 3]


@pytest.mark.parametrize(
    "chosen", [[5], [-1], of(B, 0), [*of(A, 0), 1], [True], ["x"], [1.5], [[1], "a"], 7.5]
)
def test_rows_that_are_none(ids: RowIds, chosen: Any) -> None:
    with pytest.raises(RowIdError):
        ids.rows_of(chosen, A)
    with pytest.raises(RowIdError):
        ids.rows_of([0], b"unread.csv")


# The folder of a run


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "树" / "run").mkdir(parents=True)
    (tmp_path / "树" / "原.csv").write_text("id,text\n1,a\n2,b\n3,a\n4,\n5,c\n")
    return tmp_path / "树"


def test_run_folder(tree: Path) -> None:
    environ = {"DSVC_RUN_DIR": str(tree / "run"), "DSVC_ROOT": str(tree)}
    with RunFolder.of(environ) as run:
        frame = run.read("原.csv", as_="pandas")
        kept = frame.dropna().drop_duplicates("text")
        assert run.write("out/净.parquet", kept) == 3
        doubled = frame[frame.duplicated("text") & frame.text.notna()]
        run.drop("原.csv", doubled, reason="duplicate", survivor=0)
        run.drop("原.csv", frame.text.isna(), reason="空")
        run.drop("./原.csv", [3], reason="empty")
    assert pq.read_table(tree / "out" / "净.parquet").to_pydict() == {
        "id": [1, 2, 5],
        "text": ["a", "b", "c"],
    }
    found = read_run_folder(str(tree / "run"))
    assert found is not None
    ((names, pairs),) = found.links.items()
    assert names == ("out/净.parquet".encode(), "原.csv".encode())
    assert (pairs.outputs.tolist(), pairs.inputs.tolist()) == ([0, 1, 2], [0, 1, 4])
    drops = found.drops["原.csv".encode()]
    said = [drops.reasons[code] for code in drops.reason_of.tolist()]
    assert (drops.rows.tolist(), said, drops.survivors.tolist()) == ([2, 3], ["duplicate", "empty"], [0, -1])
    assert sorted(os.listdir(tree / "run")) == ["drops.jsonl", "rowmap.parquet"]


def test_what_is_declared(tree: Path) -> None:
    run = RunFolder(str(tree / "run"), str(tree))
    assert run.declared() is None
    table = run.read("原.csv")
    run.write("x.csv", table.slice(0, 0))
    declared = run.declared()
    assert declared is not None
    assert declared.capture is Capture.CARRIED
    assert [pair[0] for pair in declared.links] == [b"x.csv"]
    assert not any(each.size for each in declared.links.values())


def test_lost_ids_are_said(tree: Path) -> None:
    run = RunFolder(str(tree / "run"), str(tree))
    run.write("new.csv", {"a": [1]})  # nothing was read, so nothing is lost
    table = run.read("原.csv", columns=["id"])
    assert table.column_names == ["id", COLUMN]
    with pytest.warns(LostRowIdsWarning, match=r"lost\.csv"):
        run.write("lost.csv", table.select(["id"]))
    assert run.without_ids == [b"lost.csv"]
    assert run.declared() is None


def test_an_error_writes_nothing(tree: Path) -> None:
    def fail() -> None:
        with RunFolder(str(tree / "run"), str(tree)) as run:
            run.write("x.csv", run.read("原.csv"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not os.listdir(tree / "run")
    assert (tree / "x.csv").exists()


def test_refusals(tree: Path) -> None:
    run = RunFolder(str(tree / "run"), str(tree))
    table = run.read(str(tree / "原.csv"))
    (tree / "note.txt").write_text("no table")
    for path, error in (("no.csv", NotFoundError), ("note.txt", NotATableError), ("../x.csv", DsvcError)):
        with pytest.raises(error):
            run.read(path)
    with pytest.raises(RowIdError):
        run.drop("原.csv", table.select(["id"]), reason="x")
    with pytest.raises(RowIdError):
        run.drop("原.csv", [0, 1], reason=["x"])
    with pytest.raises(UsageError):
        run.drop("原.csv", [0], reason=" ")
    with pytest.raises(UsageError):
        RunFolder.of({})


def test_in_its_place(tree: Path) -> None:
    (tree / "n.csv").write_text("x\n1.50\n2\n3.10\n")
    run = RunFolder(str(tree / "run"), str(tree))
    table = run.read("n.csv")
    run.write("n.csv", table.slice(2))
    assert (tree / "n.csv").read_text() == "x\n3.10\n"
    run.write("rest.csv", table.slice(0, 2))
    assert (tree / "rest.csv").read_text() == "x\n1.5\n2.0\n"
    with pytest.raises(UsageError):
        run.read("n.csv")
