"""Tables that lie about themselves are stored as the bytes they are, and cost what their bytes cost."""

from __future__ import annotations

import gzip
import io
import random
import struct
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard
from pyarrow import ipc, parquet

from dsvc.model.manifest import Entry, Kind
from dsvc.model.table_kind import Compression, TableFormat, TableKind
from dsvc.table.describing.describe import describe_bytes
from dsvc.table.describing.footer import MAX_METADATA_BYTES
from tests.porcelain.working import Work

PARQUET, ARROW = TableKind(TableFormat.PARQUET), TableKind(TableFormat.ARROW)
TABLE = pa.table({"id": range(1000), "文本": [str(n) for n in range(1000)]})


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "数据")


def parquet_file() -> bytes:
    out = io.BytesIO()
    parquet.write_table(TABLE, out)
    return out.getvalue()


def arrow_file(make: object = ipc.new_file) -> bytes:
    out = io.BytesIO()
    with make(out, TABLE.schema) as writer:  # type: ignore[operator]
        writer.write_table(TABLE, max_chunksize=100)
    return out.getvalue()


def with_footer(footer: bytes, length: int | None = None) -> bytes:
    return b"PAR1" + footer + struct.pack("<I", len(footer) if length is None else length) + b"PAR1"


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def element(name: bytes, children: int | None) -> bytes:
    """A node of a Parquet schema in Thrift's compact protocol; a leaf of int32 where it has no children."""
    kind = b"\x15\x02\x25\x00" if children is None else b"\x35\x00"
    end = b"" if children is None else b"\x15" + varint(children << 1)
    return kind + b"\x18" + varint(len(name)) + name + end + b"\0"


def forged(elements: list[bytes], rows: int, columns: int = 1) -> bytes:
    """A footer with a schema, a number of rows and no row group."""
    root = b"\x48\x04root\x15" + varint(columns << 1) + b"\0"
    count = b"\xfc" + varint(len(elements) + 1)
    return b"\x15\x02\x19" + count + root + b"".join(elements) + b"\x16" + varint(rows << 1) + b"\x19\x0c\0"


def added(work: Work, files: dict[bytes, bytes]) -> dict[bytes, Entry]:
    work.write(files)
    assert not work.repo.add(all=True).skipped
    assert work.tree() == {path: ("file", data) for path, data in files.items()}
    return {entry.path: entry for entry in work.repo.manifest(work.repo.staged().root).entries()}


def test_h43_a_footer_may_claim_any_number_of_rows() -> None:
    assert describe_bytes(PARQUET, with_footer(forged([element(b"a", None)], 10**9)))[0] == 10**9
    # An odd zigzag number is negative.
    footer = forged([element(b"a", None)], 3).replace(b"\x16\x06", b"\x16\x05")
    assert describe_bytes(PARQUET, with_footer(footer))[0] is None


@pytest.mark.parametrize("depth", [1000, 9_000, 200_000])
def test_h43_a_schema_as_deep_as_a_file_allows(depth: int) -> None:
    footer = forged([element(b"a", 1)] * depth + [element(b"x", None)], 1)
    assert describe_bytes(PARQUET, with_footer(footer)) == (None, None)


def test_h43_a_million_columns_leave_no_schema() -> None:
    for columns, rows in ((9_000, 7), (900_000, None)):
        footer = forged([element(b"c", None)] * columns, 7, columns)
        assert describe_bytes(PARQUET, with_footer(footer)) == (rows, None)


@pytest.mark.parametrize(
    "data",
    [
        b"PAR1",
        b"PAR1PAR1",
        b"PAR1" + b"\xff\xff\xff\xffPAR1",
        b"PAR1" + b"\0\0\0\0PAR1",
        with_footer(b"\xff" * 1000),
        with_footer(b"\x19\xfc" + b"\xff" * 8 + b"\x0f"),
        with_footer(b"x" * 10, 2**32 - 1),
        with_footer(bytes(MAX_METADATA_BYTES + 1)),
        parquet_file()[:-1],
        parquet_file()[: len(parquet_file()) // 2],
        parquet_file()[:-300] + parquet_file()[-290:],
    ],
)
def test_h43_a_damaged_parquet_file_has_no_number(data: bytes) -> None:
    assert describe_bytes(PARQUET, data) == (None, None)


def test_h43_no_flipped_byte_makes_an_error() -> None:
    generator = random.Random(7)
    for kind, whole in (
        (PARQUET, parquet_file()),
        (ARROW, arrow_file()),
        (ARROW, arrow_file(ipc.new_stream)),
    ):
        for _ in range(300):
            data = bytearray(whole)
            for _ in range(generator.randrange(1, 4)):
                data[generator.randrange(len(data))] = generator.randrange(256)
            rows, _ = describe_bytes(kind, bytes(data))
            assert rows is None or 0 <= rows < 2**63
        for _ in range(100):
            rows, _ = describe_bytes(kind, whole[: generator.randrange(len(whole))])
            assert rows is None or rows <= 1000


def test_h41_an_arrow_file_of_endless_batches() -> None:
    whole = arrow_file(ipc.new_stream)
    schema, batch = whole[: whole.index(b"\xff\xff\xff\xff", 8)], whole[whole.index(b"\xff\xff\xff\xff", 8) :]
    one = batch[: batch.index(b"\xff\xff\xff\xff", 8)]
    assert describe_bytes(ARROW, schema + one * 3 + batch[-8:])[0] == 300
    # The same without bodies: heads alone, more than are looked at.
    empty = io.BytesIO()
    with ipc.new_stream(empty, pa.schema([])) as writer:
        writer.write_batch(pa.record_batch([], schema=pa.schema([])))
    text = empty.getvalue()
    second = text.index(b"\xff\xff\xff\xff", 8)
    last = text.rindex(b"\xff\xff\xff\xff")
    many = text[:second] + text[second:last] * 150_000 + text[last:]
    assert describe_bytes(ARROW, many)[0] is None


@pytest.mark.parametrize("compression", [Compression.GZIP, Compression.ZSTD])
def test_h44_bombs_are_not_unpacked_to_their_end(compression: Compression) -> None:
    packer = zstandard.ZstdCompressor(level=1)
    zeros = bytes(1 << 24)
    one = gzip.compress(zeros, 1, mtime=0) if compression is Compression.GZIP else packer.compress(zeros)
    kind = TableKind(TableFormat.CSV, compression)
    assert describe_bytes(kind, one * 4000)[0] is None  # 64 GB
    assert describe_bytes(kind, one[:-20] + b"\0" * 20)[0] is None


def test_h41_h43_all_of_them_are_stored(work: Work) -> None:
    files = {
        b"lying.parquet": with_footer(forged([element(b"a", None)], 10**9)),
        b"deep.parquet": with_footer(forged([element(b"a", 1)] * 5000 + [element(b"x", None)], 1)),
        b"cut.parquet": parquet_file()[:-1],
        "坏.arrow".encode(): arrow_file()[:-10],
        b"open.csv": b'a\n"' + b"x\n" * 100_000,
        b"deep.json": b"[" + b'{"a":' * 100_000,
        b"bad.csv.gz": b"\x1f\x8b" + bytes(range(256)),
        b"bad.jsonl.zst": b"\x28\xb5\x2f\xfd" + bytes(range(256)),
        b"mojibake.csv": b"a,b\n\xff\xff\xff\xfe\n",
    }
    found = added(work, files)
    assert all(entry.kind == Kind.TABLE for entry in found.values())
    rows = {path: entry.rows for path, entry in found.items()}
    assert rows == dict.fromkeys(files) | {b"lying.parquet": 10**9, b"mojibake.csv": rows[b"mojibake.csv"]}
    assert work.reopen().fsck(read_data=True).ok
