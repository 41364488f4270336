"""Ids of rows that travel through other libraries in a column of their own, and the rows they name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dsvc.lineage.links import Links, ordered
from dsvc.model.errors import UsageError
from dsvc.model.paths import display_path

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

COLUMN: Final = "_dsvc_row"
"""Name of the column; a column whose name has it within is one too, as joins and group-bys name them."""
_BITS: Final = 40
# Inputs are numbered from here, so that sums of ids, and counts, are ids of nothing. As a float, which pandas
# makes of them where rows are missing, an id is exact up to twice this number, and its half is none.
_FIRST: Final = 1 << 10
MAX_INPUTS: Final = _FIRST - 1
_ROW: Final = (1 << _BITS) - 1
_HINT: Final = f"carry {COLUMN} along as it is; in a group-by gather it in a list"


class RowIdError(UsageError):
    """A column of row ids is gone wrong: it holds what is no id of any row that was read."""

    code = "row-id"


class _Pairs(NamedTuple):
    """Ids, each with the row that it stands on."""

    rows: Numbers
    ids: Numbers


class RowIds:
    """Gives ids to the rows of tables, and tells which rows ids are of."""

    def __init__(self) -> None:
        self._inputs: dict[bytes, tuple[int, int]] = {}

    @property
    def paths(self) -> tuple[bytes, ...]:
        """Inputs whose rows have ids."""
        return tuple(self._inputs)

    def attach(self, table: pa.Table, path: bytes) -> pa.Table:
        """Add the column of ids to the rows of an input, all of them.

        Raises
        ------
        RowIdError
            If the table has such a column already, or there are too many inputs.
        """
        taken = next((name for name in table.column_names if is_id_column(name)), None)
        if taken is not None:
            raise RowIdError(
                f"{display_path(path)} has a column {taken!r}, which is how row ids are named",
                hint="rename the column, or drop it where it is left from another run",
                details={"path": display_path(path), "column": taken},
            )
        number, _ = self._inputs.setdefault(path, (_FIRST + len(self._inputs), table.num_rows))
        if number > _FIRST + MAX_INPUTS:
            raise RowIdError(f"rows of at most {MAX_INPUTS} inputs have ids in one run")
        ids = np.arange(table.num_rows, dtype=np.int64) + (number << _BITS)
        return table.append_column(pa.field(COLUMN, pa.int64()), pa.array(ids))

    def detach(self, table: pa.Table) -> tuple[pa.Table, dict[bytes, Links] | None]:
        """Take the columns of ids away.

        Returns
        -------
        table : pyarrow.Table
            What is left.
        links : dict of bytes to Links, or None
            Parents of its rows, by input; None where there is no such column.

        Raises
        ------
        RowIdError
            If a column holds what is no id.
        """
        places = [place for place, name in enumerate(table.column_names) if is_id_column(name)]
        if not places:
            return table, None
        found = [self._pairs(table.column(place), table.column_names[place]) for place in places]
        rows = np.concatenate([pairs.rows for pairs in found])
        ids = np.concatenate([pairs.ids for pairs in found])
        left = table.select([place for place in range(table.num_columns) if place not in places])
        return left, {
            path: ordered(rows[here], ids[here] & _ROW)
            for path, here in ((path, ids >> _BITS == number) for path, (number, _) in self._inputs.items())
            if here.any()
        }

    def rows_of(self, chosen: Any, path: bytes) -> Numbers:
        """Rows of one input, as a person names them: by number, by id, or by a truth value for each row.

        Raises
        ------
        RowIdError
            If there is no such row.
        """
        known = self._inputs.get(path)
        if known is None:
            raise RowIdError(f"{display_path(path)} was not read", hint="read it first")
        number, count = known
        column = _column(chosen)
        if pa.types.is_boolean(column.type):
            if len(column) != count:
                raise RowIdError(f"{len(column)} truth values for the {count} rows of {display_path(path)}")
            truth = pc.fill_null(column, False)
            return np.flatnonzero(truth.to_numpy(zero_copy_only=False)) if count else np.zeros(0, np.int64)
        _, values = _numbers(column, "rows")
        if not len(values) or int(values.max()) <= _ROW:
            wrong = values[(values < 0) | (values >= count)]
            if len(wrong):
                raise RowIdError(f"{display_path(path)} has no row {int(wrong[0])}; it has {count} rows")
            return values
        self._check(values, "rows")
        if (values >> _BITS != number).any():
            raise RowIdError(f"some of these are ids of rows of another input than {display_path(path)}")
        return values & _ROW

    def _pairs(self, column: pa.ChunkedArray, name: str) -> _Pairs:
        pairs = _numbers(column, name)
        self._check(pairs.ids, name)
        return pairs

    def _check(self, ids: Numbers, name: str) -> None:
        counts = np.array([count for _, count in self._inputs.values()], np.int64)
        inputs = (ids >> _BITS) - _FIRST
        wrong = (inputs < 0) | (inputs >= len(counts))
        if not wrong.any() and len(ids):
            wrong = (ids & _ROW) >= counts[inputs]
        if wrong.any():
            raise RowIdError(
                f"column {name} holds {int(ids[wrong][0])}, which is the id of no row that was read",
                hint=_HINT,
                details={"column": name},
            )


def is_id_column(name: str) -> bool:
    """Whether a column of this name holds ids."""
    return COLUMN in name


def _column(chosen: Any) -> pa.Array | pa.ChunkedArray:
    if isinstance(chosen, pa.Array | pa.ChunkedArray):
        return chosen
    if isinstance(chosen, int | np.integer) and not isinstance(chosen, bool):
        return pa.array([int(chosen)])
    try:
        values = np.asarray(chosen) if hasattr(chosen, "__array__") else list(chosen)
        return pa.array(values, from_pandas=True)
    except (TypeError, ValueError, pa.ArrowException) as error:
        raise RowIdError(
            "rows are chosen by their numbers, by their ids, or by a truth value for each"
        ) from error


def _numbers(column: pa.Array | pa.ChunkedArray, name: str) -> _Pairs:
    """Numbers of a column, or within its lists, with the rows that they stand on; nulls are left out."""
    array = column
    if isinstance(column, pa.ChunkedArray):
        array = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    rows = np.arange(len(array), dtype=np.int64)
    while True:
        if pa.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        elif _is_list(array.type):
            lengths = pc.fill_null(pc.list_value_length(array), 0)
            rows = np.repeat(rows, lengths.to_numpy(zero_copy_only=False))
            array = pc.list_flatten(array)
        else:
            break
    kind = array.type
    if pa.types.is_null(kind):
        return _Pairs(rows[:0], rows[:0])
    there = pc.is_valid(array)
    if pa.types.is_float64(kind):
        # What pandas makes of whole numbers where some are missing.
        there = pc.and_(there, pc.invert(pc.fill_null(pc.is_nan(array), True)))
    elif not (pa.types.is_integer(kind) or pa.types.is_decimal(kind)):
        raise RowIdError(f"column {name} holds {kind}, not row ids", hint=_HINT, details={"column": name})
    try:
        ids = array.filter(there).cast(pa.int64())
    except pa.ArrowInvalid as error:
        raise RowIdError(
            f"column {name} holds numbers that are no row ids", hint=_HINT, details={"column": name}
        ) from error
    return _Pairs(rows[there.to_numpy(zero_copy_only=False)], ids.to_numpy(zero_copy_only=False))


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind)
        or pa.types.is_large_list(kind)
        or pa.types.is_fixed_size_list(kind)
        or pa.types.is_list_view(kind)
        or pa.types.is_large_list_view(kind)
    )


__all__ = ["COLUMN", "MAX_INPUTS", "RowIdError", "RowIds", "is_id_column"]
