"""What is compared: the bytes of a file by range, stored or in memory, and the chunks it is made of."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Final, Protocol

import blake3

from dsvc.model.errors import UsageError
from dsvc.model.manifest import ChunkClass, Entry
from dsvc.store.chunk_list import chunks_of
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.chunker import Chunker

WINDOW_BYTES: Final = 1 << 20
MAX_CHUNKS: Final = 4_000_000
_ID_BYTES: Final = 32


class DiffTooLargeError(UsageError):
    """A file has too many chunks to be compared by line (in text, more than about 40 GB)."""

    code = "diff-too-large"


class ChunkTable:
    """Ids and places of a file's chunks, 40 bytes each.

    Parameters
    ----------
    chunks : iterable of (bytes or None, int)
        Id and length in order; None is a hole.

    Raises
    ------
    DiffTooLargeError
        If there are more than `MAX_CHUNKS`.
    """

    def __init__(self, chunks: Iterable[tuple[bytes | None, int]]) -> None:
        self._ids = bytearray()
        self.offsets = array("Q", [0])
        """Where each chunk begins, and at last the length of the file."""
        for id_, length in chunks:
            # A hole's stand-in can't be a digest: nobody finds one with 24 zeros in front.
            self._ids += id_ if id_ is not None else length.to_bytes(_ID_BYTES, "big")
            self.offsets.append(self.offsets[-1] + length)
            if len(self.offsets) > MAX_CHUNKS:
                raise DiffTooLargeError(
                    f"a file of more than {MAX_CHUNKS} chunks is not compared by line",
                    hint="compare sizes and digests: dsvc diff --stat",
                )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def id(self, number: int) -> bytes:
        """Id of a chunk, or a hole's stand-in."""
        return bytes(self._ids[number * _ID_BYTES : (number + 1) * _ID_BYTES])

    def is_hole(self, number: int) -> bool:
        """Whether it is a hole."""
        return not any(self._ids[number * _ID_BYTES : number * _ID_BYTES + 24])

    def at(self, offset: int) -> int:
        """Number of the chunk that holds the byte at `offset`."""
        return bisect_right(self.offsets, offset) - 1


class Content(Protocol):
    """Bytes that can be read by range."""

    @property
    def size(self) -> int:
        """Length in bytes."""

    def windows(self, start: int, end: int) -> Iterator[bytes]:
        """Bytes from `start` to `end`, in pieces of at most about a mebibyte."""

    def table(self) -> ChunkTable:
        """Chunks of the whole."""


class Sliced(Protocol):
    """Bytes that are had by slices: `bytes`, a mapped file, or one that is read as it is asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> bytes: ...


class BufferContent:
    """Bytes in memory, or a file of the working tree that the caller opened.

    Parameters
    ----------
    data : Sliced
        The bytes; they must not change meanwhile.
    chunk_class : ChunkClass
        How the other side is cut, so that equal stretches give equal chunks.
    """

    def __init__(self, data: Sliced, chunk_class: ChunkClass = ChunkClass.TEXT) -> None:
        self._data = data
        self._chunk_class = chunk_class

    @property
    def size(self) -> int:
        """Length in bytes."""
        return len(self._data)

    def windows(self, start: int, end: int) -> Iterator[bytes]:
        """Bytes from `start` to `end` in pieces."""
        for offset in range(start, end, WINDOW_BYTES):
            yield self._data[offset : min(end, offset + WINDOW_BYTES)]

    def table(self) -> ChunkTable:
        """Cut it now and return its chunks."""
        return ChunkTable(self._cut())

    def _cut(self) -> Iterator[tuple[bytes, int]]:
        chunker, offset = Chunker(self._chunk_class), 0
        while offset < self.size:
            buffer = self._data[offset : offset + 16 * WINDOW_BYTES]
            start = 0
            for length in chunker.final_lengths(buffer, last=offset + len(buffer) == self.size):
                piece = memoryview(buffer)[start : start + length]
                yield blake3.blake3(piece).digest(), length
                start += length
            offset += start


class StoredContent:
    """A stored file, read chunk by chunk; each chunk is checked against its id.

    Parameters
    ----------
    store : ChunkStore
        Where it lies.
    entry : Entry
        What is read.
    """

    def __init__(self, store: ChunkStore, entry: Entry) -> None:
        self._store = store
        self._table = ChunkTable((chunk.id, chunk.length_bytes) for chunk in chunks_of(store, entry))
        self._last: tuple[int, bytes] = (-1, b"")

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self._table.offsets[-1]

    def table(self) -> ChunkTable:
        """Chunks of the whole."""
        return self._table

    def windows(self, start: int, end: int) -> Iterator[bytes]:
        """Bytes from `start` to `end` in pieces.

        Raises
        ------
        MissingDataError, ErasedError, CorruptDataError
            If a chunk can't be read.
        """
        number = self._table.at(start)
        while start < end:
            chunk_start, chunk_end = self._table.offsets[number], self._table.offsets[number + 1]
            stop = min(end, chunk_end)
            if self._table.is_hole(number):
                for offset in range(start, stop, WINDOW_BYTES):
                    yield bytes(min(stop - offset, WINDOW_BYTES))
            else:
                yield self._chunk(number)[start - chunk_start : stop - chunk_start]
            start, number = stop, number + 1

    def _chunk(self, number: int) -> bytes:
        # Lines and hunks are looked for in small steps; the chunk at hand is asked for again and again.
        if self._last[0] != number:
            self._last = (number, bytes(self._store.get(self._table.id(number))))
        return self._last[1]


def count_lines(content: Content, start: int, end: int) -> int:
    """How many lines begin between `start`, which is the start of one, and `end`."""
    found, last = 0, b"\n"
    for window in content.windows(start, end):
        found += window.count(b"\n")
        last = window[-1:]
    return found + (last != b"\n")


def skip_lines(content: Content, start: int, end: int, lines: int) -> int:
    """Where the line after the next `lines` begins, at most `end`."""
    offset = start
    for window in _growing(content, start, end):
        position = -1
        while lines:
            position = window.find(b"\n", position + 1)
            if position < 0:
                break
            lines -= 1
        if not lines:
            return offset + position + 1
        offset += len(window)
    return end


def skip_lines_back(content: Content, start: int, end: int, lines: int) -> int:
    """Where the line `lines` before the one at `end` begins, at least `start`; 0: the one around `end`."""
    step, stop = 4096, end
    missing = lines + 1
    while stop > start:
        begin = max(start, stop - step)
        window = b"".join(content.windows(begin, stop))
        position = len(window)
        while missing:
            position = window.rfind(b"\n", 0, position)
            if position < 0:
                break
            missing -= 1
        if not missing:
            return begin + position + 1
        step, stop = min(step * 4, WINDOW_BYTES), begin
    return start


def lines_between(content: Content, start: int, end: int) -> Iterator[bytes]:
    """Lines with their ends; the last one of a file may lack it."""
    parts: list[bytes] = []
    for window in content.windows(start, end):
        first, *others = window.split(b"\n")
        parts.append(first)
        for following in others:
            parts.append(b"\n")
            yield b"".join(parts)
            parts = [following]
    rest = b"".join(parts)
    if rest:
        yield rest


def _growing(content: Content, start: int, end: int) -> Iterator[bytes]:
    """Pieces that begin small: most lines end soon."""
    step = 4096
    while start < end:
        stop = min(end, start + step)
        yield from content.windows(start, stop)
        start, step = stop, min(step * 4, WINDOW_BYTES)
