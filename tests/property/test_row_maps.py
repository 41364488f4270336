"""Row maps of random runs against a model of dictionaries and lists that knows the true parents.

The model makes tables, runs a step over them and notes for each row it writes which rows that came from. What
`capture` finds is compared with that, up to rows that are equal: any of those is right.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.lineage.links import Links, compose
from dsvc.model.run_record import Capture, RunKind
from tests.row_map_model import Made, Row, Step, Table, as_content, check, parents_in

# Random tables and steps

values = st.sampled_from(["a", "b", "c", None])
columns = st.sampled_from([["x"], ["x", "y"], ["x", "y", "z"]])


@st.composite
def tables(draw: st.DrawFn, *, unique: bool | None = None, nulls: bool = True, prefix: str = "") -> Table:
    """A table with a key ``id`` that is unique, or not."""
    names = draw(columns)
    count = draw(st.integers(0, 8))
    is_unique = draw(st.booleans()) if unique is None else unique
    ids: list[str | None] = (
        [f"{prefix}{n}" for n in draw(st.permutations(range(count)))]
        if is_unique
        else [f"{prefix}{draw(st.integers(0, 3))}" for _ in range(count)]
    )
    if nulls:
        ids = [None if draw(st.integers(0, 9)) == 0 else each for each in ids]
    rows: list[Row] = [{"id": each} | {name: draw(values) for name in names} for each in ids]
    return Table(["id", *names], rows)


def keyed(draw: st.DrawFn, table: Table) -> Table:
    return Table(table.columns, table.rows, draw(st.sampled_from([("id",), ()])))


def shuffled(draw: st.DrawFn, made: Made) -> Made:
    order = draw(st.permutations(range(len(made.rows))))
    return Made(made.columns, [made.rows[n] for n in order], [made.parents[n] for n in order], made.key)


@st.composite
def filters(draw: st.DrawFn) -> Step:
    """Keeps some rows, unchanged; maybe in another order, maybe with the key's column renamed."""
    table = keyed(draw, draw(tables()))
    renamed = draw(st.sampled_from([{}, {"id": "编号"}]))
    kind = draw(st.sampled_from([RunKind.FILTER, RunKind.CLEAN, RunKind.TRANSFORM]))
    out = Made([renamed.get(name, name) for name in table.columns], [], [])
    for number, row in enumerate(table.rows):
        if draw(st.booleans()):
            out.add({renamed.get(name, name): value for name, value in row.items()}, (0, number))
    out = out if draw(st.booleans()) else shuffled(draw, out)
    return Step(kind, [table], [out], renamed)


@st.composite
def splits(draw: st.DrawFn) -> Step:
    """Gives each row to one of several outputs, or to none."""
    table = keyed(draw, draw(tables()))
    outputs = [Made(table.columns, [], []) for _ in range(draw(st.integers(1, 3)))]
    for number, row in enumerate(table.rows):
        place = draw(st.integers(-1, len(outputs) - 1))
        if place >= 0:
            outputs[place].add(dict(row), (0, number))
    return Step(RunKind.SPLIT, [table], outputs)


@st.composite
def maps(draw: st.DrawFn) -> Step:
    """Changes cells, adds and removes columns; the key is unique, and may get another name."""
    table = draw(tables(unique=True, nulls=False))
    table.key = ("id",)
    renamed = draw(st.sampled_from([{}, {"id": "key"}, {"id": "key", "x": "w"}]))
    kept = [name for name in table.columns if name == "id" or draw(st.booleans())]
    out = Made([*(renamed.get(name, name) for name in kept), "new"], [], [])
    for number, row in enumerate(table.rows):
        made: Row = {
            renamed.get(name, name): row[name] if name == "id" or draw(st.booleans()) else draw(values)
            for name in kept
        }
        if draw(st.booleans()):
            out.add(made | {"new": draw(values)}, (0, number))
    return Step(draw(st.sampled_from([RunKind.TRANSFORM, RunKind.LABEL])), [table], [out], renamed)


@st.composite
def joins(draw: st.DrawFn) -> Step:
    """Orders with their customers; each order has one parent in both."""
    left = draw(tables(unique=True, nulls=False, prefix="o"))
    right = draw(tables(unique=True, nulls=False, prefix="k"))
    left.key = ("id",)
    for row in left.rows:
        row["customer"] = draw(st.sampled_from([*(r["id"] for r in right.rows), None, "nobody"]))
    left.columns.append("customer")
    right = Table(
        ["customer", "name"], [{"customer": r["id"], "name": r["x"]} for r in right.rows], ("customer",)
    )
    outer = draw(st.booleans())
    out = Made([*left.columns, "name"], [], [])
    for number, row in enumerate(left.rows):
        other = next((n for n, r in enumerate(right.rows) if r["customer"] == row["customer"]), None)
        if other is not None:
            out.add(row | {"name": right.rows[other]["name"]}, (0, number), (1, other))
        elif outer:
            out.add(row | {"name": None}, (0, number))
    return Step(RunKind.TRANSFORM, [left, right], [shuffled(draw, out)])


@st.composite
def many_to_many(draw: st.DrawFn) -> Step:
    """Both sides have the key several times; equal content in the columns of each tells rows apart."""
    left, right = draw(tables(unique=False, nulls=False)), draw(tables(unique=False, nulls=False))
    left = Table(["id", "l"], [{"id": r["id"], "l": f"l{n}"} for n, r in enumerate(left.rows)], ("id",))
    right = Table(["id", "r"], [{"id": r["id"], "r": f"r{n}"} for n, r in enumerate(right.rows)], ("id",))
    out = Made(["id", "l", "r"], [], [], ("l", "r"))
    for number, row in enumerate(left.rows):
        for other, partner in enumerate(right.rows):
            if row["id"] == partner["id"]:
                out.add(row | partner, (0, number), (1, other))
    # One row for several of its key is an aggregate, if the output has each key once: not what this is.
    return Step(RunKind.FILTER, [left, right], [shuffled(draw, out)])


@st.composite
def explodes(draw: st.DrawFn) -> Step:
    """Takes rows apart."""
    table = draw(tables(unique=True, nulls=False))
    table.key = ("id",)
    out = Made([*table.columns, "part"], [], [])
    for number, row in enumerate(table.rows):
        for part in range(draw(st.integers(0, 3))):
            out.add(row | {"x": draw(values), "part": str(part)}, (0, number))
    return Step(RunKind.TRANSFORM, [table], [out])


@st.composite
def aggregates(draw: st.DrawFn) -> Step:
    """One row for each group, by the input's key or by that of the output alone."""
    table = draw(tables(unique=False, nulls=False))
    key_of_input = draw(st.booleans())
    table.key = ("id",) if key_of_input else ()
    out = Made(["id", "count"], [], [], () if key_of_input else ("id",))
    for key in sorted({str(row["id"]) for row in table.rows}):
        members = [(0, n) for n, row in enumerate(table.rows) if row["id"] == key]
        out.add({"id": key, "count": str(len(members))}, *members)
    return Step(RunKind.TRANSFORM, [table], [shuffled(draw, out)])


@st.composite
def aggregates_with_nulls(draw: st.DrawFn) -> Step:
    """One row for each group, null being a value of its own, as GROUP BY has it; some key comes twice."""
    table = draw(tables(unique=False))
    if table.rows:
        table.rows.append({name: draw(values) for name in table.columns} | {"id": table.rows[0]["id"]})
    key = ("id", "x") if draw(st.booleans()) else ("id",)
    groups: dict[tuple[str | None, ...], list[tuple[int, int]]] = defaultdict(list)
    for number, row in enumerate(table.rows):
        if len(key) > 1 and number == len(table.rows) - 1:
            row["x"] = table.rows[0]["x"]
        groups[tuple(row[name] for name in key)].append((0, number))
    is_key_of_input = draw(st.booleans())
    table.key = key if is_key_of_input else ()
    out = Made([*key, "count"], [], [], () if is_key_of_input else key)
    for group, members in groups.items():
        out.add(dict(zip(key, group, strict=True)) | {"count": str(len(members))}, *members)
    return Step(RunKind.TRANSFORM, [table], [shuffled(draw, out)])


@st.composite
def dedups(draw: st.DrawFn) -> Step:
    """Leaves the first row of each content, or of each key."""
    table = keyed(draw, draw(tables()))
    out = Made(table.columns, [], [], table.key)
    seen: set[object] = set()
    for number, row in enumerate(table.rows):
        mark = row["id"] if table.key and row["id"] is not None else as_content(row)
        if mark not in seen:
            seen.add(mark)
            out.add(dict(row), (0, number))
    return Step(RunKind.DEDUP, [table], [out])


@st.composite
def concatenations(draw: st.DrawFn) -> Step:
    """Several tables of the same columns, one after the other; some rows are in several of them."""
    first = draw(tables(unique=True))
    parts = [first]
    for n in range(draw(st.integers(1, 2))):
        rows: list[Row] = [
            {"id": f"{n}-{m}", **{name: draw(values) for name in first.columns[1:]}}
            for m in range(draw(st.integers(0, 4)))
        ]
        rows += [
            dict(draw(st.sampled_from(first.rows))) for _ in range(draw(st.integers(0, 2))) if first.rows
        ]
        parts.append(Table(first.columns, rows))
    key = draw(st.sampled_from([("id",), ()]))
    out = Made(first.columns, [], [])
    for number, part in enumerate(parts):
        part.key = key
        for place, row in enumerate(part.rows):
            out.add(dict(row), (number, place))
    return Step(RunKind.MIX, parts, [shuffled(draw, out)])


@settings(deadline=None)
@given(filters())
def test_filters(step: Step) -> None:
    result = check(step)
    account = result.accounts[0]
    assert account.fates.kept + account.fates.dropped == len(step.inputs[0].rows)


@settings(deadline=None)
@given(splits())
def test_splits_into_several_outputs(step: Step) -> None:
    assert check(step).accounts[0].fates.split == 0


@settings(deadline=None)
@given(maps())
def test_maps(step: Step) -> None:
    check(step)


@settings(deadline=None)
@given(joins())
def test_joins(step: Step) -> None:
    check(step)


@settings(deadline=None)
@given(many_to_many())
def test_joins_of_many_to_many(step: Step) -> None:
    check(step)


@settings(deadline=None)
@given(explodes())
def test_explodes(step: Step) -> None:
    check(step)


@settings(deadline=None)
@given(aggregates())
def test_aggregates(step: Step) -> None:
    check(step)


@settings(deadline=None)
@given(aggregates_with_nulls())
def test_aggregates_that_keep_null_keys(step: Step) -> None:
    check(step)


@settings(deadline=None)
@given(dedups())
def test_dedups_and_the_survivors_of_duplicates(step: Step) -> None:
    account = check(step).accounts[0]
    table = step.inputs[0]
    assert set(account.reasons) <= {"duplicate"}
    for row, survivor in zip(account.dropped.tolist(), account.survivors.tolist(), strict=True):
        gone, there = table.rows[row], table.rows[survivor]
        assert survivor not in account.dropped
        assert as_content(gone) == as_content(there) or (
            table.key and gone["id"] is not None and gone["id"] == there["id"]
        )


@settings(deadline=None)
@given(concatenations())
def test_concatenations(step: Step) -> None:
    check(step)


@st.composite
def anything(draw: st.DrawFn) -> Step:
    """Tables that have little to do with each other."""
    inputs = [draw(tables()) for _ in range(draw(st.integers(0, 3)))]
    outputs = [draw(tables()) for _ in range(draw(st.integers(1, 2)))]
    for each in (*inputs, *outputs):
        each.key = draw(st.sampled_from([(), ("id",), ("x",), ("id", "x")]))
    kind = draw(st.sampled_from(list(RunKind)))
    renamed = draw(st.sampled_from([{}, {"x": "y"}, {"id": "x"}, {"none": "id"}]))
    made = [Made(each.columns, each.rows, [], each.key) for each in outputs]
    return Step(kind, inputs, made, renamed)


@settings(max_examples=300, deadline=None)
@given(anything())
def test_every_row_has_one_fate_whatever_the_tables_are(step: Step) -> None:
    result = check(step, exact=False)
    assert (Capture.NONE in result.captures.values()) == (not step.inputs)


@settings(deadline=None)
@given(st.data())
def test_maps_of_a_pipeline_compose(data: st.DataObject) -> None:
    """Links over a pipeline are those that following single rows by hand gives."""
    rows = data.draw(st.integers(0, 8))
    sizes = [rows, *data.draw(st.lists(st.integers(0, 8), min_size=1, max_size=3))]
    truth: list[set[tuple[int, int]]] = []
    for before, after in pairwise(sizes):
        one = st.tuples(st.integers(0, max(after - 1, 0)), st.integers(0, max(before - 1, 0)))
        truth.append(data.draw(st.sets(one)) if before and after else set())
    links = [links_of(pairs) for pairs in truth]
    total = links[0]
    for later in links[1:]:
        total = compose(total, later)
    for row in range(sizes[-1]):
        reached = {row}
        for pairs in reversed(truth):
            reached = {parent for child, parent in pairs if child in reached}
        assert set(total.parents([row]).inputs.tolist()) == reached
    for row in range(sizes[0]):
        reached = {row}
        for pairs in truth:
            reached = {child for child, parent in pairs if parent in reached}
        assert set(total.children([row]).outputs.tolist()) == reached


def links_of(pairs: set[tuple[int, int]]) -> Links:
    found = np.array(sorted(pairs), np.int64).reshape(-1, 2)
    return Links(found[:, 0].copy(), found[:, 1].copy())


@st.composite
def shards(draw: st.DrawFn) -> Step:
    """Rows of several inputs, some of them in several, are dealt out anew to many small outputs."""
    key = draw(st.sampled_from([("id",), ()]))
    parts = [
        Table(
            ["id", "x"],
            [
                {"id": str(draw(st.integers(0, 30))), "x": draw(values)}
                for _ in range(draw(st.integers(0, 12)))
            ],
            key,
        )
        for _ in range(draw(st.integers(2, 4)))
    ]
    outputs = [Made(["id", "x"], [], []) for _ in range(draw(st.integers(2, 8)))]
    for number, part in enumerate(parts):
        for place, row in enumerate(part.rows):
            draw(st.sampled_from(outputs)).add(dict(row), (number, place))
    return Step(RunKind.TRANSFORM, parts, outputs)


@settings(deadline=None)
@given(shards())
def test_shards_dealt_out_anew(step: Step) -> None:
    """Of equal rows any may be the parent, in whichever input; each is the parent of one."""
    result = check(step, exact=False)
    assert not result.problems
    parents: Counter[tuple[int, int]] = Counter()
    for made, rows in zip(step.outputs, parents_in(result, step), strict=True):
        for row, own in zip(made.rows, rows, strict=True):
            ((number, place),) = own
            assert as_content(step.inputs[number].rows[place]) == as_content(row)
            parents[number, place] += 1
    assert set(parents.values()) <= {1}
    assert sum(parents.values()) == sum(len(part.rows) for part in step.inputs)
