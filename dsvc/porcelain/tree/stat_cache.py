"""The stat cache: what each tracked file looked like when its content was last known.

One shard a folder, so that a folder is compared as two byte strings. Shards mirror the staged manifest
named in the cache's state; a row whose file isn't known to hold its entry's content has an impossible stat
and is looked at again. The whole folder is derived and may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final

import msgspec
import xxhash
import zstandard

from dsvc.fs import files
from dsvc.fs.boot import boot_seconds
from dsvc.model.encoding import encode
from dsvc.model.errors import CorruptDataError
from dsvc.model.ids import NodeId
from dsvc.model.manifest import MAX_SCHEMA_BYTES, MODE_DIRECTORY, Entry
from dsvc.model.paths import MAX_PATH_BYTES
from dsvc.store.ingest import FileStat
from dsvc.store.manifest_tree import Manifest

STAT: Final = struct.Struct("<QQqqI")
"""Inode, size, mtime_ns, ctime_ns, mode."""
UNKNOWN: Final = STAT.pack(0, 0, -1, -1, 0)
"""The stat of no file: its row is always looked at again."""
RACY_NS: Final = 20_000_000
"""A file changed within this time of being read may change again without a new time stamp."""
COARSE_NS: Final = 2_000_000_000


def pack_stat(stat: FileStat) -> bytes:
    """Fixed-width bytes of a stat."""
    return STAT.pack(*stat)


def trusted_stat(stat: FileStat, now_ns: int) -> bytes:
    """Stat to remember for a file read at `now_ns`; `UNKNOWN` where a later change could look the same.

    The clock must be that of the file system, since it's compared with its time stamps.
    """
    latest = max(stat.mtime_ns, stat.ctime_ns)
    coarse = stat.mtime_ns % 1_000_000_000 == 0 and stat.ctime_ns % 1_000_000_000 == 0
    if latest >= now_ns - (COARSE_NS if coarse else RACY_NS):
        return UNKNOWN
    return STAT.pack(*stat)


_MAX_ENTRY_BYTES: Final = MAX_PATH_BYTES + MAX_SCHEMA_BYTES + 512


@lru_cache(maxsize=1)
def _compressor() -> zstandard.ZstdCompressor:
    return zstandard.ZstdCompressor(level=1)


@lru_cache(maxsize=1)
def _decompressor() -> zstandard.ZstdDecompressor:
    return zstandard.ZstdDecompressor()


class Shard:
    """Rows of one folder, sorted by name: names, stats, entries.

    Attributes
    ----------
    names, stats : bytes
        Names joined by NUL, stats joined; what a scan of the folder is compared with.
    """

    __slots__ = ("_entries", "_packed", "_raw_entries", "folder", "names", "stats")

    def __init__(
        self, folder: bytes, names: bytes, stats: bytes, raw_entries: bytes, packed: bytes = b""
    ) -> None:
        self.folder = folder
        self.names = names
        self.stats = stats
        self._raw_entries = raw_entries
        self._packed = packed
        self._entries: list[Entry] | None = None

    @classmethod
    def build(cls, folder: bytes, rows: Iterable[tuple[bytes, bytes, bytes]]) -> Shard:
        """Make a shard from (name, stat, encoded entry) sorted by name."""
        rows = list(rows)
        return cls(
            folder, b"\0".join(r[0] for r in rows), b"".join(r[1] for r in rows), b"".join(r[2] for r in rows)
        )

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.stats) // STAT.size

    def name_list(self) -> list[bytes]:
        """Names in order."""
        return self.names.split(b"\0") if self.names else []

    def entries(self) -> list[Entry]:
        """Entries in order of names.

        Raises
        ------
        CorruptDataError
            If they are none, though the checksum of the file is right: somebody forged it.
        """
        if self._entries is None:
            try:
                self._entries = self._decoded()
            except (zstandard.ZstdError, msgspec.DecodeError, RecursionError) as error:
                raise CorruptDataError(
                    "the stat cache is malformed", hint="delete .dsvc/cache; it is made again"
                ) from error
        return self._entries

    def _decoded(self) -> list[Entry]:
        if self._packed:
            # zstd makes room for whatever length a frame claims.
            if zstandard.get_frame_parameters(self._packed).content_size > len(self) * _MAX_ENTRY_BYTES:
                raise zstandard.ZstdError("a frame of more than the entries of its rows")
            self._raw_entries = _decompressor().decompress(self._packed)
        head = b"\xdd" + len(self).to_bytes(4, "big")
        return msgspec.msgpack.decode(head + self._raw_entries, type=list[Entry])

    def rows(self) -> Iterator[tuple[bytes, bytes, Entry]]:
        """Rows as (name, stat, entry)."""
        for position, (name, entry) in enumerate(zip(self.name_list(), self.entries(), strict=True)):
            yield name, self.stats[position * STAT.size : (position + 1) * STAT.size], entry

    def encode(self) -> bytes:
        """Bytes of the shard's file: a checksum, then msgpack."""
        packed = self._packed or _compressor().compress(self._raw_entries)
        body = encode([self.folder, self.names, self.stats, packed])
        return xxhash.xxh3_64_digest(body) + body


class State(msgspec.Struct, array_like=True):
    """What the shards as a whole stand for.

    Attributes
    ----------
    root : bytes
        Staged manifest that the shards mirror.
    folders : list of bytes
        Folders with a shard.
    empty : list of bytes
        Tracked empty folders.
    files : int
        Rows in all shards.
    """

    root: bytes
    folders: list[bytes]
    empty: list[bytes]
    files: int


class StatCache:
    """Shards and state in ``.dsvc/cache/stat``."""

    def __init__(self, cache_folder: str) -> None:
        self._folder = os.path.join(cache_folder, "stat")
        self._state = os.path.join(self._folder, "state")
        self._made: set[str] = set()
        self._mirrored: frozenset[bytes] = frozenset()

    def _shard_path(self, folder: bytes) -> str:
        name = xxhash.xxh3_128_hexdigest(folder)
        return os.path.join(self._folder, name[:2], name[2:])

    @staticmethod
    def _read(path: str) -> bytes | None:
        with contextlib.suppress(OSError), open(path, "rb") as file:
            data = file.read()
            if len(data) > 8 and xxhash.xxh3_64_digest(memoryview(data)[8:]) == data[:8]:
                return data[8:]
        return None

    def shard(self, folder: bytes) -> Shard | None:
        """Shard of a folder; None where there is none or it's damaged."""
        body = self._read(self._shard_path(folder))
        if body is None:
            return None
        try:
            stored, names, stats, packed = msgspec.msgpack.decode(
                body, type=tuple[bytes, bytes, bytes, bytes]
            )
        except (msgspec.DecodeError, RecursionError):
            return None
        shard = Shard(folder, names, stats, b"", packed)
        is_whole = len(stats) == len(shard) * STAT.size and len(shard.name_list()) == len(shard)
        return shard if stored == folder and is_whole else None

    def save_shard(self, shard: Shard) -> None:
        """Write a shard; an empty one removes its file."""
        if len(shard):
            self._write(shard)
        else:
            files.unlink(self._shard_path(shard.folder), missing_ok=True)

    def _write(self, shard: Shard) -> None:
        path = self._shard_path(shard.folder)
        parent = os.path.dirname(path)
        if parent not in self._made:
            files.make_folders(parent, durable=False)
            self._made.add(parent)
        files.write_atomically(path, shard.encode(), durable=False)

    def state(self, staged: NodeId | None) -> State | None:
        """State, if the shards mirror the staged manifest `staged`, or (None) any.

        One from before the machine's last start isn't believed: a power cut may have kept it and lost the
        shards that it speaks of, or kept them and lost that it was taken back.
        """
        body = self._read(self._state)
        if body is None:
            return None
        try:
            state = msgspec.msgpack.decode(body, type=State)
        except (msgspec.DecodeError, RecursionError):
            return None
        if (staged is not None and state.root != bytes(staged)) or self._is_from_before_the_start():
            return None
        self._mirrored = frozenset(state.folders)
        return state

    def _is_from_before_the_start(self) -> bool:
        try:
            return os.stat(self._state).st_mtime < boot_seconds()
        except OSError:
            return True

    def holds(self, folder: bytes) -> bool:
        """Whether the state that was read says that a folder has a shard; if it's gone, it was damaged."""
        return folder in self._mirrored

    def invalidate(self) -> None:
        """Declare the shards out of step until `save_state`; done before they change."""
        if os.path.exists(self._state):
            files.unlink(self._state, missing_ok=True)

    def save_state(self, state: State) -> None:
        """Declare which manifest the shards mirror now."""
        files.make_folders(self._folder, durable=False)
        body = encode(state)
        files.write_atomically(self._state, xxhash.xxh3_64_digest(body) + body, durable=False)

    def edit(self, folder: bytes, changes: Sequence[tuple[bytes, bytes, Entry | None]]) -> int:
        """Set or remove (entry None) rows of a folder by (name, stat, entry); returns the gain in rows."""
        shard = self.shard(folder)
        if shard is None and self.holds(folder):
            # Damaged: it's made again from the manifest when it's needed.
            files.unlink(self._shard_path(folder), missing_ok=True)
            return 0
        before = {} if shard is None else {n: (s, encode(e)) for n, s, e in shard.rows()}
        after = dict(before)
        for name, stat, entry in changes:
            if entry is None:
                after.pop(name, None)
            else:
                after[name] = (stat, encode(entry))
        # Also where no row is left: a shard that isn't there counts as damaged.
        self._write(Shard.build(folder, ((n, *after[n]) for n in sorted(after))))
        return len(after) - len(before)

    def prune(self, folders: Collection[bytes]) -> None:
        """Remove the shards of other folders: what they say is of another time."""
        kept = {self._shard_path(folder) for folder in folders}
        for at, _, names in os.walk(self._folder):
            for path in (os.path.join(at, name) for name in names):
                if path not in kept and path != self._state:
                    files.unlink(path, missing_ok=True)


def shard_of(manifest: Manifest, folder: bytes) -> Shard:
    """Shard of a folder from the manifest alone: every file is looked at again."""
    rows = []
    for entry in manifest.entries(folder):
        parent, _, name = entry.path.rpartition(b"/")
        if parent == folder and entry.mode != MODE_DIRECTORY:
            rows.append((name, UNKNOWN, encode(entry)))
    return Shard.build(folder, sorted(rows))
