"""Fisher's exact test for over-representation, in log space, and what goes with it: Holm, G², lift.

Of `evaluated` rows `flagged` are bad; a candidate covers `total` of them, `bad` of which are. Were the bad
ones strewn at random, `bad` would follow the hypergeometric distribution; the p-value is the probability of
at least so many. It is computed by Loader's saddle-point form ("Fast and Accurate Computation of Binomial
Probabilities", 2000), whose terms stay exact to about 1e-13 where differences of log-factorials lose digits.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]
    Floats = NDArray[np.float64]

Z95: Final = 1.959963984540054
"""Quantile of the normal distribution that leaves 2.5% on each side."""
_NEGLIGIBLE: Final = 1e-18
_FIRST_BLOCK: Final = 128
_SERIES_TERMS: Final = 12
_TABLE: Final = np.array(
    [0.0]
    + [math.lgamma(n + 1) - ((n + 0.5) * math.log(n) - n + 0.5 * math.log(2 * math.pi)) for n in range(1, 16)]
)
"""The same for n up to 15, by lgamma."""


def log_pmf(bad: Integers, total: Integers, flagged: Integers, evaluated: Integers) -> Floats:
    """Natural logarithm of the hypergeometric probability of exactly `bad`; arrays of one shape.

    `bad` must be possible: from ``max(0, total + flagged - evaluated)`` to ``min(total, flagged)``.
    """
    return log_pmf_of(bad, np.arange(len(bad)), total, flagged, evaluated)


def log_pmf_of(
    bad: Integers, at: Integers, total: Integers, flagged: Integers, evaluated: Integers
) -> Floats:
    """The same for many values of `bad`, each of the distribution with the number `at`."""
    low = np.maximum(0, total + flagged - evaluated)
    certain = low == np.minimum(total, flagged)
    # Nothing and everything have a share that the logarithms can't take; only one outcome is possible there.
    share = np.where(certain, 0.5, total / np.maximum(evaluated, 1))
    rest = np.where(certain, 0.5, (evaluated - total) / np.maximum(evaluated, 1))
    found = _log_binomial(bad, flagged[at], share[at], rest[at])
    found += _log_binomial(total[at] - bad, (evaluated - flagged)[at], share[at], rest[at])
    found -= _log_binomial(total, evaluated, share, rest)[at]
    return np.where(certain[at], 0.0, found)


def _log_binomial(hits: Integers, of: Integers, share: Floats, rest: Floats) -> Floats:
    """Logarithm of the binomial probability."""
    inner = (hits > 0) & (hits < of)
    k, n = np.where(inner, hits, 1).astype(np.float64), np.where(inner, of, 2).astype(np.float64)
    exact = (
        _stirling_error(n)
        - _stirling_error(k)
        - _stirling_error(n - k)
        - _deviance(k, n * share)
        - _deviance(n - k, n * rest)
        - 0.5 * (math.log(2 * math.pi) + np.log(k) + np.log1p(-k / n))
    )
    # log(1 - p) from the smaller of both, so that no digits go lost.
    log_rest = np.where(share < 0.5, np.log1p(-np.minimum(share, 0.5)), np.log(rest))
    log_share = np.where(rest < 0.5, np.log1p(-np.minimum(rest, 0.5)), np.log(share))
    return np.where(inner, exact, np.where(hits == 0, of * log_rest, of * log_share))


def _stirling_error(n: Floats) -> Floats:
    """What Stirling's formula lacks for log n!."""
    square = n * n
    series = 1 / 1680 - 1 / 1188 / np.maximum(square, 1)
    for term in (1 / 1260, 1 / 360, 1 / 12):
        series = term - series / np.maximum(square, 1)
    table = _TABLE[np.minimum(n, 15).astype(np.int64)]
    return np.where(n <= 15, table, series / np.maximum(n, 1))


def _deviance(x: Floats, mean: Floats) -> Floats:
    """``x log(x / mean) + mean - x`` without loss of digits where both are close."""
    gap, both = x - mean, x + mean
    v = gap / both
    near = np.abs(v) < 0.1
    small = np.where(near, v, 0.0)
    series, power = gap * small, 2 * x * small
    for term in range(1, _SERIES_TERMS):
        power = power * small * small
        series = series + power / (2 * term + 1)
    return np.where(near, series, x * np.log(x / mean) + mean - x)


def log_over_representation(bad: Integers, total: Integers, flagged: int, evaluated: int) -> Floats:
    """Natural logarithms of the one-sided p-values of many candidates: at least `bad` of `total` are flagged.

    Parameters
    ----------
    bad, total : array of int64
        Of each candidate.
    flagged, evaluated : int
        Of all rows.
    """
    low = np.maximum(0, total + flagged - evaluated)
    expected = total * (flagged / max(evaluated, 1))
    upper = bad > expected
    # Below the expectation the other tail is the short one: 1 - P(at most bad - 1).
    start = np.clip(np.where(upper, bad, bad - 1), low, np.minimum(total, flagged))
    first = log_pmf(start, total, np.full_like(total, flagged), np.full_like(total, evaluated))
    found = np.zeros(len(bad))
    for at in np.flatnonzero(bad > low):
        args = (int(start[at]), int(total[at]), flagged, evaluated)
        if upper[at]:
            found[at] = first[at] + math.log(_upward(*args))
        else:
            found[at] = math.log1p(-min(math.exp(first[at]) * _downward(*args), 1 - 1e-16))
    return np.minimum(found, 0.0)


def _upward(start: int, total: int, flagged: int, evaluated: int) -> float:
    """Sum of the probabilities from `start` upward, over that of `start`."""
    others = evaluated - flagged - total
    return _geometric(
        min(total, flagged) - start,
        lambda k: (flagged - start - k) * (total - start - k) / ((start + k + 1) * (others + start + k + 1)),
    )


def _downward(start: int, total: int, flagged: int, evaluated: int) -> float:
    """Sum of the probabilities from `start` downward, over that of `start`."""
    others = evaluated - flagged - total
    return _geometric(
        start - max(0, -others),
        lambda k: (start - k) * (others + start - k) / ((flagged - start + k + 1) * (total - start + k + 1)),
    )


def _geometric(steps: int, ratio: object) -> float:
    """1 + r(0) + r(0) r(1) + …, ratios that only fall; ends where the rest changes nothing."""
    assert callable(ratio)
    whole, last, done, block = 1.0, 1.0, 0, _FIRST_BLOCK
    while done < steps:
        ratios = ratio(np.arange(done, min(done + block, steps), dtype=np.float64))
        terms = last * np.cumprod(ratios)
        whole += float(terms.sum())
        last, slope = float(terms[-1]), float(ratios[-1])
        if slope < 1 and last / (1 - slope) < _NEGLIGIBLE * whole:
            break
        done, block = done + block, block * 2
    return whole


def log_holm(log_p: Floats) -> Floats:
    """Natural logarithms of p-values, corrected by Holm's step-down method for all of them."""
    order = np.argsort(log_p, kind="stable")
    steps = np.log(np.arange(len(log_p), 0, -1, dtype=np.float64))
    adjusted = np.minimum(np.maximum.accumulate(log_p[order] + steps), 0.0)
    found = np.empty(len(log_p))
    found[order] = adjusted
    return found


def signed_g2(bad: Integers, total: Integers, flagged: int, evaluated: int) -> Floats:
    """G² of each candidate's table of four cells; below zero where fewer are flagged than expected."""
    whole = np.zeros(len(bad))
    for count, row, column in (
        (bad, total, flagged),
        (total - bad, total, evaluated - flagged),
        (flagged - bad, evaluated - total, flagged),
        (evaluated - total - flagged + bad, evaluated - total, evaluated - flagged),
    ):
        expected = np.maximum(row * (column / max(evaluated, 1)), np.finfo(np.float64).tiny)
        whole += np.where(count > 0, count * np.log(np.maximum(count, 1) / expected), 0.0)
    sign = np.where(bad >= total * (flagged / max(evaluated, 1)), 1.0, -1.0)
    return np.asarray(sign * np.maximum(2 * whole, 0.0), np.float64)


def lifts(
    bad: Integers, total: Integers, flagged: int, evaluated: int, z: float = Z95
) -> tuple[Floats, Floats, Floats]:
    """Lift of each candidate with its interval: its bad share over that of all rows, its own among them.

    The ratio of its share to that of the other rows gets the adjusted log interval (Walters 1985, "A note on
    the estimation of relative risk"; half a row added to each count). A candidate of the part ``w`` of all
    rows with that ratio ``r`` has the lift ``r / (w r + 1 - w)``, which only rises with ``r``: so the bounds
    of one are those of the other, and that the overall share holds the candidate's own rows is accounted for.

    Returns
    -------
    lift, low, high : array of float64
    """
    other, other_bad = evaluated - total, flagged - bad
    part = total / max(evaluated, 1)
    share = bad / np.maximum(total, 1)
    lift = share / max(flagged / max(evaluated, 1), np.finfo(np.float64).tiny)
    log_ratio = np.log((bad + 0.5) / (total + 0.5)) - np.log((other_bad + 0.5) / (other + 0.5))
    variance = 1 / (bad + 0.5) - 1 / (total + 0.5) + 1 / (other_bad + 0.5) - 1 / (other + 0.5)
    spread = z * np.sqrt(np.maximum(variance, 0.0))
    bounds = []
    for bound in (log_ratio - spread, log_ratio + spread):
        ratio = np.exp(np.clip(bound, -700, 700))
        bounds.append(ratio / (part * ratio + (1 - part)))
    low = np.where(bad == 0, 0.0, np.minimum(bounds[0], lift))
    high = np.where(other_bad == 0, np.maximum(bounds[1], 1 / np.maximum(part, 1e-300)), bounds[1])
    alone = other == 0
    return lift, np.where(alone, lift, low), np.where(alone, lift, np.maximum(high, lift))
