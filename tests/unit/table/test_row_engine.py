"""The row engine on tables made for one thing each; what random tables found is kept here by name."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dsvc.diff.row_compare import DuplicateKeyError, NoSuchColumnError, guess_key
from dsvc.diff.row_diff import TableVersion, diff_tables
from dsvc.diff.table_delta import MalformedRow, RowOp
from dsvc.model.table_kind import Compression, TableFormat, TableKind
from dsvc.table.index.index_file import encode_index, load_index
from dsvc.table.index.row_index import MAX_PIECE_ROWS, PIECE, PIECE_ROWS, RowIndex, cut, piece_ids
from dsvc.table.origin.source import NotATableError, TableLimitError
from tests.tablekit import CSV, JSONL, TSV, arrow, counts, diff, packed, parquet, version

NOTHING = TableVersion(None, None, RowIndex([], np.zeros(0, PIECE), [[]]))
NAN = float("nan")


def column(values: Any, type_: pa.DataType | None = None) -> TableVersion:
    return arrow(pa.table({"id": range(len(values)), "v": pa.array(values, type_)}))


EQUAL = {
    "whole floats": (column([1, 2, None]), column([1.0, 2.0, None])),
    "decimals and integers": (column([150, 10]), column([150, 10], pa.decimal128(10, 0))),
    "decimals of two scales": (
        column([Decimal("1.50")], pa.decimal128(9, 2)),
        column([Decimal("1.5")], pa.decimal128(9, 1)),
    ),
    "decimals and floats": (column([Decimal("0.1")], pa.decimal128(9, 2)), column([0.1])),
    "zeros": (column([0.0, 0]), column([-0.0, -0.0])),
    "NaN": (column([NAN, 1.0]), column([NAN, 1.0], pa.float32())),
    "units of time": (
        column([dt.datetime(2020, 1, 1)], pa.timestamp("ns")),  # noqa: DTZ001
        column([dt.datetime(2020, 1, 1)], pa.timestamp("s")),  # noqa: DTZ001
    ),
    "time zones": (column([0], pa.timestamp("us", "UTC")), column([0], pa.timestamp("us", "Asia/Shanghai"))),
    "dictionaries": (
        column(["a", None, "b"]),
        column(["a", None, "b"], pa.dictionary(pa.int8(), pa.string())),
    ),
    "order of members": (
        column([{"a": 1, "b": "x"}]),
        column([{"b": "x", "a": 1}], pa.struct([("b", pa.string()), ("a", pa.int64())])),
    ),
    "numbers in lists": (column([[1, 2]]), column([[1.0, 2.0]])),
    "null and absent": (column([None, None]), arrow(pa.table({"id": [0, 1]}))),
}


@pytest.mark.parametrize("name", EQUAL)
def test_equal_values_of_two_types(name: str) -> None:
    old, new = EQUAL[name]
    assert counts(diff(old, new, ["id"]))[2:] == (0, old.index.rows, {})
    assert counts(diff(old, new, []))[:2] == (0, 0)


LISTS = pa.list_(pa.list_(pa.int64()))
SPANS = pa.list_(pa.duration("us"))
DIFFERENT = {
    "NaN and null": (column([NAN]), column([None], pa.float64())),
    "empty text and null": (column([""]), column([None], pa.string())),
    "text and number": (column(["1"]), column([1])),
    "an empty list and one of null": (column([[]], LISTS), column([[None]], LISTS)),
    "an empty list and one of an empty list": (column([[]], LISTS), column([[[]]], LISTS)),
    "zeros, one and two": (column([[0]]), column([[0, 0]])),
    "a zero in front": (column([[1]]), column([[0, 1]])),
    "how lists nest": (column([[[1], [2]]], LISTS), column([[[1, 2]]], LISTS)),
    "where an empty list stands": (column([[[1, 2], []]], LISTS), column([[[1], [2], []]], LISTS)),
    "an empty list and null in a structure": (
        column([{"a": [1], "b": []}], pa.struct([("a", pa.list_(pa.int64())), ("b", pa.list_(pa.int64()))])),
        column(
            [{"a": [1], "b": None}], pa.struct([("a", pa.list_(pa.int64())), ("b", pa.list_(pa.int64()))])
        ),
    ),
    "spans of time": (column([[dt.timedelta(0, 1)]], SPANS), column([[dt.timedelta(1)]], SPANS)),
    "intervals": (
        column([pa.MonthDayNano([0, 1, 0])], pa.month_day_nano_interval()),
        column([pa.MonthDayNano([0, 2, 0])], pa.month_day_nano_interval()),
    ),
    "nanoseconds": (column([5], pa.timestamp("ns")), column([6], pa.timestamp("ns"))),
    "large numbers": (column([2**63], pa.uint64()), column([2**63 + 1], pa.uint64())),
    "long decimals": (
        column([Decimal("0.1234567890123456789")], pa.decimal128(30, 20)),
        column([Decimal("0.1234567890123456788")], pa.decimal128(30, 20)),
    ),
    "years that Python has no date for": (column([10**8], pa.date32()), column([10**8 + 1], pa.date32())),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_values_that_differ(name: str) -> None:
    old, new = DIFFERENT[name]
    found = diff(old, new, ["id"])
    assert counts(found) == (0, 0, 1, 0, {"v": 1})
    before, after = found.changes[0].before, found.changes[0].after
    assert before is not None
    assert after is not None
    assert repr(before["v"]) != repr(after["v"])


def test_a_row_of_nulls_at_the_end_of_a_piece_counts() -> None:
    old, new = arrow(pa.table({"a": [0, None]})), arrow(pa.table({"a": [0]}))
    assert counts(diff(old, new, []))[:2] == (0, 1)


@pytest.mark.parametrize("key", [None, ["id"], []])
@pytest.mark.parametrize("data", ["id,a\n", "b\n"])
def test_a_side_without_rows_or_without_the_key(data: str, key: list[str] | None) -> None:
    full = version("id,a\n1,x\n2,y\n", CSV)
    for empty in (NOTHING, version(data, CSV)):
        assert counts(diff(empty, full, key))[:3] == (2, 0, 0)
        assert counts(diff(full, empty, key))[:3] == (0, 2, 0)


def test_rows_without_columns() -> None:
    none = parquet(pa.table({"a": [1, 2]}).select([]))
    assert counts(diff(none, parquet(pa.table({"id": [1]}))))[:1] == (1,)
    assert counts(diff(version("{}\n{}\n", JSONL), version("{}\n", JSONL)))[:2] == (0, 1)


# Text


def test_malformed_rows_are_named_and_the_rest_is_compared() -> None:
    old = version("id,a\n1,x\n2,y\n3,z\n", CSV)
    new = version('id,a\n1,x\n2\n"t\nu",w\n3,Z,!\n4,"q"q\n5,v\n', CSV)
    found = diff(old, new, ["id"])
    assert counts(found)[:4] == (2, 2, 0, 1)
    assert found.malformed_after[:2] == (
        MalformedRow(3, "1 fields where the header has 2"),
        MalformedRow(6, "3 fields where the header has 2"),
    )
    assert [each.line for each in found.malformed_after] == [3, 6, 7]
    added = [change for change in found.changes if change.op is RowOp.ADDED]
    assert [change.after_position for change in added] == [2, 5]
    assert [change.after for change in added] == [{"id": "t\nu", "a": "w"}, {"id": "5", "a": "v"}]


def test_malformed_json_lines() -> None:
    text = '{"id":1}\n{"id":2\n[3]\n{"id":4,"id":5}\n"x"\n\n{"id":6,"a":"\\ud83d\\ude00"}\n'
    found = diff(NOTHING, version(text, JSONL), ["id"])
    assert [(each.line, each.message) for each in found.malformed_after] == [
        (2, "it is no JSON object"),
        (3, "it is no JSON object"),
        (4, "it names a member twice"),
        (5, "it is no JSON object"),
    ]
    assert [change.after for change in found.changes] == [{"id": 1}, {"id": 6, "a": "😀"}]
    assert [change.after_position for change in found.changes] == [0, 5]


def test_text_that_is_not_utf8_is_malformed_where_it_stands() -> None:
    lines = b"id,a\n" + b"".join(b"%d,x\n" % n for n in range(20_000)) + b"20000,\xff\n"
    found = diff(NOTHING, version(lines, CSV), ["id"])
    assert found.rows_added == 20_000
    assert [each.line for each in found.malformed_after] == [20_002]


@pytest.mark.parametrize(
    ("values", "type_"),
    [
        (["1", "-5", ""], "int64"),
        (["007", "1"], "string"),
        (["1", "2.5", "1e3"], "double"),
        (["1,5".replace(",", "_"), "2"], "string"),
        (["true", "False"], "bool"),
        (["2020-02-29"], "date32"),
        (["2020-02-30"], "string"),
        (["2020-01-01 10:00", "2020-01-01T10:00:00.5"], "timestamp"),
        (["9223372036854775807"], "int64"),
        (["", ""], "null"),
        (["+1"], "string"),
        (["nan"], "string"),
    ],
)
def test_types_of_csv_columns_lose_nothing(values: list[str], type_: str) -> None:
    table = version("id,v\n" + "".join(f"{n},{value}\n" for n, value in enumerate(values)), CSV)
    assert [each.type for each in table.index.columns] == ["int64", type_]


@pytest.mark.parametrize(
    ("values", "type_"),
    [
        ([1, 2], "int64"),
        ([1, 2.5], "double"),
        (["x", None], "string"),
        ([True], "bool"),
        ([1, "x"], "mixed"),
        ([[1], []], "list"),
        ([{}], "struct"),
        ([None], "null"),
    ],
)
def test_types_of_json_members(values: list[Any], type_: str) -> None:
    table = version("".join(json.dumps({"v": value}) + "\n" for value in values), JSONL)
    assert [each.type for each in table.index.columns] == [type_]


WRITINGS = {
    "1.0 for 1": (CSV, "id,v\n1,1\n2,2.5\n", "id,v\n1,1.0\n2,2.50\n"),
    "exponents": (CSV, "id,v\n1,1000.5\n", "id,v\n1,1.0005e3\n"),
    "true and True": (CSV, "id,v\n1,true\n", "id,v\n1,True\n"),
    "T between date and time": (CSV, "id,v\n1,2020-01-01 10:00:00\n", "id,v\n1,2020-01-01T10:00:00\n"),
    "in JSON": (JSONL, '{"id":1,"v":1000,"w":"猫"}\n', '{"w":"\\u732b","v":1e3,"id":1.0}\n'),
    "nested": (JSONL, '{"id":1,"v":{"a":[1,2],"b":null}}\n', '{"id":1,"v":{"a":[1.0,2]}}\n'),
    "mixed": (JSONL, '{"id":1,"v":[1,"x"]}\n{"id":2,"v":2}\n', '{"id":1,"v":[1.0,"x"]}\n{"id":2,"v":2}\n'),
    "delimiters": (CSV, 'id,v\n1,"a"\n', "id;v\r\n1;a\r\n"),
}


@pytest.mark.parametrize("name", WRITINGS)
@pytest.mark.parametrize("key", [["id"], []])
def test_the_same_value_written_in_two_ways(name: str, key: list[str]) -> None:
    kind, old, new = WRITINGS[name]
    found = diff(version(old, kind), version(new, kind), key)
    assert counts(found)[:3] == (0, 0, 0)


def test_codes_are_no_numbers() -> None:
    old, new = version("id,v\n1,1.0\n2,1.0.1\n", CSV), version("id,v\n1,1\n2,1.0.1\n", CSV)
    assert counts(diff(old, new, ["id"])) == (0, 0, 1, 1, {"v": 1})


def test_one_cell_of_another_type_changes_one_row() -> None:
    old = version("id,v\n" + "".join(f"{n},{n}.0\n" for n in range(50)), CSV)
    new = version("id,v\n" + "".join(f"{n},{n}.0\n" for n in range(49)) + "49,n/a\n", CSV)
    assert counts(diff(old, new, ["id"])) == (0, 0, 1, 49, {"v": 1})


def test_keys_that_differ_in_writing_only_stay_apart() -> None:
    old, new = version("k,v\n1,a\n1.0,b\n", CSV), version("k,v\n1,a\n1.00,c\n2.5,d\n", CSV)
    found = diff(old, new, ["k"])
    assert (found.rows_added, found.rows_removed, found.rows_unchanged) in {(2, 1, 1), (1, 0, 1)}


@pytest.mark.parametrize("compression", list(Compression))
@pytest.mark.parametrize("kind", [CSV, TSV, JSONL, TableKind(TableFormat.JSON)])
def test_rows_are_read_where_they_stand(kind: TableKind, compression: Compression) -> None:
    rows = [{"id": n, "名字": f"第{n}行", "x": None if n % 3 else n / 4} for n in range(3000)]
    if kind.format in (TableFormat.CSV, TableFormat.TSV):
        sign = "," if kind is CSV else "\t"
        lines = [sign.join("" if v is None else str(v) for v in row.values()) for row in rows]
        text = "\n".join([sign.join(rows[0]), *lines])
    elif kind is JSONL:
        text = "\n".join(map(json.dumps, rows))
    else:
        text = json.dumps(rows, indent=1)
    table = version(packed(text.encode(), compression), TableKind(kind.format, compression))
    wanted = [0, 1, 63, 64, 65, 1500, 2998, 2999]
    assert table.rows(wanted) == {number: rows[number] for number in wanted}
    assert table.rows([]) == {}


# Keys, renames, width


def test_the_guess_is_the_same_in_both_directions() -> None:
    old = version("text,user_id,n\na,7,1\nb,8,2\n", CSV).index
    new = version("n,text,user_id\n1,a,7\n2,b,8\n", CSV).index
    assert guess_key(old, new) == guess_key(new, old) == ("user_id",)
    old, new = version("a,b\n1,2\n3,4\n", CSV).index, version("b,a\n2,1\n4,3\n", CSV).index
    assert guess_key(old, new) == guess_key(new, old)


@pytest.mark.parametrize("table", [{"id": [1, 1]}, {"id": [1, None]}, {"id": [1.0, 2.0]}, {"id": [[1], [2]]}])
def test_what_is_no_key(table: dict[str, Any]) -> None:
    index = arrow(pa.table(table)).index
    assert guess_key(index, index) == ()


def test_lists_of_one_length_are_no_key() -> None:
    index = arrow(pa.table({"v": pa.array([[1], [2]], pa.list_(pa.int64(), 1))})).index
    assert guess_key(index, index) == ()


def test_duplicate_keys_are_named() -> None:
    old = version("id,grp,v\n1,a,x\n2,a,y\n2,b,z\n", CSV)
    with pytest.raises(DuplicateKeyError, match="2 rows share their key id: id=2") as caught:
        diff_tables(old, old, key=["id"])
    assert caught.value.details["positions"] == [1, 2]
    assert diff_tables(old, old, key=["id", "grp"]).is_empty
    with pytest.raises(NoSuchColumnError, match="no column 'nope'"):
        diff_tables(old, old, key=["nope"])


def test_renamed_columns() -> None:
    rows = range(20)
    old = version("id,a,b\n" + "".join(f"{n},{n * 7},x{n}\n" for n in rows), CSV)
    new = version("id,B,A\n" + "".join(f"{n},x{n},{0 if n == 3 else n * 7}\n" for n in rows), CSV)
    for one, other, names in ((old, new, {"a": "A", "b": "B"}), (new, old, {"A": "a", "B": "b"})):
        found = diff(one, other, ["id"])
        assert {each.old: each.new for each in found.schema.renamed} == names
        assert counts(found) == (0, 0, 1, 19, {names.get("a", "a"): 1})
        assert not found.schema.added
        assert not found.schema.removed


def test_columns_of_nulls_are_not_renamed_ones() -> None:
    old = arrow(pa.table({"id": range(20), "a": [1, *[None] * 19]}))
    new = arrow(pa.table({"id": range(20), "b": pa.array([None] * 20, pa.int64())}))
    assert not diff(old, new, ["id"]).schema.renamed
    assert not diff(new, old, ["id"]).schema.renamed


def test_a_table_of_one_column_and_of_two_thousand() -> None:
    assert counts(diff(version("a\n1\n2\n", CSV), version("a\n2\n3\n", CSV)))[:2] == (1, 1)
    wide = pa.table({f"c{n}": [n, n + 1, n + 2] for n in range(2000)})
    edited = wide.set_column(1234, "c1234", pa.array([1234, 0, 1236]))
    assert counts(diff(parquet(wide), parquet(edited), ["c0"])) == (0, 0, 1, 2, {"c1234": 1})
    text = version(",".join(wide.column_names[:500]) + "\n" + ",".join("1" * 500) + "\n", CSV)
    assert [each.type for each in text.index.columns] == ["int64"] * 500
    assert diff(text, text).is_empty
    members = version(json.dumps({name: n for n, name in enumerate(wide.column_names[:700])}) + "\n", JSONL)
    assert members.rows([0])[0] == {f"c{n}": n for n in range(700)}
    assert {each.type for each in members.index.columns} == {"int64"}
    with pytest.raises(TableLimitError, match="20001 columns"):
        version(",".join(["a"] * 20_001) + "\n", CSV)


def test_two_columns_of_one_name_are_no_table() -> None:
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pytest.raises(NotATableError, match="two columns"):
        arrow(twice)


# Pieces and their files


def test_pieces_are_cut_by_what_they_hold() -> None:
    hashes = np.random.default_rng(7).integers(1, 2**63, 50_000, np.uint64)
    starts = cut(hashes)
    lengths = np.diff(np.append(starts, len(hashes)))
    assert PIECE_ROWS / 1.2 < lengths.mean() < PIECE_ROWS * 1.2
    inserted = np.insert(hashes, 20_000, np.uint64(5))
    same = np.isin(piece_ids(inserted, cut(inserted)), piece_ids(hashes, starts))
    assert (~same).sum() <= 2
    alike = np.full(5000, 12345, np.uint64)
    assert np.diff(cut(alike)).max() == MAX_PIECE_ROWS
    assert list(cut(np.zeros(3, np.uint64))) == [0, 1, 2]


def test_ids_tell_pieces_apart() -> None:
    def one(*hashes: int) -> int:
        return int(piece_ids(np.array(hashes, np.uint64), np.array([0]))[0])

    found = [one(5), one(5, 0), one(5, 0, 0), one(0, 5), one(0), one(0, 0), one(5, 6), one(6, 5), one(11)]
    assert len(set(found)) == len(found)


def test_a_second_version_keeps_little_more_than_what_changed(tmp_path: Any) -> None:
    rows = 20_000
    table = pa.table({"id": range(rows), "a": [str(n * n) for n in range(rows)], "b": np.arange(rows) / 7})
    edited = table.set_column(1, "a", pa.array(["!" if n == 9000 else str(n * n) for n in range(rows)]))
    edited = pa.concat_tables([edited.slice(0, 100), edited.slice(101)])
    old, new = parquet(table), parquet(edited)
    digests = [each.source.digest for each in (old, new) if each.source is not None]

    def path_of(digest: bytes) -> str:
        return str(tmp_path / digest.hex())

    first = b"".join(encode_index(old.index, digests[0], None))
    (tmp_path / digests[0].hex()).write_bytes(first)
    base = load_index(digests[0], path_of)
    second = b"".join(encode_index(new.index, digests[1], base))
    assert len(second) < len(first) / 20
    (tmp_path / digests[1].hex()).write_bytes(second)
    loaded = load_index(digests[1], path_of)
    assert loaded is not None
    for name, cells in new.index.cells().items():
        assert np.array_equal(loaded.cells()[name], cells)
    assert loaded.columns == new.index.columns
    # Without the file that it refers to, or with another in its place, it is none.
    (tmp_path / digests[0].hex()).write_bytes(b"".join(encode_index(new.index, digests[0], None)))
    assert load_index(digests[1], path_of) is None
    (tmp_path / digests[0].hex()).unlink()
    assert load_index(digests[1], path_of) is None


def test_nan_is_no_whole_number_in_parquet() -> None:
    """The engine folds `NaN < 9e15` to true where statistics of the file leave NaN out."""
    few = parquet(pa.table({"a": pa.array([0.0, NAN], pa.float32())}))
    for other in (few, arrow(pa.table({"a": pa.array([0.0, NAN], pa.float32())}))):
        assert counts(diff(few, other, [])) == (0, 0, 0, 2, {})
        more = parquet(pa.table({"a": pa.array([None, 0.0, NAN], pa.float32())}))
        assert counts(diff(more, other, [])) == (0, 1, 0, 2, {})
