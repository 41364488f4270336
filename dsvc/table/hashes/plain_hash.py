"""Hashes of texts and whole numbers without the engine: for a single value, loading that takes far longer.

They are the engine's own, of those versions of it that they were compared with.
"""

from __future__ import annotations

from typing import Final

from dsvc.table.hashes.hash_scheme import engine_version

NOT_NULL: Final = 0x5851F42D4C957F2D
"""What sets a value apart from null, the hash of which is 0."""
_VERSIONS: Final = frozenset({"2.0.0"})
_MASK: Final = (1 << 64) - 1
_SEED: Final = 0xE17A1465
_LENGTHS: Final = 0xC6A4A7935BD1E995
_FACTOR: Final = 0xD6E8FEB86659FD93
_BLOCK: Final = 8


def is_known() -> bool:
    """Whether the engine at hand hashes so."""
    return engine_version() in _VERSIONS


def hash_of_text(text: str) -> int:
    """Hash a cell that holds a text.

    Raises
    ------
    UnicodeEncodeError
        If it is no text: it has half of a surrogate pair.
    """
    data = text.encode()
    total = _SEED ^ (len(data) * _LENGTHS & _MASK)
    for start in range(0, len(data), _BLOCK):
        total ^= int.from_bytes(data[start : start + _BLOCK], "little")
        total = total * _FACTOR & _MASK
    return _mixed(total) ^ NOT_NULL


def hash_of_integer(number: int) -> int:
    """Hash a cell that holds a whole number of 64 bits."""
    return _mixed(number & _MASK) ^ NOT_NULL


def _mixed(value: int) -> int:
    value = (value ^ (value >> 32)) * _FACTOR & _MASK
    value = (value ^ (value >> 32)) * _FACTOR & _MASK
    return value ^ (value >> 32)
