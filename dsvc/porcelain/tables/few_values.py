"""Columns of a table that have few distinct values, each row with the number of its value."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from blake3 import blake3

from dsvc.table.exchange.json_value import json_cell

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsvc.porcelain.tables.row_indexes import KnownTable
    from dsvc.table.index.row_index import RowIndex

    Hashes = NDArray[np.uint64]
    Codes = NDArray[np.int16]

MOST: Final = 50
"""Distinct values that a column may have to be looked at value by value."""
_SAMPLE: Final = 4096
_NEARLY: Final = 0.9
_SHOWN: Final = 200


class FewValues(NamedTuple):
    """A column.

    Attributes
    ----------
    codes : ndarray of int16
        For each row the number of its value; -1: one of those that are left out.
    texts : tuple of str
        Values by number.
    left_out : int
        Values that are left out, where only the most frequent ones were wanted.
    """

    codes: Codes
    texts: tuple[str, ...]
    left_out: int = 0


class _Found(NamedTuple):
    codes: Codes
    first: NDArray[np.int64]
    left_out: int


def few_values(
    table: KnownTable, index: RowIndex, names: Iterable[str], frequent: Collection[str] = ()
) -> dict[str, FewValues]:
    """Read the columns that have at most `MOST` values; those that have more are left out.

    Only the hashes of cells are read of all rows, and of each value one row.

    Parameters
    ----------
    names : iterable of str
        Columns; of each it is looked whether its values are few. A column that tells (nearly) every row from
        all others is none of these, however short the table is.
    frequent : collection of str
        Columns of which, if they have more values, the `MOST` most frequent ones are taken.

    Raises
    ------
    NotATableError, TableLimitError
        If the table can't be read.
    """
    found: dict[str, _Found] = {}
    for name in names:
        column = index.column(name)
        if column is None or not index.rows:
            continue
        declared = name in frequent
        if column.unique and not declared and index.rows > 1:
            continue
        cells = index.cells(names=[name])[name]
        part = _most_frequent(cells) if declared else _few(cells)
        if part is not None:
            found[name] = part
    if not found:
        return {}
    from dsvc.table.reading.row_reader import read_rows

    wanted = sorted({row for part in found.values() for row in part.first.tolist()})
    rows = read_rows(table.source, table.kind, index, wanted)
    return {
        name: _merged(part, [rows[row].get(name) for row in part.first.tolist()])
        for name, part in found.items()
    }


def _few(cells: Hashes) -> _Found | None:
    """Number the values of a column; None where they are many, or nearly every row has its own."""
    known = np.unique(cells[:: max(1, len(cells) // _SAMPLE)])
    while len(known) <= MOST and not (1 < len(known) >= _NEARLY * len(cells)):
        places = np.minimum(np.searchsorted(known, cells), len(known) - 1)
        missing = cells[known[places] != cells]
        if not len(missing):
            return _Found(places.astype(np.int16), _first_rows(places, len(known)), 0)
        known = np.union1d(known, missing[:_SAMPLE])
    return None


def _most_frequent(cells: Hashes) -> _Found:
    """Number the values of a column that most rows have."""
    known, first, inverse, counts = np.unique(
        cells, return_index=True, return_inverse=True, return_counts=True
    )
    order = np.lexsort((first, -counts))[:MOST]
    numbers = np.full(len(known), -1, np.int16)
    numbers[order] = np.arange(len(order), dtype=np.int16)
    return _Found(numbers[inverse], first[order].astype(np.int64), len(known) - len(order))


def _first_rows(codes: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """First row of each code."""
    first = np.empty(count, np.int64)
    # Of several that are written to one place the last one stays.
    first[codes[::-1]] = np.arange(len(codes), dtype=np.int64)[::-1]
    return first


def _merged(found: _Found, values: list[object]) -> FewValues:
    """Write values as text; those of equal text and type are one, though they were written differently."""
    texts = value_texts(values)
    numbers = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    if len(numbers) == len(texts):
        return FewValues(found.codes, tuple(texts), found.left_out)
    # One place more, so that -1 stays what it is.
    renumbered = np.array([*(numbers[text] for text in texts), -1], np.int16)
    return FewValues(renumbered[found.codes], tuple(numbers), found.left_out)


def value_texts(values: Iterable[object]) -> list[str]:
    """Write the values of one column as text; a text that reads like another kind of value is in quotes."""
    listed = list(values)
    others = {value_text(value) for value in listed if not isinstance(value, str)}
    return [
        json.dumps(value, ensure_ascii=False)
        if isinstance(value, str) and value in others
        else value_text(value)
        for value in listed
    ]


def value_text(value: object) -> str:
    """Write a value: text as it is, a whole number without a point, all else as JSON; long ones cut."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1 << 53:
        value = int(value)
    cell = json_cell(value)
    text = cell if isinstance(cell, str) else json.dumps(cell, ensure_ascii=False, sort_keys=True)
    text = text.encode("utf-8", "replace").decode()
    if len(text) <= _SHOWN:
        return text
    return f"{text[: _SHOWN - 12]}…{blake3(text.encode()).hexdigest()[:8]}"
