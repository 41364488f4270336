"""Arrow files and streams put together of others: container, compression, batches and dictionaries stay."""

from __future__ import annotations

import io
import struct
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from pyarrow import feather

from dsvc.model.table_kind import TableKind
from dsvc.table.origin.source import NotATableError
from dsvc.table.splice.splice import CellEdit, IncompatibleTablesError, OutputColumn
from tests.splicekit import ARROW, PARQUET, arrow_bytes, donor, parquet_bytes, spliced

TABLE = pa.table(
    {
        "id": pa.array(range(500), pa.int32()),
        "文本": pa.array([f"第{i}行" if i % 7 else None for i in range(500)]),
        "label": pa.array([["猫", "狗", None][i % 3] for i in range(500)])
        .dictionary_encode()
        .cast(pa.dictionary(pa.int8(), pa.string())),
        "nested": pa.array([{"l": [i, None], "s": "x"} if i % 4 else None for i in range(500)]),
        "view": pa.array([f"view {i} of some length" for i in range(500)], pa.string_view()),
        "runs": pa.RunEndEncodedArray.from_arrays([200, 500], pa.array(["a", "b"])),
    }
).replace_schema_metadata({"作者": "李四"})


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
@pytest.mark.parametrize("batch_rows", [None, 130])
def test_a_table_without_changes_is_written_as_it_was(
    stream: bool, compression: str | None, batch_rows: int | None
) -> None:
    data = arrow_bytes(TABLE, stream=stream, batch_rows=batch_rows, compression=compression)
    again = spliced([donor(data, ARROW)], [(0, 0, 500)])
    assert _read(again, stream).equals(TABLE, check_metadata=True)
    assert len(again) == pytest.approx(len(data), rel=0.02)
    if batch_rows is None:
        assert again == data


def _read(data: bytes, stream: bool) -> pa.Table:
    table = (pa.ipc.open_stream(data) if stream else pa.ipc.open_file(data)).read_all()
    table.validate(full=True)
    return table


def test_feather_files() -> None:
    output = io.BytesIO()
    table = TABLE.drop_columns(["runs"])
    feather.write_feather(table, output, compression="zstd", chunksize=100)
    again = spliced([donor(output.getvalue(), ARROW)], [(0, 0, 500)])
    assert feather.read_table(io.BytesIO(again)).equals(table)
    assert pa.ipc.open_file(again).num_record_batches == 5


@pytest.mark.parametrize("kind", [ARROW, PARQUET])
def test_many_short_runs_in_any_order(kind: TableKind) -> None:
    table = TABLE if kind == ARROW else TABLE.drop_columns(["view", "runs"])
    write = arrow_bytes if kind == ARROW else parquet_bytes
    donors = [donor(write(table.slice(0, 300)), kind), donor(write(table.slice(300)), kind)]
    order = [(place * 283) % 500 for place in range(1200)]
    data = spliced(donors, [(row // 300, row % 300, 1) for row in order])
    result = _read(data, stream=False) if kind == ARROW else pa.parquet.read_table(io.BytesIO(data))
    rows = table.to_pylist()
    assert result.to_pylist() == [rows[row] for row in order]


def test_metadata_in_the_footer_stays() -> None:
    data = arrow_bytes(TABLE, metadata={b"k": "值".encode()})
    assert pa.ipc.open_file(spliced([donor(data, ARROW)], [(0, 0, 9)])).metadata == {b"k": "值".encode()}


@pytest.mark.parametrize("stream", [False, True])
def test_rows_and_cells_come_from_where_the_plan_says(stream: bool) -> None:
    labels = pa.array(["猫", "鸟", "鱼", None]).dictionary_encode()
    other = (
        TABLE.slice(0, 4)
        .set_column(2, "label", labels)
        .set_column(0, "id", pa.array([1000, 1001, 1002, 1003]))
    )
    donors = [
        donor(arrow_bytes(TABLE, stream=stream, batch_rows=60), ARROW),
        donor(arrow_bytes(other, stream=not stream), ARROW),
    ]
    edits = [
        CellEdit(0, "label", 1, 2, "label"),
        CellEdit(1, "view", 1, 0, None),
        CellEdit(2, "nested", 0, 3, "nested"),
    ]
    segments = [(0, 490, 10), (1, 1, 3), (0, 0, 70)]
    result = _read(spliced(donors, segments, edits), stream)
    expected = TABLE.slice(490).to_pylist() + other.slice(1).to_pylist() + TABLE.slice(0, 70).to_pylist()
    expected[0]["label"] = "鱼"
    expected[1]["view"] = None
    expected[2]["nested"] = TABLE["nested"][3].as_py()
    assert result.to_pylist() == expected
    assert result.schema.equals(TABLE.schema, check_metadata=True)
    assert result["label"].chunk(0).dictionary.to_pylist()[:2] == ["猫", "狗"]


def test_a_stream_whose_dictionaries_change() -> None:
    output = io.BytesIO()
    one, two = (pa.array(words).dictionary_encode() for words in (["a", "b"], ["c", "a"]))
    schema = pa.schema([("w", one.type)])
    with pa.ipc.new_stream(output, schema) as writer:
        for words in (one, two, one):
            writer.write_batch(pa.record_batch([words], schema=schema))
    result = _read(spliced([donor(output.getvalue(), ARROW)], [(0, 3, 3), (0, 0, 3)]), stream=True)
    assert result["w"].to_pylist() == ["a", "a", "b", "a", "b", "c"]


def test_more_values_than_the_index_can_count() -> None:
    def words(first: int) -> pa.Table:
        values = pa.array([f"w{i}" for i in range(first, first + 100)]).dictionary_encode()
        return pa.table({"w": values.cast(pa.dictionary(pa.int8(), pa.string()))})

    donors = [donor(arrow_bytes(words(first)), ARROW) for first in (0, 100)]
    with pytest.raises(IncompatibleTablesError):
        spliced(donors, [(0, 0, 100), (1, 0, 100)])


def test_rows_of_parquet_in_an_arrow_file_and_back() -> None:
    table = TABLE.select(["id", "文本", "label"])
    plain = table.set_column(2, "label", table["label"].cast(pa.string()))
    donors = [donor(arrow_bytes(table), ARROW), donor(parquet_bytes(plain, row_group_size=100), PARQUET)]
    result = _read(spliced(donors, [(1, 50, 400), (0, 0, 5)]), stream=False)
    assert result.to_pylist() == table.slice(50, 400).to_pylist() + table.slice(0, 5).to_pylist()
    back = pa.parquet.read_table(io.BytesIO(spliced(donors[::-1], [(0, 0, 5), (1, 50, 400)])))
    assert back.to_pylist() == table.slice(0, 5).to_pylist() + table.slice(50, 400).to_pylist()


def test_columns_and_empty_tables() -> None:
    data = arrow_bytes(TABLE)
    columns = [OutputColumn("名", 0, "文本"), OutputColumn("id", 0, "id")]
    result = _read(spliced([donor(data, ARROW)], [(0, 1, 2)], columns=columns), stream=False)
    assert result.to_pylist() == [{"名": "第1行", "id": 1}, {"名": "第2行", "id": 2}]
    empty = arrow_bytes(TABLE.slice(0, 0))
    assert _read(spliced([donor(empty, ARROW), donor(data, ARROW)], [(1, 0, 500)]), stream=False).equals(
        TABLE
    )
    assert _read(spliced([donor(data, ARROW)], []), stream=False).schema.equals(TABLE.schema)


def _damaged() -> list[Any]:
    data = arrow_bytes(TABLE.select(["文本"]))
    place = data.index(struct.pack("<4i", 0, 0, 7, 14))
    lying = data[:place] + struct.pack("<4i", 0, 1 << 30, 7, 14) + data[place + 16 :]
    return [data[: len(data) // 2], lying, b"ARROW1\0\0" + bytes(100), arrow_bytes(TABLE, stream=True)[:2000]]


@pytest.mark.parametrize("data", _damaged())
def test_damaged_files_have_a_typed_error(data: bytes) -> None:
    with pytest.raises(NotATableError, match="表"):
        spliced([donor(data, ARROW)], [(0, 0, 500)])
