"""One large file on all cores: cut here in one pass, hashed and compressed in workers.

The parent reads the file once, finds the cut points and the digests of the whole; each worker reads its
segments again, from the page cache, and stores their chunks in its own pack. That all readings saw one
version is checked by the file's stat at the end.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from typing import Final

import blake3
import msgspec
import xxhash

from dsvc.fs.files import storage_error
from dsvc.model.manifest import ChunkClass, ChunkRef, Entry
from dsvc.store.chunk_list import write_list
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.chunker import Chunker
from dsvc.store.content import SNIFF_BYTES, Describe, Describer, sniff
from dsvc.store.ingest import (
    ATTEMPTS,
    Content,
    FileStat,
    UnstableFileError,
    class_at,
    facts_of,
    is_gone,
    open_file,
    store_chunk,
)

READ_BYTES: Final = 4 * 1024 * 1024
_ZEROS: Final = bytes(4 * 1024 * 1024)


class Segment(msgspec.Struct, frozen=True, array_like=True, tag="segment"):
    """Consecutive chunks of a file for one worker: where they start, and their lengths."""

    number: int
    path: bytes
    offset: int
    lengths: list[int]
    raw: bool
    stat: tuple[int, ...]


class Digests:
    """The digests of the logical bytes of a whole file."""

    def __init__(self) -> None:
        self._strong = blake3.blake3(max_threads=1)
        self._quick = xxhash.xxh3_128()

    def update(self, data: bytes | memoryview) -> None:
        """Take further bytes."""
        self._strong.update(data)
        self._quick.update(data)

    def zeros(self, length: int) -> None:
        """Take a hole."""
        while length:
            part = min(length, len(_ZEROS))
            self.update(_ZEROS if part == len(_ZEROS) else _ZEROS[:part])
            length -= part

    def result(self) -> tuple[bytes, bytes]:
        """BLAKE3-256 and XXH3-128."""
        return self._strong.digest(), self._quick.digest()


def extents(fd: int, size: int) -> Iterator[tuple[int, int, bool]]:
    """Data and holes of a file in order, as (offset, length, is_hole)."""
    if os.fstat(fd).st_blocks * 512 >= size:
        yield 0, size, False
        return
    position = 0
    while position < size:
        try:
            data = os.lseek(fd, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                yield position, size - position, True
                return
            yield position, size - position, False
            return
        data = min(data, size)
        if data > position:
            yield position, data - position, True
        if data >= size:
            return
        end = min(os.lseek(fd, data, os.SEEK_HOLE), size)
        yield data, end - data, False
        position = end


def read_range(fd: int, offset: int, length: int) -> bytes:
    """Read a range; short only where the file ends."""
    data = b""
    while len(data) < length:
        more = os.pread(fd, length - len(data), offset + len(data))
        if not more:
            break
        data += more
    return data


def read_into(fd: int, part: memoryview, offset: int) -> bool:
    """Fill a buffer from a file; returns whether the file was long enough."""
    while part:
        count = os.preadv(fd, [part], offset)
        if not count:
            return False
        part, offset = part[count:], offset + count
    return True


class Plan:
    """Cut points of one reading of a file, handed out segment by segment."""

    def __init__(
        self, path: bytes, stat: FileStat, chunk_class: ChunkClass, describer: Describer | None = None
    ) -> None:
        self.path = path
        self.stat = stat
        self.raw = chunk_class is ChunkClass.RAW
        self._class = chunk_class
        self._describer = describer
        self.layout: list[tuple[int, int]] = []
        """Chunks as (length, segment number) and holes as (length, -1), in order."""
        self.segments = 0

    def cut(self, fd: int, digests: Digests, progress: Callable[[int], None]) -> Iterator[Segment]:
        """Read the whole file once, yielding segments as their cut points are settled."""
        for offset, length, hole in extents(fd, self.stat.size):
            if hole:
                digests.zeros(length)
                self.layout.append((length, -1))
                if self._describer is not None:
                    self._describer.feed(b"\0")  # one zero is as good as many: no line ends here
                progress(length)
            else:
                yield from self._cut_extent(fd, offset, length, digests, progress)

    def _cut_extent(
        self, fd: int, offset: int, length: int, digests: Digests, progress: Callable[[int], None]
    ) -> Iterator[Segment]:
        chunker = Chunker(self._class)
        buffer = memoryview(bytearray(2 * READ_BYTES))
        kept = 0  # bytes at the buffer's start that are not cut yet
        end = offset + length
        while offset < end:
            part = buffer[kept : kept + min(READ_BYTES, end - offset)]
            if not read_into(fd, part, offset):
                raise UnstableFileError("it became shorter while it was read")
            digests.update(part)
            start = offset - kept
            offset += len(part)
            filled = kept + len(part)
            lengths = chunker.final_lengths(buffer[:filled], last=offset >= end)
            yield self._segment(start, lengths)
            if self._describer is not None:  # after the first segment, for which the workers are forked
                self._describer.feed(part)
            settled = sum(lengths)
            kept = filled - settled
            buffer[:kept] = buffer[settled:filled]
            progress(len(part))

    def _segment(self, offset: int, lengths: list[int]) -> Segment:
        number, self.segments = self.segments, self.segments + 1
        self.layout.extend((length, number) for length in lengths)
        return Segment(number, self.path, offset, lengths, self.raw, tuple(self.stat))

    def refs(self, ids: dict[int, bytes]) -> Iterator[ChunkRef]:
        """Chunk list from the ids that the segments' replies brought (32 bytes a chunk, in order)."""
        replies = (ids[number] for number in range(self.segments))
        each = (reply[at : at + 32] for reply in replies for at in range(0, len(reply), 32))
        for length, number in self.layout:
            yield ChunkRef(length, None if number < 0 else next(each))


def store_segment(store: ChunkStore, fd: int, segment: Segment) -> bytes:
    """Store the chunks of a segment; returns their ids, joined.

    Raises
    ------
    UnstableFileError
        If the file ended early.
    """
    data = memoryview(read_range(fd, segment.offset, sum(segment.lengths)))
    ids, position = [], 0
    for length in segment.lengths:
        part = data[position : position + length]
        if len(part) != length:
            raise UnstableFileError("it became shorter while it was read")
        ids.append(store_chunk(store, part, raw=segment.raw))
        position += length
    return b"".join(ids)


def store_large(
    store: ChunkStore,
    path: bytes,
    name: bytes,
    dir_fd: int,
    old: Entry | None,
    describe: Describe,
    store_segments: Callable[[Iterator[Segment], int], dict[int, bytes]],
    progress: Callable[[int], None] = lambda _: None,
) -> tuple[Content, FileStat]:
    """Store a large file, reading it again (at most three times) where it changes meanwhile.

    Parameters
    ----------
    path : bytes
        Its path in the working tree.
    name, dir_fd : bytes, int
        Where to open it.
    describe : Describe
        Counts the rows of tables.
    store_segments : callable
        Has the segments stored (here or in workers) and returns the ids by segment number; its second
        argument is an open descriptor of the file.

    Raises
    ------
    UnstableFileError, StorageError
        As `dsvc.store.ingest.read_stable`.
    """
    try:
        for _ in range(ATTEMPTS):
            fd = _open_again(name, dir_fd)
            try:
                found = _store_once(store, path, fd, old, describe, store_segments, progress)
            except UnstableFileError:
                continue
            finally:
                os.close(fd)
            if found is not None:
                return found
    except OSError as error:
        raise storage_error(error, "read", path) from error
    raise UnstableFileError("it changed while it was read, three times")


def _open_again(name: bytes, dir_fd: int) -> int:
    """Open a file that was there, and was a large one, when its folder was listed."""
    try:
        return open_file(name, dir_fd)
    except OSError as error:
        if is_gone(error):
            raise UnstableFileError("it changed while it was read") from error
        raise


def _store_once(
    store: ChunkStore,
    path: bytes,
    fd: int,
    old: Entry | None,
    describe: Describe,
    store_segments: Callable[[Iterator[Segment], int], dict[int, bytes]],
    progress: Callable[[int], None],
) -> tuple[Content, FileStat] | None:
    stat = FileStat.of(os.fstat(fd))
    look = sniff(path, os.pread(fd, SNIFF_BYTES, 0))
    describer = None if look.table is None else describe(look.table, stat.size)
    chunk_class = class_at(old, look)
    plan, digests = Plan(path, stat, chunk_class, describer), Digests()
    ids = store_segments(plan.cut(fd, digests, progress), fd)
    facts = facts_of(describer, fd)
    if FileStat.of(os.fstat(fd)) != stat:
        return None
    digest, xxh3 = digests.result()
    root: bytes | None = None
    if len(plan.layout) > 1 or (plan.layout and plan.layout[0][1] < 0):
        root = bytes(write_list(store, plan.refs(ids)))
    return Content(stat.size, digest, xxh3, chunk_class, root, look.kind, *facts), stat
