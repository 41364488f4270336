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


def _hex_pairs() -> NDArray[np.int32]:
    """Value of two hexadecimal digits, by their bytes; -1 for what is none."""
    table = np.full(1 << 16, -1, np.int32)
    signs = [
        (value, sign) for value, digit in enumerate("0123456789abcdef") for sign in {digit, digit.upper()}
    ]
    for high, first in signs:
        for low, second in signs:
            table[(ord(first) << 8) | ord(second)] = (high << 4) | low
    return table


_MEANING: Final = _meanings()
_HEX_PAIRS: Final = _hex_pairs()


def unescape(data: bytes) -> bytes:
    r"""Take escapes off: ``\"`` becomes ``"``, ``\u4e2d`` the character in UTF-8.

    Line feeds stay where they are; no new ones come. What is no escape of JSON stays as it is, and so does
    one that is cut off at the end.
    """
    if b"\\" not in data:
        return data
    array = np.frombuffer(data, np.uint8)
    begins = _escapes(array, doubled=b"\\\\" in data)
    signs = array[begins + 1]
    out, keep = array.copy(), np.ones(len(array), np.bool_)
    simple = begins[_MEANING[signs] > 0]
    out[simple + 1] = _MEANING[array[simple + 1]]
    keep[simple] = False
    long = begins[(signs == ord("u")) & (begins + 5 < len(array))]
    if len(long):
        _characters(array, long, out, keep)
    return out[keep].tobytes()


def _escapes(array: Bytes, *, doubled: bool) -> Offsets:
    """Where escapes begin: at every backslash, of a run of several at every second one."""
    slashes = np.flatnonzero(array == _BACKSLASH)
    is_begin = slashes + 1 < len(array)
    if doubled:
        numbers = np.arange(len(slashes))
        is_first = np.concatenate(([True], np.diff(slashes) != 1))
        is_begin &= (numbers - np.maximum.accumulate(np.where(is_first, numbers, 0))) % 2 == 0
    begins: Offsets = slashes[is_begin]
    return begins


def _characters(array: Bytes, begins: Offsets, out: Bytes, keep: NDArray[np.bool_]) -> None:
    # Four digits at a time, as two pairs.
    high = _HEX_PAIRS[(array[begins + 2].astype(np.uint16) << 8) | array[begins + 3]]
    low = _HEX_PAIRS[(array[begins + 4].astype(np.uint16) << 8) | array[begins + 5]]
    code = (high << 8) | low
    is_hex = (high | low) >= 0
    if not is_hex.all():
        begins, code = begins[is_hex], code[is_hex]
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
