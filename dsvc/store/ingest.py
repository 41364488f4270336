"""Files to chunks: what is read once is hashed, cut, stored and checked for change.

Small files are read whole; large ones go through segments, cut in one sequential pass while other
processes hash and compress them (`dsvc.store.large_file`).
"""

from __future__ import annotations

import errno
import os
from stat import S_ISDIR, S_ISREG
from typing import Final, NamedTuple

import blake3
import xxhash

from dsvc.fs.files import storage_error
from dsvc.model.errors import DsvcError
from dsvc.model.manifest import (
    MODE_EXECUTABLE,
    MODE_FILE,
    MODE_SYMLINK,
    ChunkClass,
    ChunkRef,
    Entry,
    Kind,
)
from dsvc.store.chunk_list import write_list
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.chunker import ONE_CHUNK_BYTES, cut
from dsvc.store.content import NO_FACTS, SNIFF_BYTES, Describe, Describer, Facts, FactsOfBytes, Look, sniff

LARGE_BYTES: Final = 8 * 1024 * 1024
"""From this size on a file is streamed in segments."""
ATTEMPTS: Final = 3
_RAW = int(ChunkClass.RAW)
_READ_BYTES: Final = 1 << 20


class UnstableFileError(DsvcError):
    """A file changed each time it was read; it isn't recorded."""

    code = "unstable-file"
    exit_code = 13


class FileStat(NamedTuple):
    """What tells that a file is the one seen before."""

    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    mode: int

    @classmethod
    def of(cls, stat: os.stat_result) -> FileStat:
        """Take the fields from a stat."""
        return cls(stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_mode)

    @property
    def entry_mode(self) -> int:
        """Canonical mode of the manifest."""
        return MODE_EXECUTABLE if self.mode & 0o100 else MODE_FILE


class Content(NamedTuple):
    """What an entry says of a file's bytes."""

    size: int
    digest: bytes
    xxh3: bytes
    chunk_class: int
    chunks: bytes | None
    kind: int
    rows: int | None = None
    schema: bytes | None = None

    def entry(self, path: bytes, mode: int) -> Entry:
        """Entry of this content at a path."""
        return Entry(path, mode, *self)


def store_bytes(
    store: ChunkStore, path: bytes, data: bytes, old: Entry | None, facts_of_bytes: FactsOfBytes
) -> Content:
    """Store a whole file that is in memory.

    Parameters
    ----------
    path : bytes
        What it is called; its name is part of what tells a table.
    data : bytes
        Its content.
    old : Entry or None
        What stood at its path: the class of cutting is kept.
    facts_of_bytes : callable
        Counts the rows of tables.
    """
    size = len(data)
    digest = blake3.blake3(data).digest()
    xxh3 = xxhash.xxh3_128_digest(data)
    look = sniff(path, data)
    facts = NO_FACTS if look.table is None else facts_of_bytes(look.table, data)
    chunk_class = class_at(old, look)
    if size <= ONE_CHUNK_BYTES[chunk_class]:
        if size:
            store.put_chunk(digest, data, raw=chunk_class == _RAW)
        return Content(size, digest, xxh3, chunk_class, None, look.kind, *facts)
    chunks = [
        ChunkRef(len(part), store_chunk(store, part, raw=chunk_class == _RAW))
        for part in cut(ChunkClass(chunk_class), data)
    ]
    root = bytes(write_list(store, chunks)) if len(chunks) > 1 else None
    return Content(size, digest, xxh3, chunk_class, root, look.kind, *facts)


def class_at(old: Entry | None, look: Look) -> ChunkClass:
    """Class in which a file is cut: that of the path's entry, else by what it is.

    A Parquet file of small pages is cut finely whatever stood there: nothing else finds its equal pages.
    """
    if look.chunk_class is ChunkClass.PAGED:
        return look.chunk_class
    if old is not None and old.is_file and old.size > 0:
        return ChunkClass(old.chunk_class)
    return look.chunk_class


def store_chunk(store: ChunkStore, data: memoryview, *, raw: bool) -> bytes:
    """Store one chunk and return its id."""
    id_ = blake3.blake3(data).digest()
    store.put_chunk(id_, data, raw=raw)
    return id_


def store_symlink(store: ChunkStore, path: bytes, target: bytes) -> Entry:
    """Store a symlink: its target is its content."""
    digest = blake3.blake3(target).digest()
    store.put_chunk(digest, target, raw=False)
    return Entry(path, MODE_SYMLINK, len(target), digest, xxhash.xxh3_128_digest(target), 0, None, Kind.TEXT)


def open_file(name: bytes, dir_fd: int) -> int:
    """Open a regular file for reading, never a link; what became a FIFO or a device meanwhile is not read.

    Raises
    ------
    OSError
        If it can't be opened, or is no regular file: then nothing was read (EISDIR, ENXIO).
    """
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=dir_fd)
    mode = os.fstat(fd).st_mode
    if not S_ISREG(mode):
        os.close(fd)
        raise OSError(errno.EISDIR if S_ISDIR(mode) else errno.ENXIO, "it is no file", name)
    return fd


def is_gone(error: OSError) -> bool:
    """Whether `open_file` found no regular file at the name any more."""
    return error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENXIO)


def read_stable(name: bytes, dir_fd: int, seen: FileStat | None = None) -> tuple[bytes, FileStat]:
    """Read a whole file and the stat under which exactly these bytes were there.

    Raises
    ------
    UnstableFileError
        If it changed during each of three readings.
    StorageError
        If it can't be read.
    """
    try:
        for _ in range(ATTEMPTS):
            fd = open_file(name, dir_fd)
            try:
                before = seen or FileStat.of(os.fstat(fd))
                data = os.read(fd, before.size + 1)
                if len(data) < before.size:
                    data = _read_rest(fd, data, before.size)
                s = os.fstat(fd)
            finally:
                os.close(fd)
            after = (s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_mode)
            if after == before and len(data) == s.st_size:
                return data, before
            seen = None
    except OSError as error:
        raise storage_error(error, "read", name) from error
    raise UnstableFileError("it changed while it was read, three times")


def _read_rest(fd: int, data: bytes, expected: int) -> bytes:
    """Go on after a short read."""
    parts = [data]
    total = len(data)
    while total < expected:
        part = os.read(fd, expected - total)
        if not part:
            break
        parts.append(part)
        total += len(part)
    return b"".join(parts)


def hash_file(name: bytes, dir_fd: int, seen: FileStat | None = None) -> tuple[bytes, bytes, FileStat]:
    """BLAKE3 and XXH3-128 of a file and its stat, read in pieces; errors as `read_stable`."""
    try:
        for _ in range(ATTEMPTS):
            fd = open_file(name, dir_fd)
            try:
                before = seen or FileStat.of(os.fstat(fd))
                strong, quick, total = blake3.blake3(), xxhash.xxh3_128(), 0
                # Not to its end: one that grows as fast as it is read has none.
                while total <= before.size and (part := os.read(fd, _READ_BYTES)):
                    strong.update(part)
                    quick.update(part)
                    total += len(part)
                after = FileStat.of(os.fstat(fd))
            finally:
                os.close(fd)
            if after == before and total == after.size:
                return strong.digest(), quick.digest(), after
            seen = None
    except OSError as error:
        raise storage_error(error, "read", name) from error
    raise UnstableFileError("it changed while it was read, three times")


def examine_file(
    path: bytes, name: bytes, dir_fd: int, old: Entry | None, describe: Describe
) -> tuple[Content, FileStat]:
    """Find out what storing a file would write into its entry, but for the chunk list.

    Errors are those of `read_stable`.

    Parameters
    ----------
    path, old, describe : bytes, Entry or None, Describe
        As `store_bytes`.
    name, dir_fd : bytes, int
        Where to open it.
    """
    try:
        for _ in range(ATTEMPTS):
            fd = open_file(name, dir_fd)
            try:
                before = FileStat.of(os.fstat(fd))
                found = _examine(path, fd, before.size, old, describe)
                after = FileStat.of(os.fstat(fd))
            finally:
                os.close(fd)
            if after == before and found.size == after.size:
                return found, after
    except OSError as error:
        raise storage_error(error, "read", path) from error
    raise UnstableFileError("it changed while it was read, three times")


def _examine(path: bytes, fd: int, size: int, old: Entry | None, describe: Describe) -> Content:
    strong, quick, total = blake3.blake3(), xxhash.xxh3_128(), 0
    look = sniff(path, os.pread(fd, SNIFF_BYTES, 0))
    describer: Describer | None = None if look.table is None else describe(look.table, size)
    while total <= size and (part := os.read(fd, _READ_BYTES)):
        strong.update(part)
        quick.update(part)
        total += len(part)
        if describer is not None:
            describer.feed(part)
    facts = facts_of(describer, fd)
    return Content(total, strong.digest(), quick.digest(), class_at(old, look), None, look.kind, *facts)


def facts_of(describer: Describer | None, fd: int) -> Facts:
    """What a describer found that has seen the whole of an open file."""
    if describer is None:
        return NO_FACTS
    os.lseek(fd, 0, os.SEEK_SET)
    with open(fd, "rb", closefd=False) as stream:
        return describer.facts(stream)
