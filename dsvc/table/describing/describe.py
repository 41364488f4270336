"""What the entry of a table says of it: number of records, names and types of columns.

Found while the file's bytes go by, or in its footer. Nothing here fails: a table that can't be counted has no
number, and is stored all the same. A table in text of less than `SAMPLE_BYTES` has no columns in its entry:
to read it is as quick, and to find them out takes longer than to store it. NumPy and PyArrow are loaded for
the files that need them only.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing
from typing import BinaryIO, Final

from dsvc.model.manifest import encode_schema
from dsvc.model.table_kind import Compression, TableFormat, TableKind
from dsvc.table.describing.record_count import (
    ArrayCounter,
    LineCounter,
    NoCounter,
    RecordCounter,
    below_header,
    count_small,
)
from dsvc.table.describing.sample import columns_of
from dsvc.table.origin.source import NotATableError
from dsvc.table.text.dialect import BOM, SAMPLE_BYTES, sniff

MAX_UNPACKED_BYTES: Final = 64 * 1024 * 1024
"""A compressed table is counted as far as this, decompressed; a longer one has no number."""
_VECTOR_BYTES: Final = 32 * 1024 * 1024
_QUOTED_VECTOR_BYTES: Final = 4 * 1024 * 1024
"""From this size on loading NumPy costs less than it spares, with quotes and without."""
_PIECE: Final = 1 << 20
_ZSTD_READ: Final = 1024
"""A kilobyte of zstandard decompresses to 32 MiB at most."""

Facts = tuple[int | None, bytes | None]


class Description:
    """Describes one table; a `dsvc.store.content.Describer`.

    Parameters
    ----------
    kind : TableKind
        What it is.
    size : int
        Length of the file.
    """

    def __init__(self, kind: TableKind, size: int) -> None:
        self._kind = kind
        self._size = size
        self._failed = False
        self._text = _Text(kind.format, size) if kind.is_plain_text else None

    def feed(self, part: bytes | memoryview) -> None:
        """Take further bytes; only text is looked at while it goes by."""
        if self._text is not None:
            self._text.feed(part)

    def facts(self, stream: BinaryIO) -> Facts:
        """Number of records and encoded schema, each None where it isn't known.

        Parameters
        ----------
        stream : BinaryIO
            The whole file, at its start.
        """
        try:
            if self._text is not None:
                return self._text.facts()
            if self._kind.compression is not Compression.NONE:
                return self._unpacked(stream)
            from dsvc.table.describing import footer

            rows, columns = (
                footer.parquet_facts(stream)
                if self._kind.format is TableFormat.PARQUET
                else footer.arrow_facts(stream)
            )
            return rows, None if columns is None else encode_schema(columns)
        except (
            Exception
        ):  # whatever is wrong with the file, and however its reader puts it: it is stored as bytes
            return None, None

    def _unpacked(self, stream: BinaryIO) -> Facts:
        if self._size > MAX_UNPACKED_BYTES:
            return None, None
        text = _Text(self._kind.format, 0)
        for piece in _pieces(stream, self._kind.compression):
            text.feed(piece)
            if text.seen > MAX_UNPACKED_BYTES:
                return None, text.facts()[1]
        return text.facts()


class _Text:
    """Counts the records of text and keeps its first bytes, which tell how it is written."""

    def __init__(self, kind: TableFormat, size: int) -> None:
        self._format = kind
        self._size = size
        self._counter: RecordCounter | None = None
        self._sample = b""
        self.seen = 0

    def feed(self, part: bytes | memoryview) -> None:
        self.seen += len(part)
        if self._counter is not None:
            self._counter.feed(part)
            return
        wanted = SAMPLE_BYTES - len(self._sample)
        self._sample += part[:wanted]
        if len(self._sample) == SAMPLE_BYTES:
            self._start().feed(part[wanted:])

    def _start(self) -> RecordCounter:
        self._counter = self._made()
        self._counter.feed(self._sample.removeprefix(BOM))
        return self._counter

    def _made(self) -> RecordCounter:
        vectors = self._size >= (_QUOTED_VECTOR_BYTES if b'"' in self._sample else _VECTOR_BYTES)
        match self._format:
            case TableFormat.JSON:
                return ArrayCounter()
            case TableFormat.JSONL:
                return LineCounter(vectors=self._size >= _VECTOR_BYTES)
        try:
            delimiter = sniff(self._sample, TableKind(self._format), "").delimiter
        except NotATableError:
            return NoCounter()
        return LineCounter(delimiter, vectors=vectors)

    def facts(self) -> Facts:
        counter = self._counter or self._start()
        rows = below_header(self._format, counter.result())
        columns = columns_of(self._format, self._sample) if self.seen >= SAMPLE_BYTES else None
        return rows, None if columns is None else encode_schema(columns)


def _pieces(stream: BinaryIO, compression: Compression) -> Iterator[bytes]:
    """Decompress piece by piece; an error where the end is missing."""
    import gzip

    from dsvc.table.origin.decompress import ZstdFrames

    is_gzip = compression is Compression.GZIP
    with closing(gzip.GzipFile(fileobj=stream) if is_gzip else ZstdFrames(stream, _ZSTD_READ)) as opened:
        while piece := opened.read(_PIECE):
            yield piece


def describe_bytes(kind: TableKind, data: bytes) -> Facts:
    """Describe a table that is in memory; as `Description` does, the quick way where there is one."""
    if len(data) < SAMPLE_BYTES and kind.compression is Compression.NONE:
        rows = count_small(kind.format, data)
        if rows is not None:
            return rows, None
    description = Description(kind, len(data))
    description.feed(data)
    return description.facts(io.BytesIO(data))
