"""Values of one column type as those of another, where nothing is lost."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from dsvc.table.splice.splice_plan import IncompatibleTablesError


def cast_column(column: pa.ChunkedArray, wanted: pa.DataType, where: str) -> pa.ChunkedArray:
    """Return the values in another type.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        Values.
    wanted : pyarrow.DataType
        The type that they shall have.
    where : str
        Table and column, for the message.

    Raises
    ------
    IncompatibleTablesError
        If the types are of different kinds, or a value would be lost.
    """
    if column.type == wanted:
        return column
    if not _compatible(column.type, wanted):
        raise _refused(column.type, wanted, where)
    try:
        plain = column.cast(column.type.value_type) if types.is_dictionary(column.type) else column
        result = plain.cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise _refused(column.type, wanted, where) from error
    if types.is_floating(wanted) and types.is_floating(plain.type):
        # The engine rounds without a word.
        same = pc.equal(result.cast(pa.float64()), plain.cast(pa.float64()))
        if not pc.all(pc.or_(same, pc.is_nan(plain)), min_count=0).as_py():
            raise _refused(column.type, wanted, where)
    return result


def _refused(found: pa.DataType, wanted: pa.DataType, where: str) -> IncompatibleTablesError:
    return IncompatibleTablesError(f"{where}: values of type {found} can't be written as {wanted}")


def _compatible(found: pa.DataType, wanted: pa.DataType) -> bool:
    if found == wanted or types.is_null(found):
        return True
    if types.is_dictionary(found) or types.is_dictionary(wanted):
        return _compatible(_plain(found), _plain(wanted))
    if _is_list(found) and _is_list(wanted):
        return _compatible(found.value_type, wanted.value_type)
    if types.is_map(found) and types.is_map(wanted):
        return _compatible(found.key_type, wanted.key_type) and _compatible(found.item_type, wanted.item_type)
    if types.is_struct(found) and types.is_struct(wanted):
        return {f.name for f in found} == {f.name for f in wanted} and all(
            _compatible(f.type, wanted.field(f.name).type) for f in found
        )
    if types.is_timestamp(found) and types.is_timestamp(wanted):
        # An instant and a time on the wall are different things.
        return (found.tz is None) == (wanted.tz is None)
    kind = _kind(found)
    return (kind is not None and kind == _kind(wanted)) or (
        types.is_integer(found) and _kind(wanted) in ("float", "decimal")
    )


def _plain(dtype: pa.DataType) -> Any:
    return dtype.value_type if types.is_dictionary(dtype) else dtype


def _is_list(dtype: pa.DataType) -> bool:
    return bool(
        types.is_list(dtype)
        or types.is_large_list(dtype)
        or types.is_fixed_size_list(dtype)
        or types.is_list_view(dtype)
        or types.is_large_list_view(dtype)
    )


def _kind(dtype: pa.DataType) -> str | None:
    tests = (
        ("integer", types.is_integer),
        ("float", types.is_floating),
        ("decimal", types.is_decimal),
        ("text", lambda t: types.is_string(t) or types.is_large_string(t) or types.is_string_view(t)),
        (
            "bytes",
            lambda t: (
                types.is_binary(t)
                or types.is_large_binary(t)
                or types.is_binary_view(t)
                or types.is_fixed_size_binary(t)
            ),
        ),
        ("date", types.is_date),
        ("time", types.is_time),
        ("duration", types.is_duration),
    )
    return next((name for name, test in tests if test(dtype)), None)
