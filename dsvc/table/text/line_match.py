"""Which of many lines match a pattern, at the speed of memory: RE2 over a whole block."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Offsets = NDArray[np.int64]


class LineBlock:
    """Lines one behind the other in one buffer.

    Parameters
    ----------
    data : bytes
        The buffer, less than 2 GiB.
    offsets : ndarray of int64, shape (n + 1,)
        Where each line begins, and at last where the last one ends.
    """

    def __init__(self, data: bytes, offsets: Offsets) -> None:
        self._lines = _binary_array(data, offsets)

    def matching(self, pattern: str, among: Offsets | None = None) -> Offsets:
        r"""Numbers of the lines in which a pattern matches somewhere, ascending.

        Parameters
        ----------
        pattern : str
            In the syntax of RE2, over bytes: ``\xe6`` is a byte. The line end is part of the line.
        among : ndarray of int64 or None
            Only these lines, by ascending number.
        """
        lines = self._lines if among is None else self._lines.take(pa.array(among))
        found = np.flatnonzero(pc.match_substring_regex(lines, pattern).to_numpy(zero_copy_only=False))
        return found if among is None else among[found]


def _binary_array(data: bytes, offsets: Offsets) -> pa.BinaryArray:
    places = pa.py_buffer(np.ascontiguousarray(offsets, np.int32))
    return pa.BinaryArray.from_buffers(pa.binary(), len(offsets) - 1, [None, places, pa.py_buffer(data)])
