"""Deltas of git's packs: an object as pieces of another one and new bytes."""

from __future__ import annotations


def delta_lengths(delta: bytes) -> tuple[int, int, int]:
    """Lengths of base and result that a delta states, and where its steps begin.

    Raises
    ------
    ValueError
        If it is cut off, or states more than 64 bits.
    """
    base, at = _length(delta, 0)
    result, at = _length(delta, at)
    return base, result, at


def _length(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
    raise ValueError("a delta is cut off")


def apply_delta(base: bytes, delta: bytes) -> bytes:
    """Make the object that a delta describes; the caller has bounded the length that it states.

    Raises
    ------
    ValueError
        If it is for another base, takes what the base doesn't have, or makes another length than it states.
    """
    expected, result, at = delta_lengths(delta)
    if expected != len(base):
        raise ValueError("a delta is for another base")
    parts: list[bytes] = []
    made, end = 0, len(delta)
    while at < end:
        step = delta[at]
        at += 1
        if step & 128:
            start = length = 0
            for bit in range(7):
                if step >> bit & 1:
                    if at == end:
                        raise ValueError("a delta is cut off")
                    if bit < 4:
                        start |= delta[at] << 8 * bit
                    else:
                        length |= delta[at] << 8 * (bit - 4)
                    at += 1
            length = length or 1 << 16
            part = base[start : start + length]
        else:
            length, part = step, delta[at : at + step]
            at += step
        made += length
        if not length or len(part) != length or made > result:
            raise ValueError("a delta takes what there isn't, or more than it states")
        parts.append(part)
    if made != result:
        raise ValueError("a delta makes less than it states")
    return b"".join(parts)
