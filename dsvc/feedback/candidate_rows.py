"""Which of the evaluated rows a candidate cause covers, and how many of them are flagged.

A column is one array of codes, counted for all its values in one pass. Other candidates are masks or numbers
of rows. Rows are numbered from 0 among those that were evaluated.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from dsvc.model.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]
    Flags = NDArray[np.bool_]

_DENSE: Final = 1 << 22
"""Up to so many combinations are told apart by a table, more by sorting."""


class Codes:
    """A column: for each evaluated row the number of its value, or -1 where it has none that counts.

    Parameters
    ----------
    codes : array of integers
        Shared by the candidates of all its values, not copied.
    """

    def __init__(self, codes: NDArray[np.integer]) -> None:
        self.array = codes
        self.least = int(codes.min(initial=0))
        self.span = int(codes.max(initial=0)) - self.least + 1
        if self.span > max(len(codes), 1) + _DENSE:
            raise UsageError("codes of a column must be small numbers, from 0")

    def shifted(self, at: Integers | None = None) -> NDArray[np.integer]:
        """Codes from 0, of all rows or of these."""
        codes = self.array if at is None else self.array[at]
        return codes.astype(np.int64) - self.least if self.least or codes.dtype.kind == "u" else codes


class Membership(ABC):
    """The rows of one candidate."""

    @property
    @abstractmethod
    def evaluated(self) -> int | None:
        """How many rows there are in all, where it knows."""

    @abstractmethod
    def covers(self, rows: Integers) -> Flags:
        """Whether each of these rows is one of its own."""

    @abstractmethod
    def mask(self, evaluated: int) -> Flags:
        """Whether it covers each row."""

    def numbers(self, evaluated: int) -> Integers:
        """Its rows, ascending."""
        return np.flatnonzero(self.mask(evaluated))


class CodedRows(Membership):
    """The rows with one value of a column."""

    def __init__(self, codes: Codes, code: int) -> None:
        self.codes, self.code = codes, code

    @property
    def evaluated(self) -> int:
        """Length of the column."""
        return len(self.codes.array)

    def covers(self, rows: Integers) -> Flags:
        """Whether each of these rows has the value."""
        return np.asarray(self.codes.array[rows] == self.code)

    def mask(self, evaluated: int) -> Flags:
        """Whether each row has the value."""
        return np.asarray(self.codes.array == self.code)


class MaskedRows(Membership):
    """The rows where a mask is true."""

    def __init__(self, mask: Flags) -> None:
        self._mask = mask.astype(np.bool_, copy=False)

    @property
    def evaluated(self) -> int:
        """Length of the mask."""
        return len(self._mask)

    def covers(self, rows: Integers) -> Flags:
        """Whether the mask is true there."""
        return self._mask[rows]

    def mask(self, evaluated: int) -> Flags:
        """The mask."""
        return self._mask

    def counts(self, flagged: Flags) -> tuple[int, int]:
        """How many rows it has, and how many of them are flagged."""
        return int(np.count_nonzero(self._mask)), int(np.count_nonzero(self._mask & flagged))


class NumberedRows(Membership):
    """The rows with these numbers, in any order; one that comes twice counts once."""

    def __init__(self, numbers: NDArray[np.integer]) -> None:
        self._rows: Integers = np.unique(numbers).astype(np.int64)
        if len(self._rows) and self._rows[0] < 0:
            raise UsageError("numbers of rows must not be below 0")

    @property
    def evaluated(self) -> None:
        """Not known here."""
        return None

    @property
    def least_evaluated(self) -> int:
        """So many rows there must be."""
        return int(self._rows[-1]) + 1 if len(self._rows) else 0

    def covers(self, rows: Integers) -> Flags:
        """Whether they are among the numbers."""
        if not len(self._rows):
            return np.zeros(len(rows), np.bool_)
        at = np.minimum(np.searchsorted(self._rows, rows), len(self._rows) - 1)
        return np.asarray(self._rows[at] == rows)

    def mask(self, evaluated: int) -> Flags:
        """Whether each row is among the numbers."""
        found = np.zeros(evaluated, np.bool_)
        found[self._rows] = True
        return found

    def numbers(self, evaluated: int) -> Integers:
        """The numbers, each once."""
        return self._rows


def check_length(rows: Sequence[Membership], evaluated: int) -> None:
    """Refuse candidates that speak of other rows than the evaluated ones.

    Raises
    ------
    UsageError
        If a column or mask has another length, or a number is too large.
    """
    for each in rows:
        known = each.evaluated
        if known is not None and known != evaluated:
            raise UsageError(f"a candidate speaks of {known} rows; {evaluated} were evaluated")
        if isinstance(each, NumberedRows) and each.least_evaluated > evaluated:
            raise UsageError(f"a candidate names row {each.least_evaluated - 1}; {evaluated} were evaluated")


class Grouping(NamedTuple):
    """Each row's group, of so many."""

    of_row: Integers
    size: int


def count_all(
    rows: Sequence[Membership], flagged: Flags, groups: Grouping | None = None
) -> tuple[Integers, Integers]:
    """Rows of each candidate, and flagged ones of them; a column is counted once for all its values.

    Returns
    -------
    total, bad : array of int64
        One row for each candidate, one column for each group (one in all where there are no groups).
    """
    at = np.flatnonzero(flagged)
    width = 1 if groups is None else groups.size
    columns: dict[int, tuple[Integers, Integers]] = {}
    shape = len(rows), width
    total, bad = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for number, each in enumerate(rows):
        if isinstance(each, CodedRows) and each.codes.span * width <= _DENSE:
            codes, place = each.codes, each.code - each.codes.least
            if id(codes) not in columns:
                columns[id(codes)] = _column(codes, None, groups), _column(codes, at, groups)
            if 0 <= place < codes.span:
                total[number], bad[number] = (found[place] for found in columns[id(codes)])
        elif groups is None and isinstance(each, MaskedRows):
            total[number], bad[number] = each.counts(flagged)
        else:
            own = each.numbers(len(flagged))
            hit = own[flagged[own]]
            total[number] = len(own) if groups is None else np.bincount(groups.of_row[own], minlength=width)
            bad[number] = len(hit) if groups is None else np.bincount(groups.of_row[hit], minlength=width)
    return total, bad


def _column(codes: Codes, at: Integers | None, groups: Grouping | None) -> Integers:
    """How often each code is there, in each group; with `at`, in these rows only."""
    shifted = codes.shifted(at)
    if groups is None:
        return np.bincount(shifted, minlength=codes.span).reshape(-1, 1)
    of_row = groups.of_row if at is None else groups.of_row[at]
    key = shifted.astype(np.int64, copy=False) * groups.size + of_row
    return np.bincount(key, minlength=codes.span * groups.size).reshape(codes.span, groups.size)


class Atoms(NamedTuple):
    """Rows that the same candidates cover, counted together.

    Attributes
    ----------
    total, bad : array of int64
        How many rows each atom has, and how many of them are flagged.
    row : array of int64
        One row of each, which stands for all of it.
    of_row : array of int64
        The atom of each row.
    """

    total: Integers
    bad: Integers
    row: Integers
    of_row: Integers

    @property
    def grouping(self) -> Grouping:
        """Rows by atom."""
        return Grouping(self.of_row, len(self.total))


def atoms_of(rows: Sequence[Membership], flagged: Flags) -> Atoms:
    """Put rows together that no candidate tells apart: a million rows become a few hundred."""
    key, size = np.zeros(len(flagged), np.int64), 1
    for digit, radix in _digits(rows, len(flagged)):
        if size * radix > _DENSE:
            key, size = renumbered(key, size)
        key, size = key * radix + digit, size * radix
    key, size = renumbered(key, size)
    row = np.zeros(size, np.int64)
    row[key] = np.arange(len(flagged), dtype=np.int64)
    bad = np.bincount(key[flagged], minlength=size)
    return Atoms(np.bincount(key, minlength=size), bad, row, key)


def _digits(rows: Sequence[Membership], evaluated: int) -> Iterator[tuple[NDArray[np.integer], int]]:
    """What tells rows apart: of a column the candidate that covers the row, of others whether it does."""
    columns: dict[int, tuple[Codes, list[int]]] = {}
    for each in rows:
        if isinstance(each, CodedRows):
            columns.setdefault(id(each.codes), (each.codes, []))[1].append(each.code)
        else:
            yield each.mask(evaluated).view(np.uint8), 2
    for codes, wanted in columns.values():
        places = np.zeros(codes.span, np.int64)
        for number, code in enumerate(wanted, 1):
            places[code - codes.least] = number
        yield places[codes.shifted()], len(wanted) + 1


def renumbered(key: Integers, size: int) -> tuple[Integers, int]:
    """Number the combinations that are there, from 0, in order."""
    if size <= _DENSE:
        there = np.bincount(key, minlength=size) > 0
        return (np.cumsum(there) - 1)[key], int(np.count_nonzero(there))
    found, inverse = np.unique(key, return_inverse=True)
    return inverse.astype(np.int64, copy=False), len(found)
