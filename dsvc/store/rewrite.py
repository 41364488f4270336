"""Rewrite: copy chosen objects of packs into new packs, every one checked against its id on the way.

Used by gc, by erasure and by repair. Nothing is removed here: the caller moves old packs away once the new
ones are published.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple, Self

from dsvc.model.errors import CorruptDataError, DsvcError
from dsvc.model.ids import PackId
from dsvc.store import block, pack
from dsvc.store.block import BlockInfo, Codec, Compressor, ItemType
from dsvc.store.chunk_store import ChunkStore, check_id
from dsvc.store.pack import Footer, Location, PackWriter


class _Item(NamedTuple):
    offset: int
    id: bytes
    length: int
    item_type: int


def stream_of(item_type: int, codec: int) -> int:
    """Which stream an object goes to, told from how it was stored."""
    if item_type != ItemType.CHUNK:
        return pack.STREAM_OBJECTS
    return pack.STREAM_RAW if codec == Codec.RAW else pack.STREAM_TEXT


class Rewriter:
    """Gathers objects from old packs into new ones of the usual size.

    At the end of its context the last pack is published; after an error what wasn't is thrown away.

    Parameters
    ----------
    store : ChunkStore
        Source and target.

    Attributes
    ----------
    published : list of PackId
        New packs so far, durable.
    """

    def __init__(self, store: ChunkStore) -> None:
        self._store = store
        self._writer: PackWriter | None = None
        self._compressor = Compressor()
        self._in_pack: set[bytes] = set()
        self.published: list[PackId] = []

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Publish what was gathered, or throw it away."""
        try:
            if error is None:
                self.publish()
        finally:
            self._abandon()

    def _target(self) -> PackWriter:
        if self._writer is None:
            self._writer = PackWriter(self._store.backend, self._compressor)
        return self._writer

    def put(self, id_: bytes, data: bytes | memoryview, item_type: int, stream: int) -> None:
        """Add an object whose bytes were checked, unless this pack has it already."""
        if id_ not in self._in_pack:
            self._in_pack.add(id_)
            self._target().put(id_, data, item_type, stream)

    def put_erased(self, id_: bytes, length: int, item_type: int) -> None:
        """Carry over that an object was erased."""
        self._target().put_erased(id_, length, item_type)

    @property
    def full(self) -> bool:
        """Whether the pack being written has reached its size."""
        return self._writer is not None and self._writer.full

    def copy(self, footer: Footer, wanted: Callable[[int, bytes, Location], bool]) -> None:
        """Copy the rows of a pack that `wanted` (row number, id, location) chooses, erased rows too.

        Raises
        ------
        CorruptDataError, MissingDataError
            If an object is damaged here and no other copy is whole.
        """
        blocks: dict[int, list[_Item]] = {}
        for row, (id_, place) in enumerate(footer.rows()):
            if not wanted(row, id_, place):
                continue
            if place.erased:
                self.put_erased(id_, place.length, place.item_type)
            else:
                blocks.setdefault(place.block, []).append(
                    _Item(place.offset, id_, place.length, place.item_type)
                )
        for number in sorted(blocks):
            self._copy_block(footer, number, sorted(blocks[number]))

    def _copy_block(self, footer: Footer, number: int, items: list[_Item]) -> None:
        info = footer.block(number)
        try:
            stored = self._store.backend.read(footer.pack, info.offset, info.stored_length)
            data = memoryview(block.decode(info, stored, f"block {number} of pack {footer.pack.short()}"))
        except CorruptDataError:
            stored, data = b"", memoryview(b"")
        parts = [data[item.offset : item.offset + item.length] for item in items]
        sound = [check_id(item.id, part, item.item_type) for item, part in zip(items, parts, strict=True)]
        is_new = self._in_pack.isdisjoint(item.id for item in items)
        if is_new and all(sound) and _can_be_taken_over(info, items, stored):
            self._in_pack.update(item.id for item in items)
            self._target().put_block(info, stored, [(i.id, i.length, i.item_type) for i in items])
            return
        for item, part, is_sound in zip(items, parts, sound, strict=True):
            whole = part if is_sound else self._store.get(item.id, item_type=item.item_type)
            self.put(item.id, whole, item.item_type, stream_of(item.item_type, info.codec))

    def publish(self) -> None:
        """Make what was gathered durable."""
        if self._writer is None:
            return
        writer, self._writer = self._writer, None
        self._in_pack.clear()
        try:
            name = writer.publish()
        except BaseException:
            writer.abandon()
            raise
        assert name is not None  # a writer is made for its first object
        self.published.append(name)

    def _abandon(self) -> None:
        if self._writer is not None:
            self._writer.abandon()
            self._writer = None


def _can_be_taken_over(info: BlockInfo, items: list[_Item], stored: bytes) -> bool:
    """Whether a block can be copied as it is stored: whole, of fair size, and its checksum right."""
    if len(items) != info.items or info.raw_length < block.TARGET_BYTES // 2:
        return False
    position = 0
    for item in items:
        if item.offset != position:
            return False
        position += item.length
    return position == info.raw_length and block.stored_checksum([stored]) == info.xxh3


def is_sound(store: ChunkStore, footer: Footer, id_: bytes, place: Location) -> bool:
    """Whether the bytes at a place are those that the id says."""
    try:
        return check_id(id_, store.read_at(footer, place), place.item_type)
    except DsvcError:
        return False
