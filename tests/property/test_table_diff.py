"""Row diffs of random tables, beside DuckDB SQL, Polars, daff and plain Python; and the laws of a diff."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import daff
import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsvc.diff.row_diff import TableVersion
from dsvc.diff.table_delta import TableDelta
from dsvc.model.table_kind import Compression, TableFormat, TableKind
from dsvc.table.reading.row_reader import read_rows
from dsvc.table.text import records
from dsvc.testing.tables import Versions, versions
from tests.tablekit import (
    CSV,
    JSONL,
    applied,
    arrow,
    as_multiset,
    brute_force,
    counts,
    csv_text,
    diff,
    json_lines,
    packed,
    parquet,
    renames,
    version,
)


def examples(count: int) -> settings:
    return settings(deadline=None, max_examples=count, suppress_health_check=list(HealthCheck))


ROUTES = {
    "parquet": parquet,
    "small groups": lambda table: parquet(table, row_group_size=2, use_dictionary=False),
    "arrow": arrow,
    "stream": lambda table: arrow(table, stream=True),
}
routes = st.sampled_from(sorted(ROUTES))


def written(data: st.DataObject, pair: Versions) -> tuple[TableVersion, TableVersion]:
    return ROUTES[data.draw(routes)](pair.old), ROUTES[data.draw(routes)](pair.new)


def check_laws(
    old: TableVersion, new: TableVersion, rows: tuple[Any, Any], key: tuple[str, ...]
) -> TableDelta:
    """The counts of plain Python; what applying, inverting and comparing with itself must give."""
    there, back = diff(old, new, key), diff(new, old, key)
    named = renames(there)
    assert counts(there) == brute_force(*rows, key, named)
    assert applied(rows[0], there) == as_multiset(rows[1])
    assert applied(rows[1], back) == as_multiset(rows[0])
    assert renames(back) == {name: other for other, name in named.items()}
    added, removed, changed, same, columns = counts(there)
    back_columns = {named.get(name, name): count for name, count in back.by_column.items()}
    assert (back.rows_removed, back.rows_added, back.rows_changed, back.rows_unchanged, back_columns) == (
        added,
        removed,
        changed,
        same,
        columns,
    )
    assert there.cells_changed == sum(columns.values())
    for each in (old, new):
        assert diff(each, each).is_empty
        assert diff(each, each, key).is_empty
    return there


@examples(30)
@given(versions(), st.data())
def test_plain_python_agrees(pair: Versions, data: st.DataObject) -> None:
    old, new = written(data, pair)
    check_laws(old, new, (pair.old.to_pylist(), pair.new.to_pylist()), pair.key)


@examples(18)
@given(versions(keyed=True))
def test_a_full_outer_join_in_sql_agrees(pair: Versions) -> None:
    found = diff(parquet(pair.old), parquet(pair.new), ["id"])
    named = renames(found)
    names = [named.get(name, name) for name in pair.old.column_names]
    place = {name: number for number, name in enumerate(dict.fromkeys([*names, *pair.new.column_names]))}
    a = pair.old.rename_columns([f"c{place[name]}" for name in names])
    b = pair.new.rename_columns([f"c{place[name]}" for name in pair.new.column_names])
    key = f"c{place['id']}"
    cells = {
        name: f"(a.c{number} IS DISTINCT FROM b.c{number})"
        if name in names and name in pair.new.column_names
        else f"({'a' if name in names else 'b'}.c{number} IS NOT NULL)"
        for name, number in place.items()
    }
    both = f"a.{key} IS NOT NULL AND b.{key} IS NOT NULL"
    with duckdb.connect() as connection:
        connection.register("a", a)
        connection.register("b", b)
        answer = connection.execute(
            f"SELECT count(*) FILTER (a.{key} IS NULL), count(*) FILTER (b.{key} IS NULL), "
            f"count(*) FILTER ({both} AND ({' OR '.join(cells.values())})), "
            + ", ".join(f"count(*) FILTER ({both} AND {test})" for test in cells.values())
            + f" FROM a FULL OUTER JOIN b ON a.{key} = b.{key}"
        ).fetchone()
    assert answer is not None
    by_column = {name: count for name, count in zip(cells, answer[3:], strict=True) if count}
    assert (found.rows_added, found.rows_removed, found.rows_changed) == answer[:3]
    assert found.by_column == by_column


@examples(20)
@given(versions(keyed=True, nested=False))
def test_joins_in_polars_agree(pair: Versions) -> None:
    found = diff(arrow(pair.old), arrow(pair.new), ["id"])
    named = renames(found)
    old = pl.from_arrow(pair.old.rename_columns([named.get(n, n) for n in pair.old.column_names]))
    new = pl.from_arrow(pair.new)
    assert isinstance(old, pl.DataFrame)
    assert isinstance(new, pl.DataFrame)
    both = old.join(new, on="id", how="inner", suffix=" (new)")
    assert found.rows_added == new.join(old, on="id", how="anti").height
    assert found.rows_removed == old.join(new, on="id", how="anti").height
    for name in set(old.columns) & set(new.columns) - {"id"}:
        here = old.join(new, on="id", how="inner").sort("id")[name]
        there = new.join(old, on="id", how="inner").sort("id")[name]
        if here.dtype == there.dtype:
            assert found.by_column.get(name, 0) == here.ne_missing(there).sum(), name
    assert found.rows_changed + found.rows_unchanged == both.height


words = st.text(st.sampled_from("ab猫,;\"' \t\n"), max_size=4) | st.sampled_from(["1", "1.5", "007", "true"])
text_cells = st.none() | words.map(lambda word: word.strip() or "")
text_rows = st.lists(st.fixed_dictionaries({"名字": text_cells, "a": text_cells}), max_size=8)


@st.composite
def text_pairs(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    rows = draw(text_rows)
    kept = [dict(row) for row in rows if draw(st.integers(0, 5))] + draw(text_rows)[:2]
    for row in kept:
        if not draw(st.integers(0, 2)):
            row[draw(st.sampled_from(["名字", "a"]))] = draw(text_cells)
    for number, row in enumerate([*rows, *kept]):
        row.setdefault("id", str(number))
    return rows, draw(st.permutations(kept))


@examples(20)
@given(text_pairs(), st.data())
def test_text_in_csv(pair: tuple[Any, Any], data: st.DataObject) -> None:
    kind = TableKind(TableFormat.CSV, data.draw(st.sampled_from(list(Compression))))
    key = data.draw(st.sampled_from([(), ("id",)]))
    sides = []
    for rows in pair:
        columns = data.draw(st.permutations(["id", "名字", "a"]))
        style = {
            "lineterminator": data.draw(st.sampled_from(["\n", "\r\n"])),
            "delimiter": data.draw(st.sampled_from(",;\t|")),
        }
        text = csv_text(columns, [[row[name] for name in columns] for row in rows], **style)
        encoding = data.draw(st.sampled_from(["utf-8", "utf-8-sig", "gb18030"]))
        raw = text.encode(encoding)
        assert encoding != "gb18030" or not _is_utf8(raw) or raw == text.encode()
        sides.append(version(packed(raw, kind.compression), kind))
    old, new = sides
    assert counts(diff(old, new, key)) == brute_force(*pair, key, {})
    assert diff(old, old).is_empty


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([0.5, 1.0, -0.0, 1e16, 2**53, 10**16])
    | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=4,
)
json_rows = st.lists(
    st.dictionaries(st.sampled_from(["名字", "a.b", "a/b~", 'q"', "A.b"]), json_values), max_size=6
)


@examples(12)
@given(json_rows, json_rows, st.data())
def test_json(first: Any, second: Any, data: st.DataObject) -> None:
    second = second[:2] + [{**row} for row in first if data.draw(st.booleans())]
    key = data.draw(st.sampled_from([(), ("id",)]))
    if key:
        for number, row in enumerate([*first, *second]):
            row["id"] = number if number < len(first) else number - len(first)
    sides = []
    for rows in (first, second):
        style = {
            "ensure_ascii": data.draw(st.booleans()),
            "sort_keys": data.draw(st.booleans()),
            "separators": data.draw(st.sampled_from([(", ", ": "), (",", ":"), (" ,", "  : ")])),
        }
        format_ = data.draw(st.sampled_from([TableFormat.JSONL, TableFormat.JSON]))
        kind = TableKind(format_, data.draw(st.sampled_from(list(Compression))))
        text = json_lines(rows, **style)
        if format_ is TableFormat.JSON:
            text = json.dumps(rows, indent=data.draw(st.sampled_from([None, 1, "\t"])), **style)
        sides.append(version(packed(text.encode(), kind.compression), kind))
    check_laws(sides[0], sides[1], (first, second), key)


@examples(12)
@given(versions(), st.data())
def test_the_order_of_rows_and_columns_is_no_difference(pair: Versions, data: st.DataObject) -> None:
    table = pair.old
    places = data.draw(st.permutations(range(table.num_rows)))
    other = table.take(pa.array(places, pa.int64())).select(data.draw(st.permutations(table.column_names)))
    for key in {pair.key, ()}:
        found = diff(parquet(table), arrow(other), key)
        # Parquet has no seconds: types may differ, values don't.
        assert counts(found) == (0, 0, 0, table.num_rows, {})
        assert not found.changes
        assert found.schema == type(found.schema)(retyped=found.schema.retyped)


@examples(25)
@given(versions(nested=False))
def test_the_engine_and_arrow_hash_parquet_alike(pair: Versions) -> None:
    # A column that the engine would not read as Arrow does sends the whole file the other way.
    table = pair.old
    mixed = table.append_column("a second way", pa.array([b"x"] * table.num_rows, pa.binary()))
    one, other = parquet(table).index.cells(), parquet(mixed).index.cells()
    for name in table.column_names:
        assert np.array_equal(one[name], other[name]), name


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
@examples(3)
@given(text_pairs(), st.lists(st.dictionaries(st.sampled_from("ab"), words), max_size=5), st.booleans())
def test_blocks_of_any_size_give_the_same_rows(size: int, pair: Any, objects: Any, pretty: bool) -> None:
    columns = ["id", "名字", "a"]
    text = csv_text(columns, [[row[name] for name in columns] for row in pair[0]])
    array = json.dumps(objects, indent=2 if pretty else None, ensure_ascii=False)
    array_kind = TableKind(TableFormat.JSON)
    for data, kind in ((text, CSV), (json_lines(objects), JSONL), (array, array_kind)):
        whole = version(data, kind)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(records, "BLOCK_BYTES", size)
            patch.setattr(records, "SMALL_BYTES", size)
            parts = version(data, kind)
            assert diff(whole, parts, []).is_empty
            assert parts.index.rows == len(pair[0] if kind is CSV else objects)
            rows = range(parts.index.rows)
            assert parts.rows(rows) == whole.rows(rows)


plain_rows = st.lists(
    st.tuples(
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.floats(allow_nan=False, allow_infinity=False),
        st.none() | words.filter(lambda word: word not in ("1", "1.5", "true")),
        st.none() | st.booleans(),
        st.none() | st.dates(dt.date(1, 1, 1)),
        st.none() | st.builds(dt.datetime.combine, st.dates(), st.times()),
    ),
    max_size=6,
)


@examples(3)
@given(plain_rows, plain_rows)
def test_formats_hold_the_same_values(first: list[Any], second: list[Any]) -> None:
    second = first[1:] + second[:1]
    old = _in_formats(first)
    new = _in_formats(second)
    expected = None
    for key in (("id",), ()):
        expected = counts(diff(old["parquet"], new["parquet"], key))
        for one in old:
            assert counts(diff(old[one], old["parquet"], key)) == (0, 0, 0, len(first), {}), one
            for other in new:
                assert counts(diff(old[one], new[other], key)) == expected, (one, other)


def _in_formats(rows: list[Any]) -> dict[str, TableVersion]:
    types = [pa.int64(), pa.float64(), pa.string(), pa.bool_(), pa.date32(), pa.timestamp("us")]
    cells = zip(*rows, strict=True) if rows else [[]] * len(types)
    arrays = [pa.array(list(column), type_) for column, type_ in zip(cells, types, strict=True)]
    # A value of its own type in each column, so that none is empty in text.
    table = pa.table({"id": range(len(rows)), **{f"c{n}": array for n, array in enumerate(arrays)}})
    output = pa.BufferOutputStream()
    pyarrow.csv.write_csv(table, output)
    shown = [
        {n: v if v is None or isinstance(v, (bool, int, float)) else str(v) for n, v in row.items()}
        for row in table.to_pylist()
    ]
    return {
        "parquet": parquet(table),
        "csv": version(output.getvalue().to_pybytes(), CSV),
        "jsonl": version(json_lines(shown), JSONL),
    }


@examples(12)
@given(text_pairs())
def test_daff_agrees(pair: Any) -> None:
    columns = ["id", "名字", "a"]
    tables = [[columns, *([row[name] or "" for name in columns] for row in rows)] for rows in pair]
    old, new = (version(csv_text(table[0], table[1:]), CSV) for table in tables)
    flags = daff.CompareFlags()
    flags.ordered = False
    flags.addPrimaryKey("id")
    alignment = daff.Coopy.compareTables(*map(daff.PythonTableView, tables), flags).align()
    other = daff.TableDiff(alignment, flags)
    other.hilite(daff.PythonTableView([]))
    summary = other.getSummary()
    found = diff(old, new, ["id"])
    assert (found.rows_added, found.rows_removed, found.rows_changed) == (
        summary.row_inserts,
        summary.row_deletes,
        summary.row_updates,
    )


@examples(25)
@given(versions(), st.data())
def test_rows_are_read_as_they_were_written(pair: Versions, data: st.DataObject) -> None:
    table = ROUTES[data.draw(routes)](pair.old)
    assert table.source is not None
    assert table.kind is not None
    wanted = [number for number in range(pair.old.num_rows) if data.draw(st.booleans())]
    found = read_rows(table.source, table.kind, table.index, wanted)
    expected = pair.old.to_pylist()
    assert list(found) == wanted
    for number, row in found.items():
        assert list(row) == pair.old.column_names
        assert as_multiset([row]) == as_multiset([expected[number]])
