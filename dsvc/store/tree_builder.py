"""Content-defined search trees: how sorted items become nodes.

A node ends after an item whose key hashes to a boundary, or before it would exceed the size limit. Both
depend on the items alone, so that one sequence of items has one tree, whatever the order of edits; equal
subtrees have equal ids. Byte layout: ``docs/format.md``, section *Manifest*.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import xxhash

from dsvc.model.encoding import decode, encode, hash_object
from dsvc.model.errors import MalformedInputError
from dsvc.model.ids import Digest, ListId, NodeId
from dsvc.model.manifest import ChunkRef
from dsvc.store.block import ItemType
from dsvc.store.chunk_store import ChunkStore

BOUNDARY_MASK: Final = 63
LIST_BOUNDARY_MASK: Final = 31
"""Chunk lists are cut finer: scattered edits rewrite fewer ids."""
MAX_NODE_BYTES: Final = 16 * 1024
MAX_LEVELS: Final = 12


class Child(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An item of an inner node: a subtree.

    Attributes
    ----------
    last : bytes
        Greatest path below.
    id : bytes
        Node id, 32 bytes.
    files : int
        Entries below.
    size : int
        Sum of their sizes in bytes.
    """

    last: bytes
    id: bytes
    files: int
    size: int


class InnerNode(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A node above others, as it is encoded."""

    level: int
    children: list[Child]


def encode_node(level: int, items: Sequence[bytes]) -> bytes:
    """Join encoded items to a node: msgpack ``[level, [item, …]]``."""
    count = len(items)
    head = bytes([0x90 | count]) if count < 16 else b"\xdc" + count.to_bytes(2, "big")
    return b"".join([b"\x92", bytes([level]), head, *items])


EMPTY_NODE: Final = b"\x92\x00\x90"
EMPTY_ROOT: Final = hash_object("node", EMPTY_NODE, NodeId)
"""Manifest without entries: known to everyone, stored nowhere."""


class _Level:
    """The node being built at one level."""

    __slots__ = ("bytes", "encoded", "files", "items", "last", "size")

    def __init__(self) -> None:
        self.items: list[bytes] = []
        self.size = self.files = self.bytes = 0
        self.last = b""


class TreeBuilder:
    """Feeds sorted items, emits nodes; whole untouched subtrees are passed through by reference.

    Parameters
    ----------
    store : ChunkStore
        Where nodes go.
    item_type : ItemType
        `ItemType.NODE` for a manifest, `ItemType.LIST` for a chunk list.
    """

    def __init__(self, store: ChunkStore, item_type: ItemType = ItemType.NODE) -> None:
        self._store = store
        self._item_type = item_type
        self._mask = LIST_BOUNDARY_MASK if item_type is ItemType.LIST else BOUNDARY_MASK
        self._levels: list[_Level] = [_Level()]
        self.last_path: bytes | None = None

    def in_step(self, level: int) -> bool:
        """Whether a subtree of `level` can be passed through: nothing is pending at it or below."""
        return not any(pending.items for pending in self._levels[: level + 1])

    def add(self, path: bytes, encoded: bytes, size: int) -> None:
        """Add an entry; paths must ascend.

        Raises
        ------
        MalformedInputError
            If a path doesn't come after the one before.
        """
        if self.last_path is not None and path <= self.last_path:
            raise MalformedInputError(f"manifest entries are not in order at {path[:200]!r}")
        self.last_path = path
        self._push(0, path, encoded, 1, size)

    def add_subtree(self, level: int, child: Child) -> None:
        """Pass an untouched node of `level` through."""
        self.last_path = child.last
        self._push(level + 1, child.last, encode(child), child.files, child.size)

    def add_chunk(self, id_: bytes | None, length: int) -> None:
        """Add a chunk or a hole to a chunk list."""
        encoded = encode(ChunkRef(length, id_))
        self._push(0, id_ or encoded, encoded, 1, length)

    def _push(self, level: int, key: bytes, encoded: bytes, files: int, size: int) -> None:
        while len(self._levels) <= level:
            self._levels.append(_Level())
        pending = self._levels[level]
        if pending.items and pending.size + len(encoded) > MAX_NODE_BYTES:
            self._emit(level)
            pending = self._levels[level]
        pending.items.append(encoded)
        pending.size += len(encoded)
        pending.files += files
        pending.bytes += size
        pending.last = key
        if xxhash.xxh3_64_intdigest(key, level) & self._mask == 0:
            self._emit(level)

    def _emit(self, level: int) -> None:
        pending = self._levels[level]
        id_ = self._store_node(encode_node(level, pending.items))
        child = Child(pending.last, bytes(id_), pending.files, pending.bytes)
        self._levels[level] = _Level()
        self._push(level + 1, child.last, encode(child), child.files, child.size)

    def _store_node(self, data: bytes) -> Digest:
        if self._item_type is ItemType.LIST:
            id_: Digest = hash_object("list", data, ListId)
        else:
            id_ = hash_object("node", data, NodeId)
        self._store.put_object(id_, data, self._item_type)
        return id_

    def finish(self) -> bytes:
        """Close every level; returns the root's id: the lowest level that is one node."""
        if len(self._levels) == 1 and not self._levels[0].items:
            return bytes(EMPTY_ROOT)
        level = 0
        while True:
            pending = self._levels[level]
            top = level == len(self._levels) - 1
            if top and len(pending.items) == 1 and level > 0:
                return self._collapse(decode(pending.items[0], Child, "manifest node"))
            if pending.items:
                self._emit(level)
            level += 1

    def _collapse(self, child: Child) -> bytes:
        """Descend while the root has one child only: the tree has no needless levels."""
        while True:
            data = self._store.get(child.id, item_type=self._item_type)
            if data[1] == 0 or data[2] != 0x91:
                return child.id
            child = decode(data, InnerNode, "tree node").children[0]
