"""Manifest values: an entry for each path, a reference for each chunk."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Final

import msgspec

from dsvc.model.encoding import decode, encode
from dsvc.model.errors import MalformedInputError
from dsvc.model.paths import check_structure, check_structures

MODE_FILE: Final = 0o100644
MODE_EXECUTABLE: Final = 0o100755
MODE_SYMLINK: Final = 0o120000
MODE_DIRECTORY: Final = 0o040000
MODE_TREE: Final = 0o160000
"""Another manifest, by its root: in manifests of lineage only, never in one of a working tree."""
MODES: Final = frozenset({MODE_FILE, MODE_EXECUTABLE, MODE_SYMLINK, MODE_DIRECTORY, MODE_TREE})
_FILE_MODES: Final = frozenset({MODE_FILE, MODE_EXECUTABLE})
NO_CHECKSUM: Final = bytes(16)
MAX_SIZE_BYTES: Final = 1 << 56
MAX_SCHEMA_BYTES: Final = 1024
MAX_ROWS: Final = (1 << 63) - 1


class ChunkClass(IntEnum):
    """How a file is cut: chosen once for a path, kept while the path exists or becomes `PAGED`."""

    TEXT = 0
    RAW = 1
    PAGED = 2


class Kind(IntEnum):
    """What a file holds, told from its first bytes and its name."""

    BINARY = 0
    TEXT = 1
    IMAGE = 2
    TABLE = 3


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False, order=False):
    """One path of a manifest, encoded as a msgpack array in this field order (``docs/format.md``).

    Attributes
    ----------
    path : bytes
        Relative, ``/``-separated, raw bytes.
    mode : int
        One of `MODES`.
    size : int
        Logical length in bytes (of a symlink: of its target).
    digest : bytes
        BLAKE3-256 of the logical bytes (what ``b3sum`` prints), 32 bytes; of a tree, the
        `NodeId` of its root.
    xxh3 : bytes
        XXH3-128 of the logical bytes, big-endian, 16 bytes; of a tree, zeros.
    chunk_class : int
        A `ChunkClass`.
    chunks : bytes or None
        Root of the chunk list, 32 bytes; None where the file is one chunk (its id is `digest`) or empty.
    kind : int
        A `Kind`.
    rows : int or None
        Number of records where it is a table that could be counted.
    schema : bytes or None
        Its columns, for `decode_schema`, where they are known and short enough.
    """

    path: bytes
    mode: int
    size: int
    digest: bytes
    xxh3: bytes
    chunk_class: int = 0
    chunks: bytes | None = None
    kind: int = 0
    rows: int | None = None
    schema: bytes | None = None

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return self.mode in (MODE_FILE, MODE_EXECUTABLE)

    @property
    def is_tree(self) -> bool:
        """Whether it stands for another manifest."""
        return self.mode == MODE_TREE

    def same_content(self, other: Entry) -> bool:
        """Whether type, permission and bytes are equal; how it is cut doesn't matter."""
        return self.mode == other.mode and self.digest == other.digest and self.size == other.size


class ChunkRef(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One item of a chunk list: a chunk, or a hole (``id`` None) of zeros of that length."""

    length_bytes: int
    id: bytes | None = None


def tree_entry(path: bytes, root: bytes) -> Entry:
    """Entry that stands for another manifest."""
    return Entry(path, MODE_TREE, 0, bytes(root), NO_CHECKSUM)


def check_entry(entry: Entry) -> None:
    """Refuse an entry that no dsvc writes; see ``docs/format.md`` for the rules.

    Raises
    ------
    MalformedInputError
        Naming the path and the rule.
    """
    check_structure(entry.path)
    problem = None
    if entry.mode not in MODES:
        problem = f"mode {entry.mode:o}"
    elif not 0 <= entry.size <= MAX_SIZE_BYTES:
        problem = f"size {entry.size}"
    elif len(entry.digest) != 32 or len(entry.xxh3) != 16:
        problem = "digest of a wrong length"
    elif entry.chunks is not None and (len(entry.chunks) != 32 or not entry.is_file or entry.size == 0):
        problem = "chunk list where none can be"
    elif entry.chunk_class not in (0, 1, 2) or not 0 <= entry.kind <= 3:
        problem = "unknown chunk class or kind"
    elif entry.mode == MODE_DIRECTORY and entry.size != 0:
        problem = "folder with content"
    elif entry.mode == MODE_TREE and (entry.size or entry.kind or entry.xxh3 != NO_CHECKSUM):
        problem = "tree with content of its own"
    elif entry.mode == MODE_SYMLINK and not 0 < entry.size <= 4096:
        problem = "symlink target of a wrong length"
    elif entry.rows is not None or entry.schema is not None:
        problem = _table_problem(entry)
    if problem:
        raise MalformedInputError(f"manifest entry {entry.path[:200]!r}: {problem}")


def check_entries(entries: Sequence[Entry]) -> None:
    """Refuse entries that no dsvc writes; see `check_entry`, which looks at all but plain files.

    Raises
    ------
    MalformedInputError
        Naming the path and the rule.
    """
    check_structures([entry.path for entry in entries])
    for entry in entries:
        if not (
            entry.chunks is None
            and entry.rows is None
            and entry.schema is None
            and entry.mode in _FILE_MODES
            and 0 <= entry.size <= MAX_SIZE_BYTES
            and len(entry.digest) == 32
            and len(entry.xxh3) == 16
            and 0 <= entry.chunk_class <= 2
            and 0 <= entry.kind <= 3
        ):
            check_entry(entry)


def _table_problem(entry: Entry) -> str | None:
    if entry.kind != Kind.TABLE or not entry.is_file:
        return "rows or columns of what is no table"
    if entry.rows is not None and not 0 <= entry.rows <= MAX_ROWS:
        return f"{entry.rows} rows"
    if entry.schema is not None and len(entry.schema) > MAX_SCHEMA_BYTES:
        return f"schema of {len(entry.schema)} bytes"
    return None


def encode_schema(columns: Iterable[tuple[str, str]]) -> bytes | None:
    """Encode columns, as (name, type as people write it), for an entry; None where they don't fit."""
    data = encode([[name, kind] for name, kind in columns])
    return data if len(data) <= MAX_SCHEMA_BYTES else None


def decode_schema(schema: bytes) -> list[tuple[str, str]]:
    """Columns of an entry's schema, as (name, type).

    Raises
    ------
    MalformedInputError
        If it isn't one that dsvc writes.
    """
    return decode(schema, list[tuple[str, str]], "schema of an entry", limit=MAX_SCHEMA_BYTES)
