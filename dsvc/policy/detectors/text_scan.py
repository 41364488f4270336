"""One file looked through by a finder: in text by line, in tables in columns by record and column.

Text with escapes is looked at twice: as it stands, and with escapes of JSON and doubled quotes of CSV taken
off; in a file of JSON only without its escapes. What both show counts once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import numpy as np

from dsvc.model.detection import MAX_HITS, Detection, Hit
from dsvc.model.table_kind import TableFormat
from dsvc.policy.detectors.detector import FileDetector, ScannedFile, input_key
from dsvc.policy.detectors.tally import Tally
from dsvc.policy.detectors.text_blocks import Units, blocks, changed, cut_long, units
from dsvc.policy.detectors.text_stream import Content, open_stream, read_text
from dsvc.policy.detectors.unescape import unescape
from dsvc.table.origin.source import NotATableError, TableLimitError

if TYPE_CHECKING:
    from dsvc.table.reading.text_cells import TextCells

_JSON: Final = (TableFormat.JSON, TableFormat.JSONL)
_ESCAPED: Final = r'\\(?:u[0-9a-fA-F]{4}|["nrt/\\])'
_DOUBLED: Final = '""'


class Found(NamedTuple):
    """Something found.

    Attributes
    ----------
    unit : int
        Number of the line or piece among those looked at.
    at : int
        Where in it, in an order that repeats.
    kind : str
    value : str
        The value itself; it doesn't leave the scan.
    shown : str
        The value, masked.
    """

    unit: int
    at: int
    kind: str
    value: str
    shown: str


class Finder(Protocol):
    """Looks for something in lines of text."""

    def find(self, lines: Units) -> Iterator[Found]:
        """Find it; in pieces of long lines, only what begins in the piece itself."""


class Kept(NamedTuple):
    """A hit with its place: line, or record and column."""

    found: Found
    line: int | None
    record: int | None
    column: str | None


class Scan:
    """Looks through one file.

    Parameters
    ----------
    detector : FileDetector
        On whose behalf.
    finders : sequence of Finder
        What it looks for.
    binary : bool
        Whether printable characters of what is no text are looked at, too.
    """

    def __init__(self, detector: FileDetector, finders: Sequence[Finder], *, binary: bool) -> None:
        self._detector = detector
        self._finders = finders
        self._binary = binary
        self._tally = Tally()
        self._kept: list[Kept] = []
        self._note: str | None = None

    def run(self, file: ScannedFile) -> Detection:
        """Look through a file: unknown where it is a table or compressed and can't be read."""
        key = input_key(self._detector.name, [(file.path, file.digest)])
        unknown = None
        try:
            if file.kind is not None and not file.kind.format.is_text:
                self._columns(file)
            else:
                unknown = self._text(file)
        except (NotATableError, TableLimitError) as error:
            unknown = error.message
        for kept in self._placed(file):
            self._tally.add(
                Hit(
                    kind=kept.found.kind,
                    shown=kept.found.shown,
                    record=kept.record,
                    line=kept.line,
                    column=kept.column,
                )
            )
        return self._tally.detection(self._detector, key, unknown=unknown, note=self._note)

    def _placed(self, file: ScannedFile) -> list[Kept]:
        if not self._kept or file.kind is None or not file.kind.format.is_text:
            return self._kept
        from dsvc.policy.detectors.placing import placed

        return placed(file.source, file.kind, self._kept)

    def _text(self, file: ScannedFile) -> str | None:
        """Look through text; why it is unknown."""
        with open_stream(file) as stream:
            opened = read_text(stream)
            if opened.content is Content.BINARY and not self._binary:
                if opened.opaque is not None or file.kind is not None:
                    return f"{file.name} is {opened.opaque or 'no text'}, which this detector can't look into"
                self._note = "not text"
                return None
            if opened.opaque is not None:
                self._note = f"it is {opened.opaque}: what is compressed in it was not looked at"
            is_json = file.kind is not None and file.kind.format in _JSON
            numbered = opened.content is Content.TEXT
            for block in blocks(opened.chunks):
                view = changed(block, unescape) if is_json else block
                for kept in self._found(list(units(view)), doubled=not is_json):
                    self._add(kept.found, kept.line if numbered else None, None, None)
        self._tally.scanned_bytes = file.size
        return None

    def _columns(self, file: ScannedFile) -> None:
        from dsvc.table.reading.text_cells import CellText

        assert file.kind is not None
        table = CellText(file.source, file.kind)
        for cells in table:
            for kept in self._found(list(_cell_units(cells)), doubled=True):
                record = int(cells.records[kept.line or 0])
                self._add(kept.found, None, record, cells.column)
            self._tally.scanned_records = table.rows
        self._tally.scanned_records = table.rows
        self._tally.scanned_bytes = file.size

    def _add(self, found: Found, line: int | None, record: int | None, column: str | None) -> None:
        if len(self._kept) < MAX_HITS:
            self._kept.append(Kept(found, line, record, column))
        else:
            self._tally.count(found.kind, 1)

    def _all(self, lines: Units) -> Iterator[Found]:
        for finder in self._finders:
            yield from finder.find(lines)

    def _found(self, parts: list[Units], *, doubled: bool) -> list[Kept]:
        """What is in a block, in its order; `doubled`: quotes may be."""
        found: list[tuple[int, int, Found]] = []
        for part in parts:
            seen: set[tuple[int, str, str]] = set()
            for each in self._all(part):
                number = int(part.numbers[each.unit])
                seen.add((number, each.kind, each.value))
                found.append((number, each.at, each))
            bare = _without_escapes(part, doubled=doubled)
            if bare is None:
                continue
            for each in self._all(bare):
                number = int(bare.numbers[each.unit])
                if (number, each.kind, each.value) not in seen:
                    seen.add((number, each.kind, each.value))
                    found.append((number, each.at, each))
        found.sort(key=lambda item: (item[0], item[1], item[2].kind, item[2].value))
        return [Kept(each, number, None, None) for number, _, each in found]


def _without_escapes(part: Units, *, doubled: bool) -> Units | None:
    """Those lines that have escapes, without them; None where no line has any."""
    if b"\\" not in part.data and not (doubled and b'""' in part.data):
        return None
    from dsvc.table.text.line_match import LineBlock

    places = LineBlock(part.data, part.offsets).matching(f"{_ESCAPED}|{_DOUBLED}" if doubled else _ESCAPED)
    if not len(places):
        return None
    texts, first, stop = [], [], []
    for place in places.tolist():
        text = part.text(place)
        texts.append(_bare(text))
        span = part.span(place)
        if span is not None:
            first.append(len(_bare(text[: span[0]])))
            stop.append(len(_bare(text[: span[1]])))
    offsets = np.cumsum([0, *map(len, texts)], dtype=np.int64)
    numbers = part.numbers[places]
    if part.first is None:
        return Units(b"".join(texts), offsets, numbers, context=part.context)
    spans = np.array(first, np.int64), np.array(stop, np.int64)
    return Units(b"".join(texts), offsets, numbers, *spans, part.context)


def _bare(text: bytes) -> bytes:
    return unescape(text).replace(b'""', b'"')


def _cell_units(cells: TextCells) -> Iterator[Units]:
    """Lines of the values of a column, numbered by value."""
    array = np.frombuffer(cells.data, np.uint8)
    ends = np.flatnonzero(array == 0x0A) + 1
    offsets = np.concatenate(([0], ends)).astype(np.int64)
    numbers = np.searchsorted(cells.starts, offsets[:-1], side="right") - 1
    yield from cut_long(cells.data, offsets, numbers, (0, len(cells.data)), cells.column)
