"""Conditions on rows: what is in the grammar, what comparisons mean, what is refused."""

from __future__ import annotations

import datetime as dt
import gzip
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from dsvc.model.errors import NotFoundError, UsageError
from dsvc.model.table_kind import Compression, TableFormat, TableKind
from dsvc.table.index.index_builder import build_index
from dsvc.table.origin.memory_source import MemorySource
from dsvc.table.query.predicate import MAX_CHARACTERS, MAX_DEPTH, PredicateError, matching_rows, parse
from dsvc.table.query.predicate_rows import UnknownColumnError
from tests.tablekit import CSV, JSON, JSONL, arrow, parquet


def rows(text: str, data: str | bytes, kind: TableKind = CSV) -> list[int]:
    source = MemorySource("t", data.encode() if isinstance(data, str) else data)
    return matching_rows(parse(text), source, kind, build_index(source, kind)).tolist()


def in_arrow(text: str, **columns: Any) -> list[int]:
    table = pa.table(columns)
    found = []
    for version in (parquet(table), arrow(table)):
        assert version.kind is not None
        found.append(matching_rows(parse(text), version.source, version.kind, version.index).tolist())
    assert found[0] == found[1]
    return found[0]


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("label == 3 and n > 10", "label == 3 and n > 10"),
        ("label=3 AND n<>10", "label == 3 and n != 10"),
        ('name in ("a", "b")', "name in ('a', 'b')"),
        ("name NOT IN ('it''s', \"a\"\"b\")", "name not in ('it''s', 'a\"b')"),
        ("x is null or x IS NOT NULL", "x is null or x is not null"),
        ("not (x is null)", "x is not null"),
        ("a or b and c", "a or b and c"),
        ("(a or b) and c", "(a or b) and c"),
        ("(a or (b)) or ((c))", "a or b or c"),
        ("not (a and not b)", "not (a and not b)"),
        ("年龄 >= 18", "年龄 >= 18"),
        ("हिन्दी < 'क'", "हिन्दी < 'क'"),
        ("`a b``c` = -1.50", "`a b``c` == -1.5"),
        ("`and` = 1", "`and` == 1"),
        ("x < 1e3", "x < 1000"),
        ("x < .5e-3", "x < 0.0005"),
        ("3 < x", "3 < x"),
        ("n > 3", "n > 3"),
    ],
)
def test_canonical_text(text: str, canonical: str) -> None:
    assert str(parse(text)) == canonical
    assert parse(canonical) == parse(text)


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("", 0),
        ("a ==", 4),
        ("a == 1 b", 7),
        ("a like 'x'", 2),
        ("a == 'x", 5),
        ("a in (b)", 6),
        ("a in ()", 6),
        ("a in (1", 7),
        ("(a == 1", 7),
        ("a == 1)", 6),
        ("a not null", 6),
        ("a is 3", 5),
        ("3", 1),
        ("a == 1; drop", 6),
        ("f(a)", 1),
        ("a + 1 == 2", 2),
        ("a == 12abc", 5),
        ("a == 1e9999", 5),
        ("a == " + "9" * 200, 5),
        ("年龄 == ", 6),
    ],
)
def test_errors_name_the_place(text: str, position: int) -> None:
    with pytest.raises(PredicateError) as caught:
        parse(text)
    assert caught.value.details["position"] == position
    assert isinstance(caught.value, UsageError)


def test_limits() -> None:
    deep = "(" * MAX_DEPTH + "a" + ")" * MAX_DEPTH
    assert str(parse(deep)) == "a"
    assert parse("not " * MAX_DEPTH + "a") == parse(str(parse("not " * MAX_DEPTH + "a")))
    for text in (f"({deep})", "not " * (MAX_DEPTH + 1) + "a", "a = 1 or " * MAX_CHARACTERS + "a = 1"):
        with pytest.raises(PredicateError):
            parse(text)


PEOPLE = (
    "姓名,age,born,seen,ok,code\n王,30,1990-01-01,2026-01-01T10:00,true,007\n李,,2000-06-15,,false,08\n"
    "张,41.5,,2026-01-02T00:00,,9\n"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("age > 30", [2]),
        ("age == 30.0", [0]),
        ("not age > 30", [0]),
        ("age in (30, 41.5)", [0, 2]),
        ("age not in (30, null)", []),
        ("age in (30, null)", [0]),
        ("age is null", [1]),
        ("age != null", []),
        ("姓名 in ('王', '张')", [0, 2]),
        ("姓名 != '王'", [1, 2]),
        ("born >= '1995-01-01'", [1]),
        ("born < '1990-01-01T00:00:01'", [0]),
        ("seen == '2026-01-02'", [2]),
        ("seen > '2026-01-01 10:00:00' or ok", [0, 2]),
        ("seen > born", [0]),
        ("ok", [0]),
        ("not ok", [1]),
        ("ok == false or code = '9'", [1, 2]),
        ("3 < age", [0, 2]),
        ("true", [0, 1, 2]),
        ("1 == 2 or null", []),
        ("'a' < 'b' and age is not null", [0, 2]),
    ],
)
def test_csv_by_types(text: str, expected: list[int]) -> None:
    assert rows(text, PEOPLE) == expected


@pytest.mark.parametrize(
    "text",
    [
        "age == '30'",
        "姓名 == 3",
        "code == 7",
        "born > 3",
        "born > 'soon'",
        "seen > '2026-01-01T10:00+08:00'",
        "ok == 1",
        "age > 姓名",
        "ok < age",
        "born == '2026-02-30'",
        "seen = '2026-01-01 25:00'",
        "姓名",
        "1 == 'a'",
        "true == 1",
    ],
)
def test_what_cannot_be_compared(text: str) -> None:
    with pytest.raises(PredicateError):
        rows(text, PEOPLE)


def test_text_column_with_number_names_the_remedy() -> None:
    with pytest.raises(PredicateError) as caught:
        rows("code == 7", PEOPLE)
    assert "'7'" in str(caught.value.hint)
    assert "string" in caught.value.message


def test_unknown_column_names_the_columns() -> None:
    with pytest.raises(UnknownColumnError) as caught:
        rows("名字 == 'x'", PEOPLE)
    assert "姓名" in str(caught.value.hint)
    assert isinstance(caught.value, NotFoundError)


def test_columns_without_values_and_tables_without_rows() -> None:
    assert rows("a > 3 or a = 'x' or not a", "id,a\n1,\n2,\n") == []
    assert rows("a is null", "id,a\n1,\n2,\n") == [0, 1]
    assert rows("a > 3 or true", "id,a\n") == []
    assert in_arrow("a == 'x' or a is null", a=pa.nulls(2)) == [0, 1]


def test_malformed_records_are_no_rows() -> None:
    assert rows("a >= 2", "a,b\n1,x\n2\n2,y\n3,z,z\n4,w\n") == [1, 2]
    lines = '{"a": 1}\n[1]\n{"a": 2}\nno json\n{"a": 3, "b": "x"}\n{"a": 1, "a": 2}\n{"a": 4}\n'
    assert rows("a >= 2", lines, JSONL) == [1, 2, 3]
    late = lines.encode() * 10_000 + b'{"a": 5, "b": "\xff"}\n{"a": 6}\n'
    assert rows("b == 'x' or a == 6", late, JSONL) == [*range(2, 40_000, 4), 40_000]
    zipped = gzip.compress(lines.encode(), mtime=0)
    assert rows("a == 4", zipped, TableKind(TableFormat.JSONL, Compression.GZIP)) == [3]
    assert rows("a == 3", '[{"a": 1}, {"a": 2, "a": 2}, {"a": 3}]', JSON) == [1]
    assert rows("true", lines, JSONL) == [0, 1, 2, 3]


def test_numbers_are_exact() -> None:
    big = pa.array([2**63 - 1, -(2**63), None, 0], pa.int64())
    assert in_arrow("n > 9223372036854775806.5", n=big) == [0]
    assert in_arrow("n < 9223372036854775808", n=big) == [0, 1, 3]
    assert in_arrow("n == 18446744073709551615", n=big) == []
    assert in_arrow("n != 18446744073709551615", n=big) == [0, 1, 3]
    unsigned = pa.array([2**64 - 1, 0, 5, 6], pa.uint64())
    assert in_arrow("u > -1 and u != 5", u=unsigned) == [0, 1, 3]
    assert in_arrow("u > n", n=big, u=unsigned) == [0, 1, 3]
    assert in_arrow("u == n", n=pa.array([-1, 0, 5, None]), u=unsigned) == [1, 2]
    money = pa.array([Decimal("1.10"), Decimal("-0.05"), None], pa.decimal128(5, 2))
    assert in_arrow("m == 1.1", m=money) == [0]
    assert in_arrow("m > 1.095 or m <= -0.051", m=money) == [0]
    assert in_arrow("m < 100000000", m=money) == [0, 1]
    wide = pa.array([Decimal(10) ** 37, Decimal(0), None], pa.decimal128(38, 0))
    assert in_arrow("m > w", m=money, w=wide) == []
    assert in_arrow("m > w or m < 0", m=money, w=pa.array([1, 2, 3], pa.int8())) == [0, 1]
    small = pa.array([0.1, 0.2, float("nan")], pa.float32())
    assert in_arrow("f == 0.1", f=small) == [0]
    assert in_arrow("not f > 0.15", f=small) == [0, 2]
    assert in_arrow("z == 0", z=pa.array([0.0, -0.0, 1.0])) == [0, 1]
    assert in_arrow("z in (0, 1)", z=pa.array([0.0, -0.0, 1.0])) == [0, 1, 2]


def test_times() -> None:
    zoned = pa.array([dt.datetime(2026, 1, 1, 2, tzinfo=dt.UTC), None], pa.timestamp("s", "Asia/Shanghai"))
    assert in_arrow("t == '2026-01-01T10:00:00'", t=zoned) == [0]
    assert in_arrow("t == '2026-01-01T02:00:00Z'", t=zoned) == [0]
    assert in_arrow("t == '2026-01-01T12:00:00+10:00'", t=zoned) == [0]
    fine = pa.array([1, None], pa.timestamp("ns", "UTC"))
    assert in_arrow("t > '1970-01-01 00:00:00' and t < '1970-01-01 00:00:00.000000002'", t=fine) == [0]
    assert in_arrow("t < u", t=fine, u=zoned) == [0]
    old = pa.array([-(10**11), 5], pa.timestamp("s"))
    assert in_arrow("o < '0001-01-01' or o > d", o=old, d=pa.array([0, 0], pa.date32())) == [0, 1]
    clock = pa.array([3600, 60], pa.time32("s"))
    assert in_arrow("c >= '01:00'", c=clock) == [0]
    assert in_arrow("c < e", c=clock, e=pa.array([60_000_001, 60_000_001], pa.time64("us"))) == [1]
    with pytest.raises(PredicateError):
        in_arrow("t < o", t=fine, o=old)


def test_stored_forms_of_text() -> None:
    coded = pa.array(["猫", "狗", None, "猫"]).dictionary_encode()
    assert in_arrow("k == '猫'", k=coded) == [0, 3]
    assert in_arrow("k == s", k=coded, s=pa.array(["猫", "x", None, "a"], pa.large_string())) == [0]
    with pytest.raises(PredicateError):
        in_arrow("l == 1", l=pa.array([[1], [2]]))
    assert in_arrow("l is null", l=pa.array([[1], None])) == [1]
