"""Text in blocks of bounded size, and each block in lines: long ones in pieces that overlap.

A hit is looked for in a line or in a piece of one. Pieces see what stands around them, so that a hit across a
border is found, and found once: it belongs to the piece in which it begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Offsets = NDArray[np.int64]

BLOCK_BYTES: Final = 4 << 20
PIECE_BYTES: Final = 16 << 10
"""Longer lines are cut: some patterns take time that grows with the square of a line's length."""
BEFORE_BYTES: Final = 256
AFTER_BYTES: Final = 4096
"""What a piece sees of its neighbours; no hit is longer."""


class Block(NamedTuple):
    """A part of a text.

    Attributes
    ----------
    data : bytes
        The part and, where a line goes on over its borders, what is around it.
    first, stop : int
        Where in `data` the part itself begins and ends.
    line : int
        Line on which it begins, 1-based.
    """

    data: bytes
    first: int
    stop: int
    line: int


class Units(NamedTuple):
    """Lines, or pieces of long ones, one behind the other.

    Attributes
    ----------
    data : bytes
    offsets : ndarray of int64, shape (n + 1,)
        Where each begins in `data`.
    numbers : ndarray of int64, shape (n,)
        Number of the line, or of the value of a table, that each is of.
    first, stop : ndarray of int64, shape (n,), or None
        Where in each piece the hits begin that belong to it, in bytes; None where all do.
    context : str
        What else is known of all of them, such as the name of their column.
    """

    data: bytes
    offsets: Offsets
    numbers: Offsets
    first: Offsets | None = None
    stop: Offsets | None = None
    context: str = ""

    def __len__(self) -> int:
        return len(self.numbers)

    def text(self, unit: int) -> bytes:
        """Bytes of one of them."""
        return self.data[self.offsets[unit] : self.offsets[unit + 1]]

    def span(self, unit: int) -> tuple[int, int] | None:
        """Where hits of a piece must begin; None where anywhere."""
        if self.first is None or self.stop is None:
            return None
        return int(self.first[unit]), int(self.stop[unit])


def blocks(chunks: Iterator[bytes]) -> Iterator[Block]:
    """Cut a text at line ends where there are any."""
    rest, first, line = b"", 0, 1
    for chunk in chunks:
        data = rest + chunk if rest else chunk
        cut = data.rfind(b"\n", first) + 1
        if cut > first:
            yield Block(data[:cut], first, cut, line)
            line += data.count(b"\n", first, cut)
            rest, first = data[cut:], 0
        elif len(data) - first > BLOCK_BYTES:
            stop = _quiet(data, len(data) - AFTER_BYTES, first)
            yield Block(data, first, stop, line)
            begin = max(0, stop - BEFORE_BYTES)
            rest, first = data[begin:], stop - begin
        else:
            rest = data
    if len(rest) > first:
        yield Block(rest, first, len(rest), line)


def _quiet(data: bytes, place: int, lowest: int) -> int:
    """A place near the given one where no escape of JSON is cut and no character of UTF-8."""
    for stop in range(place, max(lowest + 1, place - AFTER_BYTES), -1):
        if data[stop] & 0xC0 == 0x80:
            continue
        begins_escape = data[stop] == 0x5C and data[stop - 1] != 0x5C
        if begins_escape or b"\\" not in data[max(0, stop - 12) : stop]:
            return stop
    return place


def changed(block: Block, change: Callable[[bytes], bytes]) -> Block:
    """Apply a change that keeps line feeds to a block, parts beyond its borders too."""
    if block.first == 0 and block.stop == len(block.data):
        data = change(block.data)
        return Block(data, 0, len(data), block.line)
    before = change(block.data[: block.first])
    inside = change(block.data[block.first : block.stop])
    after = change(block.data[block.stop :])
    return Block(before + inside + after, len(before), len(before) + len(inside), block.line)


def units(block: Block) -> Iterator[Units]:
    """Lines of a block: first all short ones, the long ones empty, then the pieces of these."""
    array = np.frombuffer(block.data, np.uint8)
    inside = array[block.first : block.stop]
    breaks = np.flatnonzero(inside == 0x0A) + block.first + 1
    offsets = np.concatenate(([0], breaks[breaks < len(array)], [len(array)])).astype(np.int64)
    yield from cut_long(
        block.data, offsets, np.arange(len(offsets) - 1) + block.line, (block.first, block.stop)
    )


def cut_long(
    data: bytes, offsets: Offsets, numbers: Offsets, inside: tuple[int, int], context: str = ""
) -> Iterator[Units]:
    """Part short lines from long ones, which are cut.

    Parameters
    ----------
    data, offsets, numbers, context
        As of `Units`.
    inside : (int, int)
        Where in `data` hits count; only the first and the last line go beyond.
    """
    lengths = np.diff(offsets)
    long = lengths > PIECE_BYTES
    if len(long) and inside[0] > 0:
        long[0] = True
    if len(long) and inside[1] < len(data):
        long[-1] = True
    if not long.any():
        yield Units(data, offsets, numbers, context=context)
        return
    cut = np.flatnonzero(long)
    edges = [0, *(int(each) for place in cut for each in (offsets[place], offsets[place + 1])), len(data)]
    if not long.all():
        short = b"".join(data[start:stop] for start, stop in zip(edges[::2], edges[1::2], strict=True))
        places = np.concatenate(([0], np.cumsum(lengths[~long])))
        yield Units(short, places, numbers[~long], context=context)
    yield _pieces(data, offsets, numbers, cut, inside, context)


def _pieces(
    data: bytes, offsets: Offsets, numbers: Offsets, cut: Offsets, inside: tuple[int, int], context: str
) -> Units:
    """All pieces of all long lines."""
    parts, first, stop, owners = [], [], [], []
    for place in cut.tolist():
        begin_line, end_line = int(offsets[place]), int(offsets[place + 1])
        highest = min(end_line, inside[1])
        for start in range(max(begin_line, inside[0]), highest, PIECE_BYTES):
            end = min(start + PIECE_BYTES, highest)
            begin = max(begin_line, start - BEFORE_BYTES)
            parts.append(data[begin : min(end_line, end + AFTER_BYTES)])
            first.append(start - begin)
            stop.append(end - begin)
            owners.append(numbers[place])
    places = np.cumsum([0, *map(len, parts)], dtype=np.int64)
    spans = np.array(first, np.int64), np.array(stop, np.int64)
    return Units(b"".join(parts), places, np.array(owners, np.int64), *spans, context)


def in_characters(data: bytes, span: tuple[int, int] | None) -> tuple[int, int]:
    """Where hits begin that count, in characters of the decoded text."""
    if span is None:
        return 0, len(data)
    first, stop = (len(data[:place].decode("utf-8", "replace")) for place in span)
    return first, stop
