"""Which chunk of a file holds a byte: found by descending its chunk list, whatever the file's length."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import NamedTuple

from dsvc.model.errors import CorruptDataError, MalformedInputError
from dsvc.model.manifest import ChunkRef, Entry
from dsvc.model.paths import display_path
from dsvc.store.chunk_list import read_list_node
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.manifest_tree import Child


class Extent(NamedTuple):
    """A chunk or a hole and where it begins in the file, in bytes."""

    start: int
    chunk: ChunkRef

    @property
    def end(self) -> int:
        """Where the next one begins."""
        return self.start + self.chunk.length_bytes


class _Node(NamedTuple):
    """A node of the chunk list: where each item begins, and at last where the node ends."""

    offsets: list[int]
    items: list[ChunkRef] | list[Child]
    level: int


class ChunkMap:
    """Finds chunks by offset; keeps one node of each level, so that reading on costs next to nothing.

    Parameters
    ----------
    store : ChunkStore
        Where the chunk list is.
    entry : Entry
        The file.
    """

    def __init__(self, store: ChunkStore, entry: Entry) -> None:
        self._store = store
        self._entry = entry
        self._path: list[_Node] = []

    def at(self, offset: int) -> Extent:
        """Chunk that holds the byte at `offset`, which must be inside the file.

        Raises
        ------
        MissingDataError, CorruptDataError
            If the chunk list can't be read.
        MalformedInputError
            If a node covers another length than the node above or the entry says.
        """
        entry = self._entry
        if entry.chunks is None:
            return Extent(0, ChunkRef(entry.size, entry.digest))
        while self._path and not self._path[-1].offsets[0] <= offset < self._path[-1].offsets[-1]:
            self._path.pop()
        if not self._path:
            self._path.append(self._open(entry.chunks, 0, entry.size, None))
        while True:
            offsets, items, level = self._path[-1]
            number = bisect_right(offsets, offset) - 1
            item = items[number]
            if isinstance(item, ChunkRef):
                return Extent(offsets[number], item)
            self._path.append(self._open(item.id, offsets[number], item.size, level - 1))

    def _open(self, id_: bytes, start: int, length: int, expected: int | None) -> _Node:
        level, items = read_list_node(self._store, id_)
        sizes = (item.length_bytes if isinstance(item, ChunkRef) else item.size for item in items)
        offsets = list(accumulate(sizes, initial=start))
        if offsets[-1] - start != length or expected not in (None, level):
            raise MalformedInputError(
                f"chunk list {id_.hex()[:12]} has another length or level than it should"
            )
        return _Node(offsets, items, level)

    def read(self, extent: Extent) -> bytes | memoryview:
        """Bytes of a chunk, checked; a hole has none.

        Raises
        ------
        MissingDataError, ErasedError, CorruptDataError
            If they can't be had.
        """
        if extent.chunk.id is None:
            return b""
        data = self._store.get(extent.chunk.id)
        if len(data) != extent.chunk.length_bytes:
            raise CorruptDataError(
                f"chunk {extent.chunk.id.hex()[:12]} of {display_path(self._entry.path)} has another length "
                "than its list says"
            )
        return data
