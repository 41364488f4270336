"""The entry of a file: made here, so that one file has one entry whichever verb stores it.

The store sees bytes; what a table says of its rows and columns is asked of `dsvc.table`, which is loaded when
the first table comes.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import BinaryIO, cast

import blake3
import msgspec
import xxhash

from dsvc.model.errors import DsvcError
from dsvc.model.manifest import MODE_DIRECTORY, Entry
from dsvc.model.table_kind import TableKind, kind_by_name
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.content import NO_FACTS, SNIFF_BYTES, Describer, Facts, FactsOfBytes, sniff
from dsvc.store.ingest import FileStat, examine_file, store_bytes
from dsvc.store.large_file import Segment, store_large

_BUFFER_BYTES = 1 << 20
_NO_BYTES = blake3.blake3(b"").digest(), xxhash.xxh3_128_digest(b"")
StoreSegments = Callable[[Iterator[Segment], int], dict[int, bytes]]


def describe(table: TableKind, size: int) -> Describer:
    """Make the describer of a table of `size` bytes."""
    from dsvc.table.describing.describe import Description

    return Description(table, size)


def table_reader() -> FactsOfBytes:
    """Load what describes tables that are in memory."""
    from dsvc.table.describing.describe import describe_bytes

    return describe_bytes


def facts_of_bytes(table: TableKind, data: bytes) -> Facts:
    """Describe a table that is in memory."""
    return table_reader()(table, data)


def folder_entry(path: bytes) -> Entry:
    """Entry of an empty folder."""
    return Entry(path, MODE_DIRECTORY, 0, *_NO_BYTES)


def entry_of_bytes(store: ChunkStore, path: bytes, mode: int, data: bytes, old: Entry | None = None) -> Entry:
    """Store a file that is in memory.

    Parameters
    ----------
    old : Entry or None
        What stood at its path: how it is cut is kept.
    """
    return store_bytes(store, path, data, old, facts_of_bytes).entry(path, mode)


def entry_of_large_file(
    store: ChunkStore,
    path: bytes,
    name: bytes,
    dir_fd: int,
    old: Entry | None,
    store_segments: StoreSegments,
    progress: Callable[[int], None] = lambda _: None,
) -> tuple[Entry, FileStat]:
    """Store a file in segments; parameters and errors as `dsvc.store.large_file.store_large`."""
    content, stat = store_large(store, path, name, dir_fd, old, describe, store_segments, progress)
    return content.entry(path, stat.entry_mode), stat


def entry_unstored(path: bytes, name: bytes, dir_fd: int, old: Entry | None) -> Entry:
    """Entry that storing a file would make, but for the chunk list; errors as `examine_file`."""
    content, stat = examine_file(path, name, dir_fd, old, describe)
    return content.entry(path, stat.entry_mode)


def entry_at(store: ChunkStore, entry: Entry, path: bytes) -> Entry:
    """Entry of stored content at another path; its name may make a table of it, or the reverse.

    Content that can't be read stays what it was.
    """
    moved = msgspec.structs.replace(entry, path=path)
    if not entry.is_file or entry.size == 0 or kind_by_name(entry.path) == kind_by_name(path):
        return moved
    from dsvc.porcelain.tree.read import StoredFile

    try:
        with io.BufferedReader(StoredFile(store, entry), _BUFFER_BYTES) as stream:
            look = sniff(path, stream.read(SNIFF_BYTES))
            facts = NO_FACTS if look.table is None else _read(cast(BinaryIO, stream), look.table, entry.size)
    except DsvcError:
        return moved
    return msgspec.structs.replace(moved, kind=look.kind, rows=facts[0], schema=facts[1])


def _read(stream: BinaryIO, table: TableKind, size: int) -> Facts:
    describer = describe(table, size)
    stream.seek(0)
    while part := stream.read(_BUFFER_BYTES):
        describer.feed(part)
    stream.seek(0)
    return describer.facts(stream)
