"""Salvage: find the objects of a pack without its footer, by the headers of its blocks.

A header holds lengths only; ids are computed again from the bytes. Where a header is wrong, the next magic
is looked for. What comes out is content under its own id, so a false find does no harm.
"""

from __future__ import annotations

import contextlib
import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from dsvc.model.encoding import hash_object
from dsvc.model.errors import CorruptDataError
from dsvc.model.ids import PackId
from dsvc.store import block, pack
from dsvc.store.backend import Backend, UnreadableError
from dsvc.store.block import BlockInfo, ItemType
from dsvc.store.chunk_store import id_of

_MAGIC = re.compile(re.escape(block.MAGIC))
_SECTOR = 4096


class Found(NamedTuple):
    """An object that was found.

    Attributes
    ----------
    id : bytes
        Computed from `data`.
    codec : int
        How its block is stored.
    trusted : bool
        Whether the block's checksum is right; if not, `data` may be anything.
    """

    id: bytes
    data: memoryview
    item_type: ItemType
    codec: int
    trusted: bool


def _readable(backend: Backend, name: PackId) -> memoryview:
    """Bytes of a pack; zeros stand for what the disk doesn't give back."""
    size = backend.size(name)
    try:
        return backend.view(name, 0, size)
    except UnreadableError:
        pass
    data = bytearray(size)
    for start in range(0, size, _SECTOR):
        length = min(_SECTOR, size - start)
        with contextlib.suppress(UnreadableError):
            data[start : start + length] = backend.read(name, start, length)
    return memoryview(data).toreadonly()


def salvage(backend: Backend, name: PackId) -> Iterator[Found]:
    """Yield every object of every block that can be found in a pack, in order."""
    data = _readable(backend, name)
    position = 0
    while (match := _MAGIC.search(data, position)) is not None:
        found = _block_at(data, match.start())
        if found is None:
            position = match.start() + 1
            continue
        info, lengths = found
        position = info.offset + info.stored_length
        yield from _objects(data[info.offset : position], info, lengths)


def _block_at(data: memoryview, start: int) -> tuple[BlockInfo, tuple[int, ...]] | None:
    """Header of a block that could begin here, its lengths fitting each other and the pack."""
    if start + block.HEADER.size > len(data):
        return None
    _, codec, _, _, items, raw_length, stored_length, checksum = block.HEADER.unpack_from(data, start)
    offset = start + block.HEADER.size + 4 * items
    if not items or raw_length > block.MAX_RAW_BYTES or offset + stored_length > len(data):
        return None
    rows = struct.unpack_from(f"<{items}I", data, start + block.HEADER.size)
    if sum(row & 0xFFFFFF for row in rows) != raw_length or any(row >> 24 > max(ItemType) for row in rows):
        return None
    return BlockInfo(offset, stored_length, raw_length, items, codec, checksum), rows


def _objects(stored: memoryview, info: BlockInfo, rows: tuple[int, ...]) -> Iterator[Found]:
    trusted = block.stored_checksum([stored]) == info.xxh3
    try:
        data = memoryview(block.decode(info, stored, "a salvaged block"))
    except CorruptDataError:
        return
    position = 0
    for row in rows:
        item_type, length = ItemType(row >> 24), row & 0xFFFFFF
        part = data[position : position + length]
        position += length
        if length:
            yield Found(id_of(part, item_type), part, item_type, info.codec, trusted)


def rebuild(backend: Backend, name: PackId) -> bool:
    """Write a pack anew under its own name, where its blocks give the very footer that names it.

    That proves that nothing is lost, so the damaged file may be replaced. A pack with erased rows can't be
    proved so, since rows without bytes stand in the footer alone.
    """
    data = _readable(backend, name)
    position = len(pack.HEADER)
    blocks: list[BlockInfo] = []
    rows: list[tuple[bytes, int, int, int]] = []
    while bytes(data[position : position + 4]) == block.MAGIC:
        found = _block_at(data, position)
        if found is None or not _add_rows(rows, data, found, len(blocks)):
            return False
        blocks.append(found[0])
        position = found[0].offset + found[0].stored_length
    if not rows:
        return False
    footer = pack.encode_footer(blocks, rows)
    if hash_object("footer", footer, PackId) != name:
        return False
    trailer = pack.TRAILER.pack(
        pack.TRAILER_MAGIC, position, len(footer), len(blocks), len(rows), bytes(name)
    )
    sink = backend.create()
    try:
        sink.write([pack.HEADER, data[len(pack.HEADER) : position], footer, trailer])
        sink.publish(name)
    finally:
        sink.abandon()
    return True


def _add_rows(
    rows: list[tuple[bytes, int, int, int]],
    data: memoryview,
    found: tuple[BlockInfo, tuple[int, ...]],
    number: int,
) -> bool:
    info, lengths = found
    stored = data[info.offset : info.offset + info.stored_length]
    objects = list(_objects(stored, info, lengths))
    if len(objects) != len(lengths) or not all(item.trusted for item in objects):
        return False
    offset = 0
    for item, row in zip(objects, lengths, strict=True):
        rows.append((item.id, row, number, offset))
        offset += len(item.data)
    return True
