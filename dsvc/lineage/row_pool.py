"""Rows of several inputs, one after the other, in which the rows of one output after the other are found."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from dsvc.lineage.matching import Pairs, Rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]
    Numbers = NDArray[np.int64]
    Flags = NDArray[np.bool_]

_FEW: Final = 4
"""Rows are picked for an output where there are more than so many times its own."""


class RowPool:
    """Rows with a hash each.

    Parameters
    ----------
    numbers : ndarray of int64
        Numbers over all inputs, ascending.
    hashes : ndarray of uint64
        Of each.
    """

    def __init__(self, numbers: Numbers, hashes: Hashes) -> None:
        self._numbers = numbers
        self._hashes = hashes
        self._order: Numbers | None = None
        self._in_order: Hashes | None = None
        self._was_asked = False

    def rows(self, hashes: Hashes, used: Flags) -> Rows:
        """Rows among which all are that have one of some hashes.

        Parameters
        ----------
        used : ndarray of bool
            By number: which rows have a child already.
        """
        # Many outputs of many inputs: what is sorted once need not be gone through for each.
        if self._was_asked and len(self._hashes) > _FEW * len(hashes):
            places = self._places(np.sort(hashes))
            numbers = self._numbers[places]
            return Rows(numbers, self._hashes[places], used[numbers])
        self._was_asked = True
        is_all = len(self._numbers) == len(used)
        return Rows(self._numbers, self._hashes, used if is_all else used[self._numbers])

    def _places(self, wanted: Hashes) -> Numbers:
        if self._order is None or self._in_order is None:
            self._order = np.argsort(self._hashes)
            self._in_order = self._hashes[self._order]
        wanted = wanted[np.concatenate(([True], wanted[1:] != wanted[:-1]))] if len(wanted) else wanted
        start = np.searchsorted(self._in_order, wanted, side="left")
        counts = np.searchsorted(self._in_order, wanted, side="right") - start
        before = np.cumsum(counts) - counts
        places = np.repeat(start - before, counts) + np.arange(int(counts.sum()))
        return np.sort(self._order[places])


class RowPools:
    """The pools of one run, made on first use."""

    def __init__(self) -> None:
        self._pools: dict[Hashable, RowPool] = {}

    def get(self, name: Hashable, make: Callable[[], RowPool]) -> RowPool:
        """Pool of a name, which tells its rows and what is hashed of them."""
        if name not in self._pools:
            self._pools[name] = make()
        return self._pools[name]


def apart(pairs: Pairs, counts: Sequence[int]) -> list[tuple[int, Pairs]]:
    """Tell of several inputs, by their numbers of rows, which pairs are whose; those without are left out."""
    if len(counts) == 1:
        return [(0, pairs)]
    ends = np.cumsum(counts)
    owners = np.searchsorted(ends, pairs.inputs, side="right")
    order = np.argsort(owners, kind="stable")
    present, starts = np.unique(owners[order], return_index=True)
    found = []
    for place, here in zip(present.tolist(), np.split(order, starts[1:]) if len(order) else [], strict=True):
        first = int(ends[place]) - counts[place]
        found.append((place, Pairs(pairs.outputs[here], pairs.inputs[here] - first)))
    return found
