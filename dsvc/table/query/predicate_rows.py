"""Which rows a condition is true for: `dsvc.table.query.predicate` evaluated batch by batch, in Arrow.

Truth has three values, as in SQL. Numbers are compared exactly where both are exact, so that ``n > 1.5`` and
numbers beyond 64 bits are right; with a float as floats. Texts compare by code points. NaN equals nothing.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dsvc.model.errors import NotFoundError
from dsvc.model.table_kind import TableKind
from dsvc.table.index.row_index import RowIndex
from dsvc.table.origin.source import NotATableError, TableSource
from dsvc.table.query.comparable import comparable_column, compare_columns, compare_literal
from dsvc.table.query.condition import (
    AllOf,
    AnyOf,
    Column,
    Compare,
    Comparison,
    Condition,
    IsIn,
    IsNull,
    IsTrue,
    Literal,
    Not,
    Operand,
)
from dsvc.table.query.predicate import Predicate, PredicateError
from dsvc.table.reading.arrow_reader import open_arrow

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SHOWN: Final = 20


class UnknownColumnError(NotFoundError):
    """A condition names a column that a table doesn't have."""

    code = "no-such-column"


def find_rows(
    predicate: Predicate, source: TableSource, kind: TableKind, index: RowIndex
) -> NDArray[np.int64]:
    """Numbers of the rows that match, ascending; see `dsvc.table.query.predicate.matching_rows`.

    Raises
    ------
    NotATableError
        If the table changed while it was read.
    """
    names = predicate.columns
    _check_known(names, index)
    # A column without any value has no type to be wrong with.
    empty = frozenset(column.name for column in index.columns if column.type == "null")
    found: list[NDArray[np.int64]] = []
    row = 0
    if not names:
        return np.flatnonzero(_Batch({}, index.rows).matches(predicate.root)).astype(np.int64)
    with open_arrow(source, kind, skip_malformed=True) as table:
        nothing = {name: pa.array([], table.schema.field(name).type) for name in names}
        _Batch(_plain(nothing, empty), 0).matches(predicate.root)  # what can't be compared is told at once
        for batch in table.batches(names):
            columns = dict(zip(names, batch.columns, strict=True))
            matches = _Batch(_plain(columns, empty), batch.num_rows).matches(predicate.root)
            found.append(np.flatnonzero(matches) + row)
            row += batch.num_rows
    if row != index.rows:
        raise NotATableError(f"{source.name} changed while it was read", details={"path": source.name})
    return np.concatenate(found).astype(np.int64) if found else np.zeros(0, np.int64)


def _check_known(names: tuple[str, ...], index: RowIndex) -> None:
    for name in names:
        if index.column(name) is None:
            more = ", …" if len(index.names) > _SHOWN else ""
            raise UnknownColumnError(
                f"the table has no column {name!r}",
                hint=f"its columns are {', '.join(index.names[:_SHOWN])}{more}",
                details={"column": name},
            )


def _plain(columns: dict[str, pa.Array], empty: frozenset[str]) -> dict[str, pa.Array]:
    return {
        name: pa.nulls(len(column)) if name in empty else comparable_column(column)
        for name, column in columns.items()
    }


class _Batch:
    """Some rows, for which conditions are true, false or null."""

    def __init__(self, columns: dict[str, pa.Array], count: int) -> None:
        self._columns = columns
        self._count = count

    def matches(self, condition: Condition) -> NDArray[np.bool_]:
        """Rows for which a condition is true."""
        truth = pc.fill_null(self._truth(condition), False)
        return np.asarray(truth.to_numpy(zero_copy_only=False), bool)

    def _truth(self, condition: Condition) -> pa.BooleanArray:
        if isinstance(condition, AllOf):
            return reduce(pc.and_kleene, map(self._truth, condition.parts))
        if isinstance(condition, AnyOf):
            return reduce(pc.or_kleene, map(self._truth, condition.parts))
        if isinstance(condition, Not):
            return pc.invert(self._truth(condition.part))
        if isinstance(condition, Compare):
            return self._compare(condition)
        if isinstance(condition, IsIn):
            compared = [
                self._compare(Compare(Comparison.EQUAL, condition.operand, each)) for each in condition.values
            ]
            return reduce(pc.or_kleene, compared)
        if isinstance(condition, IsNull):
            return self._is_null(condition.operand)
        return self._is_true(condition)

    def _compare(self, condition: Compare) -> pa.BooleanArray:
        how, left, right = condition.how, condition.left, condition.right
        if isinstance(left, Literal) and isinstance(right, Column):
            how, left, right = how.mirrored, right, left
        if isinstance(left, Literal):
            assert isinstance(right, Literal)
            return self._repeated(_compare_literals(how, left, right))
        found = self._columns[left.name]
        if isinstance(right, Literal):
            return compare_literal(how, found, right.value, left.name)
        return compare_columns(how, found, self._columns[right.name], f"{left} and {right}")

    def _is_null(self, operand: Operand) -> pa.BooleanArray:
        if isinstance(operand, Literal):
            return self._repeated(operand.value is None)
        return pc.is_null(self._columns[operand.name])

    def _is_true(self, condition: IsTrue) -> pa.BooleanArray:
        operand = condition.operand
        if isinstance(operand, Literal):
            assert isinstance(operand.value, bool | None)
            return self._repeated(operand.value)
        return compare_literal(Comparison.EQUAL, self._columns[operand.name], True, operand.name)

    def _repeated(self, truth: bool | None) -> pa.BooleanArray:
        return pa.repeat(pa.scalar(truth, pa.bool_()), self._count)


def _compare_literals(how: Comparison, left: Literal, right: Literal) -> bool | None:
    one, other = left.value, right.value
    if one is None or other is None:
        return None
    if isinstance(one, str) != isinstance(other, str) or isinstance(one, bool) != isinstance(other, bool):
        raise PredicateError(f"{left} and {right} can't be compared")
    order = (one > other) - (one < other)  # type: ignore[operator]
    return how.holds(order)
