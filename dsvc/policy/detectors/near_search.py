"""Pairs of texts that are nearly the same: MinHash with banding, each pair checked by its true similarity.

Texts whose sketches agree in a whole band are candidates. All bands of all texts are sorted, rather than kept
in tables of Python objects (the LSH of datasketch takes 7 KB a text, this 0.6 KB), and no text is compared
further once it has its partner, so that a cluster of thousands costs thousands of comparisons, not millions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from dsvc.policy.detectors.shingles import jaccard, shingle_set

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]
    Sketches = NDArray[np.uint32]

RECALL: Final = 0.98
"""Share of the pairs exactly at the threshold that shall become candidates; of those above it are more."""
MARGIN: Final = 4.0
"""Standard deviations by which an estimate may be below the threshold and still be looked at."""
CHUNK: Final = 1 << 15
CHECK_COST: Final = 100
"""What checking a pair by its texts costs, in comparisons of sketches."""
_MULTIPLIER: Final = np.uint64(0x9E3779B97F4A7C15)


class NearScope(StrEnum):
    """Among which texts a partner is looked for."""

    ACROSS = "across"
    """Those of a lower group."""
    WITHIN = "within"
    """Those of the same group that come before."""


class NearTerms(NamedTuple):
    """What counts as near, and how far is searched.

    Attributes
    ----------
    threshold : float
        Least Jaccard similarity.
    max_comparisons : int
        After so many the search ends unfinished.
    """

    threshold: float = 0.8
    max_comparisons: int = 200_000_000


class NearFound(NamedTuple):
    """What was found.

    Attributes
    ----------
    partner : ndarray of int64
        For each text the number of one that is near, -1 where there is none.
    is_complete : bool
        Whether the search came to its end.
    """

    partner: Numbers
    is_complete: bool


def banding(threshold: float, permutations: int) -> tuple[int, int]:
    """Choose number and height of the bands: as high as `RECALL` at the threshold allows."""
    for rows in range(permutations, 1, -1):
        bands = permutations // rows
        if 1 - (1 - threshold**rows) ** bands >= RECALL:
            return bands, rows
    return permutations, 1


def find_near(
    texts: Sequence[str],
    sketches: Sketches,
    groups: Numbers,
    scope: NearScope,
    terms: NearTerms,
    asked: NDArray[np.bool_] | None = None,
) -> NearFound:
    """Find for each text one that is near.

    Parameters
    ----------
    texts : sequence of str
        Normalised and distinct.
    sketches : ndarray of uint32
        A row for each text.
    groups : ndarray of int64
        For each text the group that it is in.
    scope : NearScope
        Among which a partner is looked for.
    terms : NearTerms
        What counts as near.
    asked : ndarray of bool or None
        Texts for which a partner is looked for; None: for all.
    """
    search = _Search(texts, sketches, groups, scope, terms, asked)
    bands, rows = banding(terms.threshold, sketches.shape[1])
    try:
        for band in range(bands):
            search.look(band * rows, rows)
    except _ExhaustedError:
        return NearFound(search.partner, is_complete=False)
    return NearFound(search.partner, is_complete=True)


class _ExhaustedError(Exception):
    """So much was compared that the search ends."""


class _Search:
    """Works on texts in the order of their groups."""

    def __init__(
        self,
        texts: Sequence[str],
        sketches: Sketches,
        groups: Numbers,
        scope: NearScope,
        terms: NearTerms,
        asked: NDArray[np.bool_] | None,
    ) -> None:
        self.partner: Numbers = np.full(len(texts), -1, np.int64)
        self._texts = texts
        self._sketches = sketches
        self._order: Numbers = np.argsort(groups, kind="stable")
        self._groups = groups
        self._is_across = scope is NearScope.ACROSS
        self._threshold = terms.threshold
        deviation = (terms.threshold * (1 - terms.threshold) / sketches.shape[1]) ** 0.5
        self._least = int((terms.threshold - MARGIN * deviation) * sketches.shape[1])
        self._left = terms.max_comparisons
        self._open = np.ones(len(texts), np.bool_) if asked is None else asked.copy()
        self._failed: set[tuple[int, int]] = set()
        self._shingles = lru_cache(maxsize=4096)(lambda number: shingle_set(texts[number]))

    def look(self, start: int, height: int) -> None:
        """Compare texts that agree in one band."""
        records, low, high = self._buckets(start, height)
        asked = np.flatnonzero((high > low) & self._open[records])
        # First with the first of the bucket and the one before: for most, that settles it.
        for place in (low[asked], high[asked] - 1):
            self._compare(records[asked], records[place])
        asked = asked[self._open[records[asked]]]
        for chosen, places in _ranges(low[asked], high[asked]):
            ones = records[asked[chosen]]
            still = self._open[ones]
            self._compare(ones[still], records[places[still]])

    def _buckets(self, start: int, height: int) -> tuple[Numbers, Numbers, Numbers]:
        """Sort the texts by a band; for each place of that order, the places to compare it with."""
        keys = np.zeros(len(self._order), np.uint64)
        for column in range(start, start + height):
            keys = (keys ^ self._sketches[:, column]) * _MULTIPLIER
            keys ^= keys >> np.uint64(29)
        keys = keys[self._order]
        by_key = np.argsort(keys, kind="stable")
        records, keys = self._order[by_key], keys[by_key]
        places = np.arange(len(records))
        heads = np.ones(len(records), np.bool_)
        heads[1:] = keys[1:] != keys[:-1]
        parts = heads.copy()
        groups = self._groups[records]
        parts[1:] |= groups[1:] != groups[:-1]
        part = np.maximum.accumulate(np.where(parts, places, 0))
        if self._is_across:
            return records, np.maximum.accumulate(np.where(heads, places, 0)), part
        return records, part, places

    def _compare(self, ones: Numbers, others: Numbers) -> None:
        for start in range(0, len(ones), CHUNK):
            self._compare_chunk(ones[start : start + CHUNK], others[start : start + CHUNK])

    def _compare_chunk(self, ones: Numbers, others: Numbers) -> None:
        """Compare by sketches, and those that may be near by their texts, the likeliest first."""
        self._spend(len(ones))
        agreeing = (self._sketches[ones] == self._sketches[others]).sum(axis=1)
        likely = np.flatnonzero((agreeing >= self._least) & self._open[ones])
        likely = likely[np.argsort(-agreeing[likely], kind="stable")]
        for one, other in zip(ones[likely].tolist(), others[likely].tolist(), strict=True):
            if self._open[one] and (one, other) not in self._failed:
                self._spend(CHECK_COST)
                if jaccard(self._shingles(one), self._shingles(other)) >= self._threshold:
                    self.partner[one] = other
                    self._open[one] = False
                else:
                    self._failed.add((one, other))

    def _spend(self, cost: int) -> None:
        self._left -= cost
        if self._left < 0:
            raise _ExhaustedError


def _ranges(low: Numbers, high: Numbers) -> Iterator[tuple[Numbers, Numbers]]:
    """Yield all pairs of a range's number and a place in it, in chunks."""
    ends: Numbers = np.cumsum(high - low, dtype=np.int64)
    total = int(ends[-1]) if len(ends) else 0
    for start in range(0, total, CHUNK):
        flat = np.arange(start, min(start + CHUNK, total))
        chosen = np.searchsorted(ends, flat, "right").astype(np.int64)
        yield chosen, high[chosen] - (ends[chosen] - flat)


__all__ = ["NearFound", "NearScope", "NearTerms", "banding", "find_near"]
