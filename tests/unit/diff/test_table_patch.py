"""Patches of tables: exactly there and exactly back, and by key where a table has changed since."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.diff.apply_table import apply_table, check_result
from dsvc.diff.patch_format import (
    AppliedTable,
    MalformedPatchError,
    PatchConflictError,
    TableBlock,
    decode_block,
)
from dsvc.diff.table_patch import PatchSide, table_block
from dsvc.model.table_kind import Compression, TableFormat, TableKind
from dsvc.table.origin.memory_source import MemorySource

CSV, JSONL, JSON = TableKind(TableFormat.CSV), TableKind(TableFormat.JSONL), TableKind(TableFormat.JSON)
PARQUET, ARROW = TableKind(TableFormat.PARQUET), TableKind(TableFormat.ARROW)
Rows = Sequence[dict[str, Any]]


def block_of(old: bytes, new: bytes, kind: TableKind, key: Sequence[str] = ("id",)) -> TableBlock:
    sides = [PatchSide(b"t", 0o100644, MemorySource("t", data)) for data in (old, new)]
    written = b"".join(table_block(sides[0], sides[1], kind, key))
    return decode_block(iter(written.split(b"\n")))


def applied(block: TableBlock, data: bytes) -> tuple[bytes, AppliedTable]:
    output = io.BytesIO()
    done = apply_table(block, MemorySource("t", data), output)
    if done.exact:
        check_result(block, MemorySource("t", output.getvalue()))
    return output.getvalue(), done


def write_csv(rows: Rows, line_end: str = "\n") -> bytes:
    names = list(dict.fromkeys(name for row in rows for name in row)) or ["id"]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator=line_end)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def write_jsonl(rows: Rows) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def write_json(rows: Rows) -> bytes:
    return json.dumps(rows, ensure_ascii=False, indent=1).encode()


SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64(), metadata={"unit": "1"}),
        pa.field("x", pa.float64()),
        pa.field("s", pa.dictionary(pa.int32(), pa.string())),
        pa.field("l", pa.list_(pa.field("element", pa.float32()))),
        pa.field("t", pa.timestamp("ns", "Asia/Shanghai")),
        pa.field("d", pa.decimal128(9, 2)),
    ],
    metadata={"made by": "a test"},
)
CELLS = {
    "x": st.sampled_from([0.0, -0.0, 1.5, float("nan"), None]),
    "s": st.sampled_from(["a", "猫", "", None]),
    "l": st.sampled_from([[1.0], [], [None, -0.0], None]),
    "t": st.sampled_from([1, 1_000_000_001, None]),
    "d": st.sampled_from([None, 1, 2]),
}
TYPED_ROWS = st.lists(st.fixed_dictionaries({"id": st.integers(0, 12), **CELLS}), max_size=15)


def typed(rows: Rows) -> pa.Table:
    return pa.table({f.name: pa.array([row[f.name] for row in rows], f.type) for f in SCHEMA}, schema=SCHEMA)


def write_parquet(table: pa.Table, **more: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, **more)
    return out.getvalue()


def read_parquet(data: bytes) -> pa.Table:
    return pq.read_table(io.BytesIO(data))


def write_arrow(table: pa.Table) -> bytes:
    out = io.BytesIO()
    with pa.ipc.new_file(out, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return out.getvalue()


def same(one: pa.Table, other: pa.Table) -> bool:
    """Compare bit by bit: NaN equals itself, 0.0 isn't -0.0."""
    return one.schema.equals(other.schema, check_metadata=True) and repr(one.to_pydict()) == repr(
        other.to_pydict()
    )


TEXT_ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.integers(0, 12),
            "v": st.sampled_from(["a", "猫", "", 'q"q', "x,y", "two\nlines", "1.0", "1.00"]),
        }
    ),
    max_size=15,
)


@settings(deadline=None)
@given(TEXT_ROWS, TEXT_ROWS, st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_csv_comes_out_byte_for_byte(one: Rows, other: Rows, line_end: str, cut: bool) -> None:
    old, new = write_csv(one), write_csv(other, line_end)
    if cut:
        new = new.rstrip(b"\r\n") or b"id"
    block = block_of(old, new, CSV)
    assert applied(block, old)[0] == new
    assert applied(block.reversed(), new)[0] == old


@settings(deadline=None)
@given(TEXT_ROWS, TEXT_ROWS, st.sampled_from([(JSONL, write_jsonl), (JSON, write_json)]))
def test_json_comes_out_byte_for_byte(one: Rows, other: Rows, how: tuple[TableKind, Any]) -> None:
    kind, write = how
    old, new = write(one), write(other)
    if not (old and new):
        return
    block = block_of(old, new, kind)
    assert applied(block, old)[0] == new
    assert applied(block.reversed(), new)[0] == old


@settings(deadline=None, max_examples=50)
@given(TYPED_ROWS, TYPED_ROWS)
def test_parquet_and_arrow_come_out_equal(one: Rows, other: Rows) -> None:
    before, after = typed(one), typed(other)
    for kind, write, read in (
        (PARQUET, write_parquet, read_parquet),
        (ARROW, write_arrow, lambda data: feather.read_table(io.BytesIO(data))),
    ):
        block = block_of(write(before), write(after), kind)
        there, done = applied(block, write(before))
        assert done.exact
        assert same(read(there), read(write(after)))
        # Back from what was written now: other bytes than those the patch was made of.
        back, done = applied(block.reversed(), there)
        assert done.exact
        assert same(read(back), read(write(before)))


def test_columns_and_metadata_that_change() -> None:
    before = pa.table({"id": [1, 2], "a": ["x", "y"]})
    wider = before.append_column("b", pa.array([1.5, None]))
    renamed = before.replace_schema_metadata({"k": "v"})
    for after in (wider, renamed, before.select(["a", "id"])):
        block = block_of(write_parquet(before), write_parquet(after), PARQUET)
        there, _done = applied(block, write_parquet(before))
        assert same(read_parquet(there), after)
        back, _done = applied(block.reversed(), there)
        assert same(read_parquet(back), before)


def test_the_settings_of_the_writer_are_kept() -> None:
    rows = pa.table({"id": range(100)})
    old = write_parquet(rows, compression="gzip", row_group_size=10)
    block = block_of(old, write_parquet(rows.slice(0, 95), compression="gzip", row_group_size=10), PARQUET)
    metadata = pq.ParquetFile(io.BytesIO(applied(block, old)[0])).metadata
    assert metadata.row_group(0).column(0).compression == "GZIP"
    assert metadata.num_row_groups == 10


@pytest.mark.parametrize("compression", [Compression.GZIP, Compression.ZSTD])
def test_compressed_text(compression: Compression) -> None:
    import gzip

    import zstandard

    pack, unpack = {
        Compression.GZIP: (gzip.compress, gzip.decompress),
        Compression.ZSTD: (
            zstandard.compress,
            lambda data: zstandard.ZstdDecompressor().stream_reader(data).read(),
        ),
    }[compression]
    one, other = b"id,v\n1,a\n2,b\n3,c\n", b"id,v\n3,c\n1,a\n4,d\n"
    block = block_of(pack(one), pack(other), TableKind(TableFormat.CSV, compression))
    there, done = applied(block, pack(one))
    assert (unpack(there), done.exact) == (other, True)
    assert unpack(applied(block.reversed(), there)[0]) == one


BASE = [{"id": number, "a": f"a{number}", "b": f"b{number}"} for number in range(1, 7)]
EDITED = [
    {"id": 0, "a": "first", "b": "-"},
    *BASE[:1],
    {"id": 2, "a": "NEW", "b": "b2"},
    {"id": 10, "a": "ten", "b": "-"},
    *BASE[3:],
    {"id": 11, "a": "last", "b": "-"},
]
MOVED_ON = [{"id": 5, "a": "a5", "b": "other"}, *BASE[:4], BASE[5], {"id": 7, "a": "a7", "b": "b7"}]
MOVED_ON[2] = {**BASE[1], "b": "theirs"}
EXPECTED = {
    0: ("first", "-"), 1: ("a1", "b1"), 2: ("NEW", "theirs"), 10: ("ten", "-"), 4: ("a4", "b4"),
    5: ("a5", "other"), 6: ("a6", "b6"), 7: ("a7", "b7"), 11: ("last", "-"),
}  # fmt: skip


def read_rows(data: bytes, kind: TableKind) -> list[dict[str, Any]]:
    if kind is CSV:
        return [{**row, "id": int(row["id"])} for row in csv.DictReader(io.StringIO(data.decode()))]
    if kind is JSONL:
        return [json.loads(line) for line in data.splitlines()]
    if kind is JSON:
        return json.loads(data)  # type: ignore[no-any-return]
    return (read_parquet(data) if kind is PARQUET else feather.read_table(io.BytesIO(data))).to_pylist()  # type: ignore[no-any-return]


WRITERS = [
    (CSV, write_csv),
    (JSONL, write_jsonl),
    (JSON, write_json),
    (PARQUET, lambda rows: write_parquet(pa.Table.from_pylist(rows))),
    (ARROW, lambda rows: write_arrow(pa.Table.from_pylist(rows))),
]


@pytest.mark.parametrize(("kind", "write"), WRITERS, ids=lambda item: getattr(item, "format", ""))
def test_by_key_where_the_table_has_moved_on(kind: TableKind, write: Any) -> None:
    block = block_of(write(BASE), write(EDITED), kind)
    data, done = applied(block, write(MOVED_ON))
    assert done == AppliedTable(False, 3, 1, 1)
    rows = read_rows(data, kind)
    assert {row["id"]: (row["a"], row["b"]) for row in rows} == EXPECTED
    order = [row["id"] for row in rows]
    # New rows stand behind the row they follow in the patch; the others where they stood.
    assert order == [0, 5, 1, 2, 10, 4, 6, 11, 7]
    back, done = applied(block.reversed(), data)
    assert {row["id"]: (row["a"], row["b"]) for row in read_rows(back, kind)} == {
        row["id"]: (row["a"], row["b"]) for row in MOVED_ON
    }


@pytest.mark.parametrize(("kind", "write"), WRITERS, ids=lambda item: getattr(item, "format", ""))
@pytest.mark.parametrize(
    ("now", "named"),
    [
        ([*BASE[:1], {**BASE[1], "a": "mine"}, *BASE[2:]], "2: a is"),
        ([*BASE[:2], {**BASE[2], "b": "mine"}, *BASE[3:]], "3: b is"),
        ([BASE[0], *BASE[2:]], "2 is not there"),
        ([BASE[0], BASE[1], *BASE[3:]], "3 is not there"),
        ([*BASE, {"id": 10, "a": "mine", "b": ""}], "10 is there already"),
        ([*BASE, BASE[1]], "2 is there twice"),
    ],
)
def test_what_is_not_as_it_was_is_a_conflict(kind: TableKind, write: Any, now: Rows, named: str) -> None:
    block = block_of(write(BASE), write(EDITED), kind)
    with pytest.raises(PatchConflictError, match=named):
        applied(block, write(now))


def test_without_a_key_only_the_very_version_will_do() -> None:
    block = block_of(write_csv(BASE), write_csv(EDITED), CSV, key=())
    assert applied(block, write_csv(BASE))[0] == write_csv(EDITED)
    with pytest.raises(PatchConflictError, match="no key"):
        applied(block, write_csv(MOVED_ON))


def test_damage_is_noticed() -> None:
    old, new = write_csv(BASE), write_csv(EDITED)
    side = [PatchSide(b"t", 0o100644, MemorySource("t", data)) for data in (old, new)]
    written = b"".join(table_block(side[0], side[1], CSV, ["id"]))
    lines = written.split(b"\n")
    for number in range(len(lines) - 1):
        with pytest.raises(MalformedPatchError):
            applied(decode_block(iter(lines[:number] + lines[number + 1 :])), old)
    with pytest.raises(MalformedPatchError):
        applied(decode_block(iter(written.replace(b"first", b"other").split(b"\n"))), old)
