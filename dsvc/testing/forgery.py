"""Forged twins: other bytes with the same XXH3-128.

XXH3 multiplies, in every stripe of 64 bytes, the two halves of each word after an xor with a public secret. A
word that makes one half zero contributes no product, only itself: through it the accumulators are set at
will. Two stripes at the end of a block are enough, so every message of at least `MIN_BYTES` has twins that
begin with anything.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

MIN_BYTES: Final = 1088
"""Shortest message that `twin` takes."""

_WORD: Final = (1 << 64) - 1
_HALF: Final = (1 << 32) - 1
_STRIPE: Final = 64
_BLOCK: Final = 1024
_STRIPES: Final = _BLOCK // _STRIPE
_SCRAMBLE: Final = 0x9E3779B1
# The default secret and the first accumulators of XXH3.
_SECRET: Final = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221"
    "b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb"
    "170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
)
_START: Final = (
    0xC2B2AE3D,
    0x9E3779B185EBCA87,
    0xC2B2AE3D27D4EB4F,
    0x165667B19E3779F9,
    0x85EBCA77C2B2AE63,
    0x85EBCA77,
    0x27D4EB2F165667C5,
    0x9E3779B1,
)


def known_pair() -> tuple[bytes, bytes]:
    """Two messages of 256 bytes with one XXH3-64 and one XXH3-128."""
    one = bytearray(256)
    one[16:24] = bytes.fromhex("ded46de9e8030000")
    one[80:88] = bytes.fromhex("7240a4a4e8030000")
    other = bytearray(one)
    other[20] = 0xE9
    other[84] = 0xE7
    return bytes(one), bytes(other)


def twin(message: bytes, prefix: bytes) -> bytes:
    """Forge other bytes of the same length and XXH3-128.

    Parameters
    ----------
    message : bytes
        At least `MIN_BYTES`, with at least 64 bytes after its last full block of 1,024.
    prefix : bytes
        What the twin begins with; cut where 128 bytes before the last full block's end are reached, filled up
        with line feeds.

    Raises
    ------
    ValueError
        If the message is too short for two stripes that make good the difference.
    """
    blocks = (len(message) - 1) // _BLOCK
    tail = _BLOCK * blocks
    if blocks < 1 or len(message) - tail < _STRIPE:
        raise ValueError(f"no twin of {len(message)} bytes is known")
    repair = tail - 2 * _STRIPE
    forged = bytearray(prefix[:repair].ljust(repair, b"\n") + bytes(2 * _STRIPE) + message[tail:])
    wanted = _accumulate(message, blocks, _STRIPES)
    found = _accumulate(forged, blocks, _STRIPES - 2)
    first_keys, second_keys = _words(_SECRET, 8 * (_STRIPES - 2)), _words(_SECRET, 8 * (_STRIPES - 1))
    for lane in range(8):
        # Both products are zero: the second word's upper half is its key's, the first word's lower half too.
        missing = wanted[lane ^ 1] - found[lane ^ 1] & _WORD
        second = second_keys[lane] & ~_HALF | missing - first_keys[lane] & _HALF
        struct.pack_into("<Q", forged, repair + 8 * lane, missing - second & _WORD)
        struct.pack_into("<Q", forged, repair + _STRIPE + 8 * lane, second)
    return bytes(forged)


def _words(data: bytes | bytearray, offset: int) -> Sequence[int]:
    return struct.unpack_from("<8Q", data, offset)


def _accumulate(data: bytes | bytearray, blocks: int, stripes: int) -> list[int]:
    """Accumulators after `stripes` stripes of the last of `blocks` blocks, not yet scrambled."""
    lanes = list(_START)
    for block in range(blocks):
        last = block == blocks - 1
        for stripe in range(stripes if last else _STRIPES):
            words = _words(data, _BLOCK * block + _STRIPE * stripe)
            for lane, (word, key) in enumerate(zip(words, _words(_SECRET, 8 * stripe), strict=True)):
                mixed = word ^ key
                lanes[lane ^ 1] = lanes[lane ^ 1] + word & _WORD
                lanes[lane] = lanes[lane] + (mixed & _HALF) * (mixed >> 32) & _WORD
        if not last:
            keys = _words(_SECRET, len(_SECRET) - _STRIPE)
            lanes = [((a ^ a >> 47) ^ key) * _SCRAMBLE & _WORD for a, key in zip(lanes, keys, strict=True)]
    return lanes
