"""Tables written by the library are read as the same rows: by dsvc, and by readers of another make."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsvc.model.table_kind import recognise
from dsvc.table.exchange.frames import FrameError, FrameKind, arrow_of, frame_of
from dsvc.table.exchange.table_file import write_table
from dsvc.table.index.index_builder import build_index
from dsvc.table.origin.memory_source import MemorySource
from dsvc.table.reading.arrow_reader import open_arrow

NAMES = ["t.csv", "t.tsv", "t.jsonl", "t.json", "t.parquet", "t.arrow", "t.csv.gz", "t.jsonl.zst"]
ROWS = {
    "id": [1, 2, 3],
    "名字": ["猫", "", 'a"b,c\nd;|\t'],
    "x": [1.0, -0.25, None],
    "ok": [True, None, False],
    "day": [dt.date(2026, 1, 2), None, dt.date(1999, 12, 31)],
    "at": [dt.datetime(2026, 1, 2, 3, 4, 5), dt.datetime(2026, 1, 2, 0, 0, 0, 500), None],  # noqa: DTZ001
}


def written(folder: Path, name: str, table: pa.Table) -> bytes:
    target = folder / "下" / name
    write_table(table, name.encode(), str(target), temporary=str(folder), durable=False)
    assert [path.name for path in folder.iterdir()] == ["下"]
    return target.read_bytes()


def read(name: str, data: bytes) -> pa.Table:
    kind = recognise(name.encode(), data[:8192])
    assert kind is not None
    source = MemorySource(name, data)
    found = open_arrow(source, kind).read()
    assert build_index(source, kind).rows == found.num_rows
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_format(tmp_path: Path, name: str) -> None:
    found = read(name, written(tmp_path, name, pa.table(ROWS)))
    expected = dict(ROWS)
    if "json" in name:  # JSON has no times
        expected["day"] = [None if day is None else day.isoformat() for day in ROWS["day"]]
        expected["at"] = [None if at is None else at.isoformat() for at in ROWS["at"]]
    assert found.to_pydict() == expected


def test_csv_as_people_write_it(tmp_path: Path) -> None:
    assert written(tmp_path, "t.csv", pa.table(ROWS)).decode() == (
        "id,名字,x,ok,day,at\n"
        "1,猫,1.0,true,2026-01-02,2026-01-02 03:04:05\n"
        '2,"",-0.25,,,2026-01-02 00:00:00.0005\n'
        '3,"a""b,c\nd;|\t",,false,1999-12-31,\n'
    )


def test_values_that_csv_has_no_form_for(tmp_path: Path) -> None:
    table = pa.table({"l": [[1, 2], None], "d": [Decimal("1.50"), None], "s": [{"a": "é"}, {"a": None}]})
    text = written(tmp_path, "t.csv", table).decode()
    assert text == 'l,d,s\n"[1, 2]",1.50,"{""a"": ""é""}"\n,,"{""a"": null}"\n'


cells = st.none() | st.text(st.sampled_from(" \t\r\n,;|\"'a猫"), max_size=4)


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(cells, cells), max_size=6),
    st.sampled_from(["t.csv", "t.tsv", "t.jsonl"]),
    st.booleans(),
)
def test_any_text_comes_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str | None, str | None]], name: str, one: bool
) -> None:
    folder = tmp_path_factory.mktemp("t")
    columns = {"a,;|\t b": [row[0] for row in rows], "名": [row[1] for row in rows]}
    if one:
        del columns["名"]
    data = written(folder, name, pa.table(columns, pa.schema([(each, pa.string()) for each in columns])))
    if not data:
        assert not rows
        return
    found = read(name, data)
    assert found.num_rows == len(rows)
    for each, texts in columns.items():
        # A null alone on its line is no record, so it is written as the empty text.
        if "json" not in name and one:
            texts = [text or "" for text in texts]
        assert found.column(each).to_pylist() == texts


@pytest.mark.parametrize("kind", list(FrameKind))
def test_frames_and_back(kind: FrameKind) -> None:
    table = pa.table({"id": [1, 2, 3], "名字": ["a", None, "c"]})
    assert arrow_of(frame_of(table, kind)).to_pydict() == table.to_pydict()


def test_other_frames() -> None:
    expected = {"a": [1, 2], "b": ["x", "y"]}
    table = pa.table(expected)
    frame = pd.DataFrame(expected)
    many: list[Any] = [table.to_batches()[0], table.to_reader(), pa.dataset.dataset(table), expected]
    many += [pl.LazyFrame(expected), table.to_pylist(), frame.set_index("a"), frame.set_index(["a", "b"])]
    for each in many:
        assert arrow_of(each).to_pydict() == expected
    indexed = frame.rename(index={0: 7, 1: 9})
    assert arrow_of(indexed).to_pydict() == expected
    sums = frame.groupby("b").agg({"a": ["min", "max"]})
    assert arrow_of(sums).column_names == ["b", "a_min", "a_max"]
    assert arrow_of(frame.groupby("b")["a"].sum()).to_pydict() == {"b": ["x", "y"], "a": [1, 2]}


def test_refusals(tmp_path: Path) -> None:
    table = pa.table({"a": [1]})
    for name in ("t", "t.txt", "t.parquet.gz"):
        with pytest.raises(FrameError):
            written(tmp_path, name, table)
    for bad in (pa.table([[1], [2]], ["a", "a"]), pa.table({})):
        with pytest.raises(FrameError):
            written(tmp_path, "t.csv", bad)
    for frame in (3, "text", [1, 2], None):
        with pytest.raises(FrameError):
            arrow_of(frame)
    with pytest.raises(FrameError):
        frame_of(table, "excel")


def test_what_stood_there_stays(tmp_path: Path) -> None:
    target = tmp_path / "t.parquet"
    target.write_bytes(b"old")
    months = pa.array([pa.MonthDayNano([1, 2, 3])])
    with pytest.raises(FrameError):
        write_table(
            pa.table({"m": months}), b"t.parquet", str(target), temporary=str(tmp_path), durable=False
        )
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]


def test_no_metadata_of_frames_stays(tmp_path: Path) -> None:
    table = arrow_of(pd.DataFrame({"a": [1], "b": [2]}))
    written(tmp_path, "t.parquet", table)
    assert pq.read_schema(tmp_path / "下" / "t.parquet").metadata is None
    assert json.loads(written(tmp_path, "t.jsonl", table)) == {"a": 1, "b": 2}
