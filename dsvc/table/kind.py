"""What is a table: told from a file's name and its first bytes."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple


class TableFormat(StrEnum):
    """A format of tables."""

    PARQUET = "parquet"
    CSV = "csv"
    TSV = "tsv"
    JSONL = "jsonl"
    JSON = "json"
    ARROW = "arrow"

    @property
    def is_text(self) -> bool:
        """Whether its records are text."""
        return self in (TableFormat.CSV, TableFormat.TSV, TableFormat.JSONL, TableFormat.JSON)


class Compression(StrEnum):
    """How a file of text is compressed as a whole."""

    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"


class TableKind(NamedTuple):
    """Format of a table and the compression around it."""

    format: TableFormat
    compression: Compression = Compression.NONE


_BY_SUFFIX: Final = {
    b"parquet": TableFormat.PARQUET,
    b"pq": TableFormat.PARQUET,
    b"csv": TableFormat.CSV,
    b"tsv": TableFormat.TSV,
    b"tab": TableFormat.TSV,
    b"jsonl": TableFormat.JSONL,
    b"ndjson": TableFormat.JSONL,
    b"json": TableFormat.JSON,
    b"arrow": TableFormat.ARROW,
    b"feather": TableFormat.ARROW,
    b"ipc": TableFormat.ARROW,
}
_BY_COMPRESSION: Final = {
    b"gz": (Compression.GZIP, b"\x1f\x8b"),
    b"zst": (Compression.ZSTD, b"\x28\xb5\x2f\xfd"),
}
_UTF8_MARK: Final = b"\xef\xbb\xbf"
_STREAM_MARK: Final = b"\xff\xff\xff\xff"


def recognise(path: bytes, head: bytes) -> TableKind | None:
    """Tell whether a file is a table.

    Parquet and Arrow files are known by their first bytes whatever they are called; text is a table only
    where its name says so. A JSON document is one where it begins like an array of objects.

    Parameters
    ----------
    path : bytes
        Its path; only the last name's suffixes count.
    head : bytes
        Its first bytes, 8 at least where it has as many.

    Returns
    -------
    TableKind or None
        None where it is no table.
    """
    if head.startswith(b"PAR1"):
        return TableKind(TableFormat.PARQUET)
    if head.startswith(b"ARROW1\0\0"):
        return TableKind(TableFormat.ARROW)
    stem, _dot, suffix = path.rpartition(b"/")[2].lower().rpartition(b".")
    packed = _BY_COMPRESSION.get(suffix)
    if packed is not None:
        inner = _BY_SUFFIX.get(stem.rpartition(b".")[2]) if b"." in stem else None
        if inner is None or not inner.is_text or not head.startswith(packed[1]):
            return None
        return TableKind(inner, packed[0])
    found = _BY_SUFFIX.get(suffix)
    if found is TableFormat.ARROW and head.startswith(_STREAM_MARK):
        return TableKind(found)
    if found is None or not found.is_text or b"\0" in head or not head:
        return None
    if found is TableFormat.JSON and not _begins_array(head):
        return None
    return TableKind(found)


def _begins_array(head: bytes) -> bool:
    text = head.removeprefix(_UTF8_MARK).lstrip()
    return text[:1] == b"[" and text[1:].lstrip()[:1] in (b"{", b"]", b"")
