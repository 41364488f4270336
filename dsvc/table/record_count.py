"""How many records a table in text has, counted while its bytes go by.

The rules are those of `dsvc.table.records`: a line that is not blank is a record; in CSV a line end between
quotes ends none; in a JSON array each object that stands in it directly is one. Nothing is decoded.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from dsvc.table.kind import TableFormat

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BLOCK: Final = 128 * 1024
"""As much as stays in a processor's cache from one pass over it to the next."""
_BRACKETS: Final = b'"[]{}'
_OPENING, _CLOSING = b"[]"
_OTHERS: Final = bytes(set(range(256)) - set(_BRACKETS))


_BLANK_START: Final = re.compile(rb"\n\s").search
"""Finds a line that begins with white space, and may be blank therefore."""
_ITEMS: Final = msgspec.json.Decoder(list[msgspec.Raw])


def below_header(kind: TableFormat, records: int | None) -> int | None:
    """Number of rows: in CSV the first record is the header, without which it is no table."""
    if kind is not TableFormat.CSV and kind is not TableFormat.TSV:
        return records
    return records - 1 if records else None


def count_small(kind: TableFormat, data: bytes) -> int | None:
    """Rows of a short plain table; None where this quick way can't tell, and a counter has to."""
    if kind is TableFormat.JSON:
        try:
            items = _ITEMS.decode(data)
        except (msgspec.DecodeError, RecursionError):
            return None
        return len(items) if all(bytes(item).startswith(b"{") for item in items) else None
    if kind is TableFormat.PARQUET or kind is TableFormat.ARROW:
        return None
    if kind is not TableFormat.JSONL and b'"' in data:
        return None
    if data[:1].isspace() or _BLANK_START(data):
        return None
    return below_header(kind, data.count(b"\n") + (not data.endswith(b"\n")))


class RecordCounter(Protocol):
    """Counts records."""

    def feed(self, part: bytes | memoryview) -> None:
        """Take further bytes."""
        ...

    def result(self) -> int | None:
        """Give the number of records; None where the text can't be cut into any."""
        ...


class LineCounter:
    """Counts lines that are not blank.

    Parameters
    ----------
    quoted : bool
        Whether line ends between quotes end no record.
    vectors : bool
        Whether to count with NumPy: several times as fast, after 50 ms for loading it.
    """

    def __init__(self, *, quoted: bool, vectors: bool = False) -> None:
        self._quoted = quoted
        self._vectors = vectors
        self._records = 0
        self._blank = True  # what is there of the record that isn't ended yet
        self._open = 0

    def feed(self, part: bytes | memoryview) -> None:
        """Take further bytes."""
        if not self._vectors:
            self._take_lines(bytes(part))
            return
        import numpy as np

        array = np.frombuffer(part, np.uint8)
        for start in range(0, len(array), _BLOCK):
            self._take_block(np, array[start : start + _BLOCK])

    def result(self) -> int | None:
        """Give the number of records; None if a quote is never closed."""
        return None if self._open else self._records + (not self._blank)

    def _take_lines(self, part: bytes) -> None:
        lines = part.split(b"\n")
        if self._quoted and (self._open or b'"' in part):
            lines = self._outside(lines)
        last = lines.pop()
        if not lines:
            self._blank = self._blank and _is_blank(last)
            return
        self._records += len(lines) - lines.count(b"") - sum(map(bytes.isspace, lines))
        if not self._blank and _is_blank(lines[0]):
            self._records += 1
        self._blank = _is_blank(last)

    def _outside(self, lines: list[bytes]) -> list[bytes]:
        """First lines of the records: those that begin outside of quotes, and the first of the part."""
        odd = [line.count(b'"') & 1 for line in lines]
        if not self._open and not any(odd):
            return lines
        kept = []
        for number, line in enumerate(lines):
            if not (number and self._open):
                kept.append(line)
            self._open ^= odd[number]
        return kept

    def _take_block(self, np: Any, block: NDArray[np.uint8]) -> None:
        breaks = np.flatnonzero(block == 10)
        if self._quoted:
            quotes = np.flatnonzero(block == 34)
            if self._open or len(quotes):
                breaks = breaks[(np.searchsorted(quotes, breaks) + self._open) % 2 == 0]
                self._open = (self._open + len(quotes)) & 1
        if not len(breaks):
            self._blank = self._blank and _is_blank(block.tobytes())
            return
        self._records += len(breaks)
        if self._blank and _is_blank(block[: breaks[0]].tobytes()):
            self._records -= 1
        # Lines that begin with white space are rare; only those are looked at one by one.
        for number in np.flatnonzero(block[breaks[:-1] + 1] <= 32):
            if _is_blank(block[breaks[number] + 1 : breaks[number + 1]].tobytes()):
                self._records -= 1
        self._blank = _is_blank(block[breaks[-1] + 1 :].tobytes())


def _is_blank(line: bytes) -> bool:
    return not line or line.isspace()


class ArrayCounter:
    """Counts the objects that stand in a JSON array directly."""

    def __init__(self) -> None:
        self._held = b""
        self._inside = 0
        self._depth = 0
        self._records = 0
        self._closed = False
        self._malformed = False

    def feed(self, part: bytes | memoryview) -> None:
        """Take further bytes."""
        data = self._held + bytes(part)
        # An escape may be cut in two.
        odd = (len(data) - len(data.rstrip(b"\\"))) & 1
        self._held = b"\\" * odd
        if odd:
            data = data[:-1]
        if b"\\" in data:
            data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
        # Strings without brackets leave two quotes side by side: most go here, before any loop.
        pieces = data.translate(None, _OTHERS).replace(b'""', b"").split(b'"')
        self._take_brackets(b"".join(pieces[self._inside :: 2]))
        self._inside ^= (len(pieces) - 1) & 1

    def _take_brackets(self, brackets: bytes) -> None:
        depth = self._depth
        for bracket in brackets:
            if bracket in b"]}":
                depth -= 1
                if depth <= 0:
                    self._malformed = self._malformed or depth < 0 or bracket != _CLOSING
                    self._closed = True
                continue
            if depth == 1:
                self._records += 1
                self._malformed = self._malformed or bracket == _OPENING
            elif depth == 0:
                self._malformed = self._malformed or self._closed or bracket != _OPENING
            depth += 1
        self._depth = depth

    def result(self) -> int | None:
        """Give the number of objects; None if the array isn't closed, or isn't one of objects."""
        whole = self._closed and self._depth == 0 and not self._inside
        return self._records if whole and not self._malformed else None
