"""Hypothesis strategies of tables: every type, odd names, and pairs of versions with edits between them.

Needs hypothesis, which the ``test`` extra installs.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa
from hypothesis import strategies as st

NAMES: Final = (
    "名字",
    *("Name", "name", "NAME", "é", "0", "$", "*", " "),
    *("a.b", "a/b", "a~b", 'say "hi"', "it's", "two\nlines"),
)
"""Names of columns that have confused somebody before."""
_FLOATS: Final = st.sampled_from(
    [0.0, -0.0, 1.0, -1.5, 0.1, 1e300, float("nan"), float("inf"), float("-inf")]
)
_WORDS: Final = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs"]) | st.sampled_from("猫狗,;\"\\'\n\t0"), max_size=4
)
_FIRST, _LAST = dt.date(1900, 1, 1), dt.date(2100, 1, 1)
_MOMENTS: Final = st.builds(dt.datetime.combine, st.dates(_FIRST, _LAST), st.times())
_YEAR: Final = dt.timedelta(365)
_SMALL: Final = st.integers(-3, 3)


def _integers(bits: int, *, signed: bool = True) -> st.SearchStrategy[int]:
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    return st.integers(max(low, -2), 2) | st.sampled_from([low, high])


SCALARS: Final[tuple[tuple[pa.DataType, st.SearchStrategy[Any]], ...]] = (
    (pa.int8(), _integers(8)),
    (pa.int32(), _integers(32)),
    (pa.int64(), _integers(64)),
    (pa.uint8(), _integers(8, signed=False)),
    (pa.uint64(), _integers(64, signed=False)),
    (pa.float32(), st.sampled_from([0.0, -0.0, 1.5, float("nan"), float("inf")])),
    (pa.float64(), _FLOATS),
    (pa.bool_(), st.booleans()),
    (pa.string(), _WORDS),
    (pa.large_string(), _WORDS),
    (pa.binary(), st.binary(max_size=3)),
    (pa.binary(2), st.binary(min_size=2, max_size=2)),
    (pa.date32(), st.dates(_FIRST, _LAST)),
    (pa.timestamp("s"), _MOMENTS.map(lambda at: at.replace(microsecond=0))),
    (pa.timestamp("us"), _MOMENTS),
    (pa.timestamp("ns"), _MOMENTS),
    (pa.timestamp("us", "UTC"), _MOMENTS.map(lambda at: at.replace(tzinfo=dt.UTC))),
    (pa.timestamp("ms", "Asia/Shanghai"), _MOMENTS.map(lambda at: at.replace(tzinfo=dt.UTC, microsecond=0))),
    (pa.time64("us"), st.times()),
    (pa.decimal128(9, 2), st.decimals(-99999, 99999, places=2)),
    (pa.decimal128(30, 10), st.decimals(Decimal(-1), Decimal(1), places=10)),
    (pa.dictionary(pa.int8(), pa.string()), st.sampled_from(["甲", "乙", ""])),
)
NESTED: Final[tuple[tuple[pa.DataType, st.SearchStrategy[Any]], ...]] = (
    (pa.list_(pa.int64()), st.lists(st.none() | _SMALL, max_size=3)),
    (pa.list_(pa.float32()), st.lists(st.sampled_from([0.5, 1.0, float("nan")]), max_size=3)),
    (pa.list_(pa.float64(), 2), st.lists(_FLOATS, min_size=2, max_size=2)),
    (pa.list_(pa.list_(pa.string())), st.lists(st.lists(_WORDS, max_size=2), max_size=2)),
    (pa.list_(pa.timestamp("us")), st.lists(_MOMENTS, max_size=2)),
    (pa.list_(pa.duration("us")), st.lists(st.timedeltas(-_YEAR, _YEAR), max_size=2)),
    (
        pa.struct([("b", pa.int64()), ("a", pa.list_(pa.string()))]),
        st.fixed_dictionaries({"b": st.none() | _SMALL, "a": st.none() | st.lists(_WORDS, max_size=2)}),
    ),
    (
        pa.list_(pa.struct([("role", pa.string()), ("内容", pa.string())])),
        st.lists(st.fixed_dictionaries({"role": _WORDS, "内容": _WORDS}), max_size=2),
    ),
    (
        pa.map_(pa.string(), pa.int64()),
        st.dictionaries(_WORDS, st.none() | _SMALL, max_size=2).map(lambda each: list(each.items())),
    ),
)
_WIDER: Final = {
    pa.int8(): (pa.int32(), pa.int64(), pa.float64(), pa.decimal128(9, 2)),
    pa.int32(): (pa.int64(), pa.float64()),
    pa.uint8(): (pa.uint64(), pa.int64(), pa.float32()),
    pa.float32(): (pa.float64(),),
    pa.string(): (pa.large_string(), pa.dictionary(pa.int32(), pa.string())),
    pa.large_string(): (pa.string(),),
    pa.binary(2): (pa.binary(),),
    pa.timestamp("s"): (pa.timestamp("us"), pa.timestamp("ms"), pa.timestamp("ns")),
    pa.timestamp("us"): (pa.timestamp("ns"),),
    pa.timestamp("us", "UTC"): (pa.timestamp("us", "America/New_York"), pa.timestamp("ns", "UTC")),
    pa.decimal128(9, 2): (pa.decimal128(20, 5),),
    pa.list_(pa.int64()): (pa.large_list(pa.int64()), pa.list_(pa.int32())),
}
"""Types that hold all values of another."""


@dataclass(frozen=True, slots=True)
class Versions:
    """Two versions of a table.

    Attributes
    ----------
    old, new : pyarrow.Table
        The versions.
    key : tuple of str
        Columns that are unique on both sides; empty where there are none.
    """

    old: pa.Table
    new: pa.Table
    key: tuple[str, ...]


@st.composite
def typed_columns(draw: st.DrawFn, *, nested: bool = True) -> dict[str, tuple[pa.DataType, Any]]:
    """Names of columns, each with a type and a strategy of its values."""
    kinds = st.sampled_from(SCALARS + NESTED if nested else SCALARS)
    names = draw(st.lists(st.sampled_from(NAMES) | _WORDS.filter(bool), max_size=4, unique=True))
    return {name: draw(kinds) for name in names if name != "id"}


@st.composite
def versions(draw: st.DrawFn, *, nested: bool = True, keyed: bool | None = None) -> Versions:
    """Two versions of one table: rows and cells edited, rows and columns in another order, other columns."""
    columns = draw(typed_columns(nested=nested))
    keyed = draw(st.booleans()) if keyed is None else keyed
    rows = draw(st.lists(_rows(columns), max_size=8))
    kept = [dict(row) for row in rows if draw(st.integers(0, 5))]
    kept += [dict(row) for row in draw(st.lists(_rows(columns), max_size=3))]
    for row in kept:
        if columns and not draw(st.integers(0, 2)):
            name = draw(st.sampled_from(list(columns)))
            row[name] = draw(st.none() | columns[name][1])
    types = {name: type_ for name, (type_, _) in columns.items()}
    if keyed:
        for number, row in enumerate([*rows, *kept]):
            row.setdefault("id", number)
        columns["id"] = (pa.int64(), st.none())
        types["id"] = pa.int64()
    old = _table(rows, types, draw(st.permutations(list(types))))
    kept = draw(st.permutations(kept))
    new = _table(kept, types, draw(st.permutations(list(types))))
    return Versions(old, draw(_other_columns(new)), ("id",) if keyed else ())


def _rows(columns: dict[str, tuple[pa.DataType, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({name: st.none() | values for name, (_, values) in columns.items()})


def _table(rows: list[dict[str, Any]], types: dict[str, pa.DataType], order: list[str]) -> pa.Table:
    arrays = [pa.array([row[name] for row in rows], types[name]) for name in order]
    return pa.Table.from_arrays(arrays, schema=pa.schema([(name, types[name]) for name in order]))


@st.composite
def _other_columns(draw: st.DrawFn, table: pa.Table) -> pa.Table:
    """Sometimes drop, add, rename or retype a column; never the key."""
    free = [name for name in table.column_names if name != "id"]
    what = draw(st.sampled_from(["nothing", "nothing", "drop", "add", "rename", "retype"]))
    name = draw(st.sampled_from(free)) if free else None
    if what == "add" and "added" not in free:
        cells = draw(st.lists(st.none() | _SMALL, min_size=table.num_rows, max_size=table.num_rows))
        return table.append_column("added", pa.array(cells, pa.int64()))
    if name is None or what == "nothing":
        return table
    place = table.column_names.index(name)
    if what == "drop" and table.num_columns > 1:
        return table.remove_column(place)
    if what == "rename" and "renamed" not in free:
        return table.rename_columns(["renamed" if each == name else each for each in table.column_names])
    wider = _WIDER.get(table.schema.field(name).type, ())
    if what == "retype" and wider:
        type_ = draw(st.sampled_from(wider))
        return table.set_column(place, pa.field(name, type_), table.column(name).cast(type_))
    return table
