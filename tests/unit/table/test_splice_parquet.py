"""Parquet files put together of others: the writer's settings and every value stay."""

from __future__ import annotations

import datetime as dt
import io
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dsvc.table.binary.normalize import rewrite
from dsvc.table.binary.parquet_settings import writer_settings
from dsvc.table.origin.source import NotATableError
from dsvc.table.splice.splice import CellEdit, IncompatibleTablesError, OutputColumn
from tests.splicekit import CSV, PARQUET, donor, parquet_bytes, spliced

TABLE = pa.table(
    {
        "id": pa.array(range(1000), pa.int64()),
        "文本": pa.array([f"第{i}行" if i % 7 else None for i in range(1000)]),
        "score": pa.array([float("nan") if i % 11 == 0 else i / 7 for i in range(1000)]),
        "tags": pa.array([[f"t{i}", None] if i % 3 else None for i in range(1000)]),
        "who": pa.array([{"name": "张三", "age": i} if i % 5 else None for i in range(1000)]),
        "at": pa.array(
            [dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(hours=i) for i in range(1000)],
            pa.timestamp("us", "Asia/Shanghai"),
        ),
        "price": pa.array([Decimal(i) / 100 for i in range(1000)], pa.decimal128(12, 2)),
        "raw": pa.array([bytes([i % 256]) for i in range(1000)]),
        "label": pa.array([["猫", "狗", None][i % 3] for i in range(1000)]).dictionary_encode(),
        "attributes": pa.array([[("k", i)] for i in range(1000)], pa.map_(pa.string(), pa.int64())),
    }
).replace_schema_metadata({"作者": "李四", "note": "x"})


def _read_back() -> pa.Table:
    # Reading a Parquet file gives the items of lists the name that they have there.
    return pq.read_table(io.BytesIO(parquet_bytes(TABLE)))


SETTINGS: list[dict[str, object]] = [
    {},
    {"compression": "zstd", "row_group_size": 300},
    {"compression": {"id": "gzip", "文本": "brotli"}, "use_dictionary": ["文本"]},
    {"compression": "none", "use_dictionary": False, "write_statistics": False},
    {"compression": "lz4", "data_page_version": "2.0", "write_page_checksum": True},
    {"write_page_index": True, "store_decimal_as_integer": True},
    {"use_dictionary": False, "column_encoding": {"id": "DELTA_BINARY_PACKED", "score": "BYTE_STREAM_SPLIT"}},
    {"version": "1.0", "store_schema": False},
    {"use_compliant_nested_type": False},
    {"use_content_defined_chunking": True, "data_page_size": 1 << 10},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_a_table_without_changes_is_written_as_it_was(settings: dict[str, object]) -> None:
    settings = dict(settings)
    table = TABLE.drop_columns(["label"]) if settings.get("store_schema") is False else TABLE
    data = parquet_bytes(table, **settings)
    again = spliced([donor(data, PARQUET)], [(0, 0, 1000)])
    old, new = pq.ParquetFile(io.BytesIO(data)), pq.ParquetFile(io.BytesIO(again))
    assert new.schema_arrow.equals(old.schema_arrow, check_metadata=True)
    assert new.schema.equals(old.schema)
    assert new.metadata.metadata == old.metadata.metadata
    assert _facts(new) == _facts(old)
    if "data_page_size" not in settings and table is TABLE:
        assert again == data


def _facts(file: pq.ParquetFile) -> list[object]:
    facts: list[object] = [file.metadata.format_version]
    for number in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(number)
        facts.append((group.num_rows, group.sorting_columns))
        for place in range(group.num_columns):
            chunk = group.column(place)
            facts.append(
                (
                    chunk.path_in_schema,
                    chunk.compression,
                    chunk.encodings,
                    chunk.has_dictionary_page,
                    chunk.is_stats_set,
                    chunk.has_offset_index,
                    chunk.has_column_index,
                )
            )
    return facts


def test_rows_and_cells_come_from_where_the_plan_says() -> None:
    other = TABLE.slice(500).set_column(2, "score", pa.array([1.5] * 500))
    donors = [
        donor(parquet_bytes(TABLE, row_group_size=100), PARQUET),
        donor(parquet_bytes(other, row_group_size=70), PARQUET),
    ]
    edits = [
        CellEdit(3, "文本", 1, 499, "文本"),
        CellEdit(3, "tags", 1, 8, "tags"),
        CellEdit(12, "label", 1, 0, None),
        CellEdit(14, "who", 0, 999, "who"),
    ]
    result = pq.read_table(io.BytesIO(spliced(donors, [(0, 990, 10), (1, 140, 5), (0, 5, 2)], edits)))
    expected = pa.concat_tables([TABLE.slice(990), other.slice(140, 5), TABLE.slice(5, 2)]).to_pylist()
    expected[3] |= {"文本": other["文本"][499].as_py(), "tags": other["tags"][8].as_py()}
    expected[12]["label"] = None
    expected[14]["who"] = TABLE["who"][999].as_py()
    assert repr(result.to_pylist()) == repr(expected)
    assert result.schema.equals(_read_back().schema, check_metadata=True)


def test_a_reader_of_another_make_agrees(tmp_path: object) -> None:
    more = TABLE.slice(0, 10).set_column(0, "id", pa.array(range(5000, 5010)))
    data = spliced(
        [donor(parquet_bytes(TABLE), PARQUET), donor(parquet_bytes(more), PARQUET)],
        [(0, 0, 400), (0, 500, 500), (1, 0, 10)],
    )
    path = f"{tmp_path}/t.parquet"
    with open(path, "wb") as file:
        file.write(data)
    rows = duckdb.sql(f"select id, 文本 from '{path}'").fetchall()
    expected = [*range(400), *range(500, 1000), *range(5000, 5010)]
    assert [row[0] for row in rows] == expected
    assert rows[-1][1] == more["文本"][9].as_py()


def test_row_groups_that_are_not_touched_stay_the_same_bytes() -> None:
    data = parquet_bytes(TABLE, row_group_size=100)
    extra = donor(parquet_bytes(TABLE.slice(0, 1)), PARQUET)
    again = spliced([donor(data, PARQUET), extra], [(0, 0, 250), (1, 0, 1), (0, 250, 750)])
    old, new = pq.ParquetFile(io.BytesIO(data)).metadata, pq.ParquetFile(io.BytesIO(again)).metadata
    assert [new.row_group(n).num_rows for n in range(10)] == [100, 100, 101, *[100] * 7]
    for number in (0, 1, 3, 9):
        assert _bytes_of(data, old, number) == _bytes_of(again, new, number)


def _bytes_of(data: bytes, metadata: pq.FileMetaData, number: int) -> bytes:
    group = metadata.row_group(number)
    chunks = [group.column(place) for place in range(group.num_columns)]
    start = min(chunk.dictionary_page_offset or chunk.data_page_offset for chunk in chunks)
    return data[start : start + sum(chunk.total_compressed_size for chunk in chunks)]


def test_appended_rows_join_the_last_group_up_to_its_usual_size() -> None:
    data = parquet_bytes(TABLE, row_group_size=300)  # 300, 300, 300, 100
    again = spliced([donor(data, PARQUET), donor(data, PARQUET)], [(0, 0, 1000), (1, 0, 1000)])
    metadata = pq.ParquetFile(io.BytesIO(again)).metadata
    assert [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)] == [300] * 6 + [200]


def test_columns_come_in_the_order_asked_for_with_their_types_and_settings() -> None:
    one = pa.table({"a": pa.array([1, 2], pa.int32()), "b": ["x", "y"]})
    two = pa.table({"甲": pa.array([3], pa.int32()), "c": pa.array([1.5])})
    donors = [
        donor(parquet_bytes(one, compression="gzip"), PARQUET),
        donor(parquet_bytes(two, compression="zstd"), PARQUET, 甲="a"),
    ]
    columns = [OutputColumn("c", 1, "c"), OutputColumn("a", 0, "a")]
    data = spliced(donors, [(1, 0, 1), (0, 0, 2)], columns=columns)
    assert pq.read_table(io.BytesIO(data)).to_pylist() == [
        {"c": 1.5, "a": 3},
        {"c": None, "a": 1},
        {"c": None, "a": 2},
    ]
    group = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(0)
    assert [group.column(place).compression for place in (0, 1)] == ["ZSTD", "GZIP"]


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        (pa.array([1, None], pa.int32()), pa.int64()),
        (pa.array([1, None], pa.int64()), pa.float64()),
        (pa.array([1.5, float("nan")], pa.float64()), pa.float32()),
        (pa.array(["中", None]), pa.large_string()),
        (pa.array(["中", None]).dictionary_encode(), pa.string()),
        (pa.array(["中", None]), pa.dictionary(pa.int32(), pa.string())),
        (pa.array([[1], None], pa.list_(pa.int32())), pa.list_(pa.int64())),
        (pa.array([Decimal("1.5"), None], pa.decimal128(5, 1)), pa.decimal128(9, 3)),
        (pa.array([0, None], pa.timestamp("ms", "UTC")), pa.timestamp("us", "Asia/Shanghai")),
        (pa.nulls(2), pa.struct([("x", pa.int64())])),
    ],
    ids=str,
)
def test_values_are_cast_where_nothing_is_lost(narrow: pa.Array, wide: pa.DataType) -> None:
    donors = [
        donor(parquet_bytes(pa.table({"v": pa.nulls(1, wide)})), PARQUET),
        donor(parquet_bytes(pa.table({"v": narrow})), PARQUET),
    ]
    edit = CellEdit(0, "v", 1, 0, "v")
    result = pq.read_table(io.BytesIO(spliced(donors, [(0, 0, 1), (1, 0, 2)], [edit])))
    assert result.schema.field("v").type == wide
    values = narrow.to_pylist()
    for value, expected in zip(result["v"].to_pylist(), [values[0], *values], strict=True):
        assert value == expected or (value != value and expected != expected)


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (pa.array(["1"]), pa.int64()),
        (pa.array([1]), pa.string()),
        (pa.array([2**40]), pa.int32()),
        (pa.array([2**53 + 1]), pa.float64()),
        (pa.array([0.1]), pa.float32()),
        (pa.array([1.5]), pa.int64()),
        (pa.array([0], pa.timestamp("us")), pa.timestamp("us", "UTC")),
        (pa.array([[1]]), pa.int64()),
        (pa.array([{"a": 1}]), pa.struct([("b", pa.int64())])),
    ],
    ids=str,
)
def test_values_that_would_change_are_refused(found: pa.Array, wanted: pa.DataType) -> None:
    donors = [
        donor(parquet_bytes(pa.table({"v": pa.nulls(1, wanted)})), PARQUET),
        donor(parquet_bytes(pa.table({"v": found})), PARQUET),
    ]
    with pytest.raises(IncompatibleTablesError, match="表"):
        spliced(donors, [(0, 0, 1), (1, 0, 1)])


def test_values_of_rows_that_are_not_taken_need_not_fit() -> None:
    donors = [
        donor(parquet_bytes(pa.table({"v": pa.array([1], pa.int32())})), PARQUET),
        donor(parquet_bytes(pa.table({"v": pa.array([2**40, 7])})), PARQUET),
    ]
    data = spliced(donors, [(0, 0, 1), (1, 1, 1)])
    assert pq.read_table(io.BytesIO(data))["v"].to_pylist() == [1, 7]


def test_sorting_columns_stay_while_they_are_true() -> None:
    table = TABLE.set_column(0, "who", TABLE["who"]).set_column(4, "id", TABLE["id"])
    data = parquet_bytes(table, sorting_columns=[pq.SortingColumn(5)])  # the struct has two leaves
    assert spliced([donor(data, PARQUET)], [(0, 0, 1000)]) == data
    for segments, expected in (([(0, 5, 10), (0, 90, 3)], 1), ([(0, 90, 3), (0, 5, 10)], 0)):
        result = pq.ParquetFile(io.BytesIO(spliced([donor(data, PARQUET)], segments)))
        assert len(result.metadata.row_group(0).sorting_columns) == expected


def test_old_timestamps_stay_of_their_kind() -> None:
    table = pa.table({"t": pa.array([1, None, 10**18], pa.timestamp("ns"))})
    data = parquet_bytes(table, use_deprecated_int96_timestamps=True)
    again = spliced([donor(data, PARQUET)], [(0, 0, 3)])
    assert pq.ParquetFile(io.BytesIO(again)).schema.column(0).physical_type == "INT96"
    assert pq.read_table(io.BytesIO(again)).equals(pq.read_table(io.BytesIO(data)))


def test_a_column_that_must_not_be_null_stays_so_while_it_can() -> None:
    schema = pa.schema([pa.field("a", pa.int64(), nullable=False)])
    one = donor(parquet_bytes(pa.table({"a": [1, 2]}, schema=schema)), PARQUET)
    two = donor(parquet_bytes(pa.table({"a": [None, 3]})), PARQUET)
    assert not pq.read_schema(io.BytesIO(spliced([one, two], [(0, 0, 2)]))).field("a").nullable
    mixed = pq.read_table(io.BytesIO(spliced([one, two], [(0, 0, 2), (1, 0, 2)])))
    assert mixed["a"].to_pylist() == [1, 2, None, 3]
    edited = pq.read_table(io.BytesIO(spliced([one], [(0, 0, 2)], [CellEdit(0, "a", 0, -1, None)])))
    assert edited["a"].to_pylist() == [None, 2]


def test_files_written_by_another_engine_keep_their_schema(tmp_path: object) -> None:
    path = f"{tmp_path}/d.parquet"
    duckdb.sql(
        "copy (select range as id, 'n' || range as name, range::decimal(9, 2) as d, [range, null] as l, "
        "{'a': range, 'b': 'x'} as s, timestamptz '2026-01-01 00:00:00+08' as at, uuid() as u, "
        "map {'k': range} as m, time '10:00:00' as t from range(5000)) "
        f"to '{path}' (format parquet, row_group_size 2048, compression zstd)"
    )
    with open(path, "rb") as file:
        data = file.read()
    again = spliced([donor(data, PARQUET)], [(0, 0, 5000)])
    with open(f"{tmp_path}/again.parquet", "wb") as file:
        file.write(again)
    old, new = pq.ParquetFile(io.BytesIO(data)), pq.ParquetFile(io.BytesIO(again))
    assert new.schema_arrow.equals(old.schema_arrow, check_metadata=True)
    assert [new.metadata.row_group(n).num_rows for n in range(3)] == [2048, 2048, 904]
    assert new.metadata.row_group(0).column(1).compression == "ZSTD"
    differing = duckdb.sql(
        f"select count(*) from ((from '{path}' except all from '{tmp_path}/again.parquet') union all "
        f"(from '{tmp_path}/again.parquet' except all from '{path}'))"
    ).fetchall()
    assert differing == [(0,)]
    types = "select name, type, repetition_type from parquet_schema('{}')"
    assert (
        duckdb.sql(types.format(path)).fetchall()[1:]
        == duckdb.sql(types.format(f"{tmp_path}/again.parquet")).fetchall()[1:]
    )


def test_empty_tables() -> None:
    empty = donor(parquet_bytes(TABLE.slice(0, 0)), PARQUET)
    full = donor(parquet_bytes(TABLE), PARQUET)
    assert pq.read_table(io.BytesIO(spliced([empty], []))).schema.equals(
        _read_back().schema, check_metadata=True
    )
    assert pq.read_table(io.BytesIO(spliced([full], []))).num_rows == 0
    assert repr(pq.read_table(io.BytesIO(spliced([empty, full], [(1, 0, 1000)]))).to_pylist()) == repr(
        TABLE.to_pylist()
    )


def test_what_is_no_table_has_a_typed_error() -> None:
    data = parquet_bytes(TABLE)
    broken = data[:200] + bytes(len(data) - 3000) + data[-2800:]
    for bad in (data[:-10], broken):
        with pytest.raises(NotATableError, match="表"):
            spliced([donor(bad, PARQUET)], [(0, 0, 1000)])
    with pytest.raises(IncompatibleTablesError):
        spliced([donor(data, PARQUET), donor(b"a\n1\n", CSV)], [(0, 0, 1)])
    with pytest.raises(IncompatibleTablesError, match="nothing"):
        spliced([donor(data, PARQUET)], [(0, 0, 1)], columns=[OutputColumn("x", 0, "nothing")])


def test_edits_of_columns_that_are_not_there() -> None:
    one = donor(parquet_bytes(TABLE), PARQUET)
    for edit in (CellEdit(0, "nothing", 0, 0, "id"), CellEdit(0, "id", 0, 0, "nothing")):
        with pytest.raises(IncompatibleTablesError, match="nothing"):
            spliced([one], [(0, 0, 1)], [edit])
    with pytest.raises(IndexError):
        spliced([one], [(0, 999, 2)])


def words() -> pa.Table:
    return pa.table({"text": [f"{i * 7919 % 104729} words {i % 13}" for i in range(200_000)]})


@pytest.mark.parametrize(
    "settings", [{}, {"use_content_defined_chunking": True}, {"data_page_size": 50_000}], ids=str
)
def test_pages_cut_by_content_stay_so(settings: dict[str, Any]) -> None:
    data = parquet_bytes(words(), use_dictionary=False, **settings)
    found = writer_settings(pq.ParquetFile(io.BytesIO(data)), io.BytesIO(data))
    assert found["use_content_defined_chunking"] == ("use_content_defined_chunking" in settings)
    if "data_page_size" not in settings:
        assert spliced([donor(data, PARQUET)], [(0, 0, 200_000)]) == data


def test_a_normalized_table_stays_normalized() -> None:
    def normalized(data: bytes) -> bytes:
        output = io.BytesIO()
        rewrite(io.BytesIO(data), output, "t")
        return output.getvalue()

    data = normalized(parquet_bytes(words()))
    extra = donor(normalized(parquet_bytes(words().slice(5, 1))), PARQUET)
    again = spliced([donor(data, PARQUET), extra], [(0, 0, 100_000), (1, 0, 1), (0, 100_000, 100_000)])
    assert normalized(again) == again


def test_an_error_of_the_disk_is_no_error_of_the_table() -> None:
    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(28, "no space")

    from dsvc.table.splice.splice import Segment, Splice, splice

    plan = Splice(donors=[donor(parquet_bytes(TABLE), PARQUET)], segments=[Segment(0, 0, 10)])
    with pytest.raises(OSError, match="no space"):
        splice(plan, Full())
