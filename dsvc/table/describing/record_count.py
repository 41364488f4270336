"""How many records a table in text has, counted while its bytes go by.

The rules are those of `dsvc.table.text.records`: a line that is not blank is a record; in CSV a line end
between quotes ends none; in a JSON array each object that stands in it directly is one. Nothing is decoded.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from dsvc.model.table_kind import TableFormat

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BLOCK: Final = 96 * 1024
"""As much as stays in a processor's cache from one pass over it to the next."""
_BRACKETS: Final = b'"[]{}'
_OPENING, _CLOSING = b"[]"
_OTHERS: Final = bytes(set(range(256)) - set(_BRACKETS))


_FIELD, _WITHIN, _QUOTED, _CLOSED = b"", b" ", b'"', b'""'
"""Where a part of CSV begins: at a field, in one without quotes, in a quoted one, after a quote that closed
one unless another follows. Each is what the part would have to begin with for that."""
_MARK: Final = b"\0"
_END: Final = b"."
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
    if not data or data[:1].isspace() or _BLANK_START(data):
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


class NoCounter:
    """Counts nothing: the text is in no known encoding."""

    def feed(self, part: bytes | memoryview) -> None:
        """Take further bytes."""

    def result(self) -> int | None:
        """None."""
        return None


class LineCounter:
    """Counts lines that are not blank.

    Parameters
    ----------
    delimiter : str or None
        Of CSV, where a line end in a quoted field ends no record; None where quotes mean nothing.
    vectors : bool
        Whether to count with NumPy: several times as fast, after 50 ms for loading it.
    """

    def __init__(self, delimiter: str | None = None, *, vectors: bool = False) -> None:
        self._vectors = vectors
        # In a table whose fields are parted by tabs, a line of tabs is a row of nulls.
        self._blanks = b" \r" if delimiter == "\t" else b" \t\r"
        self._quoted: re.Pattern[bytes] | None = None
        self._sign = b""
        if delimiter is not None:
            self._sign = delimiter.encode()
            # Begins with the quote itself, for which the engine looks as fast as memory goes.
            begins = rb'"(?:(?<=[\n' + re.escape(self._sign) + rb']")|(?<=\A"))'
            self._quoted = re.compile(begins + rb'(?:[^"]++|"")*+"?')
        self._records = 0
        self._is_blank = True  # what is there of the record that isn't ended yet
        self._before = _FIELD

    def feed(self, part: bytes | memoryview) -> None:
        """Take further bytes."""
        if not self._vectors:
            self._take_text(bytes(part))
            return
        import numpy as np

        array = np.frombuffer(part, np.uint8)
        for start in range(0, len(array), _BLOCK):
            self._take_block(np, array[start : start + _BLOCK])

    def result(self) -> int | None:
        """Give the number of records; None if a quote is never closed."""
        return None if self._before == _QUOTED else self._records + (not self._is_blank)

    def _take_text(self, part: bytes) -> None:
        if self._quoted is not None and part and (self._before == _QUOTED or b'"' in part):
            part = self._without_quoted(self._quoted, part)
        elif part:
            self._before = self._after(part[-1:])
        lines = part.split(b"\n")
        last = lines.pop()
        if lines:
            blank = [line for line in lines if not line or (line.isspace() and not line.strip(self._blanks))]
            self._records += len(lines) - len(blank)
            if not (self._is_blank or lines[0].strip(self._blanks)):
                self._records += 1
            self._is_blank = True
        self._is_blank = self._is_blank and not last.strip(self._blanks)

    def _without_quoted(self, quoted: re.Pattern[bytes], part: bytes) -> bytes:
        """Put a mark for each quoted field; what went before is told to the pattern by a few bytes."""
        text = quoted.sub(_MARK, self._before + part + _END)
        if not text.endswith(_END):
            self._before = _QUOTED
            return text
        text = text[:-1]
        closed = text.endswith(_MARK) and part.endswith(b'"')
        self._before = _CLOSED if closed else self._after(text[-1:])
        return text

    def _after(self, last: bytes) -> bytes:
        return _FIELD if last in (b"\n", self._sign) else _WITHIN

    def _take_block(self, np: Any, block: NDArray[np.uint8]) -> None:
        ends = block == 10
        quotes = np.flatnonzero(block == 34 if self._quoted is not None else block[:0])
        opened = self._before == _QUOTED
        if not (opened or len(quotes)):
            self._before = self._after(block[-1:].tobytes())
            if not (ends[:-1] & (block[1:] <= 32)).any():
                self._take_plain(np, block, ends)
                return
        elif not self._is_regular(np, block, quotes[1 if opened else 0 :: 2]):
            self._take_text(block.tobytes())
            return
        breaks = np.flatnonzero(ends)
        if opened or len(quotes):
            breaks = breaks[(np.searchsorted(quotes, breaks) + opened) % 2 == 0]
            if (len(quotes) + opened) % 2:
                self._before = _QUOTED
            else:
                last = block[-1:].tobytes()
                self._before = _CLOSED if last == b'"' else self._after(last)
        self._take_breaks(np, block, breaks)

    def _is_regular(self, np: Any, block: NDArray[np.uint8], opening: NDArray[np.int64]) -> bool:
        """Whether each quote that opens a field stands where one begins, or doubles the one before it."""
        before = block[np.maximum(opening - 1, 0)]
        begins = (before == self._sign[0]) | (before == 10) | (before == 34)
        if len(opening) and opening[0] == 0:
            begins[0] = self._before != _WITHIN
        return bool(begins.all())

    def _take_breaks(self, np: Any, block: NDArray[np.uint8], breaks: NDArray[np.int64]) -> None:
        if not len(breaks):
            self._is_blank = self._is_blank and self._blank(block)
            return
        self._records += len(breaks)
        if self._is_blank and self._blank(block[: breaks[0]]):
            self._records -= 1
        # Lines that begin with white space are rare; only those are looked at one by one.
        for number in np.flatnonzero(block[breaks[:-1] + 1] <= 32):
            if self._blank(block[breaks[number] + 1 : breaks[number + 1]]):
                self._records -= 1
        self._is_blank = self._blank(block[breaks[-1] + 1 :])

    def _take_plain(self, np: Any, block: NDArray[np.uint8], ends: NDArray[np.bool_]) -> None:
        """Count a block without quotes in which no line begins with white space, so that none is blank."""
        found = int(np.count_nonzero(ends))
        if not found:
            self._is_blank = self._is_blank and self._blank(block)
            return
        self._records += found
        if self._is_blank and self._blank(block[: ends.argmax()]):
            self._records -= 1
        self._is_blank = bool(ends[-1])

    def _blank(self, line: NDArray[np.uint8]) -> bool:
        return not line.tobytes().strip(self._blanks)


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
