"""What is a table, and what an entry may say of one."""

from __future__ import annotations

import pytest

from dsvc.model.errors import MalformedInputError
from dsvc.model.manifest import (
    MAX_SCHEMA_BYTES,
    MODE_FILE,
    MODE_SYMLINK,
    ChunkClass,
    Entry,
    Kind,
    check_entry,
    decode_schema,
    encode_schema,
)
from dsvc.model.table_kind import Compression, TableFormat, TableKind, recognise
from dsvc.store.content import sniff

GZIP, ZSTD = b"\x1f\x8b\x08\0", b"\x28\xb5\x2f\xfd\0"
ARROW = b"ARROW1\0\0\xff\xff\xff\xff"


@pytest.mark.parametrize(
    ("path", "head", "found"),
    [
        (b"a/x.csv", b"a,b\n1,2\n", TableKind(TableFormat.CSV)),
        (b"a/X.CSV", b"a,b\n", TableKind(TableFormat.CSV)),
        ("数据/表.tsv".encode(), "甲\t乙\n".encode(), TableKind(TableFormat.TSV)),
        (b"x.tab", b"a\tb\n", TableKind(TableFormat.TSV)),
        (b"x.ndjson", b'{"a": 1}\n', TableKind(TableFormat.JSONL)),
        (b"x.json", b'\xef\xbb\xbf [\n {"a": 1}]', TableKind(TableFormat.JSON)),
        (b"x.json", b"[]", TableKind(TableFormat.JSON)),
        (b"x.json", b'{"a": 1}', None),
        (b"x.json", b"[1, 2]", None),
        (b"x.csv.gz", GZIP, TableKind(TableFormat.CSV, Compression.GZIP)),
        (b"x.JSONL.ZST", ZSTD, TableKind(TableFormat.JSONL, Compression.ZSTD)),
        (b"x.csv.gz", b"a,b\n", None),
        (b"x.parquet.gz", GZIP, None),
        (b"x.gz", GZIP, None),
        (b"csv.gz", GZIP, None),
        (b"csv", b"a,b\n", None),
        (b"a.csv/readme", b"a,b\n", None),
        (b"x.csv.bak", b"a,b\n", None),
        (b"x.csv", b"", None),
        (b"x.csv", b"a\0b", None),
        (b"x.parquet", b"a,b\n", None),
        (b"anything", b"PAR1\x15\x04", TableKind(TableFormat.PARQUET)),
        (b"anything", ARROW, TableKind(TableFormat.ARROW)),
        (b"x.arrow", b"\xff\xff\xff\xff\x78\0\0\0", TableKind(TableFormat.ARROW)),
        (b"x.bin", b"\xff\xff\xff\xff\x78\0\0\0", None),
    ],
)
def test_name_and_first_bytes_tell(path: bytes, head: bytes, found: TableKind | None) -> None:
    assert recognise(path, head) == found
    look = sniff(path, head)
    assert look.table == found
    assert (look.kind is Kind.TABLE) == (found is not None)


def test_tables_in_text_are_cut_as_text_was() -> None:
    for name in (b"x.csv", b"x.tsv", b"x.jsonl"):
        assert sniff(name, b"a\n").chunk_class == sniff(b"x.txt", b"a\n").chunk_class == ChunkClass.TEXT
    for name, head in ((b"x.csv.gz", GZIP), (b"x.csv.zst", ZSTD), (b"x", ARROW), (b"x", b"PAR1")):
        assert sniff(name, head).chunk_class == ChunkClass.RAW
    # Compressed bytes without a zero among the first look like text, and still are none.
    assert sniff(b"x.csv.gz", b"\x1f\x8b\x08\x08").chunk_class == ChunkClass.RAW


def test_an_image_is_no_table_whatever_it_is_called() -> None:
    assert sniff(b"x.csv", b"\x89PNG\r\n\x1a\n").kind is Kind.IMAGE


def entry(**fields: object) -> Entry:
    values: dict[str, object] = {"kind": Kind.TABLE, "mode": MODE_FILE, "size": 3} | fields
    return Entry(path=b"x.csv", digest=bytes(32), xxh3=bytes(16), **values)  # type: ignore[arg-type]


def test_rows_and_schema_within_bounds() -> None:
    check_entry(entry(rows=0, schema=b"\x90"))
    check_entry(entry(rows=2**63 - 1, schema=bytes(MAX_SCHEMA_BYTES)))
    for wrong in (
        entry(rows=-1),
        entry(rows=2**63),
        entry(schema=bytes(MAX_SCHEMA_BYTES + 1)),
        entry(rows=1, kind=Kind.TEXT),
        entry(schema=b"\x90", kind=Kind.BINARY),
        entry(rows=1, mode=MODE_SYMLINK),
    ):
        with pytest.raises(MalformedInputError):
            check_entry(wrong)


def test_a_schema_comes_back_or_is_left_out() -> None:
    columns = [("id", "int64"), ("标签", "string"), ("x", "struct<a: list<double>>")]
    encoded = encode_schema(columns)
    assert encoded is not None
    assert decode_schema(encoded) == columns
    assert encode_schema([(f"column {n}", "string") for n in range(100)]) is None
    for wrong in (b"", b"\x91\x01", encoded[:-1], b"\x91\x92\xa1a\x01"):
        with pytest.raises(MalformedInputError):
            decode_schema(wrong)
