"""The chunk store: put, get and check content-addressed objects.

Every read is checked against the id, so that wrong bytes never leave the store.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import blake3

from dsvc.model.encoding import hash_object
from dsvc.model.errors import CorruptDataError, ErasedError, MissingDataError
from dsvc.model.ids import Digest, PackId
from dsvc.store import block, pack
from dsvc.store.backend import Backend, Buffer, UnreadableError
from dsvc.store.block import Compressor, ItemType
from dsvc.store.pack import Footer, Location, PackWriter
from dsvc.store.pack_index import PackIndex

if TYPE_CHECKING:
    from dsvc.model.manifest import Entry
    from dsvc.store.tree_builder import Child

_CACHED_BLOCKS = 32


def id_of(data: bytes | memoryview, item_type: int) -> bytes:
    """Id that an object of these bytes has."""
    if item_type == ItemType.CHUNK:
        return blake3.blake3(data).digest()
    return bytes(hash_object(pack.ITEM_DOMAINS[ItemType(item_type)], data, Digest))


def check_id(id_: bytes, data: bytes | memoryview, item_type: int) -> bool:
    """Whether `data` is what the id says; of a type that there isn't, nothing is."""
    return item_type <= max(ItemType) and id_of(data, item_type) == bytes(id_)


class KnownNode(NamedTuple):
    """A node of a manifest that was read and checked.

    Attributes
    ----------
    level : int
        0 for a leaf.
    items : sequence of Entry or Child
        In order of paths.
    has_trees : bool
        Whether an entry stands for another manifest.
    files, size : int
        Entries below it, as it says itself, and the sum of their sizes.
    """

    level: int
    items: Sequence[Entry | Child]
    has_trees: bool
    files: int
    size: int


class ChunkStore:
    """Objects by id over a backend of packs.

    Parameters
    ----------
    backend : Backend
        Where packs lie.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.index = PackIndex(backend)
        self._blocks: OrderedDict[tuple[PackId, int], bytes | memoryview] = OrderedDict()
        self.nodes: dict[bytes, KnownNode] = {}
        """Nodes of manifests as they were decoded: versions, sources and runs share most of theirs."""
        self._writer: PackWriter | None = None
        self._compressor: Compressor | None = None
        self._new: dict[bytes, tuple[Buffer, int]] = {}
        self._put: set[bytes] = set()
        self.revive_erased = False
        self.put_bytes = 0
        self.published_bytes = 0

    # Writing

    def refuse_erased(self, id_: bytes) -> None:
        """Refuse to store again what was erased on purpose, so that the next `add` doesn't undo an erasure.

        Raises
        ------
        ErasedError
            If the only places of the object are erased ones and `revive_erased` is off.
        """
        if not self.revive_erased and self.index.find(bytes(id_)) is not None:
            raise ErasedError(
                f"object {id_.hex()[:12]} was erased on purpose and is not stored again",
                hint="leave the file out, or ask for erased content to be stored again",
                details={"id": id_.hex()},
            )

    def has(self, id_: bytes) -> bool:
        """Whether the object is stored (or was put since the last publish), erased ones excepted."""
        id_ = bytes(id_)
        if id_ in self._put:
            return True
        found = self.index.find(id_)
        return found is not None and not found[1].erased

    def put_chunk(self, id_: bytes, data: Buffer, *, raw: bool) -> bool:
        """Store a chunk under its BLAKE3, unless it's there; returns whether it was new.

        Raises
        ------
        ErasedError
            If it was erased on purpose and `revive_erased` is off.
        """
        if not self._is_new(id_):
            return False
        self._add(id_, data, ItemType.CHUNK, pack.STREAM_RAW if raw else pack.STREAM_TEXT)
        return True

    def put_object(self, id_: Digest, data: bytes, item_type: ItemType) -> bool:
        """Store a structured object, readable at once; returns whether it was new."""
        raw_id = bytes(id_)
        if not self._is_new(raw_id):
            return False
        self._new[raw_id] = (data, item_type)
        self._add(raw_id, data, item_type, pack.STREAM_OBJECTS)
        return True

    def _is_new(self, id_: bytes) -> bool:
        """Whether an object has to be stored; one look at the index, since every file asks."""
        if id_ in self._put:
            return False
        found = self.index.find(id_)
        if found is None:
            return True
        if found[1].erased:
            self.refuse_erased(id_)
            return True
        return False

    def _add(self, id_: bytes, data: Buffer, item_type: ItemType, stream: int) -> None:
        if self._writer is None:
            self._compressor = self._compressor or Compressor()
            self._writer = PackWriter(self.backend, self._compressor)
        self._put.add(id_)
        self.put_bytes += len(data)
        self._writer.put(id_, data, item_type, stream)

    @property
    def pack_is_full(self) -> bool:
        """Whether the pack being written has reached its size; the owner then publishes."""
        return self._writer is not None and self._writer.full

    def publish(self) -> PackId | None:
        """Make everything put so far durable; returns the new pack's id, or None if there's nothing."""
        if self._writer is None:
            return None
        writer, self._writer = self._writer, None
        try:
            name = writer.publish()
            self.published_bytes += writer.position
        except BaseException:
            writer.abandon()
            raise
        finally:
            self._new.clear()
            self._put.clear()
        self.index.reload()
        return name

    def abandon(self) -> None:
        """Throw away what was put since the last publish."""
        if self._writer is not None:
            self._writer.abandon()
            self._writer = None
        self._new.clear()
        self._put.clear()

    def forget(self) -> None:
        """Drop what is cached and read the pack list again: after gc, an erasure, a repair, or a wait.

        A writer calls it (or ``index.reload``) once it holds the store's lock, before its first lookup.
        """
        self._blocks.clear()
        self.nodes.clear()
        self.index.reload()

    # Reading

    def locate(self, id_: bytes) -> tuple[Footer, Location]:
        """Where an object lies; reloads the pack list once, then looks in the trash.

        Raises
        ------
        MissingDataError
            If no pack has it.
        ErasedError
            If it was erased on purpose.
        CorruptDataError
            If only a damaged footer says so.
        """
        found = self.index.find(id_)
        if found is None:
            self.index.reload()
            found = self.index.find(id_) or self.index.find_in_trash(id_)
        if found is None:
            raise MissingDataError(
                f"object {id_.hex()[:12]} is missing from the store",
                hint="run dsvc fsck --repair to look for it in the working tree and in other packs",
                details={"id": id_.hex()},
            )
        if found[1].erased:
            if not found[0].verify():
                raise CorruptDataError(f"the footer of pack {found[0].pack.short()} has wrong bytes")
            raise ErasedError(f"object {id_.hex()[:12]} was erased on purpose", details={"id": id_.hex()})
        return found

    def get(self, id_: bytes, *, item_type: int = ItemType.CHUNK) -> bytes | memoryview:
        """Read an object and check it against its id.

        Raises
        ------
        MissingDataError, ErasedError
            As `locate`.
        CorruptDataError
            If every stored copy is wrong.
        UnreadableError
            If the disk gives back none.
        """
        id_ = bytes(id_)
        new = self._new.get(id_)
        if new is not None and new[1] == item_type:
            return memoryview(new[0])
        try:
            footer, location = self.locate(id_)
            return self._read(footer, location, id_, item_type)
        except MissingDataError:
            # The pack went between the look into the index and the read: gc has moved what lives on.
            self.index.reload()
            footer, location = self.locate(id_)
            return self._read(footer, location, id_, item_type)
        except (CorruptDataError, UnreadableError):
            for other, place in self.index.places(id_, trash=True):
                if place.erased:
                    continue
                try:
                    return self._read(other, place, id_, item_type)
                except (CorruptDataError, MissingDataError, UnreadableError):
                    continue
            raise

    def _read(self, footer: Footer, location: Location, id_: bytes, item_type: int) -> bytes | memoryview:
        data = self.read_at(footer, location)
        if location.item_type != item_type or not check_id(id_, data, item_type):
            raise CorruptDataError(
                f"object {id_.hex()[:12]} in pack {footer.pack.short()} has wrong bytes",
                hint="run dsvc fsck --read-data --repair",
                details={"id": id_.hex(), "pack": footer.pack.hex()},
            )
        return data

    def read_at(self, footer: Footer, location: Location) -> bytes | memoryview:
        """Read the bytes at a location, unchecked; callers compare them with the id.

        Raises
        ------
        CorruptDataError
            If the location reaches beyond its block.
        """
        info = footer.block(location.block)
        end = location.offset + location.length
        if end > info.raw_length:
            raise CorruptDataError(f"pack {footer.pack.short()}: an object reaches beyond its block")
        if info.codec == block.Codec.RAW:
            return self.backend.read(footer.pack, info.offset + location.offset, location.length)
        return memoryview(self.block_bytes(footer, location.block))[location.offset : end]

    def block_bytes(self, footer: Footer, number: int) -> bytes | memoryview:
        """Decoded bytes of a block, from a small cache."""
        key = (footer.pack, number)
        known = self._blocks.get(key)
        if known is not None:
            return known
        info = footer.block(number)
        stored = self.backend.read(footer.pack, info.offset, info.stored_length)
        data = block.decode(info, stored, f"block {number} of pack {footer.pack.short()}")
        self._blocks[key] = data
        if len(self._blocks) > _CACHED_BLOCKS:
            self._blocks.popitem(last=False)
        return data
