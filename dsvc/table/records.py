"""Records of tables in text: where each begins and ends, found block by block at the speed of memory.

Line breaks inside quoted CSV fields don't end a record; blank lines are none. In a JSON array each object is
a record. Nothing is decoded here: what a record says is read by those who need it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

import numpy as np

from dsvc.table.decompress import open_text
from dsvc.table.kind import TableFormat, TableKind
from dsvc.table.source import NotATableError, TableLimitError, TableSource

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Offsets = NDArray[np.int64]
    Bytes = NDArray[np.uint8]
    Flags = NDArray[np.bool_]

BLOCK_BYTES: Final = 8 << 20
SMALL_BYTES: Final = 256 << 10
MAX_RECORD_BYTES: Final = 64 << 20
MAX_COLUMNS: Final = 20_000
MAX_DEPTH: Final = 512
"""How deep a record of JSON may nest."""
_SAMPLE_BYTES: Final = 64 << 10
_BOM: Final = b"\xef\xbb\xbf"
_NEWLINE, _QUOTE, _BACKSLASH, _RETURN = 10, 34, 92, 13
_BLANKS: Final = frozenset(b" \t\r\n")


class Dialect(NamedTuple):
    r"""How a CSV file is written, as far as its first 64 KiB tell.

    Attributes
    ----------
    delimiter : str
        One character.
    line_end : bytes
        ``\n`` or ``\r\n``.
    encoding : str
        ``utf-8`` or ``gb18030``.
    bom : bool
        Whether it begins with a byte order mark.
    """

    delimiter: str
    line_end: bytes
    encoding: str
    bom: bool


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

    def line_of(self, number: int) -> int:
        """Line on which a record begins, 1-based."""
        return self.line + self.data.count(b"\n", 0, int(self.starts[number]))


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
        If it has more than `MAX_COLUMNS` columns.
    """

    def __init__(self, source: TableSource, kind: TableKind) -> None:
        self._source = source
        self.kind = kind
        self.columns: tuple[str, ...] = ()
        self.header = b""
        with open_text(source, kind) as stream:
            sample = _read_full(stream, _SAMPLE_BYTES)
            self.dialect = _dialect(sample, kind, source.name)
            self.header = _BOM if self.dialect.bom else b""
            if kind.format in (TableFormat.CSV, TableFormat.TSV):
                self._read_header(sample, stream)

    def _read_header(self, sample: bytes, stream: BinaryIO) -> None:
        text = sample
        while (end := _first_record_end(text, len(self.header))) < 0:
            more = stream.read(_SAMPLE_BYTES)
            if not more:
                end = len(text)
                break
            text += more
            if len(text) > MAX_RECORD_BYTES:
                raise TableLimitError(f"{self._source.name}, line 1: the header is too long")
        self.header = text[:end]
        line = self.header[len(_BOM) if self.dialect.bom else 0 :].rstrip(b"\r\n").lstrip(b"\r\n")
        fields = parse_fields(line, self.dialect, self._source.name, 1)
        if not line or not fields:
            raise NotATableError(f"{self._source.name} has no header line")
        if len(fields) > MAX_COLUMNS:
            raise TableLimitError(f"{self._source.name} has {len(fields)} columns; {MAX_COLUMNS} are read")
        self.columns = _unique([name or "" for name in fields])

    def blocks(self, start: int = 0, *, small: bool = False) -> Iterator[RecordBlock]:
        """Yield the records in order.

        Parameters
        ----------
        start : int
            Byte of the decompressed text where reading begins: 0, or where a record begins; records are then
            numbered from there, lines too.
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
                _ArraySplitter(self._source.name, opened=start > 0)
                if self.kind.format is TableFormat.JSON
                else _LineSplitter(self._source.name, quoted=self.kind.format is not TableFormat.JSONL)
            )
            size = SMALL_BYTES if small else BLOCK_BYTES
            yield from _blocks(stream, skip, line, size, splitter, self._source.name)


def _blocks(
    stream: BinaryIO, offset: int, line: int, size: int, splitter: _LineSplitter | _ArraySplitter, name: str
) -> Iterator[RecordBlock]:
    rest, first, last = b"", 0, False
    while not last:
        part = _read_full(stream, size)
        last = len(part) < size
        data = rest + part if rest else part
        starts, ends, used = splitter.split(data, last=last)
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


class _LineSplitter:
    """Cuts at line ends that are outside of quotes."""

    def __init__(self, name: str, *, quoted: bool) -> None:
        self._name = name
        self._quoted = quoted

    def split(self, data: bytes, *, last: bool) -> tuple[Offsets, Offsets, int]:
        """Starts and ends of the whole records at the front of `data`, and how much of it they take up."""
        array = np.frombuffer(data, np.uint8)
        breaks = np.flatnonzero(array == _NEWLINE)
        if self._quoted and _QUOTE in data:
            quotes = np.flatnonzero(array == _QUOTE)
            breaks = breaks[np.searchsorted(quotes, breaks) % 2 == 0]
            if last and len(quotes) % 2:
                end = int(breaks[-1]) + 1 if len(breaks) else 0
                self._never_closed(data, end)
        used = len(data) if last else (int(breaks[-1]) + 1 if len(breaks) else 0)
        starts = np.concatenate(([0], breaks + 1))
        ends = np.append(breaks, used) if last else breaks
        starts = starts[: len(ends)]
        if b"\r" in data:
            is_return = (
                (ends > starts) & (array[np.maximum(ends - 1, 0)] == _RETURN) if len(array) else ends > 0
            )
            ends = ends - is_return
        return (*_without_blank(data, array, starts, ends), used)

    def _never_closed(self, data: bytes, start: int) -> None:
        raise NotATableError(
            f"{self._name}: a quote is opened and never closed, in the record that begins with "
            f"{data[start : start + 60].decode('utf-8', 'replace')!r}",
            details={"path": self._name},
        )


def _without_blank(data: bytes, array: Bytes, starts: Offsets, ends: Offsets) -> tuple[Offsets, Offsets]:
    filled = ends > starts
    # Lines that begin with white space are rare; only those are looked at one by one.
    if len(array):
        front = array[np.minimum(starts, len(array) - 1)]
        for number in np.flatnonzero(filled & ((front == 32) | (front == 9))):
            filled[number] = bool(data[starts[number] : ends[number]].strip())
    if filled.all():
        return starts, ends
    return starts[filled], ends[filled]


class _ArraySplitter:
    """Cuts an array of objects: what stands at depth two is a record."""

    def __init__(self, name: str, *, opened: bool) -> None:
        self._name = name
        self._opened = opened

    def split(self, data: bytes, *, last: bool) -> tuple[Offsets, Offsets, int]:
        """As `_LineSplitter.split`; data begins at depth one, but for the first time."""
        array = np.frombuffer(data, np.uint8)
        places, steps = _structure(array)
        depth = np.cumsum(steps) + (1 if self._opened else 0)
        if len(depth) and int(depth.max()) > MAX_DEPTH + 1:
            raise TableLimitError(f"{self._name}: a record nests deeper than {MAX_DEPTH}")
        opens = places[(depth == 2) & (steps == 1)]
        closes = places[(depth == 1) & (steps == -1)] + 1
        count = min(len(opens), len(closes))
        starts, ends = opens[:count], closes[:count]
        used = len(data) if last else (int(ends[-1]) if count else 0)
        # The array is closed by the last bracket of all, and by no other.
        if last and not (
            len(depth) and depth[-1] == 0 and (depth[:-1] > 0).all() and len(opens) == len(closes)
        ):
            raise NotATableError(f"{self._name}: the JSON array is not complete")
        self._check_between(array, starts, ends, used)
        self._opened = self._opened or used > 0
        return starts, ends, used

    def _check_between(self, array: Bytes, starts: Offsets, ends: Offsets, used: int) -> None:
        if len(starts) and not (array[starts] == ord("{")).all():
            raise NotATableError(f"{self._name}: the JSON array holds something that is no object")
        step = np.zeros(used + 1, np.int8)
        step[starts] = 1
        step[ends] -= 1
        outside = array[:used][np.cumsum(step[:used], dtype=np.int8) == 0]
        if len(outside) and not np.isin(outside, np.frombuffer(b" \t\r\n,[]" + _BOM, np.uint8)).all():
            raise NotATableError(f"{self._name}: the JSON array holds something that is no object")


def _structure(array: Bytes) -> tuple[Offsets, Offsets]:
    """Brackets outside of strings: their places, and +1 or -1 for what each does to the depth."""
    is_quote = array == _QUOTE
    quotes = np.flatnonzero(is_quote)
    slashes = np.flatnonzero(array == _BACKSLASH)
    if len(slashes):
        quotes = quotes[~_escaped(quotes, slashes)]
    folded = array | 0x20  # [ ] and { } differ in one bit
    places = np.flatnonzero((folded == ord("{")) | (folded == ord("}")))
    places = places[np.searchsorted(quotes, places) % 2 == 0]
    return places, np.where((array[places] | 0x20) == ord("{"), 1, -1)


def _escaped(quotes: Offsets, slashes: Offsets) -> Flags:
    """Whether an odd run of backslashes stands before each quote."""
    # A run's first slash: one whose predecessor is no slash.
    first = np.concatenate(([True], np.diff(slashes) != 1))
    run_start = slashes[np.maximum.accumulate(np.where(first, np.arange(len(slashes)), 0))]
    at = np.searchsorted(slashes, quotes) - 1
    touching = (at >= 0) & (slashes[np.maximum(at, 0)] == quotes - 1)
    length = quotes - run_start[np.maximum(at, 0)]
    escaped: Flags = touching & (length % 2 == 1)
    return escaped


def parse_fields(line: bytes, dialect: Dialect, name: str, number: int) -> list[str]:
    """Fields of one CSV record.

    Raises
    ------
    NotATableError
        If it isn't text in the table's encoding, or no CSV.
    """
    try:
        text = line.decode(dialect.encoding)
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=dialect.delimiter, strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise NotATableError(f"{name}, line {number}: {error}", details={"path": name}) from error
    return rows[0] if rows else []


def _unique(names: list[str]) -> tuple[str, ...]:
    taken: dict[str, None] = {}
    for number, name in enumerate(names):
        wanted = name or f"column_{number + 1}"
        free, suffix = wanted, 2
        while free in taken:
            free, suffix = f"{wanted}_{suffix}", suffix + 1
        taken[free] = None
    return tuple(taken)


def _first_record_end(data: bytes, start: int) -> int:
    """End of the first record that isn't blank, its line end included; -1 where it isn't in `data`."""
    position, quotes = start, 0
    while (end := data.find(b"\n", position)) >= 0:
        quotes += data.count(b'"', position, end)
        if quotes % 2 == 0 and data[start : end + 1].strip():
            return end + 1
        position = end + 1
    return -1


def _dialect(sample: bytes, kind: TableKind, name: str) -> Dialect:
    bom = sample.startswith(_BOM)
    text = sample[len(_BOM) :] if bom else sample
    encoding = _encoding(text)
    if encoding is None:
        raise NotATableError(f"{name} is neither UTF-8 nor GB18030", details={"path": name})
    end = text.find(b"\n")
    line_end = b"\r\n" if end > 0 and text[end - 1 : end] == b"\r" else b"\n"
    delimiter = "\t" if kind.format is TableFormat.TSV else ","
    if kind.format is TableFormat.CSV:
        head = text[: _first_record_end(text, 0)] if end >= 0 else text
        counts = {sign: _outside_quotes(head, sign) for sign in b",;\t|"}
        best = max(counts, key=lambda sign: counts[sign])
        delimiter = chr(best) if counts[best] else ","
    return Dialect(delimiter, line_end, encoding, bom)


def _outside_quotes(line: bytes, sign: int) -> int:
    return sum(part.count(sign) for part in line.split(b'"')[::2])


def _encoding(sample: bytes) -> str | None:
    for encoding in ("utf-8", "gb18030"):
        try:
            sample.decode(encoding)
        except UnicodeDecodeError as error:
            # A character may be cut at the sample's end.
            if error.start < len(sample) - 4 or len(sample) < _SAMPLE_BYTES - len(_BOM):
                continue
        return encoding
    return None


def _read_full(stream: BinaryIO, size: int) -> bytes:
    """Read `size` bytes, less only at the end."""
    data = stream.read(size)
    while data and len(data) < size:
        more = stream.read(size - len(data))
        if not more:
            break
        data += more
    return data
