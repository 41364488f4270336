"""Statistics of a table's columns on two sides, and how far they moved apart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import duckdb
import pyarrow as pa

from dsvc.diff.cell_json import json_cell
from dsvc.table.binary.plain_arrow import plain
from dsvc.table.engine import connect
from dsvc.table.origin.source import TableLimitError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from dsvc.table.reading.arrow_reader import ArrowTable

TOP: Final = 5
BINS: Final = 10
CATEGORIES: Final = 20
FLOOR: Final = 1e-4
"""What a share of 0 is read as: PSI of a bin that is empty on one side would be infinite."""
_NULL_BIN: Final = -1
_REST: Final = -2


class ColumnStatistics(NamedTuple):
    """One column on one side.

    Attributes
    ----------
    type : str
        As people write it.
    rows, nulls, distinct : int
        Numbers; null is no value of its own in `distinct`.
    minimum, maximum : object
        Of numbers, text and times, NaN left out; None without any.
    mean : float or None
        Of numbers.
    top : tuple of (object, int)
        The most frequent values and how often they are there; equally frequent ones in their own order.
    """

    type: str
    rows: int
    nulls: int
    distinct: int
    minimum: object = None
    maximum: object = None
    mean: float | None = None
    top: tuple[tuple[object, int], ...] = ()

    @property
    def null_share(self) -> float:
        """Share of nulls; 0 of a table without rows."""
        return self.nulls / self.rows if self.rows else 0.0

    def as_json(self) -> dict[str, object]:
        """Return it as JSON."""
        return {
            "type": self.type,
            "rows": self.rows,
            "null_share": self.null_share,
            "distinct": self.distinct,
            "min": json_cell(self.minimum),
            "max": json_cell(self.maximum),
            "mean": json_cell(self.mean),
            "top": [{"value": json_cell(value), "count": count} for value, count in self.top],
        }


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """A column on both sides.

    Attributes
    ----------
    name : str
        As on the new side, where it is there.
    before, after : ColumnStatistics or None
        None where that side hasn't the column.
    psi : float or None
        How far the distribution moved, see `psi`; None where a side has no rows or no such column.
    """

    name: str
    before: ColumnStatistics | None
    after: ColumnStatistics | None
    psi: float | None = None

    @property
    def moved(self) -> bool:
        """Whether a figure other than the number of rows differs."""
        if self.before is None or self.after is None:
            return True
        one, other = self.before.as_json(), self.after.as_json()
        return any(one[name] != other[name] for name in one if name != "rows") or bool(self.psi)

    def as_json(self) -> dict[str, object]:
        """Return it as JSON."""
        return {
            "column": self.name,
            "before": None if self.before is None else self.before.as_json(),
            "after": None if self.after is None else self.after.as_json(),
            "psi": None if self.psi is None else round(self.psi, 6),
            "moved": self.moved,
        }


def psi(old: Mapping[int, int], new: Mapping[int, int]) -> float | None:
    """Return the population stability index of two histograms over the same bins.

    The sum over all bins of ``(q - p) * ln(q / p)``, with p and q a bin's share on the old and the new side:
    the symmetric divergence of Jeffreys (1946), under the name that credit scoring gave it (N. Siddiqi,
    *Credit Risk Scorecards*, Wiley 2006, where below 0.1 is little, above 0.25 a significant change). A share
    below 0.0001 is read as 0.0001. None where a side is empty.
    """
    old_total, new_total = sum(old.values()), sum(new.values())
    if not old_total or not new_total:
        return None
    found = 0.0
    for name in {**old, **new}:
        p = max(old.get(name, 0) / old_total, FLOOR)
        q = max(new.get(name, 0) / new_total, FLOOR)
        found += (q - p) * math.log(q / p)
    return found


def compare_statistics(
    old: ArrowTable | None, new: ArrowTable | None, *, renamed: Mapping[str, str] | None = None
) -> list[ColumnDrift]:
    """Compare all columns of two versions of a table.

    Numbers and times fall into bins that end at the deciles of the old side, everything else into the most
    frequent values of the old side and one bin for the rest; nulls have a bin of their own.

    Parameters
    ----------
    old, new : ArrowTable or None
        The versions; None where there is none.
    renamed : mapping of str to str, or None
        Old names by new ones.

    Raises
    ------
    NotATableError
        If a side can't be read.
    TableLimitError
        If a column has more distinct values than memory allows.
    """
    old_names = [] if old is None else list(old.schema.names)
    new_names = [] if new is None else list(new.schema.names)
    before_name = {name: (renamed or {}).get(name, name) for name in new_names}
    gone = [name for name in old_names if name not in set(before_name.values())]
    found = []
    for name in [*new_names, *gone]:
        left = _open(old, before_name.get(name, name), old_names)
        right = _open(new, name, new_names)
        try:
            found.append(_drift(name, left, right))
        finally:
            for side in (left, right):
                if side is not None:
                    side.close()
    return found


def _open(table: ArrowTable | None, name: str, names: Sequence[str]) -> _Column | None:
    return None if table is None or name not in names else _Column(table, name)


def _drift(name: str, old: _Column | None, new: _Column | None) -> ColumnDrift:
    before = None if old is None else old.statistics()
    after = None if new is None else new.statistics()
    if old is None or new is None:
        return ColumnDrift(name, before, after)
    if old.ordered and new.ordered and old.engine_type == new.engine_type:
        edges = old.edges()
        return ColumnDrift(name, before, after, psi(old.by_edges(edges), new.by_edges(edges)))
    values = old.frequent(CATEGORIES)
    return ColumnDrift(name, before, after, psi(old.by_value(values), new.by_value(values)))


class _Column:
    """The values of a column with their numbers, in an engine of its own."""

    def __init__(self, table: ArrowTable, name: str) -> None:
        self.type = str(table.schema.field(name).type)
        batches = (plain(batch.rename_columns(["v"])) for batch in table.batches([name]))
        empty = pa.RecordBatch.from_pylist([], pa.schema([pa.field("v", table.schema.field(name).type)]))
        reader = pa.RecordBatchReader.from_batches(plain(empty).schema, batches)
        self._connection: DuckDBPyConnection = connect()
        try:
            source = self._connection.from_arrow(reader)
            self.engine_type = str(source.types[0])
            value = _countable(self.engine_type)
            source.aggregate(f"{value} AS v, count(*) AS n", value).create("counts")
        except duckdb.OutOfMemoryException as error:
            raise TableLimitError(
                f"{table.name}: column {name} has too many distinct values for statistics"
            ) from error
        self.nested = "hash(" in value

    def close(self) -> None:
        self._connection.close()

    @property
    def ordered(self) -> bool:
        """Whether values are numbers or times; lists of these are neither."""
        if self.nested:
            return False
        return _is_number(self.engine_type) or self.engine_type.startswith(("TIME", "DATE", "INTERVAL"))

    def _ask(self, query: str, values: Sequence[object] = ()) -> list[dict[str, Any]]:
        found = self._connection.sql(query, params=list(values))
        rows: list[dict[str, Any]] = found.to_arrow_table().to_pylist()
        return rows

    def statistics(self) -> ColumnStatistics:
        counts = self._ask(
            """SELECT coalesce(sum(n), 0)::BIGINT AS total, count(v) AS different,
            coalesce(sum(n) FILTER (v IS NULL), 0)::BIGINT AS nulls FROM counts"""
        )[0]
        found = ColumnStatistics(self.type, counts["total"], counts["nulls"], counts["different"])
        if self.nested:
            return found
        number = _is_number(self.engine_type)
        finite = "v IS NOT NULL" + (" AND NOT isnan(v::DOUBLE)" if number else "")
        mean = "sum(v::DOUBLE * n) / sum(n)" if number else "NULL::DOUBLE"
        ends = self._ask(f"SELECT min(v) AS low, max(v) AS high, {mean} AS mean FROM counts WHERE {finite}")[
            0
        ]
        top = self._ask(f"SELECT v, n FROM counts WHERE v IS NOT NULL ORDER BY n DESC, v LIMIT {TOP}")
        return found._replace(
            minimum=ends["low"],
            maximum=ends["high"],
            mean=ends["mean"],
            top=tuple((row["v"], row["n"]) for row in top),
        )

    def edges(self) -> list[object]:
        """Values at the deciles."""
        rows = self._ask(
            f"""SELECT min(v) AS v FROM (SELECT v, sum(n) OVER (ORDER BY v) AS upto, sum(n) OVER () AS total
            FROM counts WHERE v IS NOT NULL), range(1, {BINS}) AS decile(d)
            WHERE upto * {BINS} >= total * d GROUP BY d ORDER BY 1"""
        )
        return list(dict.fromkeys(row["v"] for row in rows))

    def by_edges(self, edges: Sequence[object]) -> dict[int, int]:
        """Count values between edges."""
        above = " + ".join(f"(v > ?::{self.engine_type})::INTEGER" for _ in edges) or "0"
        return self._binned(f"CASE WHEN v IS NULL THEN {_NULL_BIN} ELSE {above} END", edges)

    def frequent(self, count: int) -> list[str]:
        """The most frequent values, as text: a column whose type changed still has the same ones."""
        rows = self._ask(
            f"SELECT v::VARCHAR AS v FROM counts WHERE v IS NOT NULL ORDER BY n DESC, 1 LIMIT {count}"
        )
        return [row["v"] for row in rows]

    def by_value(self, values: Sequence[str]) -> dict[int, int]:
        """Count values by their place in a list."""
        cases = " ".join(f"WHEN v::VARCHAR = ? THEN {place}" for place in range(len(values)))
        return self._binned(f"CASE WHEN v IS NULL THEN {_NULL_BIN} {cases} ELSE {_REST} END", values)

    def _binned(self, expression: str, values: Sequence[object]) -> dict[int, int]:
        rows = self._ask(f"SELECT {expression} AS bin, sum(n)::BIGINT AS n FROM counts GROUP BY ALL", values)
        return {row["bin"]: row["n"] for row in rows}


def _is_number(engine_type: str) -> bool:
    return engine_type.startswith(
        ("DECIMAL", "FLOAT", "DOUBLE", "HUGEINT", "UHUGEINT")
    ) or engine_type.endswith(("INTEGER", "BIGINT", "SMALLINT", "TINYINT"))


def _countable(engine_type: str) -> str:
    """Expression by which values are counted."""
    if engine_type.endswith("]") or engine_type.startswith(("STRUCT", "MAP", "UNION", "BLOB")):
        return "CASE WHEN v IS NULL THEN NULL ELSE hash(v) END"
    # Python has no nanoseconds.
    return "v::TIMESTAMP" if engine_type == "TIMESTAMP_NS" else "v"
