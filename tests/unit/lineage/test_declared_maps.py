"""What a command writes into its run's folder: read as it is meant, refused where it can't be true."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.lineage.declared_maps import DROPS, ROW_MAP, RowMapError, read_run_folder
from dsvc.model.run_record import Capture


def write_map(folder: Path, **changes: Any) -> None:
    columns: dict[str, Any] = {
        "output": ["数据/out.csv", "./数据/out.csv", "b.csv", "b.csv"],
        "output_row": [1, 0, 5, 5],
        "input": ["in.csv", "in.csv", "in.csv", "in.csv"],
        "input_row": [7, 3, 2, 2],
    }
    columns |= changes
    pq.write_table(pa.table({name: v for name, v in columns.items() if v is not None}), folder / ROW_MAP)


def test_a_folder_without_files_declares_nothing(tmp_path: Path) -> None:
    assert read_run_folder(str(tmp_path)) is None


@pytest.mark.parametrize(
    "type_",
    [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())],
    ids=str,
)
@pytest.mark.parametrize("rows", [pa.int64(), pa.uint8(), pa.int16(), pa.uint64()], ids=str)
def test_a_row_map_is_read_by_pairs_of_paths(tmp_path: Path, type_: pa.DataType, rows: pa.DataType) -> None:
    write_map(
        tmp_path,
        input=pa.array(["in.csv"] * 4, pa.string()).cast(type_),
        output_row=pa.array([1, 0, 5, 5], rows),
        extra=["is", "not", "looked", "at"],
    )
    maps = read_run_folder(str(tmp_path))
    assert maps is not None
    found = {pair: (links.outputs.tolist(), links.inputs.tolist()) for pair, links in maps.links.items()}
    assert found == {
        ("数据/out.csv".encode(), b"in.csv"): ([0, 1], [3, 7]),
        (b"b.csv", b"in.csv"): ([5], [2]),
    }
    assert (dict(maps.drops), maps.capture) == ({}, Capture.MAP)


def test_a_row_map_of_many_parts_and_of_none(tmp_path: Path) -> None:
    table = pa.table(
        {"output": ["o"] * 9, "output_row": range(9), "input": ["a", "b", "c"] * 3, "input_row": range(9)}
    )
    pq.write_table(table, tmp_path / ROW_MAP, row_group_size=2)
    maps = read_run_folder(str(tmp_path))
    assert maps is not None
    assert maps.links[b"o", b"b"].inputs.tolist() == [1, 4, 7]
    pq.write_table(table.slice(0, 0), tmp_path / ROW_MAP)
    maps = read_run_folder(str(tmp_path))
    assert maps is not None
    assert not maps.links


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input_row": None}, "no column input_row"),
        ({"input_row": [1, 2, None, 4]}, "column input_row has nulls"),
        ({"output": ["a", None, "b", "c"]}, "column output has nulls"),
        ({"input": [1, 2, 3, 4]}, "column input is int64, not text"),
        ({"output_row": [1.0, 2.0, 3.0, 4.0]}, "column output_row is double, not integers"),
        ({"output_row": ["1", "2", "3", "4"]}, "column output_row is string, not integers"),
        ({"output_row": pa.array([2**64 - 1] * 4, pa.uint64())}, "column output_row is out of range"),
    ],
)
def test_a_row_map_of_another_shape_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    write_map(tmp_path, **changes)
    with pytest.raises(RowMapError, match=message):
        read_run_folder(str(tmp_path))


def test_what_is_no_parquet_or_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    write_map(tmp_path)
    data = (tmp_path / ROW_MAP).read_bytes()
    for damaged in (b"", b"PAR1", data[:-9], data[:60] + b"\xff" * 40 + data[100:], b"x" * 100):
        (tmp_path / ROW_MAP).write_bytes(damaged)
        with pytest.raises(RowMapError, match=ROW_MAP):
            read_run_folder(str(tmp_path))
    (tmp_path / ROW_MAP).unlink()
    os.mkfifo(tmp_path / ROW_MAP)
    with pytest.raises(RowMapError, match="is no file"):
        read_run_folder(str(tmp_path))
    (tmp_path / ROW_MAP).unlink()
    (tmp_path / ROW_MAP).mkdir()
    with pytest.raises(RowMapError, match=ROW_MAP):
        read_run_folder(str(tmp_path))


def test_drops_are_read_by_input_with_rows_keys_and_survivors(tmp_path: Path) -> None:
    (tmp_path / DROPS).write_text(
        '{"input": "a.csv", "row": 3, "reason": "太短"}\n'
        "\n"
        '{"input": "./a.csv", "key": {"id": 7, "ok": true, "f": 1.5}, "reason": "dup", "survivor": 0}\r\n'
        '{"input": "图/", "key": {"path": "x.png"}, "reason": "dup", "survivor": {"path": "y.png"}}\n'
        '{"reason": "太短", "row": 0, "input": "a.csv"}'
    )
    maps = read_run_folder(str(tmp_path))
    assert maps is not None
    assert not maps.links
    table, folder = maps.drops[b"a.csv"], maps.drops["图".encode()]
    reasons = [table.reasons[code] for code in table.reason_of]
    keys = [table.keys.get(place) for place in range(3)]
    found = zip(table.rows.tolist(), keys, reasons, table.survivors.tolist(), strict=True)
    assert sorted(found, key=lambda each: each[0]) == [
        (-1, {"id": "7", "ok": "true", "f": "1.5"}, "dup", 0),
        (0, None, "太短", -1),
        (3, None, "太短", -1),
    ]
    assert (folder.keys, folder.survivor_keys) == ({0: {"path": "x.png"}}, {0: {"path": "y.png"}})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2"),
        ("[]", "line 2"),
        ('"x"', "line 2"),
        ('{"input": "a", "row": 1}', "line 2.*reason"),
        ('{"input": "a", "row": 1, "reason": " "}', "the reason is empty"),
        ('{"input": "a", "reason": "x"}', "either by row or by key"),
        ('{"input": "a", "row": 1, "key": {"a": 1}, "reason": "x"}', "either by row or by key"),
        ('{"input": "a", "key": {}, "reason": "x"}', "either by row or by key"),
        ('{"input": "a", "row": -1, "reason": "x"}', "counted from 0"),
        ('{"input": "a", "row": 1.5, "reason": "x"}', "line 2"),
        ('{"input": "a", "row": 1, "reason": "x", "survivor": -1}', "counted from 0"),
        ('{"input": "a", "row": 1, "reason": "x", "survivor": {}}', "survivor's key is empty"),
        ('{"input": "a", "key": {"id": null}, "reason": "x"}', "line 2"),
        ('{"input": "a", "row": 1, "reason": "x", "why": "y"}', "line 2.*why"),
        ('{"input": "a", "row": 99999999999999999999999, "reason": "x"}', "line 2|out of range"),
        ('{"input": "a", "row": 9999999999999999999, "reason": "x"}', "out of range"),
    ],
)
def test_a_drop_that_says_too_little_or_too_much_is_refused(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / DROPS).write_text('{"input": "a", "row": 0, "reason": "x"}\n' + line + "\n")
    with pytest.raises(RowMapError, match=message):
        read_run_folder(str(tmp_path))


def test_reasons_are_categories(tmp_path: Path) -> None:
    lines = [f'{{"input": "a", "row": {n}, "reason": "score {n}"}}' for n in range(1001)]
    (tmp_path / DROPS).write_text("\n".join(lines))
    with pytest.raises(RowMapError, match="1001 different reasons"):
        read_run_folder(str(tmp_path))


@settings(max_examples=50, deadline=None)
@given(data=st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.mktemp("run")
    (folder / DROPS).write_bytes(data)
    try:
        read_run_folder(str(folder))
    except RowMapError:
        return
