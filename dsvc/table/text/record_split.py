"""Cutting blocks of text into records, at the speed of memory."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np

from dsvc.table.origin.source import NotATableError, TableLimitError
from dsvc.table.text.dialect import BOM

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Offsets = NDArray[np.int64]
    Bytes = NDArray[np.uint8]
    Flags = NDArray[np.bool_]

MAX_DEPTH: Final = 512
"""How deep a record of JSON may nest."""
NEWLINE: Final = b"\n"
_NEWLINE, _QUOTE, _BACKSLASH, _RETURN, _COMMA, _BRACE = b'\n"\\\r,{'


class LineSplitter:
    """Cuts at line ends that are outside of quotes.

    Parameters
    ----------
    name : str
        The file's name, for messages.
    delimiter : str or None
        Of CSV; None where quotes mean nothing.
    """

    def __init__(self, name: str, delimiter: str | None) -> None:
        self._name = name
        self._delimiter = delimiter
        # In a table whose fields are parted by tabs, a line of tabs is a row of nulls.
        self._blanks = b" \r" if delimiter == "\t" else b" \t\r"

    def split(self, data: bytes, *, line: int, last: bool) -> tuple[Offsets, Offsets, int]:
        """Cut the whole records at the front of a text.

        Parameters
        ----------
        data : bytes
            Text that begins where a record does.
        line : int
            Its first line, for messages.
        last : bool
            Whether no more text follows.

        Returns
        -------
        (ndarray of int64, ndarray of int64, int)
            Where records begin and end, and how much of the text they take up.

        Raises
        ------
        NotATableError
            If a quote is opened and never closed.
        """
        array = np.frombuffer(data, np.uint8)
        breaks = np.flatnonzero(array == _NEWLINE)
        if self._delimiter is not None and _QUOTE in data:
            breaks = self._outside_quotes(data, array, breaks, line=line, last=last)
        used = len(data) if last else (int(breaks[-1]) + 1 if len(breaks) else 0)
        starts = np.concatenate(([0], breaks + 1))
        ends = np.append(breaks, used) if last else breaks
        starts = starts[: len(ends)]
        if b"\r" in data:
            is_return = (
                (ends > starts) & (array[np.maximum(ends - 1, 0)] == _RETURN) if len(array) else ends > 0
            )
            ends = ends - is_return
        return (*_without_blank(data, array, starts, ends, self._blanks), used)

    def _outside_quotes(
        self, data: bytes, array: Bytes, breaks: Offsets, *, line: int, last: bool
    ) -> Offsets:
        assert self._delimiter is not None
        quotes = np.flatnonzero(array == _QUOTE)
        if _regular(array, quotes, ord(self._delimiter)):
            opened = len(quotes) % 2 == 1
            breaks = breaks[np.searchsorted(quotes, breaks) % 2 == 0]
        else:
            starts, ends, opened = _quoted_fields(data, self._delimiter)
            breaks = breaks[np.searchsorted(starts, breaks) == np.searchsorted(ends, breaks, side="right")]
        if last and opened:
            start = int(breaks[-1]) + 1 if len(breaks) else 0
            front = data[start : start + 60].decode("utf-8", "replace")
            raise NotATableError(
                f"{self._name}, line {line + data.count(NEWLINE, 0, start)}: a quote is opened and never "
                f"closed, in the record that begins with {front!r}",
                details={"path": self._name},
            )
        return breaks


def _regular(array: Bytes, quotes: Offsets, delimiter: int) -> bool:
    """Whether each quote that opens a field stands where a field begins, or doubles the one before it."""
    opening = quotes[::2]
    before = array[np.maximum(opening - 1, 0)]
    begins = (opening == 0) | (before == delimiter) | (before == _NEWLINE) | (before == _QUOTE)
    return bool(begins.all())


def _quoted_fields(data: bytes, delimiter: str) -> tuple[Offsets, Offsets, bool]:
    """Where quoted fields begin and end, and whether the last is open; any other quote is a character."""
    sign = re.escape(delimiter.encode())
    pattern = re.compile(rb"(?:\A|(?<=[\n" + sign + rb']))"(?:[^"]++|"")*+("|\Z)')
    spans = [(found.start(), found.end(), found.end(1) == found.start(1)) for found in pattern.finditer(data)]
    if not spans:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), False
    starts, ends, opens = zip(*spans, strict=True)
    return np.array(starts, np.int64), np.array(ends, np.int64), bool(opens[-1])


def _without_blank(
    data: bytes, array: Bytes, starts: Offsets, ends: Offsets, blanks: bytes
) -> tuple[Offsets, Offsets]:
    filled = ends > starts
    # Lines that begin with white space are rare; only those are looked at one by one.
    if len(array):
        front = array[np.minimum(starts, len(array) - 1)]
        for number in np.flatnonzero(filled & np.isin(front, np.frombuffer(blanks, np.uint8))):
            filled[number] = bool(data[starts[number] : ends[number]].strip(blanks))
    if filled.all():
        return starts, ends
    return starts[filled], ends[filled]


class ArraySplitter:
    """Cuts an array of objects: what stands at depth two is a record.

    Parameters
    ----------
    name : str
        The file's name, for messages.
    opened : bool
        Whether the text begins with a record instead of the array's bracket.
    """

    def __init__(self, name: str, *, opened: bool) -> None:
        self._name = name
        self._opened = opened
        self._is_first = True

    def split(self, data: bytes, *, line: int, last: bool) -> tuple[Offsets, Offsets, int]:
        """As `LineSplitter.split`; data begins at depth one, but for the first time.

        Raises
        ------
        NotATableError
            If it isn't an array of objects, with a comma between each two.
        TableLimitError
            If a record nests deeper than `MAX_DEPTH`.
        """
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
        self._check_between(data, array, starts, ends, used, line)
        # The array is closed by the last bracket of all, and by no other.
        if last and not (
            len(depth) and depth[-1] == 0 and (depth[:-1] > 0).all() and len(opens) == len(closes)
        ):
            raise NotATableError(
                f"{self._name}: the JSON array is not complete", details={"path": self._name}
            )
        self._opened = self._opened or used > 0
        self._is_first = self._is_first and not count
        return starts, ends, used

    def _check_between(
        self, data: bytes, array: Bytes, starts: Offsets, ends: Offsets, used: int, line: int
    ) -> None:
        """Between two records stands one comma, before the first and after the last none."""
        step = np.zeros(used + 1, np.int8)
        step[starts] = 1
        step[ends] -= 1
        outside = np.flatnonzero(np.cumsum(step[:used], dtype=np.int8) == 0)
        signs = array[outside]
        strange = [
            *starts[array[starts] != _BRACE][:1],
            *outside[~np.isin(signs, np.frombuffer(b" \t\r\n,[]" + BOM, np.uint8))][:1],
        ]
        if strange:
            raise self._error(data, int(min(strange)), line, "holds something that is no object")
        before = np.searchsorted(outside[signs == _COMMA], np.append(starts, used))
        wanted = np.ones(len(before), np.int64)
        wanted[-1] = 0
        if self._is_first:
            wanted[0] = 0
        wrong = np.flatnonzero(np.diff(before, prepend=0) != wanted)
        if len(wrong):
            place = int(starts[wrong[0]]) if wrong[0] < len(starts) else used
            raise self._error(data, place, line, "has a comma too many or too few")

    def _error(self, data: bytes, place: int, line: int, problem: str) -> NotATableError:
        number = line + data.count(NEWLINE, 0, place)
        return NotATableError(
            f"{self._name}, line {number}: the JSON array {problem}", details={"path": self._name}
        )


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
