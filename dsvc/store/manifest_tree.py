"""The manifest: a content-defined search tree of entries sorted by path.

A node ends after an item whose key hashes to a boundary, or before it would exceed the size limit. Both
depend on the items alone, so that one set of entries has one tree, whatever the order of edits; equal
subtrees have equal ids and are skipped. Byte layout: ``docs/format.md``, section *Manifest*.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import msgspec
import xxhash

from dsvc.model.encoding import decode, encode, hash_object
from dsvc.model.errors import CorruptDataError, MalformedInputError
from dsvc.model.ids import Digest, ListId, NodeId
from dsvc.model.manifest import ChunkRef, Entry, check_entry
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


def encode_node(level: int, items: Sequence[bytes]) -> bytes:
    """Join encoded items to a node: msgpack ``[level, [item, …]]``."""
    count = len(items)
    head = bytes([0x90 | count]) if count < 16 else b"\xdc" + count.to_bytes(2, "big")
    return b"".join([b"\x92", bytes([level]), head, *items])


def is_boundary(level: int, key: bytes, mask: int = BOUNDARY_MASK) -> bool:
    """Whether a node of `level` ends after the item with this key."""
    return xxhash.xxh3_64_intdigest(key, level) & mask == 0


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
        """Add an entry; paths must ascend."""
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
            child = decode(data, _INNER, "tree node")[1][0]


_LEAF = tuple[int, list[Entry]]
_INNER = tuple[int, list[Child]]


def read_node(store: ChunkStore, id_: NodeId) -> tuple[int, list[Entry] | list[Child]]:
    """Read a node and check its shape.

    Returns
    -------
    level : int
        0 for a leaf.
    items : list of Entry or list of Child
        In order of paths.

    Raises
    ------
    MalformedInputError
        If it is no node that dsvc writes.
    """
    data = EMPTY_NODE if id_ == EMPTY_ROOT else store.get(id_, item_type=ItemType.NODE)
    if len(data) < 3 or data[0] != 0x92 or data[1] >= MAX_LEVELS:
        raise MalformedInputError(f"manifest node {id_.short()} is malformed")
    if data[1]:
        level, children = decode(data, _INNER, f"manifest node {id_.short()}")
        _check_children(id_, children)
        return level, children
    _, entries = decode(data, _LEAF, f"manifest node {id_.short()}")
    last = b""
    for entry in entries:
        check_entry(entry)
        if entry.path <= last:
            raise MalformedInputError(f"manifest node {id_.short()}: entries out of order")
        last = entry.path
    return 0, entries


def _check_children(id_: NodeId, children: list[Child]) -> None:
    last = b""
    for child in children:
        if len(child.id) != 32 or child.last <= last or child.files < 1 or child.size < 0:
            raise MalformedInputError(f"manifest node {id_.short()}: wrong child")
        last = child.last
    if not children:
        raise MalformedInputError(f"manifest node {id_.short()}: no children")


class Manifest:
    """A manifest in a store, by its root; reads only the nodes it needs."""

    def __init__(self, store: ChunkStore, root: NodeId) -> None:
        self.store = store
        self.root = root
        self._cache: dict[bytes, tuple[int, list[Entry] | list[Child]]] = {}

    def node(self, id_: bytes, level: int | None = None) -> tuple[int, list[Entry] | list[Child]]:
        """Read a node; `level` is what its parent implies."""
        known = self._cache.get(id_)
        if known is None:
            known = read_node(self.store, NodeId(id_))
            if len(self._cache) > 512:
                self._cache.clear()
            self._cache[id_] = known
        if level is not None and known[0] != level:
            raise CorruptDataError(f"manifest node {id_.hex()[:12]} is of another level than its parent says")
        return known

    def totals(self) -> tuple[int, int]:
        """Number of entries and sum of their sizes, from the root alone."""
        level, items = self.node(bytes(self.root))
        if level == 0:
            return len(items), sum(e.size for e in items)  # type: ignore[union-attr]
        return sum(c.files for c in items), sum(c.size for c in items)  # type: ignore[union-attr]

    def get(self, path: bytes) -> Entry | None:
        """Entry of a path, or None."""
        id_, level = bytes(self.root), None
        while True:
            level, items = self.node(id_, level)
            position = _first_at_or_after(items, path, level)
            if position == len(items):
                return None
            item = items[position]
            if level == 0:
                return item if item.path == path else None  # type: ignore[union-attr,return-value]
            id_, level = item.id, level - 1  # type: ignore[union-attr]

    def entries(self, prefix: bytes = b"") -> Iterator[Entry]:
        """Entries in order; with `prefix` only that path and what lies below the folder of that name."""
        if not prefix:
            yield from self._range(bytes(self.root), None, b"", None)
            return
        exact = self.get(prefix)
        if exact is not None:
            yield exact
        yield from self._range(bytes(self.root), None, prefix + b"/", prefix + b"0")

    def _range(self, id_: bytes, level: int | None, low: bytes, high: bytes | None) -> Iterator[Entry]:
        level, items = self.node(id_, level)
        for item in items[_first_at_or_after(items, low, level) :]:
            if level:
                yield from self._range(item.id, level - 1, low, high)  # type: ignore[union-attr]
                if high is not None and item.last >= high:  # type: ignore[union-attr]
                    return
            else:
                if high is not None and item.path >= high:  # type: ignore[union-attr]
                    return
                yield item  # type: ignore[misc]

    def update(
        self,
        changes: Iterable[tuple[bytes, Entry | bytes | None]],
        sizes: Callable[[bytes], int] | None = None,
    ) -> NodeId:
        """Apply changes and return the new root; only touched nodes are read and written.

        Parameters
        ----------
        changes : iterable of (path, Entry or encoded Entry or None)
            Sorted by path, each path once; None removes.
        sizes : callable, optional
            Size of an encoded entry, needed where entries come encoded.
        """
        cursor = _Changes(changes, sizes)
        builder = TreeBuilder(self.store)
        level, items = self.node(bytes(self.root))
        if items:
            self._rebuild(builder, cursor, level, items, rightmost=True)
        cursor.drain(builder, None)
        return NodeId(builder.finish())

    def _rebuild(
        self,
        builder: TreeBuilder,
        cursor: _Changes,
        level: int,
        items: list[Entry] | list[Child],
        *,
        rightmost: bool,
    ) -> None:
        if level == 0:
            for entry in items:
                cursor.drain(builder, entry.path)  # type: ignore[union-attr]
                if not cursor.take(builder, entry.path):  # type: ignore[union-attr]
                    builder.add(entry.path, encode(entry), entry.size)  # type: ignore[union-attr]
            return
        for position, child in enumerate(items):
            last_of_all = rightmost and position == len(items) - 1
            untouched = cursor.path is None or (not last_of_all and cursor.path > child.last)  # type: ignore[union-attr]
            if untouched and builder.in_step(level - 1):
                builder.add_subtree(level - 1, child)  # type: ignore[arg-type]
            else:
                below, nodes = self.node(child.id, level - 1)  # type: ignore[union-attr]
                self._rebuild(builder, cursor, below, nodes, rightmost=last_of_all)


def _first_at_or_after(items: Sequence[Entry] | Sequence[Child], path: bytes, level: int) -> int:
    low, high = 0, len(items)
    while low < high:
        middle = (low + high) >> 1
        item = items[middle]
        key = item.last if level else item.path  # type: ignore[union-attr]
        if key < path:
            low = middle + 1
        else:
            high = middle
    return low


class _Changes:
    """The next change, and how it enters a builder."""

    def __init__(
        self, changes: Iterable[tuple[bytes, Entry | bytes | None]], sizes: Callable[[bytes], int] | None
    ) -> None:
        self._iterator = iter(changes)
        self._sizes = sizes
        self.path: bytes | None = None
        self._value: Entry | bytes | None = None
        self._next()

    def _next(self) -> None:
        self.path, self._value = next(self._iterator, (None, None))

    def _apply(self, builder: TreeBuilder) -> None:
        value = self._value
        assert self.path is not None
        if isinstance(value, Entry):
            builder.add(self.path, encode(value), value.size)
        elif value is not None:
            assert self._sizes is not None
            builder.add(self.path, value, self._sizes(value))
        self._next()

    def drain(self, builder: TreeBuilder, before: bytes | None) -> None:
        """Apply the changes of paths before `before` (None: all)."""
        while self.path is not None and (before is None or self.path < before):
            self._apply(builder)

    def take(self, builder: TreeBuilder, path: bytes) -> bool:
        """Apply the change of `path`, if that's the next one."""
        if self.path != path:
            return False
        self._apply(builder)
        return True
