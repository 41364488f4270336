"""Escapes of JSON taken off a whole block of text, so that they hide nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Offsets = NDArray[np.int64]

LINE_FEED: Final = 0x0B
"""What an escaped line end becomes: a line end to whoever reads the text, yet none of the file."""
_BACKSLASH: Final = 0x5C
_SPACE: Final = 0x20


def _meanings() -> Bytes:
    table = np.zeros(256, np.uint8)
    for sign, meaning in zip(b'"\\/', b'"\\/', strict=True):
        table[sign] = meaning
    for sign in b"nr":
        table[sign] = LINE_FEED
    for sign in b"tbf":
        table[sign] = _SPACE
    return table


def _digits() -> NDArray[np.int32]:
    table = np.full(256, -1, np.int32)
    for value, sign in enumerate("0123456789abcdef"):
        table[ord(sign)] = table[ord(sign.upper())] = value
    return table


_MEANING: Final = _meanings()
_HEX: Final = _digits()


def unescape(data: bytes) -> bytes:
    r"""Take escapes off: ``\"`` becomes ``"``, ``\u4e2d`` the character in UTF-8.

    Line feeds stay where they are; no new ones come. What is no escape of JSON stays as it is, and so does
    one that is cut off at the end.
    """
    if b"\\" not in data:
        return data
    array = np.frombuffer(data, np.uint8)
    begins = _escapes(array)
    signs = array[begins + 1]
    out, keep = array.copy(), np.ones(len(array), np.bool_)
    simple = begins[_MEANING[signs] > 0]
    out[simple + 1] = _MEANING[array[simple + 1]]
    keep[simple] = False
    long = begins[(signs == ord("u")) & (begins + 5 < len(array))]
    if len(long):
        _characters(array, long, out, keep)
    return out[keep].tobytes()


def _escapes(array: Bytes) -> Offsets:
    """Where escapes begin: at every second backslash of a run."""
    slashes = np.flatnonzero(array == _BACKSLASH)
    numbers = np.arange(len(slashes))
    is_first = np.concatenate(([True], np.diff(slashes) != 1))
    in_run = numbers - np.maximum.accumulate(np.where(is_first, numbers, 0))
    begins: Offsets = slashes[(in_run % 2 == 0) & (slashes + 1 < len(array))]
    return begins


def _characters(array: Bytes, begins: Offsets, out: Bytes, keep: NDArray[np.bool_]) -> None:
    digits = [_HEX[array[begins + place]] for place in (2, 3, 4, 5)]
    is_hex = np.minimum.reduce(digits) >= 0
    begins = begins[is_hex]
    first, second, third, fourth = (each[is_hex] for each in digits)
    code = (first << 12) | (second << 8) | (third << 4) | fourth
    code[(code >= 0xD800) & (code < 0xE000)] = ord("?")  # half of a character beyond what is looked for
    code[(code == 0x0A) | (code == 0x0D)] = LINE_FEED
    code[code == 0] = _SPACE
    size = np.where(code < 0x80, 1, np.where(code < 0x800, 2, 3))
    lead = np.where(size == 1, code, np.where(size == 2, 0xC0 | (code >> 6), 0xE0 | (code >> 12)))
    out[begins] = lead
    out[begins + 1] = np.where(size == 2, 0x80 | (code & 0x3F), 0x80 | ((code >> 6) & 0x3F))
    out[begins + 2] = 0x80 | (code & 0x3F)
    for place in range(1, 6):
        keep[begins + place] = size > place
