"""Typed Arrow access to tables, checked against readers of another make and by hand."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
from collections.abc import Sequence
from datetime import date, datetime

import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.model.table_kind import recognise
from dsvc.table.origin.memory_source import MemorySource
from dsvc.table.origin.source import NotATableError, TableLimitError
from dsvc.table.reading.arrow_reader import ArrowTable, open_arrow


def opened(name: str, data: bytes | str) -> ArrowTable:
    content = data.encode() if isinstance(data, str) else data
    kind = recognise(name.encode(), content[:4096])
    assert kind is not None
    return open_arrow(MemorySource(name, content), kind)


def columns(table: ArrowTable) -> dict[str, tuple[str, list[object]]]:
    read = table.read()
    return {field.name: (str(field.type), read.column(field.name).to_pylist()) for field in read.schema}


@pytest.mark.parametrize(
    ("values", "type_", "expected"),
    [
        (["1", "-2", "0"], "int64", [1, -2, 0]),
        (["9223372036854775807", "-9223372036854775808"], "int64", [2**63 - 1, -(2**63)]),
        (["9223372036854775808"], "string", ["9223372036854775808"]),
        (["007", "1"], "string", ["007", "1"]),
        (["+1"], "string", ["+1"]),
        (["1", "1.5", "1e5"], "double", [1.0, 1.5, 1e5]),
        (["01.5"], "string", ["01.5"]),
        (["1.5", "12345678901234567"], "string", ["1.5", "12345678901234567"]),
        (["1,5"], "string", ["1,5"]),
        (["NaN", "1"], "string", ["NaN", "1"]),
        ([" 1"], "string", [" 1"]),
        (["true", "false"], "bool", [True, False]),
        (["true", "0"], "string", ["true", "0"]),
        (["2026-01-02", "1999-12-31"], "date32[day]", [date(2026, 1, 2), date(1999, 12, 31)]),
        (["2026-13-02"], "string", ["2026-13-02"]),
        (["2026-02-30"], "string", ["2026-02-30"]),
        (["2026-01-02T03:04:05"], "timestamp[us]", [datetime.fromisoformat("2026-01-02T03:04:05")]),
        (["2026-01-02 03:04:05.5"], "timestamp[us]", [datetime.fromisoformat("2026-01-02T03:04:05.5")]),
        (["2026-01-02 03:04:05.123456789"], "string", ["2026-01-02 03:04:05.123456789"]),
        (["x", "1"], "string", ["x", "1"]),
    ],
)
def test_types_of_csv_columns(values: Sequence[str], type_: str, expected: list[object]) -> None:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["v", "other"])
    writer.writerows([[value, "x"] for value in values])
    found = columns(opened("a.csv", stream.getvalue()))["v"]
    assert found == (type_, expected)


def test_null_and_the_empty_text_are_kept_apart() -> None:
    found = columns(opened("a.csv", 'a,b,c\n1,,""\n,x,""\n'))
    assert found == {
        "a": ("int64", [1, None]),
        "b": ("string", [None, "x"]),
        "c": ("string", ["", ""]),
    }
    assert columns(opened("a.csv", "a,b\n,1\n,2\n"))["a"] == ("string", [None, None])


def test_one_value_at_the_end_of_a_large_file_decides() -> None:
    rows = "".join(f"{number},{number}\n" for number in range(2_000_000))
    table = opened("a.csv", "a,b\n" + rows + "1,x\n")
    assert [str(field.type) for field in table.schema] == ["int64", "string"]
    assert table.num_rows == 2_000_001
    assert table.take([1_999_999, 2_000_000]).to_pydict() == {"a": [1_999_999, 1], "b": ["1999999", "x"]}


@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
def test_delimiters(sign: str) -> None:
    text = f"a{sign}b\n1{sign}x y\n"
    assert columns(opened("a.csv", text)) == {"a": ("int64", [1]), "b": ("string", ["x y"])}


@pytest.mark.parametrize(
    "data",
    [
        "名,b\n中文字,1\n".encode("utf-8-sig"),
        "名,b\n中文字,1\n".encode("gb18030"),
        gzip.compress("名,b\n中文字,1\n".encode(), mtime=0),
        zstandard.compress("名,b\n中文字,1\n".encode()),
    ],
)
def test_encodings_and_compression_of_csv(data: bytes) -> None:
    suffix = {b"\x1f\x8b": ".gz", b"\x28\xb5": ".zst"}.get(data[:2], "")
    found = columns(opened("a.csv" + suffix, data))
    assert found == {"名": ("string", ["中文字"]), "b": ("int64", [1])}


def test_quoted_line_breaks_and_quotes() -> None:
    found = columns(opened("a.csv", 'a,b\n1,"x\r\ny"\n2,"z""q"\n'))
    assert found["b"][1] == ["x\r\ny", 'z"q']


@pytest.mark.parametrize(
    ("name", "data", "place"),
    [
        ("a.csv", "a,b\n1,2\n1\n", "line 3"),
        ("a.csv", "a,b\n1,2,3\n", "line 2"),
        ("a.csv", 'a,b\n1,"x\n', "never closed"),
        ("a.csv.gz", gzip.compress(b"a,b\n" + b"1,2\n" * 1000, mtime=0)[:-20], "a.csv.gz"),
        ("a.jsonl", '{"a": 1}\n1\n', "line 2"),
        ("a.jsonl", '{"a": 1}\n\n{"a": 1\n', "line 3"),
        ("a.jsonl", '{"a": 1, "a": 2}\n', "line 1"),
        ("a.json", '[{"a": 1}, 2]', "a.json"),
        ("a.json", '[{"a": 1}', "a.json"),
        ("a.parquet", b"PAR1" + b"\xff" * 100, "a.parquet"),
        ("a.arrow", b"ARROW1\0\0" + b"\xff" * 100, "a.arrow"),
    ],
)
def test_what_is_no_table_is_named_with_the_place(name: str, data: bytes | str, place: str) -> None:
    with pytest.raises(NotATableError, match=place) as caught:
        opened(name, data).read()
    assert name in str(caught.value)


def test_bombs_are_refused() -> None:
    # Members of gzip that stand behind one another are one text.
    bomb = gzip.compress(b"a,b\n", mtime=0) + gzip.compress(b"1,2\n" * (1 << 18), mtime=0) * 300
    with pytest.raises(TableLimitError):
        opened("a.csv.gz", bomb).read()
    with pytest.raises(TableLimitError):
        opened("a.jsonl", '{"a":' + "[" * 200 + "]" * 200 + "}\n").read()
    with pytest.raises(TableLimitError):
        opened("a.csv", ",".join(f"c{number}" for number in range(30_000)) + "\n")


@pytest.mark.parametrize(
    ("rows", "type_", "expected"),
    [
        (['{"a":1}', '{"a":null}', "{}"], "int64", [1, None, None]),
        (['{"a":1}', '{"a":1.5}'], "double", [1.0, 1.5]),
        (['{"a":"2026-01-01"}'], "string", ["2026-01-01"]),
        (['{"a":true}', '{"a":false}'], "bool", [True, False]),
        (['{"a":1}', '{"a":"x"}'], "string", ["1", '"x"']),
        (['{"a":{"b":1}}', '{"a":[2]}'], "string", ['{"b":1}', "[2]"]),
        (['{"a":[1,2]}', '{"a":[]}'], "list<l: int64>", [[1, 2], []]),
        (['{"a":[1,"x"]}'], "list<l: string>", [["1", '"x"']]),
        (['{"a":{"b":1}}', '{"a":{"c":"x"}}'], "struct<b: int64, c: string>", None),
        (['{"a":9223372036854775807}'], "int64", [2**63 - 1]),
        (['{"a":9223372036854775808}', '{"a":1}'], "string", ["9223372036854775808", "1"]),
        (['{"a":-123456789012345678901234567890}'], "string", ["-123456789012345678901234567890"]),
        (['{"a":{"b":[18446744073709551616]}}'], "string", ['{"b":[18446744073709551616]}']),
        (['{"a":"18446744073709551616"}'], "string", ["18446744073709551616"]),
        (['{"a":{"k":1,"K":2}}'], "string", ['{"k":1,"K":2}']),
        (['{"a":null}'], "string", [None]),
        (['{"a":"\\u0000\\n中"}'], "string", ["\0\n中"]),
    ],
)
@pytest.mark.parametrize("array", [False, True])
def test_types_of_json_members(
    rows: list[str], type_: str, expected: list[object] | None, array: bool
) -> None:
    data = "[" + ",\n".join(rows) + "]" if array else "\n".join(rows)
    found = columns(opened("a.json" if array else "a.jsonl", data))["a"]
    assert found[0] == type_
    assert expected is None or found[1] == expected


def test_members_come_in_order_of_appearance_whatever_they_are_called() -> None:
    names = ["b", "a", "A", "", "/", "~", "it's", 'q"', "名", "a.b"]
    rows = [{names[0]: 1}, dict.fromkeys(names, 2)]
    table = opened("a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert table.schema.names == names
    assert table.read().to_pylist() == [{**dict.fromkeys(names), "b": 1}, rows[1]]
    assert table.read(["~", "b"]).to_pylist() == [{"~": None, "b": 1}, {"~": 2, "b": 2}]


def test_types_hold_over_block_ends() -> None:
    """A file of several blocks, each of which alone would have another type."""
    size = 9 << 20
    filler = '{"f":"' + "x" * 1000 + '"}\n'
    blocks = ['{"a":1,"s":{"x":1}}\n', '{"a":2.5,"s":{"y":"z"}}\n', '{"a":null,"s":null}\n']
    text = "".join(block + filler * (size // len(filler)) for block in blocks)
    table = opened("a.jsonl", text)
    assert [str(field.type) for field in table.schema] == ["double", "struct<x: int64, y: string>", "string"]
    found = [value for value in table.read(["a"])["a"].to_pylist() if value is not None]
    assert found == [1.0, 2.5]


cells = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.fixed_dictionaries({"a": cells, "b": cells, "n": st.integers(0, 9)}), min_size=1))
def test_json_values_come_back(rows: list[dict[str, object]]) -> None:
    """A column holds its values, or, where they are mixed, the JSON of each."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    table = opened("a.jsonl", text).read()
    assert table.num_rows == len(rows)
    for name in ("a", "b", "n"):
        values = [row[name] for row in rows]
        kinds = {type(value) for value in values if value is not None}
        found = table[name].to_pylist()
        if kinds == {int, float}:
            assert all(
                f is None if v is None else math.isclose(f, float(v))
                for f, v in zip(found, values, strict=True)
            )
        elif len(kinds) > 1:
            assert [None if f is None else json.loads(f) for f in found] == values
        else:
            assert found == values


plain_text = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=6)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
            st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False, width=32)),
            plain_text.map(lambda text: "t" + text),
        ),
        min_size=1,
    )
)
def test_csv_written_by_polars_comes_back(rows: list[tuple[int | None, float | None, str]]) -> None:
    schema = {"i": pl.Int64, "f": pl.Float64, "s": pl.String}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    table = opened("a.csv", frame.write_csv().encode()).read()
    assert table["s"].to_pylist() == frame["s"].to_list()
    for name in ("i", "f"):
        values = frame[name].to_list()
        found = table[name].to_pylist()
        if str(table.schema.field(name).type) in ("int64", "double"):
            assert found == values
        else:
            assert [None if value is None else float(value) for value in found] == values


def sample() -> pa.Table:
    return pa.table(
        {
            "id": range(1000),
            "d": pa.array(["x", "y"] * 500).dictionary_encode(),
            "t": pa.array(range(1000), pa.timestamp("ns", "Asia/Shanghai")),
            "l": [[number, None] for number in range(1000)],
        }
    )


def as_file(form: str) -> tuple[str, bytes]:
    stream, table = io.BytesIO(), sample()
    if form == "parquet":
        pq.write_table(table, stream, row_group_size=64)
    elif form == "feather":
        pa.feather.write_feather(table, stream, chunksize=64)
    else:
        with (pa.ipc.new_stream if form == "stream" else pa.ipc.new_file)(stream, table.schema) as writer:
            writer.write_table(table, max_chunksize=64)
    return f"a.{ {'parquet': 'parquet', 'feather': 'feather'}.get(form, 'arrow') }", stream.getvalue()


FORMS = ("parquet", "feather", "file", "stream")


@pytest.mark.parametrize("form", FORMS)
def test_arrow_data_comes_as_it_is(form: str) -> None:
    table = opened(*as_file(form))
    assert table.num_rows == 1000
    assert table.schema.names == sample().schema.names
    assert table.read().equals(sample().cast(table.schema))
    assert table.read(["l", "id"]).equals(sample().select(["l", "id"]))
    assert sum(batch.num_rows for batch in table.batches(["id"])) == 1000
    assert table.dataset().to_table().num_rows == 1000


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=15, deadline=None)
@given(positions=st.lists(st.integers(-1000, 999), max_size=30))
def test_rows_by_position_come_in_the_order_asked_for(form: str, positions: list[int]) -> None:
    found = opened(*as_file(form)).take(positions)
    assert found["id"].to_pylist() == [position % 1000 for position in positions]
    assert found["d"].to_pylist() == ["xy"[position % 2] for position in positions]


@pytest.mark.parametrize("positions", [[1000], [-1001], [0, 5000]])
def test_rows_that_are_not_there(positions: list[int]) -> None:
    with pytest.raises(IndexError):
        opened(*as_file("parquet")).take(positions)


def test_columns_that_are_not_there() -> None:
    with pytest.raises(KeyError):
        opened("a.csv", "a\n1\n").read(["b"])


def test_only_what_is_asked_for_is_read() -> None:
    """One column of a wide Parquet file costs its own bytes, not the file's."""

    class Counting(io.BytesIO):
        count = 0

        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            Counting.count += len(data)
            return data

    stream = io.BytesIO()
    wide = {f"c{number}": [f"{number}-{row}" for row in range(20_000)] for number in range(20)}
    pq.write_table(pa.table(wide), stream, use_dictionary=False, compression="none")

    class Source(MemorySource):
        def open(self) -> Counting:  # type: ignore[override]
            return Counting(self.data)

    source = Source("a.parquet", stream.getvalue())
    kind = recognise(b"a.parquet", source.data[:64])
    assert kind is not None
    assert open_arrow(source, kind).read(["c7"])["c7"].to_pylist() == wide["c7"]
    assert Counting.count < len(source.data) / 5
