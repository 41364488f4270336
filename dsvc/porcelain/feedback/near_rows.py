"""Rows of a table whose content is nearly that of some given rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from dsvc.policy.detectors.near_search import NearScope, NearTerms, find_near
from dsvc.policy.detectors.shingles import Sketcher, joined, normalised

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsvc.porcelain.tables.row_indexes import KnownTable
    from dsvc.table.index.row_index import RowIndex
    from dsvc.table.roles import TableRule

    Numbers = NDArray[np.int64]

PERMUTATIONS: Final = 64
SEED: Final = 1
MAX_CHARACTERS: Final = 1 << 29
"""Characters of different texts that are held in memory at most."""
_SAMPLE: Final = 500
_LEAST_LENGTH: Final = 8


class NearRows(NamedTuple):
    """What was found.

    Attributes
    ----------
    rows : ndarray of int64
        Rows that are near one of those given, ascending.
    partner : ndarray of int64
        For each the place, among the texts given, of one that it is near.
    complete : bool
        Whether the search came to its end.
    """

    rows: Numbers
    partner: Numbers
    complete: bool


def content_columns(table: KnownTable, index: RowIndex, rule: TableRule) -> tuple[str, ...]:
    """Columns that hold what a row says: as ``dsvc.toml`` has it, else that with the longest texts."""
    declared = rule.roles.get("content", ())
    if declared and all(index.column(name) is not None for name in declared):
        return declared
    from dsvc.table.reading.row_reader import read_rows

    rows = read_rows(table.source, table.kind, index, range(min(index.rows, _SAMPLE))).values()
    length: dict[str, int] = {}
    for row in rows:
        for name, value in row.items():
            if isinstance(value, str):
                length[name] = length.get(name, 0) + len(value)
    longest = max(length, key=lambda name: length[name], default=None)
    if longest is None or length[longest] < _LEAST_LENGTH * len(rows):
        return ()
    return (longest,)


def row_texts(table: KnownTable, columns: Sequence[str]) -> Iterator[str]:
    """Yield the content of each row, normalised; empty where it has none.

    Raises
    ------
    NotATableError, TableLimitError
        If the table can't be read.
    """
    from dsvc.table.reading.arrow_reader import open_arrow

    with open_arrow(table.source, table.kind, skip_malformed=True) as reader:
        for batch in reader.batches(columns):
            cells = [batch.column(name).to_pylist() for name in columns]
            for values in zip(*cells, strict=True):
                parts = [normalised("" if value is None else str(value)) for value in values]
                yield joined(parts) if any(parts) else ""


def near_rows(given: Sequence[str], others: Iterable[str], *, terms: NearTerms | None = None) -> NearRows:
    """Find rows that are near given texts, or equal to one of them.

    Parameters
    ----------
    given : sequence of str
        Normalised; empty ones are near nothing.
    others : iterable of str
        Normalised content of the rows that are looked through, in order.
    terms : NearTerms or None
        What counts as near; None: a Jaccard similarity of 0.8 or more.

    Raises
    ------
    DetectorUnavailableError
        If datasketch isn't installed.
    """
    sketcher = Sketcher(PERMUTATIONS, SEED)
    numbers: dict[str, int] = {}
    place: list[int] = []
    for number, text in enumerate(given):
        if text and numbers.setdefault(text, len(numbers)) == len(place):
            place.append(number)
    first = len(numbers)
    if not first:
        return NearRows(np.zeros(0, np.int64), np.zeros(0, np.int64), True)
    of_row, characters, complete = [], 0, True
    for text in others:
        number = numbers.get(text, -1)
        if text and number < 0:
            characters += len(text)
            if characters <= MAX_CHARACTERS:
                number = numbers[text] = len(numbers)
            else:
                complete = False
        of_row.append(number)
    texts = list(numbers)
    groups = (np.arange(len(texts)) >= first).astype(np.int64)
    found = find_near(texts, sketcher.sketches(texts), groups, NearScope.ACROSS, terms or NearTerms())
    partner = np.append(np.where(groups == 0, np.arange(len(texts)), found.partner), -1)
    by_row = partner[np.array(of_row, np.int64)] if of_row else np.zeros(0, np.int64)
    rows = np.flatnonzero(by_row >= 0)
    return NearRows(rows, np.array(place, np.int64)[by_row[rows]], complete and found.is_complete)
