"""Clusters of near-duplicates that come from one source or batch, larger than what others bring."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from dsvc.policy.detectors.near_search import NearScope, NearTerms, find_near
from dsvc.policy.detectors.ngram_association import log10_tail
from dsvc.policy.detectors.shingles import Sketcher

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

SHORT: Final = 8
"""Texts of fewer characters are repeated by nature: yes, no, thank you."""
LEAST: Final = 5
"""Rows of the smallest cluster that says what is usual."""
CHANCE: Final = -6.0
"""Logarithm of the probability from which on a cluster is taken to be concentrated in a group."""


class BurstTerms(NamedTuple):
    """What is taken for a burst.

    Attributes
    ----------
    rows : int
        Least number of rows of the cluster.
    share : float
        Least share of the group's rows.
    ratio : float
        How many times larger that share is than the largest cluster's in a typical other group.
    """

    rows: int = 20
    share: float = 0.02
    ratio: float = 3.0


class Burst(NamedTuple):
    """A cluster: its group, its rows in that group, and their share of the group."""

    group: int
    rows: Numbers
    share: float


class Clusters(NamedTuple):
    """Cluster of each content, by number; and whether the search for them came to its end."""

    of: Numbers
    is_complete: bool


def clusters(texts: Sequence[str], sketcher: Sketcher, terms: NearTerms) -> Clusters:
    """Join normalised, distinct texts that are near-duplicates, or linked by such."""
    if not texts:
        return Clusters(np.empty(0, np.int64), is_complete=True)
    groups = np.zeros(len(texts), np.int64)
    found = find_near(texts, sketcher.sketches(texts), groups, NearScope.WITHIN, terms)
    roots = np.where(found.partner >= 0, found.partner, np.arange(len(texts)))
    # A partner comes before its text, so that each step goes towards the first of the cluster.
    while (roots[roots] != roots).any():
        roots = roots[roots]
    return Clusters(roots, found.is_complete)


def find_bursts(cluster: Numbers, lengths: Numbers, groups: Numbers, terms: BurstTerms) -> list[Burst]:
    """Look for bursts.

    Parameters
    ----------
    cluster : ndarray of int64
        For each row the cluster of its content, -1 where it has none.
    lengths : ndarray of int64
        For each row the characters of its content.
    groups : ndarray of int64
        For each row its source or batch, -1 where that isn't known; where there is only one group, there is
        nothing to compare with, and size and share alone count.
    terms : BurstTerms
        What is taken for one.
    """
    known = np.flatnonzero((cluster >= 0) & (groups >= 0) & (lengths >= SHORT))
    sizes = np.bincount(groups[groups >= 0]) if (groups >= 0).any() else np.zeros(1, np.int64)
    span = len(sizes)
    pairs, counts = np.unique(cluster[known] * span + groups[known], return_counts=True)
    totals = np.bincount(cluster[known], minlength=1) if len(known) else np.zeros(1, np.int64)
    # What all groups repeat alike is a manner of speaking; a burst is concentrated in one.
    candidates = [
        (pair // span, pair % span, count)
        for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True)
        if count >= LEAST
    ]
    if span > 1:
        tried, rows = math.log10(max(1, len(pairs))), int(sizes.sum())
        candidates = [
            each
            for each in candidates
            if log10_tail(each[2], rows, int(sizes[each[1]]), int(totals[each[0]])) + tried < CHANCE
        ]
    shares = np.zeros(span)
    for _, group, count in candidates:
        shares[group] = max(shares[group], count / sizes[group])
    found = []
    for number, group, count in candidates:
        share = count / int(sizes[group])
        others = np.delete(shares, group)[np.delete(sizes, group) >= terms.rows]
        usual = float(np.median(others)) if len(others) else 0.0
        if count >= terms.rows and share >= max(terms.share, terms.ratio * usual):
            found.append(Burst(group, known[(cluster[known] == number) & (groups[known] == group)], share))
    return sorted(found, key=lambda each: (-each.share, int(each.rows[0])))


__all__ = ["Burst", "BurstTerms", "Clusters", "clusters", "find_bursts"]
