"""Packs: blocks, a footer that indexes them, a trailer that finds the footer.

Byte layout: ``docs/format.md``, section *Pack*. The footer's id rows are sorted, so that a mapped footer is
a search structure as it stands.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final, NamedTuple

from dsvc.model.encoding import hash_object
from dsvc.model.errors import CorruptDataError, UsageError
from dsvc.model.ids import PackId
from dsvc.store import block
from dsvc.store.backend import Backend, Buffer, PackSink
from dsvc.store.block import BlockInfo, Compressor, ItemType

HEADER: Final = b"DSVCPACK\x01\0\0\0\0\0\0\0"
TRAILER: Final = struct.Struct("<8sQQII32s")
"""Magic, footer offset, footer length, blocks, ids, footer id; the last bytes of a pack."""
TRAILER_MAGIC: Final = b"DSVCEND\x01"
BLOCK_ROW: Final = struct.Struct("<QIIII16s")
"""Offset, stored length, raw length, items, codec, XXH3-128 as stored."""
ID_ROW: Final = struct.Struct("<III")
"""Length with the item type in the top byte, block number, offset in the raw block."""
FANOUT: Final = struct.Struct("<256I")
ERASED: Final = 0x80
TARGET_BYTES: Final = 128 * 1024 * 1024
MAX_BLOCKS: Final = 1 << 22
MAX_IDS: Final = 1 << 26


class Location(NamedTuple):
    """Where an object lies: block number and offset in its raw bytes."""

    block: int
    offset: int
    length: int
    item_type: int
    erased: bool


class _Stream:
    """Objects that will share a block."""

    __slots__ = ("buffers", "items", "size", "target")

    def __init__(self, target: int) -> None:
        self.target = target
        self.clear()

    def clear(self) -> None:
        """Begin the next block."""
        self.buffers: list[Buffer] = []
        self.items: list[tuple[bytes, int, int]] = []
        self.size = 0


class PackWriter:
    """Gathers objects into blocks, blocks into a pack, and publishes it.

    Chunks of text, chunks of raw files and structured objects go to blocks of their own, so that like
    compresses with like.

    Parameters
    ----------
    backend : Backend
        Where the pack goes.
    """

    def __init__(self, backend: Backend, compressor: Compressor | None = None) -> None:
        self._sink: PackSink = backend.create()
        self._compressor = compressor or Compressor()
        self._streams = (
            _Stream(block.TEXT_TARGET_BYTES),
            _Stream(block.TARGET_BYTES),
            _Stream(block.TARGET_BYTES),
        )
        self._blocks: list[BlockInfo] = []
        self._rows: list[tuple[bytes, int, int, int]] = []
        try:
            self._sink.write([HEADER])
        except BaseException:
            self._sink.abandon()
            raise

    @property
    def position(self) -> int:
        """Bytes written to the pack so far, without what is pending."""
        return self._sink.position

    @property
    def full(self) -> bool:
        """Whether it has reached its size; the owner then publishes."""
        return self.position >= TARGET_BYTES

    def put(self, id_: bytes, data: Buffer, item_type: int, stream: int) -> None:
        """Add an object; `stream` says which objects share blocks. The buffer must not change later.

        Raises
        ------
        UsageError
            If the object is empty or longer than a row can say.
        """
        length = len(data)
        if not 0 < length <= block.MAX_ITEM_BYTES:
            raise UsageError(f"an object of {length} bytes can't be stored")
        pending = self._streams[stream]
        pending.buffers.append(data)
        pending.items.append((id_, length, item_type))
        pending.size += length
        if pending.size >= pending.target:
            self._flush(pending)

    def put_erased(self, id_: bytes, length: int, item_type: int) -> None:
        """Record that an object was erased on purpose; its id and length stay."""
        self._rows.append((id_, length | (item_type | ERASED) << 24, 0, 0))

    def put_block(self, info: BlockInfo, stored: Buffer, items: Sequence[tuple[bytes, int, int]]) -> None:
        """Take over a block of another pack as it is stored; `items` are (id, length, item type) in order.

        The caller has checked that the bytes decode to these items.
        """
        self._write_block(info.codec, info.raw_length, info.xxh3, [stored], items)

    def _flush(self, pending: _Stream) -> None:
        if not pending.items:
            return
        codec, stored = self._compressor.store(pending.buffers)
        checksum = block.stored_checksum(stored)
        self._write_block(codec, pending.size, checksum, stored, pending.items)
        pending.clear()

    def _write_block(
        self,
        codec: int,
        raw_length: int,
        checksum: bytes,
        stored: Sequence[Buffer],
        items: Sequence[tuple[bytes, int, int]],
    ) -> None:
        number, offset_in_block = len(self._blocks), 0
        lengths = []
        for id_, length, item_type in items:
            row = length | item_type << 24
            lengths.append(row)
            self._rows.append((id_, row, number, offset_in_block))
            offset_in_block += length
        stored_length = sum(len(b) for b in stored)
        header = block.HEADER.pack(
            block.MAGIC, codec, 0, 0, len(lengths), raw_length, stored_length, checksum
        ) + struct.pack(f"<{len(lengths)}I", *lengths)
        start = self._sink.position + len(header)
        self._blocks.append(BlockInfo(start, stored_length, raw_length, len(lengths), codec, checksum))
        self._sink.write([header, *stored])

    def publish(self) -> PackId | None:
        """Write footer and trailer and publish; returns the pack's id, or None if it is empty."""
        for pending in self._streams:
            self._flush(pending)
        if not self._rows:
            self.abandon()
            return None
        footer = encode_footer(self._blocks, self._rows)
        pack = hash_object("footer", footer, PackId)
        offset = self._sink.position
        count: int = FANOUT.unpack_from(footer, len(self._blocks) * BLOCK_ROW.size)[-1]
        trailer = TRAILER.pack(TRAILER_MAGIC, offset, len(footer), len(self._blocks), count, pack)
        self._sink.write([footer, trailer])
        self._sink.publish(pack)
        return pack

    def abandon(self) -> None:
        """Throw the pack away."""
        self._sink.abandon()


def encode_footer(blocks: Sequence[BlockInfo], rows: list[tuple[bytes, int, int, int]]) -> bytes:
    """Encode block rows, fanout, sorted ids and their rows; a repeated id keeps one place that has bytes."""
    rows = sorted(rows)
    ids = [row[0] for row in rows]
    if len(set(ids)) != len(ids):
        # An erased row sorts last, since its length has the top bit.
        rows = [row for n, row in enumerate(rows) if not n or ids[n - 1] != row[0]]
        ids = [row[0] for row in rows]
    counts = [0] * 256
    for id_ in ids:
        counts[id_[0]] += 1
    running = 0
    for byte in range(256):
        running += counts[byte]
        counts[byte] = running
    return b"".join(
        [
            *(BLOCK_ROW.pack(*info) for info in blocks),
            FANOUT.pack(*counts),
            *ids,
            struct.pack(f"<{3 * len(rows)}I", *chain.from_iterable(row[1:] for row in rows)),
        ]
    )


class Footer:
    """A pack's footer, mapped; answers where an object lies without loading anything else.

    Raises
    ------
    CorruptDataError
        On construction, where trailer and lengths don't fit each other; before anything is allocated.
    """

    __slots__ = ("_blocks_view", "_fanout", "_ids", "_rows", "_view", "blocks", "count", "length", "pack")

    def __init__(self, backend: Backend, pack: PackId) -> None:
        size = backend.size(pack)
        if size < len(HEADER) + TRAILER.size:
            raise CorruptDataError(f"pack {pack.short()} is truncated", details={"pack": pack.hex()})
        trailer = backend.read(pack, size - TRAILER.size, TRAILER.size)
        magic, offset, length, blocks, count, named = TRAILER.unpack(trailer)
        if blocks > MAX_BLOCKS or count > MAX_IDS:
            raise CorruptDataError(
                f"pack {pack.short()} claims {blocks} blocks and {count} objects",
                details={"pack": pack.hex()},
            )
        expected = blocks * BLOCK_ROW.size + FANOUT.size + count * (32 + ID_ROW.size)
        if (
            magic != TRAILER_MAGIC
            or named != bytes(pack)
            or length != expected
            or offset + length + TRAILER.size != size
        ):
            raise CorruptDataError(f"pack {pack.short()} has a wrong trailer", details={"pack": pack.hex()})
        self.pack = pack
        self.length: int = length
        self.blocks: int = blocks
        self.count: int = count
        view = backend.view(pack, offset, length)
        self._view = view
        cut = blocks * BLOCK_ROW.size
        self._blocks_view = view[:cut]
        self._fanout = array("I", FANOUT.unpack(view[cut : cut + FANOUT.size]))
        cut += FANOUT.size
        self._ids = view[cut : cut + 32 * count]
        self._rows = view[cut + 32 * count :]
        if self._fanout[-1] != count or sorted(self._fanout) != self._fanout.tolist():
            raise CorruptDataError(f"pack {pack.short()} has a wrong fanout", details={"pack": pack.hex()})

    def verify(self) -> bool:
        """Whether the footer's bytes are the ones that name the pack."""
        return hash_object("footer", self._view, PackId) == self.pack

    def find(self, id_: bytes) -> int:
        """Row number of an id, or -1."""
        id_ = bytes(id_)  # a typed id never equals plain bytes
        first = id_[0]
        low: int
        high: int
        low = self._fanout[first - 1] if first else 0
        high = self._fanout[first]
        ids = self._ids
        while low < high:
            middle = (low + high) >> 1
            found = bytes(ids[middle * 32 : middle * 32 + 32])
            if found == id_:
                return middle
            if found < id_:
                low = middle + 1
            else:
                high = middle
        return -1

    def location(self, row: int) -> Location:
        """Where the object of a row lies."""
        packed, number, offset = ID_ROW.unpack_from(self._rows, row * ID_ROW.size)
        item_type = packed >> 24
        return Location(number, offset, packed & 0xFFFFFF, item_type & ~ERASED, bool(item_type & ERASED))

    def id_at(self, row: int) -> bytes:
        """Id of a row."""
        return bytes(self._ids[row * 32 : row * 32 + 32])

    def block(self, number: int) -> BlockInfo:
        """Row of a block.

        Raises
        ------
        CorruptDataError
            If there is no such block.
        """
        if number >= self.blocks:
            raise CorruptDataError(f"pack {self.pack.short()} has no block {number}")
        return BlockInfo(*BLOCK_ROW.unpack_from(self._blocks_view, number * BLOCK_ROW.size))

    def prefixes(self) -> Iterator[int]:
        """First four bytes of every id, as numbers in order."""
        return (prefix for (prefix,) in struct.iter_unpack(">I28x", self._ids))

    def rows(self) -> Iterator[tuple[bytes, Location]]:
        """Every id with its location, in order of ids."""
        for row in range(self.count):
            yield self.id_at(row), self.location(row)


STREAM_TEXT: Final = 0
STREAM_RAW: Final = 1
STREAM_OBJECTS: Final = 2
ITEM_DOMAINS: Final = {ItemType.NODE: "node", ItemType.LIST: "list", ItemType.RECORD: "record"}
