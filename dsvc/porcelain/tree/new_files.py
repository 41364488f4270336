"""The new files of a folder, staged in one tight loop.

A first `add` is mostly this: small regular files with plain names that nobody touches meanwhile. Staging
them here makes the whole `add` a sixth quicker than one call each would be. Whatever is not that simple is
left to the caller.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final

import blake3
import xxhash

from dsvc.model.encoding import encode
from dsvc.model.errors import ErasedError
from dsvc.model.manifest import MODE_EXECUTABLE, MODE_FILE, ChunkClass, Entry
from dsvc.model.paths import is_plain
from dsvc.porcelain.tree.file_entry import entry_of_bytes, table_reader
from dsvc.porcelain.tree.stat_cache import COARSE_NS, STAT, trusted_stat
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.chunker import ONE_CHUNK_BYTES
from dsvc.store.content import NO_FACTS, FactsOfBytes, sniff
from dsvc.store.ingest import LARGE_BYTES, FileStat

_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_TYPE_MASK: Final = 0o170000
_REGULAR: Final = 0o100000
_RAW = int(ChunkClass.RAW)

Row = tuple[bytes, bytes]


def stage_new_files(
    store: ChunkStore,
    folder: bytes,
    folder_fd: int,
    items: Iterable[Row],
    now_ns: int,
    rows: dict[bytes, Row],
    changed: list[tuple[bytes, bytes, int]],
) -> list[Row]:
    """Store files that have no row yet.

    Parameters
    ----------
    items : iterable of (name, packed stat)
        Untracked files of the folder that are not ignored.
    now_ns : int
        Clock of the file system, for `trusted_stat`.
    rows : dict
        Gets the name's stat and encoded entry.
    changed : list
        Gets (path, encoded entry, size).

    Returns
    -------
    list of (name, packed stat)
        What was left: links, large files, odd names, files that changed or couldn't be read.
    """
    left: list[Row] = []
    prefix = folder + b"/" if folder else b""
    settled_before = now_ns - COARSE_NS
    describe: FactsOfBytes | None = None
    for item in items:
        name, packed = item
        inode, size, mtime_ns, ctime_ns, mode = STAT.unpack(packed)
        path = prefix + name
        if mode & _TYPE_MASK != _REGULAR or size >= LARGE_BYTES or not is_plain(path):
            left.append(item)
            continue
        try:
            data = _read(name, folder_fd, size, packed)
            if data is None:
                left.append(item)
                continue
            entry_mode = MODE_EXECUTABLE if mode & 0o100 else MODE_FILE
            kind, chunk_class, table = sniff(path, data)
            if 0 < size <= ONE_CHUNK_BYTES[chunk_class]:
                count, schema = NO_FACTS
                if table is not None:
                    describe = describe or table_reader()
                    count, schema = describe(table, data)
                digest = blake3.blake3(data).digest()
                store.put_chunk(digest, data, raw=chunk_class == _RAW)
                xxh3 = xxhash.xxh3_128_digest(data)
                entry = Entry(path, entry_mode, size, digest, xxh3, chunk_class, None, kind, count, schema)
            else:
                entry = entry_of_bytes(store, path, entry_mode, data)
        except ErasedError:
            left.append(item)
            continue
        if mtime_ns >= settled_before or ctime_ns >= settled_before:
            packed = trusted_stat(FileStat(inode, size, mtime_ns, ctime_ns, mode), now_ns)
        encoded = encode(entry)
        rows[name] = (packed, encoded)
        changed.append((path, encoded, size))
    return left


def _read(name: bytes, folder_fd: int, size: int, packed: bytes) -> bytes | None:
    """Content of a file, or None where it can't be read whole or isn't what was listed."""
    try:
        fd = os.open(name, _FLAGS, dir_fd=folder_fd)
    except OSError:
        return None
    try:
        # It may have become a FIFO or a device since it was listed: these are not read.
        if os.fstat(fd).st_mode & _TYPE_MASK != _REGULAR:
            return None
        data = os.read(fd, size + 1)
        s = os.fstat(fd)
    except OSError:
        return None
    finally:
        os.close(fd)
    now = STAT.pack(s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_mode)
    return data if len(data) == size and now == packed else None
