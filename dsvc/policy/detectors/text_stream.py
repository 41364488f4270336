"""The text of a file as UTF-8, whatever encoding and compression it has.

What is told from the first 64 KiB: UTF-8, UTF-16 and UTF-32 by a byte order mark, UTF-16 without one by its
zeros, else UTF-8 or GB18030 by what decodes. Text that is plain ASCII there is decided where its first
other character comes. What is neither is searched as it is, byte by byte: most encodings agree on ASCII.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from enum import StrEnum
from typing import BinaryIO, Final, NamedTuple

from dsvc.model.table_kind import Compression, TableFormat, TableKind
from dsvc.policy.detectors.detector import ScannedFile
from dsvc.table.origin.decompress import open_text

CHUNK_BYTES: Final = 4 << 20
_SAMPLE_BYTES: Final = 64 << 10
_LEAST_SAMPLE: Final = _SAMPLE_BYTES - 4
"""What is left of a full sample without its byte order mark."""
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_COMPRESSED: Final = {b"\x1f\x8b\x08": Compression.GZIP, b"\x28\xb5\x2f\xfd": Compression.ZSTD}
_PRINTABLE: Final = re.compile(rb"[\t\x20-\x7e]{8,}")
_PRINTABLE_END: Final = re.compile(rb"[\t\x20-\x7e]*\Z")
_CONTROLS: Final = bytes(set(range(0x20)) - set(b"\t\n\r\f\v\x1b")) + b"\x7f"
_OPAQUE: Final = (
    (b"PK\x03\x04", "a ZIP archive or an office document"),
    (b"%PDF-", "a PDF document"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an office document"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\xfd7zXZ\x00", "compressed with xz"),
    (b"BZh", "compressed with bzip2"),
    (b"\x04\x22\x4d\x18", "compressed with lz4"),
    (b"SQLite format 3\x00", "a SQLite database"),
)


class Content(StrEnum):
    """What the bytes of a file are to a detector."""

    TEXT = "text"
    BINARY = "binary"


class OpenedText(NamedTuple):
    """A file, opened for looking.

    Attributes
    ----------
    content : Content
    opaque : str or None
        What it is, where text may be inside that can't be seen from outside.
    chunks : iterator of bytes
        Of text, all of it as UTF-8; of anything else its runs of printable characters, each on a line.
    """

    content: Content
    opaque: str | None
    chunks: Iterator[bytes]


def open_stream(file: ScannedFile) -> BinaryIO:
    """Open a file's bytes, decompressed where gzip or zstandard is around them.

    Raises
    ------
    NotATableError, TableLimitError
        While reading, as `dsvc.table.origin.decompress.open_text`.
    """
    kind = file.kind
    if kind is None:
        with file.open() as stream:
            head = stream.read(4)
        found = next((each for mark, each in _COMPRESSED.items() if head.startswith(mark)), Compression.NONE)
        kind = TableKind(TableFormat.JSONL, found)
    return open_text(file.source, kind)


def read_text(stream: BinaryIO) -> OpenedText:
    """Read a stream as text, or its printable characters.

    Raises
    ------
    NotATableError, TableLimitError
        Also while the chunks are taken, as `open_stream`.
    """
    sample = _read(stream, _SAMPLE_BYTES)
    for mark, encoding in _MARKS:
        if sample.startswith(mark):
            chunks = _chunks(sample[len(mark) :], stream)
            return OpenedText(
                Content.TEXT, None, chunks if encoding == "utf-8" else _decoded(chunks, encoding)
            )
    wide = _wide(sample)
    if wide is not None:
        return OpenedText(Content.TEXT, None, _decoded(_chunks(sample, stream), wide))
    opaque = next((what for mark, what in _OPAQUE if sample.startswith(mark)), None)
    if opaque is not None or _is_binary(sample):
        return OpenedText(Content.BINARY, opaque, _printable(_chunks(sample, stream)))
    return OpenedText(Content.TEXT, None, _as_utf8(_chunks(sample, stream)))


def _read(stream: BinaryIO, size: int) -> bytes:
    parts, left = [], size
    while left and (part := stream.read(left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _chunks(first: bytes, stream: BinaryIO) -> Iterator[bytes]:
    # There is no more, and looking for it would claim memory for a whole chunk.
    if len(first) < _LEAST_SAMPLE:
        if first:
            yield first
        return
    chunk = first + _read(stream, CHUNK_BYTES - len(first))
    while chunk:
        yield chunk
        chunk = _read(stream, CHUNK_BYTES)


def _is_binary(sample: bytes) -> bool:
    controls = len(sample) - len(sample.translate(None, _CONTROLS))
    return b"\0" in sample or controls * 100 > len(sample)


def _wide(sample: bytes) -> str | None:
    """UTF-16 without a mark: text of few characters beyond Latin has zeros in every second byte."""
    half = len(sample) // 2
    if half < 2 or b"\0" not in sample:
        return None
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if odd * 5 > half and even * 8 < odd:
        found = "utf-16-le"
    elif even * 5 > half and odd * 8 < even:
        found = "utf-16-be"
    else:
        return None
    text = sample[: half * 2].decode(found, "replace")
    strange = sum(sign == "\ufffd" or (sign < " " and sign not in "\t\r\n") for sign in text)
    return found if strange * 50 < len(text) else None


def _decoded(chunks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    for chunk in chunks:
        yield decoder.decode(chunk).encode("utf-8", "replace")
    yield decoder.decode(b"", final=True).encode("utf-8", "replace")


def _as_utf8(chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        if chunk.isascii():
            yield chunk
            continue
        if not _decodes(chunk, "utf-8") and _decodes(chunk, "gb18030"):
            yield from _decoded(_with_first(chunk, chunks), "gb18030")
            return
        yield chunk
        yield from chunks


def _with_first(first: bytes, others: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from others


def _decodes(chunk: bytes, encoding: str) -> bool:
    try:
        chunk.decode(encoding)
    except UnicodeDecodeError as error:
        return error.start >= len(chunk) - 4 and len(chunk) >= _SAMPLE_BYTES  # cut off at the chunk's end
    return True


def _printable(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Runs of printable characters; one that a chunk cuts stays whole where it isn't longer than a chunk."""
    rest = b""
    for chunk in chunks:
        data = rest + chunk
        runs = [(found.start(), found.end()) for found in _PRINTABLE.finditer(data)]
        rest = b""
        if runs and runs[-1][1] == len(data) and len(data) - runs[-1][0] < CHUNK_BYTES:
            rest = data[runs.pop()[0] :]
        elif not runs or runs[-1][1] < len(data):
            rest = _PRINTABLE_END.findall(data[-7:])[0]  # a run may begin here that is too short by now
        yield b"".join(data[start:end] + b"\n" for start, end in runs)
    yield rest + b"\n" if len(rest) >= 8 else b""
