"""Rows and columns for the manifest: beside Python's csv and json, PyArrow, and the reader of records."""

from __future__ import annotations

import csv
import gzip
import io
import json
from contextlib import AbstractContextManager
from typing import BinaryIO

import pyarrow as pa
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import feather, ipc, parquet

from dsvc.model.manifest import decode_schema
from dsvc.model.table_kind import Compression, TableFormat, TableKind
from dsvc.table.describing.describe import MAX_UNPACKED_BYTES, Description, Facts, describe_bytes
from dsvc.table.describing.record_count import ArrayCounter, LineCounter, RecordCounter, count_small
from dsvc.table.origin.source import NotATableError
from dsvc.table.text.dialect import SAMPLE_BYTES
from dsvc.table.text.record_split import LineSplitter
from dsvc.table.text.records import TextRecords

CSV, TSV = TableKind(TableFormat.CSV), TableKind(TableFormat.TSV)
JSONL, JSON = TableKind(TableFormat.JSONL), TableKind(TableFormat.JSON)
PARQUET, ARROW = TableKind(TableFormat.PARQUET), TableKind(TableFormat.ARROW)


class Held:
    """Bytes as the readers of tables take them."""

    name, digest = "held", b""

    def __init__(self, data: bytes) -> None:
        self.data, self.size = data, len(data)

    def open(self) -> BinaryIO:
        return io.BytesIO(self.data)

    def local_path(self) -> AbstractContextManager[str]:
        raise NotImplementedError


def streamed(kind: TableKind, data: bytes, step: int, *, size: int | None = None) -> Facts:
    """Facts of what comes in parts, in a buffer that is used again."""
    description = Description(kind, len(data) if size is None else size)
    buffer = bytearray(step)
    for start in range(0, len(data), step):
        part = data[start : start + step]
        buffer[: len(part)] = part
        description.feed(memoryview(buffer)[: len(part)])
    return description.facts(io.BytesIO(data))


def columns(facts: Facts) -> list[tuple[str, str]] | None:
    return None if facts[1] is None else decode_schema(facts[1])


cells = st.text(alphabet="ab,;\t\"'\n\r 中文0.", max_size=6).filter(
    lambda text: not text or text.strip() != ""
)


@settings(max_examples=300, deadline=None)
@given(
    rows=st.lists(st.lists(cells, min_size=2, max_size=2), min_size=1, max_size=12),
    ends=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    blanks=st.booleans(),
    cut=st.booleans(),
    step=st.integers(1, 40),
)
def test_csv_records_are_those_of_pythons_reader(
    rows: list[list[str]], ends: str, quoting: int, blanks: bool, cut: bool, step: int
) -> None:
    if quoting == csv.QUOTE_MINIMAL:  # some versions leave a return without quotes then
        rows = [[cell.replace("\r", "") for cell in row] for row in rows]
    rows.insert(0, ["first", "second\nname"])
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator=ends + ends * blanks, quoting=quoting)  # type: ignore[arg-type]
    writer.writerows([[cell or "x" for cell in row] for row in rows])
    text = out.getvalue().removesuffix(ends) if cut and not blanks else out.getvalue()
    expected = sum(1 for row in csv.reader(io.StringIO(text, newline="")) if row) - 1
    data = text.encode()
    assert describe_bytes(CSV, data) == (expected, None)
    assert describe_bytes(CSV, b"\xef\xbb\xbf" + data) == (expected, None)
    assert streamed(CSV, data, step) == (expected, None)
    assert streamed(CSV, data, step, size=1 << 30) == (expected, None)


lines = st.lists(
    st.sampled_from([b"", b" ", b"\t\r", b"{}", b' {"a": "\\n"}', b'"', "中".encode()]), max_size=30
)


@settings(max_examples=300, deadline=None)
@given(lines, st.booleans(), st.integers(1, 9))
def test_lines_that_are_not_blank_are_counted(found: list[bytes], ended: bool, step: int) -> None:
    data = b"\n".join(found) + b"\n" * ended
    expected = sum(1 for line in data.split(b"\n") if line.strip())
    assert describe_bytes(JSONL, data)[0] == expected
    assert streamed(JSONL, data, step)[0] == expected
    assert streamed(JSONL, data, step, size=1 << 30)[0] == expected


strange = st.lists(
    st.sampled_from([b'"', b'""', b"\n", b"\r\n", b" ", b"\t", b"a", b",", b',"', b'",']), max_size=60
)


@settings(max_examples=1000, deadline=None)
@given(strange.map(b"".join), st.sampled_from([",", "\t"]), st.integers(1, 30))
def test_any_text_gives_one_number_however_it_comes(data: bytes, delimiter: str, step: int) -> None:
    found = []
    for vectors in (False, True):
        counter = LineCounter(delimiter, vectors=vectors)
        for start in range(0, len(data), step):
            counter.feed(data[start : start + step])
        found.append(counter.result())
    assert found[0] == found[1]
    splitter = LineSplitter("x", delimiter)
    try:
        starts, _, _ = splitter.split(data, line=1, last=True)
    except NotATableError:
        assert found[0] is None
    else:
        assert found[0] == len(starts)


@settings(max_examples=300, deadline=None)
@given(strange.map(b"".join))
def test_the_rows_are_those_that_the_reader_of_tables_finds(data: bytes) -> None:
    data = b"first,second\n" + data
    rows = describe_bytes(CSV, data)[0]
    assert count_small(TableFormat.CSV, data) in (None, rows)
    try:
        records = sum(map(len, TextRecords(Held(data), CSV).blocks()))
    except NotATableError:
        assert rows is None
    else:
        assert rows == records


def test_long_texts_are_counted_across_blocks() -> None:
    data = b"".join(b'%d,"a\n\nb",%s\n%s' % (n, b"x" * (n % 99), b"\n" * (n % 7 == 0)) for n in range(40_000))
    expected = sum(1 for row in csv.reader(io.StringIO(data.decode(), newline="")) if row)
    for vectors in (False, True):
        counter = LineCounter(",", vectors=vectors)
        counter.feed(data[:700_001])
        counter.feed(data[700_001:])
        assert counter.result() == expected


values = st.recursive(
    st.none() | st.integers() | st.floats(allow_nan=True) | st.text(alphabet='a"\\[]{}中\n', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.dictionaries(st.text(max_size=4), values, max_size=3), max_size=8),
    st.sampled_from([None, 2]),
    st.booleans(),
    st.integers(1, 30),
)
def test_objects_of_an_array_are_counted(
    records: list[dict[str, object]], indent: int | None, ascii_only: bool, step: int
) -> None:
    data = json.dumps(records, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    assert describe_bytes(JSON, data) == (len(records), None)
    assert streamed(JSON, data, step) == (len(records), None)
    assert count_small(TableFormat.JSON, data) in (None, len(records))


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (CSV, b'a,b\n1,"2\n3,4\n'),
        (CSV, b"\n \n"),
        (TSV, b'a\tb\n"'),
        (JSON, b'[{"a": 1}'),
        (JSON, b'[{"a": "1}]'),
        (JSON, b'[{"a": 1}]]'),
        (JSON, b"[{}][{}]"),
        (JSON, b"[[{}]]"),
        (JSON, b"[{}}"),
        (JSON, b"[" * 100_000),
    ],
)
def test_what_is_no_table_has_no_number(kind: TableKind, data: bytes) -> None:
    assert describe_bytes(kind, data) == (None, None)
    assert streamed(kind, data, 3) == (None, None)


def counters() -> list[RecordCounter]:
    return [LineCounter(","), LineCounter(vectors=True), ArrayCounter()]


def test_nothing_is_nothing() -> None:
    assert [counter.result() for counter in counters()] == [0, 0, None]


# Columns


TIMES = ("2024-01-02 03:04:05", "2024-01-02T03:04:05Z")


def long_csv(delimiter: str, encoding: str, bom: bytes = b"") -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    writer.writerow(["编号", "score", "ok", "day", "at", "zoned", "名称", "007", "none", "", "score"])
    for n in range(3000):
        writer.writerow([n, n / 7, "true", "2024-02-29", *TIMES, f"第{n}行", "007", "", n, 1])
    return bom + out.getvalue().encode(encoding)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (CSV, long_csv(",", "utf-8")),
        (CSV, long_csv(";", "utf-8", b"\xef\xbb\xbf")),
        (CSV, long_csv(",", "gb18030")),
        (TSV, long_csv("\t", "utf-8")),
    ],
)
def test_columns_of_csv(kind: TableKind, data: bytes) -> None:
    facts = describe_bytes(kind, data)
    assert facts == streamed(kind, data, 1000) == streamed(kind, data, 99_999, size=1 << 30)
    assert facts[0] == 3000
    assert columns(facts) == [
        ("编号", "int64"),
        ("score", "double"),
        ("ok", "bool"),
        ("day", "date32[day]"),
        ("at", "timestamp[us]"),
        ("zoned", "timestamp[us, tz=UTC]"),
        ("名称", "string"),
        ("007", "string"),
        ("none", "null"),
        ("column_10", "int64"),
        ("score_2", "int64"),
    ]


@pytest.mark.parametrize("kind", [JSONL, JSON])
def test_columns_of_json(kind: TableKind) -> None:
    records = [
        {"编号": n, "x": n if n % 2 else n / 2, "tags": ["a"] if n else [], "at": {"page": n, "box": [1.5]}}
        | ({"late": None} if n == 3 else {})
        | {"mixed": n if n % 3 else "x", "huge": 2**70, "nan": float("nan")}
        for n in range(1000)
    ]
    texts = [json.dumps(record, ensure_ascii=False) for record in records]
    text = "\n".join(texts) if kind is JSONL else "[\n" + ",\n".join(texts) + "\n]\n"
    facts = describe_bytes(kind, text.encode())
    assert facts == streamed(kind, text.encode(), 4099)
    assert facts[0] == 1000
    assert columns(facts) == [
        ("编号", "int64"),
        ("x", "double"),
        ("tags", "list<string>"),
        ("at", "struct<page: int64, box: list<double>>"),
        ("mixed", "string"),
        ("huge", "string"),
        ("nan", "double"),
        ("late", "null"),
    ]


def test_short_tables_in_text_leave_their_columns_to_be_read() -> None:
    assert describe_bytes(CSV, b"a,b\n1,2\n") == (1, None)
    assert describe_bytes(JSONL, b'{"a": 1}\n' * 3) == (3, None)


def test_too_many_columns_leave_the_rows() -> None:
    header = ",".join(f"column{n}" for n in range(5000))
    data = (header + "\n" + "1," * 4999 + "1\n").encode() * 3
    assert len(data) > SAMPLE_BYTES
    assert describe_bytes(CSV, data) == (5, None)


# Compressed


@pytest.mark.parametrize("compression", [Compression.GZIP, Compression.ZSTD])
def test_compressed_text_is_as_the_text_itself(compression: Compression) -> None:
    pack = gzip.compress if compression is Compression.GZIP else zstandard.ZstdCompressor().compress
    for data in (b"a\n1\n2\n", long_csv(",", "utf-8")):
        packed = TableKind(TableFormat.CSV, compression)
        assert describe_bytes(packed, pack(data)) == describe_bytes(CSV, data)
        # Several members are one text.
        assert describe_bytes(packed, pack(data[:3]) + pack(data[3:])) == describe_bytes(CSV, data)
        assert describe_bytes(packed, pack(data)[:-5])[0] is None


def test_long_compressed_text_is_not_counted() -> None:
    line = b'{"n": 1, "text": "' + b"x" * 1000 + b'"}\n'
    data = line * (MAX_UNPACKED_BYTES // len(line) + 2)
    facts = describe_bytes(TableKind(TableFormat.JSONL, Compression.GZIP), gzip.compress(data, 1, mtime=0))
    assert facts[0] is None
    assert columns(facts) == [("n", "int64"), ("text", "string")]


# Parquet and Arrow


TABLE = pa.table(
    {
        "编号": pa.array([1, 2, None], pa.int64()),
        "items": pa.array([[1.5], None, []], pa.list_(pa.float64())),
        "at": pa.array([0, 1, 2], pa.timestamp("us", tz="Asia/Shanghai")),
        "place": pa.array(
            [{"x": 1, "y": ["a"]}] * 3, pa.struct([("x", pa.int32()), ("y", pa.list_(pa.string()))])
        ),
        "label": pa.array(["a", "b", "a"]).dictionary_encode(),
        "price": pa.array([None] * 3, pa.decimal128(9, 2)),
        "map": pa.array([[("k", 1)]] * 3, pa.map_(pa.string(), pa.int64())),
    }
)
COLUMNS = [
    ("编号", "int64"),
    ("items", "list<double>"),
    ("at", "timestamp[us, tz=Asia/Shanghai]"),
    ("place", "struct<x: int32, y: list<string>>"),
    ("label", "dictionary<values=string, indices=int32, ordered=0>"),
    ("price", "decimal128(9, 2)"),
    ("map", "map<string, int64>"),
]


def test_parquet_says_what_its_footer_says() -> None:
    out = io.BytesIO()
    parquet.write_table(TABLE, out, row_group_size=2)
    facts = describe_bytes(PARQUET, out.getvalue())
    assert (facts[0], columns(facts)) == (3, COLUMNS)
    assert facts == streamed(PARQUET, out.getvalue(), 100)


@pytest.mark.parametrize("codec", [None, "lz4", "zstd"])
def test_arrow_batches_are_summed(codec: str | None) -> None:
    options = ipc.IpcWriteOptions(compression=codec)
    for make in (ipc.new_file, ipc.new_stream):
        out = io.BytesIO()
        with make(out, TABLE.schema, options=options) as writer:
            for _ in range(5):
                writer.write_table(TABLE, max_chunksize=2)
        facts = describe_bytes(ARROW, out.getvalue())
        assert (facts[0], columns(facts)) == (15, COLUMNS)
    out = io.BytesIO()
    feather.write_feather(TABLE, out)
    assert describe_bytes(ARROW, out.getvalue())[0] == 3


def test_empty_columnar_tables() -> None:
    empty = TABLE.schema.empty_table()
    out = io.BytesIO()
    parquet.write_table(empty, out)
    assert describe_bytes(PARQUET, out.getvalue())[0] == 0
    for make in (ipc.new_file, ipc.new_stream):
        out = io.BytesIO()
        with make(out, empty.schema):
            pass
        facts = describe_bytes(ARROW, out.getvalue())
        assert (facts[0], columns(facts)) == (0, COLUMNS)
