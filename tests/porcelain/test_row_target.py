"""Rows by their key: a value is read in its column's type, in every format."""

from __future__ import annotations

import datetime as dt
import io
import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from dsvc.model.errors import UsageError
from dsvc.porcelain.tables.row_target import NoSuchRowError
from tests.porcelain.working import Work

BEIJING = dt.timezone(dt.timedelta(hours=8))
# By column: its type, its values, and how a person may write the second one.
TYPED: dict[str, tuple[pa.DataType, list[Any], list[str]]] = {
    "small": (pa.int8(), [1, -2, 3], ["-2"]),
    "whole": (pa.int64(), [1, -(2**62), 3], [str(-(2**62))]),
    "unsigned": (pa.uint64(), [1, 2**64 - 1, 3], [str(2**64 - 1)]),
    "float": (pa.float64(), [0.5, 1.5, 7.0], ["1.5", "1.50", "15e-1"]),
    "flag": (pa.bool_(), [None, True, False], ["true"]),
    "文字": (pa.string(), ["a", "猫, 狗=1", "42"], ["猫%2C 狗=1"]),
    "large": (pa.large_string(), ["a", "b", "c"], ["b"]),
    "coded": (pa.dictionary(pa.int8(), pa.string()), ["a", "b", "c"], ["b"]),
    "day": (pa.date32(), [dt.date(2026, 1, n) for n in (1, 2, 3)], ["2026-01-02"]),
    "at": (
        pa.timestamp("us"),
        [dt.datetime(2026, 1, 1, n, 30, 0, 5) for n in (1, 2, 3)],  # noqa: DTZ001
        ["2026-01-01T02:30:00.000005", "2026-01-01 02:30:00.000005"],
    ),
    "zoned": (
        pa.timestamp("ms", "Asia/Shanghai"),
        [dt.datetime(2026, 1, 1, n, 30, tzinfo=BEIJING) for n in (1, 2, 3)],
        ["2026-01-01T02:30:00+08:00", "2025-12-31T18:30:00Z", "2026-01-01T02:30:00"],
    ),
    "time": (pa.time64("us"), [dt.time(n, 30) for n in (1, 2, 3)], ["02:30:00"]),
    "money": (pa.decimal128(10, 2), [Decimal("1.00"), Decimal("2.50"), Decimal("3.25")], ["2.50", "2.5"]),
    "bytes": (pa.binary(), [b"a", b"\xff\0", b"c"], ["/wA="]),
}


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def arrow(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


@pytest.mark.parametrize(("name", "write"), [("t.parquet", parquet), ("t.arrow", arrow)])
def test_every_type_of_binary_tables(work: Work, name: str, write: Any) -> None:
    table = pa.table({column: pa.array(values, type_) for column, (type_, values, _) in TYPED.items()})
    work.commit("1", {name.encode(): write(table)})
    for column, (_, _, spellings) in TYPED.items():
        for spelling in spellings:
            found = work.repo.find_row(f"{name}#{column}={spelling}")
            assert (found.row, found.position, found.key) == (1, 1, (column,)), spelling
    for target in ("small=x", "small=1.5", "whole=9", "day=yesterday", "flag=perhaps", "bytes=?", "money=x"):
        with pytest.raises(NoSuchRowError):
            work.repo.find_row(f"{name}#{target}")


@pytest.mark.parametrize(
    ("target", "row"),
    [
        ("n=2", 1),
        ("n=02", 1),
        ("x=1.50", 1),
        ("x=3", 2),
        ("s=007", 1),
        ("s=", 0),
        ("b=true", 1),
        ("d=2026-01-02", 1),
        ("at=2026-01-02 10:00:00", 1),
        ("at=2026-01-02T10:00:00", 1),
        ("n=3,s=猫%2C狗", 2),
    ],
)
def test_csv(work: Work, target: str, row: int) -> None:
    lines = [
        "n,x,s,b,d,at",
        '1,0.5,"",,2026-01-01,2026-01-01T10:00:00',
        "2,1.50,007,True,2026-01-02,2026-01-02T10:00:00",
        '3,3.0,"猫,狗",False,2026-01-03,2026-01-03T10:00:00',
    ]
    work.commit("1", {b"t.csv": "\n".join(lines).encode()})
    assert work.repo.find_row(f"t.csv#{target}").row == row


@pytest.mark.parametrize(
    ("target", "row"),
    [
        ("n=2", 1),
        ("x=1.5", 1),
        ("x=3", 2),
        ('s=猫 "狗"', 1),
        ("s=7", 2),
        ("b=true", 1),
        ("mixed=2", 1),
        ("mixed=two", 2),
        ("list=[1,2]", 1),
    ],
)
@pytest.mark.parametrize("as_array", [False, True])
def test_json(work: Work, target: str, row: int, as_array: bool) -> None:
    rows = [
        {"n": 1, "x": 0.5, "s": "a", "b": None, "mixed": 1, "list": []},
        {"n": 2, "x": 1.5, "s": '猫 "狗"', "b": True, "mixed": "2", "list": [1, 2]},
        {"n": 3, "x": 3.0, "s": "7", "b": False, "mixed": "two", "list": [1]},
    ]
    lines = [json.dumps(each, ensure_ascii=False) for each in rows]
    name = "t.json" if as_array else "t.jsonl"
    work.commit("1", {name.encode(): (f"[{','.join(lines)}]" if as_array else "\n".join(lines)).encode()})
    assert work.repo.find_row(f"{name}#{target}").row == row


def test_positions_count_records_and_malformed_ones_are_none(work: Work) -> None:
    work.commit("1", {b"t.csv": b"id,x\n1,a\n2,b,c\n3,d\n"})
    found = work.repo.find_row("t.csv#@2")
    assert (found.row, found.position, found.values()) == (1, 2, {"id": 3, "x": "d"})
    assert work.repo.find_row("t.csv#id=3").position == 2
    with pytest.raises(NoSuchRowError) as caught:
        work.repo.find_row("t.csv#@1")
    assert caught.value.details["line"] == 3
    with pytest.raises(NoSuchRowError):
        work.repo.find_row("t.csv#@3")
    with pytest.raises(UsageError):
        work.repo.find_row("t.csv")
