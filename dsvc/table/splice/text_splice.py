"""Tables in text, put together of records: what isn't changed is copied byte by byte."""

from __future__ import annotations

import gzip
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import BinaryIO, Final, NamedTuple, cast

import numpy as np
import zstandard

from dsvc.model.table_kind import Compression
from dsvc.table.splice.splice_plan import CellEdit, Splice
from dsvc.table.text.text_donor import TextDonor

_PIECE_BYTES: Final = 8 << 20
_WINDOW_BYTES: Final = 16 << 20
_ZSTD_LEVEL: Final = 3
_GZIP_LEVELS: Final = {2: 9, 4: 1}
"""Levels by the hint in a file's header; it tells the best and the fastest."""
_GZIP_USUAL: Final = 6


class Frame(NamedTuple):
    """What stands around the records.

    Attributes
    ----------
    before, between, after : bytes
        Before the first, between two that weren't neighbours, after the last.
    empty : bytes
        A table without records.
    """

    before: bytes
    between: bytes
    after: bytes
    empty: bytes


class Piece(NamedTuple):
    """Consecutive records of a donor; a single one where cells change."""

    donor: int
    start: int
    stop: int
    edits: dict[str, CellEdit]


Cells = dict[tuple[int, int], bytes]
"""Records that cells are taken from, by donor and number."""


class TextWriter(ABC):
    """How records of a format are changed.

    Parameters
    ----------
    plan : Splice
        What to write.
    donors : sequence of TextDonor
        The open donors; those that nothing is taken from too.
    """

    def __init__(self, plan: Splice, donors: Sequence[TextDonor]) -> None:
        self.plan = plan
        self.donors = donors

    @abstractmethod
    def frame(self) -> Frame:
        """What stands around the records."""

    @abstractmethod
    def is_verbatim(self, donor: int) -> bool:
        """Whether a donor's records stay as they are."""

    @abstractmethod
    def render(self, donor: int, record: bytes, edits: dict[str, CellEdit], cells: Cells) -> bytes:
        """Text of a record in the output's dialect, with some cells changed."""

    def write(self, output: BinaryIO) -> None:
        """Write the whole table."""
        frame = self.frame()
        self._gap = b""
        self._is_empty = True
        for window in self._windows():
            self._write_window(window, frame, output)
        output.write(frame.empty if self._is_empty else frame.after)

    def _pieces(self) -> Iterator[Piece]:
        row = 0
        for donor, start, count in self.plan.segments:
            stop, table = start + count, self.donors[donor]
            if stop > len(table):
                raise IndexError(f"{table.source.name} has {len(table)} records, not {stop}")
            by_row: dict[int, dict[str, CellEdit]] = defaultdict(dict)
            for edit in self.plan.edits_within(row, count):
                by_row[edit.row - row + start][edit.column] = edit
            for changed, edits in by_row.items():
                yield from self._runs(donor, start, changed)
                yield Piece(donor, changed, changed + 1, edits)
                start = changed + 1
            yield from self._runs(donor, start, stop)
            row += count

    def _runs(self, donor: int, start: int, stop: int) -> Iterator[Piece]:
        table = self.donors[donor]
        while start < stop:
            limit = int(np.searchsorted(table.ends, table.starts[start] + _PIECE_BYTES))
            end = min(stop, max(limit, start + 1))
            yield Piece(donor, start, end, {})
            start = end

    def _windows(self) -> Iterator[list[Piece]]:
        window: list[Piece] = []
        size = 0
        for piece in self._pieces():
            table = self.donors[piece.donor]
            window.append(piece)
            size += int(table.ends[piece.stop - 1] - table.starts[piece.start])
            for edit in piece.edits.values():
                if edit.donor_row >= 0:
                    other = self.donors[edit.donor]
                    size += int(other.ends[edit.donor_row] - other.starts[edit.donor_row])
            if size >= _WINDOW_BYTES:
                yield window
                window, size = [], 0
        if window:
            yield window

    def _write_window(self, window: list[Piece], frame: Frame, output: BinaryIO) -> None:
        # Read from front to back in each donor, whatever the order of the output.
        wanted = {(p.donor, p.start, p.stop) for p in window}
        cited = {(e.donor, e.donor_row) for p in window for e in p.edits.values() if e.donor_row >= 0}
        wanted |= {(donor, row, row + 1) for donor, row in cited}
        texts = {(donor, a, b): self._read(donor, a, b) for donor, a, b in sorted(wanted)}
        cells = {(donor, row): texts[donor, row, row + 1][0] for donor, row in cited}
        parts: list[bytes] = []
        for piece in window:
            text, gap = texts[piece.donor, piece.start, piece.stop]
            parts.append(frame.before if self._is_empty else self._gap)
            self._is_empty = False
            parts.append(self._text(piece, text, frame.between, cells))
            self._gap = frame.between if gap is None else gap
        output.write(b"".join(parts))

    def _read(self, donor: int, start: int, stop: int) -> tuple[bytes, bytes | None]:
        """Text of records, and what follows them in the first donor if another record does."""
        table = self.donors[donor]
        has_next = donor == 0 and stop < len(table)
        end = int(table.ends[stop - 1])
        data = table.text(int(table.starts[start]), int(table.starts[stop]) if has_next else end)
        length = end - int(table.starts[start])
        return data[:length], data[length:] if has_next else None

    def _text(self, piece: Piece, text: bytes, between: bytes, cells: Cells) -> bytes:
        verbatim = self.is_verbatim(piece.donor)
        if verbatim and not piece.edits and (piece.donor == 0 or piece.stop == piece.start + 1):
            return text
        table = self.donors[piece.donor]
        starts = table.starts[piece.start : piece.stop]
        ends = table.ends[piece.start : piece.stop] - starts[0]
        starts = starts - starts[0]
        if verbatim and not piece.edits:
            return text if _is_joined(text, starts, ends, between) else between.join(_cut(text, starts, ends))
        records = [
            self.render(piece.donor, record, piece.edits, cells) for record in _cut(text, starts, ends)
        ]
        if piece.donor:
            return between.join(records)
        gaps = [text[a:b] for a, b in zip(ends.tolist()[:-1], starts.tolist()[1:], strict=True)]
        return b"".join(part for pair in zip(records, [*gaps, b""], strict=True) for part in pair)


def _cut(text: bytes, starts: np.ndarray, ends: np.ndarray) -> list[bytes]:
    return [text[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]


def _is_joined(text: bytes, starts: np.ndarray, ends: np.ndarray, between: bytes) -> bool:
    """Whether the records are joined by nothing but `between`."""
    if not (starts[1:] - ends[:-1] == len(between)).all():
        return False
    array = np.frombuffer(text, np.uint8)
    return all((array[ends[:-1] + place] == byte).all() for place, byte in enumerate(between))


@contextmanager
def open_donors(plan: Splice) -> Iterator[list[TextDonor]]:
    """Open the donors of a plan.

    Raises
    ------
    NotATableError
        If one can't be read as a table.
    TableLimitError
        If one is beyond the limits.
    """
    with ExitStack() as stack:
        yield [stack.enter_context(TextDonor(donor.source, donor.kind)) for donor in plan.donors]


@contextmanager
def compressed(plan: Splice, output: BinaryIO) -> Iterator[BinaryIO]:
    """Compress what is written as the first donor is; the same text gives the same bytes."""
    first = plan.donors[0]
    if first.kind.compression is Compression.NONE:
        yield output
    elif first.kind.compression is Compression.GZIP:
        with first.source.open() as stream:
            head = stream.read(10)
        level = _GZIP_LEVELS.get(head[8], _GZIP_USUAL) if len(head) == 10 else _GZIP_USUAL
        with gzip.GzipFile("", "wb", level, output, mtime=0) as packed:
            yield cast(BinaryIO, packed)
    else:
        writer = zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=True).stream_writer(
            output, closefd=False
        )
        with writer:
            yield cast(BinaryIO, writer)
