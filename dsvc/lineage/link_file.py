"""Links as bytes: blocks that can be read one by one, in a form that the store compresses well.

A magic, a checksum of the directory, the number of blocks, the directory, the blocks. The directory says of
each block of 65,536 links where it is, its checksum, and its first and last output row and least and
greatest input row, so that the parents or children of some rows need a few blocks only.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import xxhash

from dsvc.lineage.links import NO_LINKS, Links, distinct
from dsvc.lineage.packed_numbers import MAX_VALUE, pack_numbers, unpack_numbers
from dsvc.model.errors import MalformedInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

BLOCK_LINKS: Final = 65_536
_MAGIC: Final = b"dsvclnk1"
_HEAD: Final = struct.Struct("<8s8sQ")
_BLOCK: Final = np.dtype(
    [
        ("links", "<u4"),
        ("size", "<u4"),
        ("first", "<i8"),
        ("last", "<i8"),
        ("least", "<i8"),
        ("greatest", "<i8"),
        ("check", "<u8"),
    ]
)


def encode_links(links: Links) -> bytes:
    """Encode links; equal links have equal bytes."""
    parts: list[bytes] = []
    blocks = np.zeros(-(-links.size // BLOCK_LINKS), _BLOCK)
    for number, start in enumerate(range(0, links.size, BLOCK_LINKS)):
        outputs = links.outputs[start : start + BLOCK_LINKS]
        inputs = links.inputs[start : start + BLOCK_LINKS]
        data = pack_numbers(outputs) + pack_numbers(inputs)
        ends = (int(outputs[0]), int(outputs[-1]), int(inputs.min()), int(inputs.max()))
        blocks[number] = (len(outputs), len(data), *ends, xxhash.xxh3_64_intdigest(data))
        parts.append(data)
    directory = blocks.tobytes()
    return b"".join((_HEAD.pack(_MAGIC, _check(directory), len(blocks)), directory, *parts))


def _check(directory: bytes | memoryview) -> bytes:
    return xxhash.xxh3_64_digest(directory)


class LinkFile:
    """Encoded links, of which only the blocks that are needed are decoded.

    Parameters
    ----------
    data : bytes-like
        What `encode_links` made.

    Raises
    ------
    MalformedInputError
        If it is anything else; also while reading.
    """

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        view = memoryview(data).cast("B")
        if len(view) < _HEAD.size:
            raise MalformedInputError("a row map is cut off")
        magic, check, count = _HEAD.unpack_from(view)
        start = _HEAD.size + count * _BLOCK.itemsize
        if magic != _MAGIC or start > len(view) or _check(view[_HEAD.size : start]) != check:
            raise MalformedInputError("a row map is malformed")
        self._blocks = np.frombuffer(view, _BLOCK, count, _HEAD.size)
        ends = start + np.cumsum(self._blocks["size"], dtype=np.int64)
        if (int(ends[-1]) if count else start) != len(view):
            raise MalformedInputError("a row map has another length than it says")
        self._starts = ends - self._blocks["size"]
        self._data = view
        self._last: tuple[int, Links] | None = None
        self._check_directory()
        self.count = int(self._blocks["links"].sum(dtype=np.int64))
        """Number of links."""

    def _check_directory(self) -> None:
        blocks = self._blocks
        if not len(blocks):
            return
        rows = np.stack([blocks[name] for name in ("first", "last", "least", "greatest")])
        is_right = (
            int(rows.min()) >= 0
            and int(rows.max()) <= MAX_VALUE
            and bool((blocks["links"] > 0).all())
            and int(blocks["links"].max()) <= BLOCK_LINKS
            and bool((blocks["first"] <= blocks["last"]).all())
            and bool((blocks["first"][1:] >= blocks["last"][:-1]).all())
            and bool((blocks["least"] <= blocks["greatest"]).all())
        )
        if not is_right:
            raise MalformedInputError("the directory of a row map is malformed")

    @property
    def max_output(self) -> int:
        """Greatest output row, -1 where there are no links."""
        return int(self._blocks["last"][-1]) if self.count else -1

    @property
    def max_input(self) -> int:
        """Greatest input row, -1 where there are no links."""
        return int(self._blocks["greatest"].max()) if self.count else -1

    def all(self) -> Links:
        """All links."""
        return _joined([self._block(number) for number in range(len(self._blocks))])

    def blocks(self) -> Iterator[Links]:
        """All links, some at a time."""
        return (self._block(number) for number in range(len(self._blocks)))

    def parents(self, rows: Numbers | Sequence[int]) -> Links:
        """Links of some output rows."""
        wanted = distinct(np.asarray(rows, np.int64))
        places = _touched(wanted, self._blocks["first"], self._blocks["last"])
        return _joined([self._block(number).parents(wanted) for number in places])

    def children(self, rows: Numbers | Sequence[int]) -> Links:
        """Links of some input rows."""
        wanted = distinct(np.asarray(rows, np.int64))
        places = _touched(wanted, self._blocks["least"], self._blocks["greatest"])
        return _joined([self._block(number).children(wanted) for number in places])

    def _block(self, number: int) -> Links:
        # One row is often asked for twice: for its parents, then for what became of it.
        if self._last is None or self._last[0] != number:
            self._last = number, self._decoded(number)
        return self._last[1]

    def _decoded(self, number: int) -> Links:
        block = self._blocks[number]
        start = int(self._starts[number])
        data = self._data[start : start + int(block["size"])]
        if xxhash.xxh3_64_intdigest(data) != int(block["check"]):
            raise MalformedInputError("a row map is damaged")
        outputs, middle = unpack_numbers(data, most=int(block["links"]))
        inputs, end = unpack_numbers(data, middle, most=int(block["links"]))
        if end != len(data) or not len(outputs) == len(inputs) == int(block["links"]):
            raise MalformedInputError("a block of a row map has another length than it says")
        steps = np.diff(outputs)
        ends = (int(outputs[0]), int(outputs[-1]), int(inputs.min()), int(inputs.max()))
        says = tuple(int(block[name]) for name in ("first", "last", "least", "greatest"))
        if ends != says or not ((steps > 0) | ((steps == 0) & (np.diff(inputs) > 0))).all():
            raise MalformedInputError("a block of a row map is not in order")
        return Links(outputs, inputs)


def _touched(wanted: Numbers, first: Numbers, last: Numbers) -> list[int]:
    """Blocks whose range holds one of some ascending rows."""
    found = np.searchsorted(wanted, last, side="right") > np.searchsorted(wanted, first, side="left")
    return [int(number) for number in np.flatnonzero(found)]


def _joined(parts: Sequence[Links]) -> Links:
    if not parts:
        return NO_LINKS
    outputs = np.concatenate([each.outputs for each in parts])
    inputs = np.concatenate([each.inputs for each in parts])
    if len(outputs):
        steps = np.diff(outputs)
        if not ((steps > 0) | ((steps == 0) & (np.diff(inputs) > 0))).all():
            raise MalformedInputError("blocks of a row map overlap")
    return Links(outputs, inputs)
