"""Parquet rewritten: the same values for every reader, the same bytes from any writer, equal pages shared."""

from __future__ import annotations

import datetime
import decimal
import io
import struct
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.table.binary import normalize
from dsvc.table.binary.normalize import rewrite
from dsvc.table.binary.parquet_proof import NotNormalizableError, UnequalRewriteError, prove_equal
from dsvc.table.origin.source import NotATableError


def parquet(table: pa.Table, **writer: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, **writer)
    return out.getvalue()


def rewritten(data: bytes) -> bytes:
    out = io.BytesIO()
    rewrite(io.BytesIO(data), out, "t.parquet")
    new = out.getvalue()
    prove_equal(io.BytesIO(data), io.BytesIO(new), "t.parquet")
    return new


def rows_by_duckdb(data: bytes, tmp_path: Any) -> list[Any]:
    path = tmp_path / f"{len(data)}.parquet"
    path.write_bytes(data)
    return duckdb.connect().execute(f"select columns(*)::varchar from read_parquet('{path}')").fetchall()


TYPES = [
    (pa.int8(), st.integers(-128, 127)),
    (pa.uint64(), st.integers(0, 2**64 - 1)),
    (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pa.bool_(), st.booleans()),
    (pa.float32(), st.floats(width=32)),
    (pa.float64(), st.floats()),
    (pa.string(), st.text(max_size=20)),
    (pa.large_string(), st.text(max_size=5)),
    (pa.binary(), st.binary(max_size=20)),
    (pa.binary(3), st.binary(min_size=3, max_size=3)),
    (pa.date32(), st.dates()),
    (pa.timestamp("us", "Asia/Shanghai"), st.integers(-(2**50), 2**50)),
    (pa.timestamp("ns"), st.integers(-(2**62), 2**62)),
    (pa.time64("us"), st.integers(0, 86_399_999_999)),
    (pa.duration("ms"), st.integers(-(2**40), 2**40)),
    (pa.decimal128(20, 3), st.decimals(-(10**16), 10**16, places=3)),
    (pa.decimal128(5, 2), st.decimals(-999, 999, places=2)),
    (pa.list_(pa.float64()), st.lists(st.none() | st.floats(), max_size=3)),
    (pa.list_(pa.int16(), 2), st.lists(st.integers(-5, 5), min_size=2, max_size=2)),
    (
        pa.struct([("a", pa.string()), ("b", pa.list_(pa.int32()))]),
        st.fixed_dictionaries(
            {"a": st.none() | st.text(max_size=3), "b": st.none() | st.lists(st.integers(0, 9))}
        ),
    ),
    (
        pa.map_(pa.string(), pa.float32()),
        st.lists(st.tuples(st.text(max_size=2), st.floats(width=32)), max_size=2),
    ),
    (pa.null(), st.none()),
]


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    count = draw(st.integers(0, 30))
    columns = {}
    for number, (kind, values) in enumerate(draw(st.lists(st.sampled_from(TYPES), min_size=1, max_size=4))):
        cells = draw(st.lists(st.none() | values, min_size=count, max_size=count))
        columns[f"列{number}"] = pa.array(cells, kind)
    metadata = draw(st.none() | st.dictionaries(st.sampled_from(["备注", "pandas"]), st.text(max_size=5)))
    return pa.table(columns).replace_schema_metadata(metadata or None)


@given(tables(), st.sampled_from(["snappy", "zstd", "none"]), st.sampled_from([1, 7, 1000]))
@settings(max_examples=150, deadline=None)
def test_every_type_comes_back(table: pa.Table, compression: str, group: int) -> None:
    data = parquet(table, compression=compression, row_group_size=group)
    new = rewritten(data)
    found = pq.read_table(io.BytesIO(new))
    assert found.schema.equals(pq.read_table(io.BytesIO(data)).schema, check_metadata=True)
    assert repr(found.to_pylist()) == repr(table.to_pylist())  # repr tells -0.0 from 0.0 and NaN from null
    assert rewritten(new) == new


@pytest.mark.parametrize(
    "writer",
    [
        {"version": "1.0"},
        {"version": "2.4"},
        {"data_page_version": "2.0"},
        {"use_dictionary": False, "compression": "gzip"},
        {"use_dictionary": True, "row_group_size": 100, "data_page_size": 512},
        {"store_schema": False},
        {"use_compliant_nested_type": False},
        {"store_decimal_as_integer": True},
        {"write_time_adjusted_to_utc": True},
        {"write_page_index": True, "write_page_checksum": True},
        {"use_byte_stream_split": ["x"], "use_dictionary": False},
        {"sorting_columns": [pq.SortingColumn(0)]},
        {"write_statistics": False},
    ],
    ids=str,
)
def test_every_setting_of_the_writer_is_understood(writer: dict[str, Any], tmp_path: Any) -> None:
    count = 3000
    table = pa.table(
        {
            "id": pa.array(range(count), pa.int64()),
            "x": pa.array([None if n % 7 == 0 else n / 3 for n in range(count)]),
            "标签": pa.array([("接受", "拒绝", None)[n % 3] for n in range(count)]),
            "价": pa.array([decimal.Decimal(n) / 100 for n in range(count)], pa.decimal128(9, 2)),
            "时": pa.array([datetime.time(n % 24, n % 60) for n in range(count)]),
            "l": pa.array([[n, None] if n % 5 else None for n in range(count)], pa.list_(pa.int32())),
        }
    )
    data = parquet(table, **writer)
    new = rewritten(data)
    old_file, new_file = pq.ParquetFile(io.BytesIO(data)), pq.ParquetFile(io.BytesIO(new))
    assert new_file.schema.equals(old_file.schema)
    assert new_file.metadata.metadata == old_file.metadata.metadata
    assert new_file.metadata.row_group(0).sorting_columns == old_file.metadata.row_group(0).sorting_columns
    assert rows_by_duckdb(new, tmp_path) == rows_by_duckdb(data, tmp_path)
    assert pl.read_parquet(io.BytesIO(new)).equals(pl.read_parquet(io.BytesIO(data)))
    assert rewritten(new) == new


def test_files_of_other_writers_keep_schema_and_metadata(tmp_path: Any) -> None:
    frame = pl.DataFrame(
        {"id": range(5000), "文": ["数据"] * 5000, "c": pl.Series(["a", "b"] * 2500, dtype=pl.Categorical)}
    )
    by_polars, by_duckdb = tmp_path / "p.parquet", tmp_path / "d.parquet"
    frame.write_parquet(by_polars)
    duckdb.connect().execute(
        f"copy (select range id, [range, null] l, {{'a': range::varchar}} s, range::decimal(9, 2) d,"
        f" timestamptz '2026-01-01' t from range(5000)) to '{by_duckdb}' (kv_metadata {{'来源': 'test'}})"
    )
    for path in (by_polars, by_duckdb):
        data = path.read_bytes()
        new = rewritten(data)
        assert rows_by_duckdb(new, tmp_path) == rows_by_duckdb(data, tmp_path)
        assert pl.read_parquet(io.BytesIO(new)).equals(pl.read_parquet(io.BytesIO(data)))
        assert pq.read_metadata(io.BytesIO(new)).metadata == pq.read_metadata(path).metadata


def test_the_writer_of_a_table_leaves_no_trace() -> None:
    table = pa.table({"id": range(20_000), "t": [f"text {n % 900} {n}" for n in range(20_000)]})
    one = rewritten(parquet(table, compression="zstd", row_group_size=300))
    two = rewritten(parquet(table, use_dictionary=False, data_page_size=1000))
    assert one == two


def test_categories_keep_their_order() -> None:
    sizes = pa.DictionaryArray.from_arrays(
        pa.array([2, 0, None, 2], pa.int8()), pa.array(["small", "middle", "large"]), ordered=True
    )
    new = rewritten(parquet(pa.table({"size": sizes})))
    column = pq.read_table(io.BytesIO(new))["size"].chunk(0)
    assert column.type.ordered
    assert column.dictionary.to_pylist() == ["small", "middle", "large"]


def test_bits_are_kept() -> None:
    patterns = [0x7FF8000000000000, 0xFFF8000000000001, 0x8000000000000000, 0, 0x7FF0000000000001]
    values = np.array(patterns, np.uint64).view(np.float64)
    nested = pa.table({"x": values, "l": pa.array([[v] for v in values])})
    new = pq.read_table(io.BytesIO(rewritten(parquet(nested))))
    assert new["x"].to_numpy().view(np.uint64).tolist() == patterns
    flat = new["l"].combine_chunks().flatten().to_numpy()
    assert flat.view(np.uint64).tolist() == patterns


def test_large_rows_get_row_groups_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(normalize, "_GROUP_BYTES", 10_000)
    table = pa.table({"b": [b"x" * (n * 999 % 30_000) for n in range(50)]})
    data = parquet(table)
    new = rewritten(data)
    groups = pq.read_metadata(io.BytesIO(new))
    sizes = [
        sum(len(v) for v in pq.ParquetFile(io.BytesIO(new)).read_row_group(n)["b"].to_pylist())
        for n in range(groups.num_row_groups)
    ]
    rows = [groups.row_group(n).num_rows for n in range(groups.num_row_groups)]
    assert sum(rows) == 50
    assert all(count == 1 or size <= 10_000 for count, size in zip(rows, sizes, strict=True))
    assert rewritten(new) == new


def test_dropping_rows_leaves_most_pages_as_they_were() -> None:
    rng = np.random.default_rng(5)
    count = 200_000
    table = pa.table(
        {
            "id": range(count),
            "x": rng.random(count),
            "t": [f"{n} {v}" for n, v in enumerate(rng.integers(0, 9**9, count))],
        }
    )
    kept = np.ones(count, bool)
    kept[rng.choice(count, 10, replace=False)] = False
    old, new = rewritten(parquet(table)), rewritten(parquet(table.filter(pa.array(kept))))
    windows = {old[n : n + 64] for n in range(len(old) - 64)}
    missing = sum(new[n : n + 64] not in windows for n in range(0, len(new), 64))
    assert missing < len(new) // 64 // 10
    plain_old, plain_new = parquet(table), parquet(table.filter(pa.array(kept)))
    windows = {plain_old[n : n + 64] for n in range(len(plain_old) - 64)}
    assert sum(plain_new[n : n + 64] not in windows for n in range(0, len(plain_new), 64)) > 5 * missing


def test_old_time_stamps_are_refused() -> None:
    data = parquet(pa.table({"t": pa.array([0], pa.timestamp("ns"))}), use_deprecated_int96_timestamps=True)
    with pytest.raises(NotNormalizableError, match="INT96"):
        rewritten(data)


def test_encrypted_files_are_refused(tmp_path: Any) -> None:
    path = tmp_path / "e.parquet"
    connection = duckdb.connect()
    connection.execute("set force_mbedtls_unsafe = 'true'")
    connection.execute("pragma add_parquet_key('k', '0123456789012345')")
    connection.execute(f"copy (select 1 a) to '{path}' (encryption_config {{footer_key: 'k'}})")
    with pytest.raises(NotNormalizableError, match="encrypted"):
        rewritten(path.read_bytes())


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1PAR1", b"PAR1" + b"\xff" * 40 + b"\x10\0\0\0PAR1"])
def test_what_is_no_parquet_is_said(data: bytes) -> None:
    with pytest.raises(NotATableError):
        rewritten(data)


def test_truncated_and_flipped_files_never_pass() -> None:
    data = bytearray(parquet(pa.table({"a": range(2000), "b": [str(n) for n in range(2000)]})))
    rng = np.random.default_rng(3)
    for place in rng.integers(4, len(data) - 8, 60):
        damaged = bytearray(data)
        damaged[place] ^= 0x15
        try:
            new = rewritten(bytes(damaged))
        except (NotATableError, NotNormalizableError):
            continue
        assert pq.read_table(io.BytesIO(new)).equals(pq.read_table(io.BytesIO(bytes(damaged))))
    with pytest.raises(NotATableError):
        rewritten(bytes(data[: len(data) // 2]))


NAN = struct.unpack("<d", struct.pack("<Q", 0x7FF8000000000001))[0]


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (pa.table({"a": [1]}), pa.table({"a": [2]})),
        (pa.table({"a": [1]}), pa.table({"b": [1]})),
        (pa.table({"a": [1]}), pa.table({"a": [1, 1]})),
        (pa.table({"a": [0.0]}), pa.table({"a": [-0.0]})),
        (pa.table({"a": [[0.0]]}), pa.table({"a": [[-0.0]]})),
        (
            pa.table({"a": [{"x": NAN}]}),
            pa.table({"a": pa.array([{"x": None}], pa.struct([("x", pa.float64())]))}),
        ),
        (
            pa.table({"a": pa.array([[]], pa.list_(pa.int8()))}),
            pa.table({"a": pa.array([None], pa.list_(pa.int8()))}),
        ),
        (pa.table({"a": [[1, 2], []]}), pa.table({"a": [[1], [2]]})),
        (pa.table({"a": pa.array([1], pa.int32())}), pa.table({"a": pa.array([1], pa.int64())})),
        (
            pa.table({"a": pa.array([0], pa.timestamp("ms", "UTC"))}),
            pa.table({"a": pa.array([0], pa.timestamp("ms", "Asia/Shanghai"))}),
        ),
        (pa.table({"a": ["x"]}), pa.table({"a": pa.array(["x"]).dictionary_encode()})),
        (pa.table({"a": [1]}), pa.table({"a": [1]}).replace_schema_metadata({"k": "v"})),
        (
            pa.table({"a": pa.array([1])}, schema=pa.schema([pa.field("a", pa.int64(), nullable=False)])),
            pa.table({"a": [1]}),
        ),
        (
            pa.table({"a": pa.DictionaryArray.from_arrays(pa.array([0]), pa.array(["x", "y"]))}),
            pa.table({"a": pa.DictionaryArray.from_arrays(pa.array([1]), pa.array(["y", "x"]))}),
        ),
    ],
)
def test_the_proof_sees_every_difference(one: pa.Table, two: pa.Table) -> None:
    old, new = parquet(one), parquet(two)
    prove_equal(io.BytesIO(old), io.BytesIO(old), "t")
    with pytest.raises(UnequalRewriteError):
        prove_equal(io.BytesIO(old), io.BytesIO(new), "t")
