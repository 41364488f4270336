"""Records of tables in text: where each begins and ends, found block by block at the speed of memory.

Line breaks inside quoted CSV fields don't end a record; blank lines are none. In a JSON array each object is
a record. Nothing is decoded here: what a record says is read by those who need it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final

import numpy as np

from dsvc.model.table_kind import TableFormat, TableKind
from dsvc.table.origin.decompress import open_text
from dsvc.table.origin.source import NotATableError, TableLimitError, TableSource, check_width
from dsvc.table.text.dialect import (
    BOM,
    SAMPLE_BYTES,
    first_record_end,
    parse_fields,
    sniff,
    unique_names,
)
from dsvc.table.text.record_split import ArraySplitter, LineSplitter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Offsets = NDArray[np.int64]

BLOCK_BYTES: Final = 8 << 20
SMALL_BYTES: Final = 256 << 10
MAX_RECORD_BYTES: Final = 64 << 20
_FEW_RECORDS: Final = 1000
"""So many are cut out of a block one by one."""


@dataclass(frozen=True, slots=True)
class RecordBlock:
    """Consecutive records.

    Attributes
    ----------
    first : int
        Number of the first record in the table, 0-based, the header not counted.
    offset : int
        Where `data` begins in the decompressed text, in bytes.
    line : int
        Line on which `data` begins, 1-based.
    data : bytes
        Text; between records there are line ends, blank lines, in a JSON array commas and brackets.
    starts, ends : ndarray of int64, shape (n,)
        Where each record begins and ends in `data`, its line end not included.
    """

    first: int
    offset: int
    line: int
    data: bytes
    starts: Offsets
    ends: Offsets

    def __len__(self) -> int:
        return len(self.starts)

    def record(self, number: int) -> bytes:
        """Text of a record, by its place in the block."""
        return self.data[self.starts[number] : self.ends[number]]

    def pick(self, places: Offsets) -> RecordBlock:
        """Take some records, by their places in the block, ascending, as a block without positions."""
        if len(places) < _FEW_RECORDS:
            return block_of([self.record(int(place)) for place in places])
        starts, ends = self.starts[places], self.ends[places]
        # Each record and what stands behind it, which becomes a line end.
        data = np.frombuffer(self.data + b"\n", np.uint8).copy()
        data[ends] = ord("\n")
        step = np.zeros(len(data) + 1, np.int8)
        step[starts] = 1
        step[ends + 1] -= 1
        picked = data[np.cumsum(step[:-1], dtype=np.int8) > 0].tobytes()
        return _joined(picked, ends - starts)

    def lines_of(self, numbers: Sequence[int]) -> Iterator[int]:
        """Lines on which records begin, 1-based, the records in ascending order."""
        line, at = self.line, 0
        for number in numbers:
            start = int(self.starts[number])
            line += self.data.count(b"\n", at, start)
            at = start
            yield line


def block_of(found: Sequence[bytes]) -> RecordBlock:
    """Put records together as a block."""
    lengths = np.array([len(record) for record in found], np.int64)
    return _joined(b"\n".join(found) + b"\n", lengths)


def _joined(data: bytes, lengths: Offsets) -> RecordBlock:
    ends = np.cumsum(lengths + 1) - 1
    return RecordBlock(0, 0, 1, data, ends - lengths, ends)


class TextRecords:
    """A table in text, cut into records.

    Parameters
    ----------
    source : TableSource
        Its bytes.
    kind : TableKind
        Its format, one of text.

    Attributes
    ----------
    columns : tuple of str
        Of CSV: names in the header, empty ones as ``column_N``, repeated ones with ``_N`` appended. Empty for
        JSON.
    header : bytes
        Of CSV: everything before the first record.
    dialect : Dialect
        Delimiter (of JSON meaningless), line end, encoding.

    Raises
    ------
    NotATableError
        If there is no header, or it isn't text.
    TableLimitError
        If it has more than `dsvc.table.origin.source.MAX_COLUMNS` columns.
    """

    def __init__(self, source: TableSource, kind: TableKind) -> None:
        self._source = source
        self.kind = kind
        self.columns: tuple[str, ...] = ()
        self.header = b""
        with open_text(source, kind) as stream:
            sample = _read_full(stream, SAMPLE_BYTES)
            self.dialect = sniff(sample, kind, source.name)
            self.header = BOM if self.dialect.bom else b""
            if kind.format in (TableFormat.CSV, TableFormat.TSV):
                self._read_header(sample, stream)

    def _read_header(self, sample: bytes, stream: BinaryIO) -> None:
        text = sample
        while (end := first_record_end(text, len(self.header))) < 0:
            more = stream.read(len(text))  # twice as much each time, since all of it is looked at again
            if not more:
                if text.count(b'"') % 2:
                    raise NotATableError(
                        f"{self._source.name}, line 1: a quote is opened and never closed",
                        details={"path": self._source.name},
                    )
                end = len(text)
                break
            text += more
            if len(text) > MAX_RECORD_BYTES:
                raise TableLimitError(f"{self._source.name}, line 1: the header is too long")
        self.header = text[:end]
        line = self.header[len(BOM) if self.dialect.bom else 0 :].rstrip(b"\r\n").lstrip(b"\r\n")
        fields = parse_fields(line, self.dialect, self._source.name, 1)
        if not line or not fields:
            raise NotATableError(f"{self._source.name} has no header line")
        check_width(self._source.name, len(fields))
        self.columns = unique_names([name or "" for name in fields])

    def blocks(
        self, start: int = 0, *, stop: int | None = None, small: bool = False
    ) -> Iterator[RecordBlock]:
        """Yield the records in order.

        Parameters
        ----------
        start : int
            Byte of the decompressed text where reading begins: 0, or where a record begins; records are then
            numbered from there, lines too.
        stop : int or None
            Byte where it ends, which must be where a record ends; None: all.
        small : bool
            Whether only some records at the front are wanted, so that little is read at a time.

        Raises
        ------
        NotATableError
            If a quote is never closed, or a JSON document isn't an array of objects.
        TableLimitError
            If a record is longer than `MAX_RECORD_BYTES`.
        """
        with open_text(self._source, self.kind) as stream:
            skip = max(start, len(self.header))
            line = 1 + (self.header.count(b"\n") if start == 0 else 0)
            stream.seek(skip)
            splitter = (
                ArraySplitter(self._source.name, opened=start > 0)
                if self.kind.format is TableFormat.JSON
                else LineSplitter(
                    self._source.name,
                    None if self.kind.format is TableFormat.JSONL else self.dialect.delimiter,
                )
            )
            size = SMALL_BYTES if small else BLOCK_BYTES
            left = None if stop is None else max(0, stop - skip)
            yield from _blocks(_Front(stream, left), skip, line, size, splitter, self._source.name)


class _Front:
    """A stream up to a number of bytes from where it is."""

    def __init__(self, stream: BinaryIO, left: int | None) -> None:
        self._stream = stream
        self._left = left

    def read_full(self, size: int) -> bytes:
        """Read `size` bytes, less only at the end."""
        if self._left is None:
            return _read_full(self._stream, size)
        data = _read_full(self._stream, min(size, self._left))
        self._left -= len(data)
        return data


def _blocks(
    stream: _Front, offset: int, line: int, size: int, splitter: LineSplitter | ArraySplitter, name: str
) -> Iterator[RecordBlock]:
    rest, first, last = b"", 0, False
    while not last:
        part = stream.read_full(size)
        last = len(part) < size
        data = rest + part if rest else part
        starts, ends, used = splitter.split(data, line=line, last=last)
        if not used and not last:
            if len(data) > MAX_RECORD_BYTES:
                raise TableLimitError(
                    f"{name}, line {line}: a record of more than {MAX_RECORD_BYTES >> 20} MiB is not read"
                )
            rest = data
            continue
        block = data if used == len(data) else data[:used]
        if len(starts):
            yield RecordBlock(first, offset, line, block, starts, ends)
        first += len(starts)
        offset += used
        line += block.count(b"\n")
        rest = data[used:]


def _read_full(stream: BinaryIO, size: int) -> bytes:
    """Read `size` bytes, less only at the end."""
    data = stream.read(size)
    while data and len(data) < size:
        more = stream.read(size - len(data))
        if not more:
            break
        data += more
    return data


__all__ = [
    "BLOCK_BYTES",
    "MAX_RECORD_BYTES",
    "SMALL_BYTES",
    "RecordBlock",
    "TextRecords",
    "block_of",
]
