"""Arrays of integers as bytes that compress well: offsets or differences, byte plane by byte plane.

Lengths, row numbers and differences of row numbers mostly differ in their low bytes only. So a column is
written as what is left after its smallest value is taken off, in as many byte planes as that needs: all low
bytes first, then all second bytes, and so on. The store's compression does the rest.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import numpy as np

from dsvc.model.errors import MalformedInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]
    Bytes = NDArray[np.uint8]

MAX_VALUE: Final = (1 << 62) - 1
"""Values are from minus this to this, so that no difference overflows."""
MAX_COUNT: Final = 1 << 26
"""Numbers are at most so many, since equal ones take no bytes, and a forged count would take all memory."""
_HEAD: Final = struct.Struct("<IBBqq")
_DIRECT: Final = 0
_STEPS: Final = 1
_SAMPLED: Final = 4096


def pack_numbers(values: Numbers) -> bytes:
    """Encode numbers between -`MAX_VALUE` and `MAX_VALUE`.

    Raises
    ------
    MalformedInputError
        If there are more than `MAX_COUNT`.
    """
    if len(values) > MAX_COUNT:
        raise MalformedInputError(f"an account of {len(values):,} rows; at most {MAX_COUNT:,} are written")
    if not len(values):
        return _HEAD.pack(0, _DIRECT, 0, 0, 0)
    steps = np.diff(values)
    if len(steps) and _steps_are_better(values, steps):
        return _packed(len(values), _STEPS, int(values[0]), steps)
    return _packed(len(values), _DIRECT, 0, values)


def _packed(count: int, mode: int, first: int, values: Numbers) -> bytes:
    base = int(values.min())
    rest = (values - base).astype("<u8")
    width = (int(rest.max()).bit_length() + 7) // 8
    planes = rest.view(np.uint8).reshape(len(rest), 8).T[:width]
    return _HEAD.pack(count, mode, width, first, base) + planes.tobytes()


def _steps_are_better(values: Numbers, steps: Numbers) -> bool:
    if int(steps.min()) >= 0:
        return True
    at = slice(0, _SAMPLED)
    return _entropy(steps[at]) < _entropy(values[at])


def _entropy(values: Numbers) -> float:
    """Bits of a value, taking each byte for itself."""
    rest = (values - values.min()).astype("<u8")
    width = (int(rest.max()).bit_length() + 7) // 8
    planes = rest.view(np.uint8).reshape(len(rest), 8).T[:width]
    total = 0.0
    for plane in planes:
        shares = np.bincount(plane) / len(plane)
        shares = shares[shares > 0]
        total -= float((shares * np.log2(shares)).sum())
    return total


def unpack_numbers(
    data: bytes | memoryview, offset: int = 0, *, most: int = MAX_COUNT
) -> tuple[Numbers, int]:
    """Decode what `pack_numbers` made.

    Parameters
    ----------
    most : int
        How many there can be.

    Returns
    -------
    tuple of ndarray of int64 and int
        The numbers, and where in `data` they end.

    Raises
    ------
    MalformedInputError
        If it is anything else.
    """
    if offset < 0 or len(data) - offset < _HEAD.size:
        raise MalformedInputError("packed numbers are cut off")
    count, mode, width, first, base = _HEAD.unpack_from(data, offset)
    start = offset + _HEAD.size
    stored = max(count - 1, 0) if mode == _STEPS else count
    end = start + stored * width
    if mode not in (_DIRECT, _STEPS) or width > 8 or end > len(data) or count > min(most, MAX_COUNT):
        raise MalformedInputError("packed numbers are malformed")
    rest = np.zeros((stored, 8), np.uint8)
    planes = np.frombuffer(data, np.uint8, stored * width, start).reshape(width, stored)
    rest[:, :width] = planes.T
    values = rest.reshape(-1).view("<u8").astype(np.int64)
    # What a forger writes may overflow; it wraps round here and is refused by its range below.
    values += base
    if mode == _STEPS and count:
        values = np.cumsum(np.concatenate((np.array([first], np.int64), values)))
    if count and (int(values.min()) < -MAX_VALUE or int(values.max()) > MAX_VALUE):
        raise MalformedInputError("packed numbers are out of range")
    return values, end
