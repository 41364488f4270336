"""Chunk lists: which chunks and holes a file of many chunks is made of, in order.

The same kind of content-defined tree as the manifest; an item is a chunk or a hole, an inner item carries
the length below it. Byte layout: ``docs/format.md``, section *Chunk list*.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from dsvc.model.encoding import decode
from dsvc.model.errors import MalformedInputError
from dsvc.model.ids import ListId
from dsvc.model.manifest import ChunkRef, Entry
from dsvc.store.block import MAX_ITEM_BYTES, ItemType
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.tree_builder import MAX_LEVELS, Child, InnerNode, TreeBuilder


class ListNode(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A leaf of a chunk list, as it is encoded."""

    level: int
    chunks: list[ChunkRef]


def write_list(store: ChunkStore, chunks: Iterable[ChunkRef]) -> ListId:
    """Store a chunk list and return its root."""
    builder = TreeBuilder(store, ItemType.LIST)
    for chunk in chunks:
        builder.add_chunk(chunk.id, chunk.length_bytes)
    return ListId(builder.finish())


def read_list_node(store: ChunkStore, id_: bytes) -> tuple[int, list[ChunkRef] | list[Child]]:
    """Read one node of a chunk list: its level (0 for a leaf) and its items.

    Raises
    ------
    MalformedInputError
        For a chunk of no or negative length, a hole of no length, a wrong level.
    """
    data = store.get(id_, item_type=ItemType.LIST)
    what = f"chunk list {id_.hex()[:12]}"
    if len(data) < 3 or data[0] != 0x92 or data[1] >= MAX_LEVELS:
        raise MalformedInputError(f"{what} is malformed")
    if data[1]:
        node = decode(data, InnerNode, what)
        if not node.children or any(len(c.id) != 32 or c.size < 1 or c.files < 1 for c in node.children):
            raise MalformedInputError(f"{what}: wrong child")
        return node.level, node.children
    chunks = decode(data, ListNode, what).chunks
    for chunk in chunks:
        if chunk.length_bytes < 1 or (
            chunk.id is not None and (len(chunk.id) != 32 or chunk.length_bytes > MAX_ITEM_BYTES)
        ):
            raise MalformedInputError(f"{what}: a chunk of {chunk.length_bytes} bytes")
    return 0, chunks


def read_list(store: ChunkStore, root: bytes, size: int) -> Iterator[ChunkRef]:
    """Chunks of a list in order, read lazily.

    Parameters
    ----------
    size : int
        Length of the file in bytes, which the chunks must sum to.

    Raises
    ------
    MalformedInputError
        If the list is no list that dsvc writes, or is longer or shorter than the file.
    """
    total = 0
    for chunk in _walk(store, root, None):
        total += chunk.length_bytes
        if total > size:
            break
        yield chunk
    if total != size:
        raise MalformedInputError(
            f"chunk list {root.hex()[:12]} covers another length than its file's {size}"
        )


def _walk(store: ChunkStore, id_: bytes, expected: int | None) -> Iterator[ChunkRef]:
    level, items = read_list_node(store, id_)
    if expected is not None and level != expected:
        raise MalformedInputError(f"chunk list {id_.hex()[:12]} is of another level than its parent says")
    for item in items:
        if isinstance(item, Child):
            yield from _walk(store, item.id, level - 1)
        else:
            yield item


def chunks_of(store: ChunkStore, entry: Entry) -> Iterator[ChunkRef]:
    """Chunks of any entry: none for an empty one, one where the digest is the chunk's id."""
    if entry.chunks is not None:
        yield from read_list(store, entry.chunks, entry.size)
    elif entry.size:
        yield ChunkRef(entry.size, entry.digest)
