"""Intervals of 95% for a difference, and the tests that belong to them.

Shares: Wilson's score interval of each (1927), put together by squaring and adding. Of independent shares it
is method 10 of Newcombe, "Interval estimation for the difference between independent proportions" (Statistics
in Medicine 17, 873-890, 1998); of paired ones, where what both have in common is taken off, method 10 of
Newcombe, "Improved confidence intervals for the difference between binomial proportions based on paired data"
(the same volume, 2635-2650).
"""

from __future__ import annotations

import math
from typing import Final

from dsvc.feedback.exact_test import Z95
from dsvc.policy.sampling import incomplete_beta

ALPHA: Final = 0.05
_MANY: Final = 1_000_000
"""From so many on, Student's distribution is the normal one to six digits."""
_WIDEST: Final = 13.0
_PRECISION: Final = 1e-10

Interval = tuple[float, float]


def wilson(share: float, n: float) -> Interval:
    """Score interval of a share over `n` samples; `share` times `n` need not be whole."""
    square = Z95 * Z95
    middle = share + square / (2 * n)
    spread = Z95 * math.sqrt(max(share * (1 - share), 0.0) / n + square / (4 * n * n))
    low, high = ((middle + sign * spread) / (1 + square / n) for sign in (-1, 1))
    # At the ends of the scale the bound is the share itself, which rounding must not miss.
    return (0.0 if share == 0 else max(low, 0.0)), (1.0 if share == 1 else min(high, 1.0))


def independent_shares(before: float, n_before: float, after: float, n_after: float) -> Interval:
    """Interval of `after` less `before`, shares over different samples."""
    return _square_and_add(before, wilson(before, n_before), after, wilson(after, n_after), 0.0)


def paired_shares(both: int, only_before: int, only_after: int, neither: int) -> Interval:
    """Interval of the share after less that before, where the same samples were judged twice.

    Parameters
    ----------
    both, only_before, only_after, neither : int
        Samples that passed in both, the first, the second, none.
    """
    n = both + only_before + only_after + neither
    before, after = (both + only_before) / n, (both + only_after) / n
    margins = (both + only_before) * (neither + only_after) * (both + only_after) * (neither + only_before)
    product = both * neither - only_before * only_after
    # The correction for continuity never lets what they have in common look larger than it is.
    kept = product if product < 0 else max(product - n / 2, 0)
    common = kept / math.sqrt(margins) if margins else 0.0
    return _square_and_add(before, wilson(before, n), after, wilson(after, n), common)


def _square_and_add(
    before: float, of_before: Interval, after: float, of_after: Interval, common: float
) -> Interval:
    difference = after - before
    below = after - of_after[0], of_before[1] - before
    above = of_after[1] - after, before - of_before[0]
    low, high = (
        math.sqrt(max(one * one - 2 * common * one * two + two * two, 0.0)) for one, two in (below, above)
    )
    return max(difference - low, -1.0), min(difference + high, 1.0)


def mcnemar(only_before: int, only_after: int) -> float:
    """Exact p-value of McNemar's test, two-sided: that both kinds of change are equally likely."""
    changed, fewer = only_before + only_after, min(only_before, only_after)
    if only_before == only_after:
        return 1.0
    # That at most k of n halves come out one way has probability I_1/2(n - k, k + 1).
    return min(2 * incomplete_beta(0.5, changed - fewer, fewer + 1), 1.0)


def t_quantile(freedom: int) -> float:
    """Quantile of Student's distribution that leaves 2.5% on each side."""
    if freedom >= _MANY:
        return Z95
    low, high = Z95, _WIDEST
    while high - low > _PRECISION:
        middle = (low + high) / 2
        outside = incomplete_beta(freedom / (freedom + middle * middle), freedom / 2, 0.5)
        low, high = (middle, high) if outside > ALPHA else (low, middle)
    return (low + high) / 2
