"""Sets of rows as bytes: which rows of a file a source speaks of."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import numpy as np

from dsvc.lineage.packed_numbers import pack_numbers, unpack_numbers
from dsvc.model.errors import MalformedInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_ROW: Final = (1 << 62) - 1
_MAGIC: Final = b"rows1\0"
_COUNT: Final = struct.Struct("<I")
_BLOCK_ROWS: Final = 1 << 20
"""Rows in line take next to no bytes; so what a forged count can cost is bounded, block by block."""


def encode_rows(rows: NDArray[np.int64]) -> bytes:
    """Encode numbers of rows; in which order and how often they come doesn't matter."""
    unique = np.unique(rows).astype(np.int64)
    blocks = [pack_numbers(unique[at : at + _BLOCK_ROWS]) for at in range(0, len(unique), _BLOCK_ROWS)]
    return b"".join([_MAGIC, *blocks])


def decode_rows(data: bytes) -> NDArray[np.int64]:
    """Decode what `encode_rows` made: ascending, each once.

    Raises
    ------
    MalformedInputError
        If it is anything else.
    """
    if not data.startswith(_MAGIC):
        raise MalformedInputError("a set of rows is malformed")
    parts, at, last = [np.zeros(0, np.int64)], len(_MAGIC), -1
    while at < len(data):
        count = _COUNT.unpack_from(data, at)[0] if at + _COUNT.size <= len(data) else 0
        if not 0 < count <= _BLOCK_ROWS:
            raise MalformedInputError("a set of rows is malformed")
        rows, at = unpack_numbers(data, at, most=_BLOCK_ROWS)
        if int(rows[0]) <= last or int(rows[-1]) > MAX_ROW or bool((np.diff(rows) <= 0).any()):
            raise MalformedInputError("a set of rows is out of order or out of range")
        last = int(rows[-1])
        parts.append(rows)
    return np.concatenate(parts)
