"""Arrow arrays in types that others understand: for the engine that hashes, and for Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pyarrow as pa

Test = Callable[[pa.DataType], bool]

_CASTS: Final = (
    (pa.types.is_float16, pa.float32()),
    (pa.types.is_duration, pa.int64()),
    (pa.types.is_decimal256, pa.string()),
    (pa.types.is_null, pa.int8()),
)


def plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Replace columns of types that the engine doesn't know, or doesn't hash by their values.

    Nested columns stay as they are: `dsvc.table.hashes.nested_hash` takes them apart.
    """
    columns = [plain_column(column) for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


def plain_column(column: pa.Array) -> pa.Array:
    """As `plain`, of one column."""
    type_ = column.type
    if isinstance(type_, pa.BaseExtensionType):
        return plain_column(column.storage)
    if pa.types.is_dictionary(type_) and any(test(type_.value_type) for test, _ in _CASTS):
        return plain_column(column.dictionary_decode())
    for test, known in _CASTS:
        if test(type_):
            return column.cast(known)
    if pa.types.is_interval(type_) or pa.types.is_union(type_):
        return pa.array([repr(cell.as_py()) if cell.is_valid else None for cell in column], pa.string())
    return column


def _with_elements(column: pa.Array, change: Callable[[pa.Array], pa.Array]) -> pa.Array:
    import pyarrow.compute as pc

    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    return pa.LargeListArray.from_arrays(pa.array(offsets), change(column.flatten()), mask=column.is_null())


def _holds(type_: pa.DataType, test: Test) -> bool:
    """Whether a type, or one within it, passes a test."""
    if test(type_):
        return True
    if isinstance(type_, pa.BaseExtensionType):
        return _holds(type_.storage_type, test)
    if pa.types.is_dictionary(type_):
        return _holds(type_.value_type, test)
    return any(_holds(type_.field(number).type, test) for number in range(type_.num_fields))


def python_values(column: pa.Array) -> list[Any]:
    """Values of a column as Python has them; times finer than a microsecond as text, nothing is rounded.

    Where Python has no value, as for the year 10000 or a time zone that nobody knows, it is text too.
    """
    while isinstance(column.type, pa.BaseExtensionType):
        column = column.storage
    if _holds(column.type, _is_fine):
        column = _as_text(column, _is_fine)
    try:
        return list(column.to_pylist())
    except (ValueError, OverflowError, pa.ArrowException):
        return list(_as_text(column, pa.types.is_temporal).to_pylist())


def _is_fine(type_: pa.DataType) -> bool:
    return bool(
        (pa.types.is_timestamp(type_) or pa.types.is_time64(type_) or pa.types.is_duration(type_))
        and type_.unit == "ns"
    )


def _as_text(column: pa.Array, test: Test) -> pa.Array:
    type_ = column.type
    if not _holds(type_, test):
        return column
    if pa.types.is_dictionary(type_):
        return _as_text(column.dictionary_decode(), test)
    if pa.types.is_struct(type_):
        fields = [_as_text(column.field(number), test) for number in range(type_.num_fields)]
        names = [type_.field(number).name for number in range(type_.num_fields)]
        return pa.StructArray.from_arrays(fields, names, mask=column.is_null())
    if pa.types.is_list(type_) or pa.types.is_large_list(type_) or pa.types.is_fixed_size_list(type_):
        return _with_elements(column, lambda values: _as_text(values, test))
    if pa.types.is_map(type_):
        pairs = pa.list_(pa.struct([("key", type_.key_type), ("value", type_.item_type)]))
        return _as_text(column.cast(pairs), test)
    try:
        return column.cast(pa.string())
    except pa.ArrowException:
        # A time zone that nobody knows, say: the number that is stored.
        return column.cast(pa.int64()).cast(pa.string())
