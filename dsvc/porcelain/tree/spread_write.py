"""One large file written by several workers: its chunks, segment by segment, into a temporary file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import blake3
import msgspec

from dsvc.fs import files
from dsvc.fs.beneath import Beneath, NotAFolderError
from dsvc.model.errors import CorruptDataError, MissingDataError, StorageError
from dsvc.model.manifest import Entry
from dsvc.store.chunk_list import chunks_of
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.ingest import open_file

SPREAD_BYTES: Final = 32 * 1024 * 1024
"""From this size on the chunks of one file are written by several workers."""
_SEGMENT_BYTES = 4 * 1024 * 1024
_MOST_PLACES = 1_000_000


class SegmentTask(msgspec.Struct, frozen=True, array_like=True, tag="segment"):
    """Chunks to write at an offset of a temporary file.

    Attributes
    ----------
    chunks : list of (length, id or None, place)
        In order; `place` is where the file that is replaced has these bytes, or -1.
    source : bytes
        Path of the file that is replaced.
    """

    path: str
    offset: int
    chunks: list[tuple[int, bytes | None, int]]
    source: bytes


def can_spread(tree: Beneath, entry: Entry, temporary: str) -> bool:
    """Whether a file is large enough, and goes to the file system of the temporary folder."""
    if entry.chunks is None or entry.size < SPREAD_BYTES:
        return False
    path = entry.path
    while path:
        path = path.rpartition(b"/")[0]
        stat = tree.lstat(path) if path else os.fstat(tree.root_fd)
        if stat is not None:
            return stat.st_dev == os.stat(temporary).st_dev
    return False


def _places(store: ChunkStore, old: Entry | None) -> dict[bytes, int]:
    """Where a file of the working tree has which chunk; a copy spares decompressing it."""
    places: dict[bytes, int] = {}
    if old is None or old.chunks is None:
        return places
    position = 0
    with suppress(CorruptDataError, MissingDataError, StorageError):  # it only spares work
        for chunk in chunks_of(store, old):
            if chunk.id is not None:
                places[chunk.id] = position
            if len(places) > _MOST_PLACES:
                break
            position += chunk.length_bytes
    return places


def segment_tasks(
    store: ChunkStore, entry: Entry, temporary: str, old: Entry | None
) -> Iterator[SegmentTask]:
    """Split the writing of a file into tasks; `old` is what the working tree holds at its path, if known."""
    places = _places(store, old)
    batch: list[tuple[int, bytes | None, int]] = []
    start = position = 0
    for chunk in chunks_of(store, entry):
        place = -1 if chunk.id is None else places.get(chunk.id, -1)
        batch.append((chunk.length_bytes, chunk.id, place))
        position += chunk.length_bytes
        if position - start >= _SEGMENT_BYTES:
            yield SegmentTask(temporary, start, batch, entry.path)
            batch, start = [], position
    if batch:
        yield SegmentTask(temporary, start, batch, entry.path)


def write_segment(store: ChunkStore, tree: Beneath, task: SegmentTask) -> None:
    """Write the chunks of a task; each is checked against its id, wherever it comes from."""
    source = -1
    if any(place >= 0 for _, _, place in task.chunks):
        try:
            folder, name = tree.split(task.source)
            source = open_file(name, folder)
        except (OSError, NotAFolderError):
            source = -1
    fd = os.open(task.path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        gathered: list[bytes | memoryview] = []
        start = position = task.offset
        for length, id_, place in task.chunks:
            if id_ is None:
                files.pwritev(fd, gathered, start, task.path)
                gathered, start = [], position + length
            else:
                gathered.append(_chunk(store, source, id_, place, length))
            position += length
        files.pwritev(fd, gathered, start, task.path)
    finally:
        os.close(fd)
        if source >= 0:
            os.close(source)


def _chunk(store: ChunkStore, source: int, id_: bytes, place: int, length: int) -> bytes | memoryview:
    if source >= 0 and place >= 0:
        data = os.pread(source, length, place)
        if blake3.blake3(data).digest() == id_:
            return data
    return store.get(id_)
