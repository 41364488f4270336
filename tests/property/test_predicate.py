"""Conditions on rows, beside DuckDB: the same rows match, whatever the table and the condition."""

from __future__ import annotations

import datetime as dt
import io
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsvc.model.table_kind import TableKind
from dsvc.table.index.index_builder import build_index
from dsvc.table.origin.memory_source import MemorySource
from dsvc.table.query.predicate import PredicateError, matching_rows, parse
from tests.tablekit import CSV, JSONL, PARQUET, csv_text, json_lines

SETTINGS = settings(deadline=None, max_examples=70, suppress_health_check=[HealthCheck.too_slow])
# Few values, so that comparisons hold often.
NUMBERS = st.sampled_from([-2, 0, 1, 2, 3, 10**9])
FRACTIONS = st.sampled_from([-2.0, -0.5, 0.0, 0.5, 1.0, 2.0, 1e12])
WORDS = st.sampled_from(["", "a", "b", "B", "it's", '"', "猫", "ab", "a b", "null"])
DATES = st.sampled_from([dt.date(1999, 12, 31), dt.date(2026, 1, 1), dt.date(2026, 1, 2)])
TIMES = st.sampled_from(
    [dt.datetime(2026, 1, 1), dt.datetime(2026, 1, 1, 10, 30), dt.datetime(2026, 1, 2, 0, 0, 0, 5)]  # noqa: DTZ001
)
VALUES = {"n": NUMBERS, "数": NUMBERS, "x": FRACTIONS, "s": WORDS, "名 字": WORDS, "d": DATES, "t": TIMES}
VALUES |= {"b": st.booleans()}
ARROW = {"n": pa.int64(), "数": pa.int32(), "x": pa.float64(), "s": pa.string(), "名 字": pa.large_string()}
ARROW |= {"d": pa.date32(), "t": pa.timestamp("us"), "b": pa.bool_()}
GROUPS = [["n", "数", "x"], ["s", "名 字"], ["d", "t"], ["b"]]
SIGNS = ["==", "=", "!=", "<>", "<", "<=", ">", ">="]
PIECES = [*"ab'\"`()=<>!,.09eE+- 猫", " and ", " or ", " not ", " in (", " is null ", "==", "'a'"]
Rows = list[dict[str, Any]]


def tables(names: list[str]) -> st.SearchStrategy[Rows]:
    # A row of values for each column first, so that CSV shows the types of all of them.
    first = st.fixed_dictionaries({name: VALUES[name] for name in names})
    others = st.fixed_dictionaries({name: st.none() | VALUES[name] for name in names})
    return st.tuples(first, st.lists(others, max_size=12)).map(lambda found: [found[0], *found[1]])


def name_in(name: str, *, sql: bool) -> str:
    return f'"{name}"' if sql else f"`{name}`" if " " in name else name


def written(value: Any) -> str:
    """A literal; SQL and the grammar write them alike."""
    if isinstance(value, bool) or value is None:
        return str(value).lower().replace("none", "null")
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, dt.date):
        return f"'{value.isoformat()}'"
    return format(Decimal(repr(value)), "f")


@st.composite
def conditions(draw: st.DrawFn, depth: int = 3) -> tuple[str, str]:
    """A condition in the grammar, and as SQL."""
    kind = draw(
        st.sampled_from(["compare", "in", "null", "columns", "and", "or", "not"] if depth else ["compare"])
    )
    if kind in ("and", "or"):
        left, right = (draw(conditions(depth=depth - 1)) for _ in range(2))
        return tuple(f"({one}) {kind} ({other})" for one, other in zip(left, right, strict=True))  # type: ignore[return-value]
    if kind == "not":
        inner = draw(conditions(depth=depth - 1))
        return tuple(f"not ({each})" for each in inner)  # type: ignore[return-value]
    group = draw(st.sampled_from(GROUPS))
    name = draw(st.sampled_from(group))
    # Numbers of either sort go with each column of numbers, and dates with times.
    values = st.none() | (VALUES[group[0]] | VALUES[group[-1]])
    if kind == "in":
        listed = draw(st.lists(values, min_size=1, max_size=4))
        word = draw(st.sampled_from(["in", "not in"]))
        made = [
            f"{name_in(name, sql=sql)} {word} ({', '.join(map(written, listed))})" for sql in (False, True)
        ]
    elif kind == "null":
        word = draw(st.sampled_from(["is null", "is not null"]))
        made = [f"{name_in(name, sql=sql)} {word}" for sql in (False, True)]
    elif kind == "columns":
        other = draw(st.sampled_from(group))
        sign = draw(st.sampled_from(SIGNS)).replace("==", "=")
        made = [f"{name_in(name, sql=sql)} {sign} {name_in(other, sql=sql)}" for sql in (False, True)]
    else:
        value, sign = written(draw(values)), draw(st.sampled_from(SIGNS))
        turned = draw(st.booleans())
        made = []
        for sql in (False, True):
            sides = [name_in(name, sql=sql), value][:: -1 if turned else 1]
            made.append(f" {sign} ".join(sides))
    return made[0], made[1]


def by_duckdb(rows: Rows, names: list[str], condition: str) -> list[int]:
    """DuckDB casts a text to the type of a date; times stay times, since it compares at the finer type."""
    table = pa.Table.from_pylist(rows, pa.schema([(name, ARROW[name]) for name in names]))
    table = table.append_column("行", pa.array(range(len(rows))))
    with duckdb.connect() as connection:
        connection.register("t", table)
        query = f'SELECT "行" FROM t WHERE {condition} ORDER BY "行"'
        return [row for (row,) in connection.execute(query).fetchall()]


def stored(rows: Rows, names: list[str], form: str) -> tuple[MemorySource, TableKind]:
    if form == "parquet":
        output = io.BytesIO()
        schema = pa.schema([(name, ARROW[name]) for name in names])
        pq.write_table(pa.Table.from_pylist(rows, schema), output, row_group_size=4)
        return MemorySource("t.parquet", output.getvalue()), PARQUET

    def cell(value: Any) -> Any:
        return value.isoformat() if isinstance(value, dt.date) else value

    if form == "jsonl":
        text = json_lines([{name: cell(value) for name, value in row.items()} for row in rows])
        return MemorySource("t.jsonl", text.encode()), JSONL
    cells = [[None if row[name] is None else str(cell(row[name])) for name in names] for row in rows]
    return MemorySource("t.csv", csv_text(names, cells).encode()), CSV


@SETTINGS
@given(st.data(), tables(list(VALUES)), st.sampled_from(["parquet", "csv"]))
def test_rows_are_those_of_duckdb(data: st.DataObject, rows: Rows, form: str) -> None:
    ours, sql = data.draw(conditions())
    source, kind = stored(rows, list(VALUES), form)
    index = build_index(source, kind)
    # A time of the day in a text that is compared with a date: DuckDB would cut it off.
    sql = sql.replace('"d"', '"d"::TIMESTAMP')
    expected = by_duckdb(rows, list(VALUES), sql)
    assert matching_rows(parse(ours), source, kind, index).tolist() == expected
    assert matching_rows(parse(str(parse(ours))), source, kind, index).tolist() == expected


@SETTINGS
@given(st.data(), tables(["n", "x", "s", "b"]))
def test_json(data: st.DataObject, rows: Rows) -> None:
    ours, sql = data.draw(conditions())
    predicate = parse(ours)
    if not set(predicate.columns) <= {"n", "x", "s", "b"}:
        return
    source, kind = stored(rows, ["n", "x", "s", "b"], "jsonl")
    expected = by_duckdb(rows, ["n", "x", "s", "b"], sql)
    assert matching_rows(predicate, source, kind, build_index(source, kind)).tolist() == expected


@SETTINGS
@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_h50_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = parse(text)
    except PredicateError:
        return
    assert parse(str(found)) == found
