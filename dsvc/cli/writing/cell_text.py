"""Cells of tables for people: on one line, harmless, no longer than there is room for.

Text stands without quotes where nobody could take it for something else; ``"1"``, ``"null"``, ``""`` and text
with blanks at its ends have quotes, so that they differ from 1, null and nothing.
"""

from __future__ import annotations

import json
import re
import unicodedata
from typing import NamedTuple

from dsvc.cli.writing.names import show_text
from dsvc.cli.writing.sizes import shorten, width

CELL_WIDTH = 60
_PLAIN = re.compile(r"[^\W\d_](?:[^\"\\,=\[\]{}\s]| (?! ))*(?<! )")
_WORDS = frozenset({"null", "true", "false", "nan", "inf", "infinity"})
_MAX_READ = 20_000
_ELLIPSIS = "…"


class Marked(NamedTuple):
    """A changed cell: what both sides begin with, what differs, what both end with."""

    head: str
    old: str
    new: str
    tail: str


def show_cell(value: object) -> str:
    """Return a cell on one line, in its whole length; control characters are escaped."""
    from dsvc.diff.cell_json import json_cell

    if isinstance(value, str):
        return _inner(value) if _is_plain(value) else f'"{_inner(value)}"'
    plain = json_cell(value)
    if isinstance(plain, str):
        return show_text(plain)
    return _one_line(json.dumps(plain, ensure_ascii=False))


def show_short(value: object, cells: int = CELL_WIDTH) -> str:
    """Return a cell in at most `cells` cells of a terminal."""
    if isinstance(value, str | bytes) and len(value) > _MAX_READ:
        value = value[:_MAX_READ]
    return shorten(show_cell(value)[: 4 * cells], cells)


def show_column(name: str) -> str:
    """Return a column's name, in quotes where it would be misread."""
    return _inner(name) if _is_plain(name) or re.fullmatch(r"\w+", name) else f'"{_inner(name)}"'


def mark(old: object, new: object, cells: int = CELL_WIDTH) -> Marked:
    """Find what differs between two cells; of long text only the surroundings of the difference are kept."""
    if not (isinstance(old, str) and isinstance(new, str)) or min(len(old), len(new)) < 8:
        return Marked("", show_short(old, cells), show_short(new, cells), "")
    start = _shared(old, new)
    end = _shared(old[start:][::-1], new[start:][::-1])
    start, end = _at_words(old, new, start, end)
    if (start + end) * 3 < min(len(old), len(new)):
        return Marked("", show_short(old, cells), show_short(new, cells), "")
    around = max(8, cells // 3)
    head = old[max(0, start - around) : start]
    tail = old[len(old) - end : len(old) - end + around]
    return Marked(
        _ELLIPSIS * (start > around) + _inner(head),
        _cut(old[start : len(old) - end], cells),
        _cut(new[start : len(new) - end], cells),
        _inner(tail) + _ELLIPSIS * (end > around),
    )


def _shared(one: str, other: str) -> int:
    """How many characters both begin with."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _at_words(old: str, new: str, start: int, end: int) -> tuple[int, int]:
    """Move the ends of a difference to where words end; Chinese characters are words of their own."""
    while start and (any(start < len(text) and _joins(text[start - 1], text[start]) for text in (old, new))):
        start -= 1
    while end and any(
        end < len(text) and _joins(text[len(text) - end - 1], text[len(text) - end]) for text in (old, new)
    ):
        end -= 1
    return start, end


def _joins(left: str, right: str) -> bool:
    if unicodedata.combining(right) or right == "\u200d" or left == "\u200d":
        return True
    return left.isascii() and right.isascii() and left.isalnum() and right.isalnum()


def _cut(text: str, cells: int) -> str:
    """Shorten in the middle."""
    shown = _inner(text[:_MAX_READ])
    if width(shown[: 4 * cells]) <= cells and len(shown) <= 4 * cells and len(text) <= _MAX_READ:
        return shown
    ends = _inner(text[-cells:])[-(cells // 3) :]
    return shorten(shown[: 4 * cells], max(2, cells - width(ends))) + ends


def _is_plain(text: str) -> bool:
    return len(text) <= _MAX_READ and bool(_PLAIN.fullmatch(text)) and text.lower() not in _WORDS


def _inner(text: str) -> str:
    return _one_line(text.replace("\\", "\\\\") if "\\" in text else text).replace('"', '\\"')


def _one_line(text: str) -> str:
    if text.isprintable():
        return text
    return show_text(text).replace("\n", "\\n").replace("\t", "\\t")
