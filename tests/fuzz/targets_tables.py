"""Tables: patches, conditions, selectors, queries, tables in text, row indexes in the cache."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import xxhash

from dsvc.diff.apply_text import apply_hunks
from dsvc.diff.patch_file import parse_patch
from dsvc.model.errors import DsvcError
from dsvc.model.manifest import MODE_FILE, Entry, Kind, check_entry, decode_schema
from dsvc.model.table_kind import TableFormat, TableKind
from dsvc.porcelain.lineage.lineage_target import parse_lineage_target
from dsvc.porcelain.tables.row_target import parse_target
from dsvc.table.describing.describe import describe_bytes
from dsvc.table.index.index_file import encode_index, load_index
from dsvc.table.index.row_index import RowIndex
from dsvc.table.query.predicate import parse
from dsvc.table.query.sql_names import query_names
from dsvc.table.text.csv_fields import read_field, split_fields
from dsvc.table.text.dialect import sniff
from dsvc.table.text.json_members import Members
from tests.fuzz.registry import Form, target
from tests.fuzz.targets_state import folder

DIGEST = b"d" * 32
_PATCH = """diff --git a/图.txt "b/\\345\\233\\276.txt"
old mode 100644
new mode 100755
index 1..2
--- a/图.txt
+++ b/图.txt
@@ -1,2 +1,3 @@
 a
-b
+c
+d
\\ No newline at end of file
diff --git a/x b/x
new file mode 100644
--- /dev/null
+++ b/x
@@ -0,0 +1 @@
+x
"""
_TABLE = """diff --dsvc-table a/a.csv b/a.csv
{"version":1,"format":"csv","compression":"none","key":["id"],"old":{"path":"a.csv","mode":"100644","rows":2,"head":"id\\n"},"new":{"path":"a.csv","mode":"100644","rows":2,"head":"id\\n"}}
{"op":"copy","start":0,"count":1}
{"op":"remove","start":1,"count":1,"records":["2\\n"]}
{"op":"insert","start":1,"count":1,"records":["3\\n"],"after":["1"]}
{"op":"end"}
"""


@target("patch", [_PATCH.encode(), _TABLE.encode()], runs=1500)
def patch(data: bytes) -> None:
    for each in parse_patch(data):
        back = each.reversed()
        assert back.reversed()[:5] == each[:5]
        with contextlib.suppress(DsvcError):
            apply_hunks(b"a\nb\n", each.hunks, "a")


_WHERE = (
    "id >= 3 and not (`a b` in ('x', '中''文') or c is not null)",
    "true and x = -1.5e3",
    "a <> b or flag",
)


@target("condition", [each.encode() for each in _WHERE])
def condition(data: bytes) -> None:
    found = parse(data.decode("utf-8", "surrogateescape"))
    with contextlib.suppress(UnicodeEncodeError):
        assert str(parse(str(found))) == str(found)
    assert all(isinstance(name, str) for name in found.columns)


@target("row-selector", ["main:图/a.csv#id=2,name=a%2Cb".encode(), b"train.csv#@7", b"HEAD~1:a#x=1"])
def row_selector(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    found = parse_target(text)
    assert str(parse_target(str(found))) == str(found)


@target("lineage-target", [b"source:web", b"run:step", b"defect:d-01", b"release:v1", b"a.csv#id=2"])
def lineage_target(data: bytes) -> None:
    found = parse_lineage_target(data.decode("utf-8", "surrogateescape"))
    assert str(parse_lineage_target(str(found))) == str(found)


@cache
def _connection() -> Any:
    from dsvc.table.engine import connect

    return connect(threads=1)


@target(
    "query",
    [b"WITH t AS (FROM dsvc('HEAD~1:a.csv')) SELECT id FROM t JOIN \"b.csv\" USING (id)"],
    runs=500,
)
def query(data: bytes) -> None:
    """What a query names; a part of DuckDB's parser is in it."""
    found = query_names(_connection(), data.decode("utf-8", "surrogateescape"))
    assert all(isinstance(each, str) for each in found.targets)


_CSV = 'id,名,t\n1,"a, ""b""\n c",x\n2,,y\n'.encode()
_JSON = '[{"id": 1, "名": {"a": [1, 2.5]}}, {"id": 2}]'.encode()
_JSONL = b'{"id": 1, "a": null}\n{"id": 2, "a": [1]}\n'
_TEXTS = (TableFormat.CSV, TableFormat.TSV, TableFormat.JSONL, TableFormat.JSON)


@target(
    "described-table", [bytes([n]) + each for n, each in enumerate((_CSV, _CSV, _JSONL, _JSON))], runs=2000
)
def described_table(data: bytes) -> None:
    """What `add` does in its own process with any file that is called a table."""
    _described(TableKind(_TEXTS[data[0] % 4 if data else 0]), data[1:])


def _described(kind: TableKind, data: bytes) -> None:
    """What is said of a table can stand in a manifest."""
    rows, columns = describe_bytes(kind, data)
    found = Entry(
        path=b"a",
        mode=MODE_FILE,
        size=9,
        digest=DIGEST,
        xxh3=b"x" * 16,
        kind=Kind.TABLE,
        rows=rows,
        schema=columns,
    )
    check_entry(found)
    assert columns is None or decode_schema(columns)


def _binary() -> Sequence[bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"id": [1, 2], "名": ["a", None], "n": [[1], []]})
    parquet, arrow = pa.BufferOutputStream(), pa.BufferOutputStream()
    pq.write_table(table, parquet, compression="none", write_statistics=False, store_schema=False)
    with pa.ipc.new_file(arrow, table.schema) as writer:
        writer.write_table(table)
    return [b"\0" + parquet.getvalue().to_pybytes(), b"\1" + arrow.getvalue().to_pybytes()]


@target("table-footer", _binary, runs=2000, longest=8192)
def table_footer(data: bytes) -> None:
    _described(TableKind((TableFormat.PARQUET, TableFormat.ARROW)[data[0] % 2 if data else 0]), data[1:])


@target("csv-record", [b'1,"a, ""b""",x', b"a\tb", b"''"], runs=2500)
def csv_record(data: bytes) -> None:
    for format_ in (TableFormat.CSV, TableFormat.TSV):
        dialect = sniff(data, TableKind(format_), "a.csv")
        for each in split_fields(data, dialect):
            read_field(each)


@target("json-record", [b'{"a": 1, "b" : {"c": [null, "\\u4e2d"]} }'], form=Form.JSON, runs=4000)
def json_record(data: bytes) -> None:
    """Members of a record; its caller has decoded the record, and translates the one error that is left."""
    with contextlib.suppress(ValueError):
        members = Members(data)
        members.find("a")
        assert members.text() == data


@cache
def _index() -> RowIndex:
    import numpy as np

    from dsvc.table.index.row_index import PIECE, IndexColumn

    hashes = np.arange(1, 7, dtype=np.uint64)

    class Stripe:
        def column(self, name: str) -> Any:
            return hashes if name == "id" else None

    pieces = np.zeros(2, PIECE)
    pieces["id"], pieces["rows"], pieces["start"] = [11, 12], [4, 2], [0, 4]
    columns = [IndexColumn("id", "int64", True, True), IndexColumn("名", "string", False, False)]
    return RowIndex(columns, pieces, [[Stripe()]])


def _index_bytes() -> bytes:
    return b"".join(bytes(part) for part in encode_index(_index(), DIGEST, None))


@target("row-index", lambda: [_index_bytes()[8:16] + _index_bytes()[24:]], runs=800)
def row_index(data: bytes) -> None:
    """Given without its magic and its checksum."""
    whole = _index_bytes()[:8] + data[:8] + xxhash.xxh3_64_digest(data[8:]) + data[8:]
    with folder() as path:
        (path / "index").write_bytes(whole)
        found = load_index(DIGEST, lambda digest: str(Path(path) / "index"))
        if found is not None:
            cells = found.cells()
            assert all(len(each) == found.rows for each in cells.values())
            assert [column.name for column in found.columns] == found.names
