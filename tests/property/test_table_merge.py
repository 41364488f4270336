"""Merges of random tables by row, against dictionaries merged by hand and against the laws of merging."""

from __future__ import annotations

import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from dsvc.diff.row_diff import TableVersion
from dsvc.diff.row_merge import RowMerge, merge_rows
from dsvc.model.table_kind import TableFormat, TableKind
from dsvc.table.index.index_builder import build_index
from dsvc.table.origin.memory_source import MemorySource
from dsvc.table.splice.splice import splice

Row = dict[str, Any]
COLUMNS = ("id", "a", "b", "备注")
CELLS = st.one_of(st.none(), st.integers(0, 3))
ROWS = st.fixed_dictionaries(
    {"a": CELLS, "b": CELLS, "备注": st.sampled_from(["", "甲", "a,b", 'q"', "x\ny"])}
)


def encode(rows: list[Row], format_: TableFormat) -> bytes:
    if format_ is TableFormat.JSONL:
        return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)
    table = pa.table(
        {
            "id": pa.array([row["id"] for row in rows], pa.int64()),
            "a": pa.array([row["a"] for row in rows], pa.int64()),
            "b": pa.array([row["b"] for row in rows], pa.int64()),
            "备注": pa.array([row["备注"] for row in rows], pa.string()),
        }
    )
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()


def decode(data: bytes, format_: TableFormat) -> list[Row]:
    if format_ is TableFormat.JSONL:
        return [json.loads(line) for line in data.split(b"\n") if line]
    return list(pq.read_table(io.BytesIO(data)).to_pylist())


def version(rows: list[Row], format_: TableFormat) -> TableVersion:
    kind, source = TableKind(format_), MemorySource("t", encode(rows, format_))
    return TableVersion(source, kind, build_index(source, kind))


def merged(
    base: list[Row], ours: list[Row], theirs: list[Row], format_: TableFormat
) -> tuple[list[Row], RowMerge]:
    result = merge_rows(version(base, format_), version(ours, format_), version(theirs, format_), ["id"])
    if result.splice is None:
        return ours, result
    out = io.BytesIO()
    splice(result.splice, out)
    return decode(out.getvalue(), format_), result


def by_id(rows: list[Row]) -> dict[int, Row]:
    return {row["id"]: row for row in rows}


def by_hand(base: list[Row], ours: list[Row], theirs: list[Row]) -> tuple[dict[int, Row], set[int]]:
    """Merge dictionaries; a conflict stays as ours has it."""
    before, mine, other = by_id(base), by_id(ours), by_id(theirs)
    result: dict[int, Row] = {}
    conflicts: set[int] = set()
    for key in before.keys() | mine.keys() | other.keys():
        was, left, right = before.get(key), mine.get(key), other.get(key)
        if right in (left, was):
            row = left
        elif left == was:
            row = right
        elif was is None or left is None or right is None:
            row = left
            conflicts.add(key)
        else:
            row = {}
            for name in COLUMNS:
                both = left[name] != was[name] and right[name] != was[name]
                row[name] = left[name] if right[name] == was[name] or both else right[name]
                if both and left[name] != right[name]:
                    conflicts.add(key)
        if row is not None:
            result[key] = row
    return result, conflicts


@st.composite
def tables(draw: st.DrawFn) -> list[Row]:
    ids = draw(st.lists(st.integers(0, 40), unique=True, max_size=25))
    return [{"id": number, **draw(ROWS)} for number in ids]


@st.composite
def edited(draw: st.DrawFn, rows: list[Row]) -> list[Row]:
    result = [dict(row) for row in rows]
    for _ in range(draw(st.integers(0, 5))):
        what = draw(st.sampled_from(["cell", "remove", "insert", "append"]))
        if what in ("insert", "append"):
            free = sorted(set(range(60)) - {row["id"] for row in result})
            at = draw(st.integers(0, len(result))) if what == "insert" else len(result)
            result.insert(at, {"id": draw(st.sampled_from(free)), **draw(ROWS)})
        elif result:
            at = draw(st.integers(0, len(result) - 1))
            if what == "remove":
                result.pop(at)
            else:
                name = draw(st.sampled_from(["a", "b", "备注"]))
                result[at][name] = draw(ROWS)[name]
    return result


@st.composite
def triples(draw: st.DrawFn) -> tuple[list[Row], list[Row], list[Row]]:
    base = draw(tables())
    return base, draw(edited(base)), draw(edited(base))


FORMATS = st.sampled_from([TableFormat.JSONL, TableFormat.PARQUET])


@settings(max_examples=60, deadline=None, phases=[Phase.generate])
@given(triples(), FORMATS)
def test_a_merge_is_what_merging_by_hand_gives(
    three: tuple[list[Row], list[Row], list[Row]], format_: TableFormat
) -> None:
    base, ours, theirs = three
    rows, result = merged(base, ours, theirs, format_)
    expected, conflicts = by_hand(base, ours, theirs)
    assert by_id(rows) == expected
    assert len(rows) == len(expected)
    found = {(theirs[c.theirs] if c.theirs >= 0 else ours[c.ours])["id"] for c in result.conflicts}
    assert found == conflicts


@settings(max_examples=20, deadline=None)
@given(triples(), FORMATS)
def test_rows_stay_in_the_order_of_ours(
    three: tuple[list[Row], list[Row], list[Row]], format_: TableFormat
) -> None:
    base, ours, theirs = three
    rows, _ = merged(base, ours, theirs, format_)
    kept = {row["id"] for row in rows}
    mine = {row["id"] for row in ours}
    assert [row["id"] for row in rows if row["id"] in mine] == [r["id"] for r in ours if r["id"] in kept]


@settings(max_examples=20, deadline=None)
@given(triples(), FORMATS)
def test_a_merge_is_symmetric_but_for_order_and_for_who_conflicts_stay_with(
    three: tuple[list[Row], list[Row], list[Row]], format_: TableFormat
) -> None:
    base, ours, theirs = three
    one, first = merged(base, ours, theirs, format_)
    other, second = merged(base, theirs, ours, format_)
    _, conflicts = by_hand(base, ours, theirs)
    assert len(first.conflicts) == len(second.conflicts)
    clean = {key: row for key, row in by_id(one).items() if key not in conflicts}
    assert clean == {key: row for key, row in by_id(other).items() if key not in conflicts}


@settings(max_examples=15, deadline=None)
@given(triples(), FORMATS)
def test_merging_with_an_unchanged_side_gives_the_other(
    three: tuple[list[Row], list[Row], list[Row]], format_: TableFormat
) -> None:
    base, ours, _ = three
    kept, first = merged(base, ours, base, format_)
    taken, second = merged(base, base, ours, format_)
    assert kept == ours
    assert by_id(taken) == by_id(ours)
    assert not first.conflicts
    assert not second.conflicts
