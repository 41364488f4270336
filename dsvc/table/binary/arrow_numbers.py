"""Numbers between Arrow and NumPy by their bytes: the usual way loads pandas where it is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from numpy.typing import NDArray


def hashes_of(column: pa.Array) -> NDArray[np.uint64]:
    """Values of an array of uint64 without nulls, as a view."""
    return np.frombuffer(column.buffers()[1], np.uint64, len(column), 8 * column.offset)


def hashes_of_parts(column: pa.ChunkedArray) -> NDArray[np.uint64]:
    """As `hashes_of`, of a column in parts."""
    parts = [hashes_of(part) for part in column.chunks if len(part)]
    return parts[0] if len(parts) == 1 else np.concatenate([*parts, np.zeros(0, np.uint64)])


def count_from(first: int, count: int) -> pa.Array:
    """Whole numbers one after the other."""
    return pa.Array.from_buffers(
        pa.int64(), count, [None, pa.py_buffer(np.arange(first, first + count, dtype=np.int64))]
    )
