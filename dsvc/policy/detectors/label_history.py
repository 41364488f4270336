"""What became of labels since the version before: rows whose label changed, and how distributions moved."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

CHANCE: Final = 1e-3
"""A move of a distribution that chance brings more often than this is none."""


class Flips(NamedTuple):
    """Rows of both versions: those matched, and those of them whose label changed, by their new numbers."""

    matched: Numbers
    changed: Numbers
    before: Numbers
    """Rows of the version before that belong to `changed`."""


def find_flips(identity: Numbers, labels: Numbers, is_old: NDArray[np.bool_]) -> Flips:
    """Match rows of two versions and find those whose labels differ.

    Parameters
    ----------
    identity : ndarray of int64
        What a row is known again by, -1 where it has nothing; what comes twice in a version matches nothing.
    labels : ndarray of int64
        Label of each row, -1 where it has none: such a row matches nothing.
    is_old : ndarray of bool
        Which rows are of the version before.
    """
    usable = (identity >= 0) & (labels >= 0)
    old, new = (_single(np.flatnonzero(usable & side), identity) for side in (is_old, ~is_old))
    _, in_old, in_new = np.intersect1d(identity[old], identity[new], assume_unique=True, return_indices=True)
    before, matched = old[in_old], new[in_new]
    order = np.argsort(matched)
    before, matched = before[order], matched[order]
    differs = labels[before] != labels[matched]
    return Flips(matched, matched[differs], before[differs])


def _single(rows: Numbers, identity: Numbers) -> Numbers:
    _, first, counts = np.unique(identity[rows], return_index=True, return_counts=True)
    single: Numbers = rows[first[counts == 1]]
    return single


class Shift(NamedTuple):
    """How far a distribution moved: population stability index, and how likely chance brings as much."""

    psi: float
    p: float


def find_shift(old: Numbers, new: Numbers, *, only_common: bool) -> Shift | None:
    """Compare how often values come in two versions.

    Parameters
    ----------
    old, new : ndarray of int64
        Values by number, -1 where there is none.
    only_common : bool
        Whether values that one version lacks are left out: that a source came or went is no shift of others.

    Returns
    -------
    Shift or None
        None where there are fewer than two values to compare.
    """
    from dsvc.diff.statistics import psi

    size = int(max(old.max(initial=-1), new.max(initial=-1))) + 1
    counts = np.stack([np.bincount(side[side >= 0], minlength=size) for side in (old, new)])
    counts = counts[:, counts.min(axis=0) > 0 if only_common else counts.max(axis=0) > 0]
    if counts.shape[1] < 2 or not counts.sum(axis=1).all():
        return None
    sides = [dict(enumerate(side.tolist())) for side in counts]
    moved = psi(sides[0], sides[1])
    assert moved is not None
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / counts.sum()
    statistic = float(((counts - expected) ** 2 / expected).sum())
    return Shift(moved, chi_square_tail(statistic, counts.shape[1] - 1))


def chi_square_tail(statistic: float, degrees: int) -> float:
    """Give the probability of at least so large a statistic, by the formula of Wilson and Hilferty (1931)."""
    spread = 2 / (9 * degrees)
    deviation = ((statistic / degrees) ** (1 / 3) - (1 - spread)) / math.sqrt(spread)
    return math.erfc(deviation / math.sqrt(2)) / 2


__all__ = ["CHANCE", "Flips", "Shift", "chi_square_tail", "find_flips", "find_shift"]
