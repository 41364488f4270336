"""Whether there are enough flagged rows for an answer at all."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from dsvc.feedback.exact_test import lifts
from dsvc.feedback.stratified import Tables, Tilted

PART: Final = 0.1
LIFT: Final = 3.0
WANTED: Final = 0.8
_MOST_BAD: Final = 0.95
"""A part can't be worse than bad throughout; where three times the share is more than that, this is asked."""


def power(
    evaluated: int, flagged: int, candidates: int, *, level: float, min_bad: int, min_lift: float
) -> float:
    """Probability that a cause of a tenth of the rows with three times the share would be named.

    Named means all that makes a cause: significant at the first step of Holm's method, which every later one
    is easier than; flagged rows; and the lower bound of the lift. The flagged rows of such a cause follow
    Fisher's noncentral hypergeometric distribution with the mean that the lift asks for.
    """
    total = round(PART * evaluated)
    if not 0 < flagged < evaluated or not candidates or not 0 < total < evaluated:
        return 0.0
    share = min(LIFT * flagged / evaluated, _MOST_BAD)
    one = [np.array([each], np.int64) for each in (0, total, flagged, evaluated)]
    strata = Tilted(Tables(*one))
    chance = strata.probabilities
    bad = strata.values
    tail = np.cumsum(chance[::-1])[::-1]
    counts = np.full(len(bad), total, np.int64)
    low = lifts(bad, counts, flagged, evaluated)[1]
    named = (tail < level / candidates) & (bad >= min_bad) & (low >= min_lift)
    wanted = min(share * total, flagged * (1 - 1e-9))
    if not bad[0] < wanted < bad[-1]:
        return float(named[-1])
    strata.centre(wanted, math.log(max(share / max(flagged / evaluated, 1e-300), 1.0)), within=1e-6)
    return min(float(strata.probabilities[named].sum()), 1.0)


def too_few(
    evaluated: int, flagged: int, candidates: int, *, level: float, min_bad: int, min_lift: float
) -> tuple[str | None, float]:
    """Why no answer can be had, in words, or None; and the power."""
    if not flagged:
        return "no evaluated row is flagged", 0.0
    if flagged >= evaluated:
        return "every evaluated row is flagged: there is nothing to compare them with", 0.0
    if not candidates:
        return "nothing is known that tells these rows apart: there is no candidate", 0.0
    found = power(evaluated, flagged, candidates, level=level, min_bad=min_bad, min_lift=min_lift)
    if found >= WANTED:
        return None, found
    if flagged * min_lift >= evaluated:
        reason = f"{flagged} of {evaluated} evaluated rows are flagged: nothing is {min_lift:g} times as bad"
        return reason, found
    lift = min(LIFT, _MOST_BAD * evaluated / flagged)
    tested = "one candidate" if candidates == 1 else f"{candidates} candidates"
    reason = (
        f"{flagged} flagged of {evaluated} evaluated rows are too few: with {tested}, a cause of a tenth of "
        f"the rows that has {lift:.2g} times the overall share would be named in "
        f"{math.floor(found * 100)} of 100 cases, fewer than {WANTED * 100:.0f}"
    )
    return reason, found
