"""What is a table: told from a file's name and its first bytes."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

HEAD_BYTES: Final = 8192
"""How many of a file's first bytes tell what it is."""


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
        return self not in (TableFormat.PARQUET, TableFormat.ARROW)

    @property
    def family(self) -> Family:
        """Which formats it goes together with."""
        if not self.is_text:
            return Family.BINARY
        return Family.CSV if self in (TableFormat.CSV, TableFormat.TSV) else Family.JSON


class Family(StrEnum):
    """Formats that hold the same kinds of values: rows go from one to another, row indexes hash alike."""

    CSV = "csv"
    JSON = "json"
    BINARY = "binary"


class Compression(StrEnum):
    """How a file of text is compressed as a whole."""

    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"


class TableKind(NamedTuple):
    """Format of a table and the compression around it."""

    format: TableFormat
    compression: Compression = Compression.NONE

    @property
    def is_plain_text(self) -> bool:
        """Whether the file itself is text."""
        return self.compression is Compression.NONE and self.format.is_text


_PARQUET: Final = TableKind(TableFormat.PARQUET)
_ARROW: Final = TableKind(TableFormat.ARROW)
_BY_SUFFIX: Final = {
    b"csv": TableKind(TableFormat.CSV),
    b"tsv": TableKind(TableFormat.TSV),
    b"tab": TableKind(TableFormat.TSV),
    b"jsonl": TableKind(TableFormat.JSONL),
    b"ndjson": TableKind(TableFormat.JSONL),
    b"json": TableKind(TableFormat.JSON),
    b"arrow": _ARROW,
    b"feather": _ARROW,
    b"ipc": _ARROW,
}
PLAIN_KINDS: Final = tuple(kind for kind in _BY_SUFFIX.values() if kind.is_plain_text)
"""Tables in plain text; `recognise` answers with one of these very objects."""
_BY_COMPRESSION: Final = {b"gz": Compression.GZIP, b"zst": Compression.ZSTD}
_MAGIC: Final = {Compression.GZIP: b"\x1f\x8b", Compression.ZSTD: b"\x28\xb5\x2f\xfd"}
_SUFFIXES: Final = frozenset(_BY_SUFFIX) | frozenset(_BY_COMPRESSION)
_MAGICS: Final = (b"PAR1", b"ARROW1\0\0")
_UTF8_MARK: Final = b"\xef\xbb\xbf"
_STREAM_MARK: Final = b"\xff\xff\xff\xff"


def kind_by_name(path: bytes) -> TableKind | None:
    """Tell what a name promises; a file of this name may still be something else.

    Two paths with the same answer are recognised alike whatever their bytes are.
    """
    dot = path.rfind(b".")
    suffix = path[dot + 1 :].lower()
    if suffix not in _SUFFIXES or dot < 0:  # the quick answer for most files
        return None
    found = _BY_SUFFIX.get(suffix)
    if found is not None:
        return found
    inner = kind_by_name(path[:dot])
    return (
        TableKind(inner.format, _BY_COMPRESSION[suffix])
        if inner is not None and inner.is_plain_text
        else None
    )


def recognise(path: bytes, head: bytes) -> TableKind | None:
    """Tell whether a file is a table.

    Parquet and Arrow files are known by their first bytes whatever they are called; text is a table only
    where its name says so. A JSON document is one where it begins like an array of objects.

    Parameters
    ----------
    path : bytes
        Its path; only the last name's suffixes count.
    head : bytes
        Its first bytes, `HEAD_BYTES` where it has as many; more are not looked at.

    Returns
    -------
    TableKind or None
        None where it is no table.
    """
    if head.startswith(_MAGICS):
        return _PARQUET if head.startswith(b"P") else _ARROW
    found = kind_by_name(path)
    if found is None:
        return None
    if found is _ARROW:
        return found if head.startswith(_STREAM_MARK) else None
    if found.compression is not Compression.NONE:
        return found if head.startswith(_MAGIC[found.compression]) else None
    head = head[:HEAD_BYTES]
    if not head or b"\0" in head:
        return None
    if found.format is TableFormat.JSON and not _begins_array(head):
        return None
    return found


def _begins_array(head: bytes) -> bool:
    text = head.removeprefix(_UTF8_MARK).lstrip()
    return text[:1] == b"[" and text[1:].lstrip()[:1] in (b"{", b"]", b"")
