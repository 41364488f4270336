"""What the entry of a table says of it: number of records, names and types of columns.

Found while the file's bytes go by, or in its footer. Nothing here fails: a table that can't be counted has no
number, and is stored all the same. NumPy and PyArrow are loaded for the files that need them only.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import BinaryIO, Final, cast

from dsvc.model.manifest import encode_schema
from dsvc.table.kind import Compression, TableFormat, TableKind
from dsvc.table.record_count import ArrayCounter, LineCounter, RecordCounter, below_header, count_small
from dsvc.table.sample import columns_of

SAMPLE_BYTES: Final = 64 * 1024
"""Columns of a table in text are those of its first bytes, so many of them. One that is shorter has none in
its entry: to read it is as quick, and to find them out takes longer than to store it."""
MAX_UNPACKED_BYTES: Final = 64 * 1024 * 1024
"""A compressed table is counted as far as this, decompressed; a longer one has no number."""
_VECTOR_BYTES: Final = 32 * 1024 * 1024
"""From this size on loading NumPy costs less than it spares."""
_PIECE: Final = 1 << 20

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
            from dsvc.table import footer

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
    """Counts the records of text and keeps its first bytes."""

    def __init__(self, kind: TableFormat, size: int) -> None:
        self._format = kind
        self._counter: RecordCounter
        if kind is TableFormat.JSON:
            self._counter = ArrayCounter()
        else:
            quoted = kind is not TableFormat.JSONL
            self._counter = LineCounter(quoted=quoted, vectors=size >= _VECTOR_BYTES)
        self._sample = b""
        self.seen = 0

    def feed(self, part: bytes | memoryview) -> None:
        if self.seen < SAMPLE_BYTES:
            self._sample += part[: SAMPLE_BYTES - self.seen]
        self.seen += len(part)
        self._counter.feed(part)

    def facts(self) -> Facts:
        columns = columns_of(self._format, self._sample) if self.seen >= SAMPLE_BYTES else None
        rows = below_header(self._format, self._counter.result())
        return rows, None if columns is None else encode_schema(columns)


def _pieces(stream: BinaryIO, compression: Compression) -> Iterator[bytes]:
    opened: BinaryIO
    if compression is Compression.GZIP:
        import gzip

        opened = cast(BinaryIO, gzip.GzipFile(fileobj=stream, mode="rb"))
    else:
        import zstandard

        unpacker = zstandard.ZstdDecompressor(max_window_size=1 << 27)
        opened = cast(BinaryIO, unpacker.stream_reader(stream, read_across_frames=True, closefd=False))
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
