"""The manifest: entries sorted by path in a content-defined search tree.

Only the nodes that a question needs are read; equal nodes are skipped by id. How nodes are cut:
`dsvc.store.tree_builder`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import lt

import msgspec

from dsvc.model.encoding import decode, encode
from dsvc.model.errors import CorruptDataError, MalformedInputError
from dsvc.model.ids import NodeId
from dsvc.model.manifest import MODE_TREE, Entry, check_entries
from dsvc.store.block import ItemType
from dsvc.store.chunk_store import ChunkStore, KnownNode
from dsvc.store.tree_builder import (
    EMPTY_NODE,
    EMPTY_ROOT,
    MAX_LEVELS,
    Child,
    InnerNode,
    TreeBuilder,
    encode_node,
)

_KNOWN_NODES = 1024
__all__ = [
    "EMPTY_ROOT",
    "Child",
    "Items",
    "LeafNode",
    "Manifest",
    "TreeBuilder",
    "encode_node",
    "last_path",
    "read_node",
]

Items = Sequence[Entry | Child]


class LeafNode(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A leaf of the manifest, as it is encoded."""

    level: int
    entries: list[Entry]


def read_node(store: ChunkStore, id_: NodeId) -> tuple[int, Items]:
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
        node = decode(data, InnerNode, f"manifest node {id_.short()}")
        _check_children(id_, node.children)
        return node.level, node.children
    entries = decode(data, LeafNode, f"manifest node {id_.short()}").entries
    check_entries(entries)
    paths = [entry.path for entry in entries]
    if not all(map(lt, paths, paths[1:])):
        raise MalformedInputError(f"manifest node {id_.short()}: entries out of order")
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
    """A manifest in a store, by its root; reads only the nodes it needs.

    Parameters
    ----------
    trees : bool
        Whether entries may stand for other manifests: in those of lineage, never in those of files.
    """

    def __init__(self, store: ChunkStore, root: NodeId, *, trees: bool = False) -> None:
        self.store = store
        self.root = root
        self._trees = trees

    def _read(self, id_: bytes) -> KnownNode:
        nodes = self.store.nodes
        known = nodes.get(id_)
        if known is None:
            level, items = read_node(self.store, NodeId(id_))
            has_trees = any(isinstance(each, Entry) and each.mode == MODE_TREE for each in items)
            files = sum(each.files if isinstance(each, Child) else 1 for each in items)
            known = KnownNode(level, items, has_trees, files, sum(each.size for each in items))
            if len(nodes) > _KNOWN_NODES:
                nodes.clear()
            nodes[id_] = known
        if known.has_trees and not self._trees:
            raise MalformedInputError(f"manifest node {id_.hex()[:12]}: a tree where only files can be")
        return known

    def node(self, id_: bytes) -> tuple[int, Items]:
        """Read a node that no parent speaks of, such as the root: its level and its items."""
        known = self._read(id_)
        return known.level, known.items

    def below(self, items: Items, position: int, level: int, after: bytes) -> tuple[Items, bytes]:
        """Read the node that a child stands for, and hold it against what its parent says of it.

        A child that is named twice, or says less than it holds, would give a path twice, or a folder of
        any size from a few bytes.

        Parameters
        ----------
        items : sequence of Entry or Child
            The parent's items.
        position : int
            Which of them it is.
        level : int
            Level of the parent.
        after : bytes
            Greatest path before the parent; empty where there is none.

        Returns
        -------
        items : sequence of Entry or Child
            Its items.
        after : bytes
            Greatest path before it.

        Raises
        ------
        CorruptDataError
            If it is of another level.
        MalformedInputError
            If it has other paths, or another number or size of entries.
        """
        said = items[position]
        assert isinstance(said, Child)
        if position:
            after = last_path(items[position - 1])
        known = self._read(said.id)
        name = f"manifest node {said.id.hex()[:12]}"
        if known.level != level - 1:
            raise CorruptDataError(f"{name} is of another level than its parent says")
        if not known.items or (last_path(known.items[-1]), known.files, known.size) != (
            said.last,
            said.files,
            said.size,
        ):
            raise MalformedInputError(f"{name} is not what its parent says of it")
        first = known.items[0]
        if isinstance(first, Entry) and first.path <= after:
            raise MalformedInputError(f"{name} begins before the one before it ends")
        return known.items, after

    def totals(self) -> tuple[int, int]:
        """Number of entries and sum of their sizes, from the root alone."""
        _, items = self.node(bytes(self.root))
        files = sum(item.files if isinstance(item, Child) else 1 for item in items)
        return files, sum(item.size for item in items)

    def get(self, path: bytes) -> Entry | None:
        """Entry of a path, or None."""
        found = self.first_from(path)
        return found if found is not None and found.path == path else None

    def first_from(self, low: bytes) -> Entry | None:
        """First entry whose path is `low` or after it, or None."""
        level, items = self.node(bytes(self.root))
        after = b""
        while True:
            position = bisect_left(items, low, key=last_path)
            if position == len(items):
                return None
            item = items[position]
            if isinstance(item, Entry):
                return item
            items, after = self.below(items, position, level, after)
            level -= 1

    def entries(self, prefix: bytes = b"") -> Iterator[Entry]:
        """Entries in order; with `prefix` only that path and what lies below the folder of that name."""
        if not prefix:
            yield from self._range(*self.node(bytes(self.root)), b"", b"", None)
            return
        exact = self.get(prefix)
        if exact is not None:
            yield exact
        yield from self._range(*self.node(bytes(self.root)), b"", prefix + b"/", prefix + b"0")

    def _range(
        self, level: int, items: Items, after: bytes, low: bytes, high: bytes | None
    ) -> Iterator[Entry]:
        for position in range(bisect_left(items, low, key=last_path), len(items)):
            item = items[position]
            if isinstance(item, Entry):
                if high is not None and item.path >= high:
                    return
                yield item
            else:
                yield from self._range(level - 1, *self.below(items, position, level, after), low, high)
                if high is not None and item.last >= high:
                    return

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
        self._rebuild(builder, cursor, level, items, b"", rightmost=True)
        cursor.drain(builder, None)
        return NodeId(builder.finish())

    def _rebuild(
        self,
        builder: TreeBuilder,
        cursor: _Changes,
        level: int,
        items: Items,
        after: bytes,
        *,
        rightmost: bool,
    ) -> None:
        """Feed a node's items, changed; `rightmost` nodes also take what comes after all items."""
        for position, item in enumerate(items):
            if isinstance(item, Entry):
                cursor.drain(builder, item.path)
                if not cursor.take(builder, item.path):
                    builder.add(item.path, encode(item), item.size)
                continue
            last_of_all = rightmost and position == len(items) - 1
            untouched = cursor.path is None or (not last_of_all and cursor.path > item.last)
            if untouched and builder.in_step(level - 1):
                builder.add_subtree(level - 1, item)
            else:
                below = self.below(items, position, level, after)
                self._rebuild(builder, cursor, level - 1, *below, rightmost=last_of_all)


def last_path(item: Entry | Child) -> bytes:
    """Greatest path of an item: its own, or the last one below it."""
    return item.path if isinstance(item, Entry) else item.last


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
