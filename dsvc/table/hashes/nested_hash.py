"""Hashes of nested values, put together from those of the scalars within.

The engine's own hashes of nested values don't do: ``[]`` and ``[null]``, ``[0]`` and ``[0, 0]``, ``[[1, 2]]``
and ``[[1], [2]]`` hash alike there. A list's hash is over its elements in order, a structure's over its
members by name; a member that is null is as good as none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import xxhash

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]

_MIX: Final = np.uint64(0x9E3779B97F4A7C15)
_SPREAD: Final = np.uint64(0xD6E8FEB86659FD93)
_STRUCT: Final = np.uint64(0xA0761D6478BD642F)
_HALF: Final = np.uint64(32)
_ODD: Final = np.uint64(1)


def is_nested(type_: pa.DataType) -> bool:
    """Whether values of a type are lists, structures or maps."""
    if isinstance(type_, pa.BaseExtensionType):
        return is_nested(type_.storage_type)
    if pa.types.is_dictionary(type_):
        return is_nested(type_.value_type)
    return bool(pa.types.is_nested(type_)) and not pa.types.is_union(type_)


def nested_hashes(column: pa.Array, scalars: Callable[[pa.Array], Hashes]) -> Hashes:
    """Hash the values of a column; 0 is null.

    Parameters
    ----------
    column : pyarrow.Array
        Of any type.
    scalars : callable
        Hashes an array of scalars.
    """
    type_ = column.type
    if not is_nested(type_):
        return scalars(column)
    if isinstance(type_, pa.BaseExtensionType):
        return nested_hashes(column.storage, scalars)
    if pa.types.is_dictionary(type_):
        return nested_hashes(column.dictionary_decode(), scalars)
    found = _struct(column, scalars) if pa.types.is_struct(type_) else _list(column, scalars)
    found[found == 0] = _ODD
    found[column.is_null().to_numpy(zero_copy_only=False)] = 0
    return found


def _struct(column: pa.Array, scalars: Callable[[pa.Array], Hashes]) -> Hashes:
    total = np.full(len(column), _STRUCT)
    for number in range(column.type.num_fields):
        seed = np.uint64(xxhash.xxh3_64_intdigest(column.type.field(number).name.encode()) | 1)
        total += _mixed(nested_hashes(column.field(number), scalars) * seed)
    return _mixed(total)


def _list(column: pa.Array, scalars: Callable[[pa.Array], Hashes]) -> Hashes:
    import pyarrow.compute as pc  # 40 ms that tables without nested values needn't cost

    if pa.types.is_map(column.type):
        offsets = column.offsets.to_numpy().astype(np.int64)
        first, count = int(offsets[0]), int(offsets[-1] - offsets[0])
        offsets = offsets - first
        keys, items = column.keys.slice(first, count), column.items.slice(first, count)
        elements = _mixed(nested_hashes(keys, scalars) * _SPREAD) + nested_hashes(items, scalars)
    else:
        lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
        offsets = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))
        elements = nested_hashes(column.flatten(), scalars)
    counts = np.diff(offsets)
    place = np.arange(len(elements), dtype=np.uint64) - np.repeat(offsets[:-1].astype(np.uint64), counts)
    weight = _mixed((place + _ODD) * _SPREAD) | _ODD
    sums = np.concatenate((np.zeros(1, np.uint64), np.cumsum(_mixed(elements + _MIX) * weight)))
    return _mixed(sums[offsets[1:]] - sums[offsets[:-1]] + (counts.astype(np.uint64) + _ODD) * _SPREAD)


def _mixed(hashes: Hashes) -> Hashes:
    mixed = (hashes ^ (hashes >> _HALF)) * _MIX
    return mixed ^ (mixed >> _HALF)
