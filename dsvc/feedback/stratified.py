"""Whether a candidate has more flagged rows than others even among rows that share the same other causes.

The statistic is that of Mantel and Haenszel: flagged rows of the candidate, summed over the strata. Its
distribution where the candidate does nothing is taken exactly: given the margins, each stratum is
hypergeometric, and the sum is their convolution ("exact conditional test of a common odds ratio"; Mehta,
Patel and Gray 1985). With one stratum it is Fisher's test. So sparse strata need no rule of thumb.

The convolution is done under the odds ratio that puts the mean where the sum was found, which the p-value is
then freed of again: so only a few thousand terms around it matter, and tails far below the smallest float
come out right. The normal form of Mantel and Haenszel, with continuity correction, is left to more than 1,000
strata that together vary enough for it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from dsvc.feedback.exact_test import log_pmf, log_pmf_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]
    Floats = NDArray[np.float64]

_MANY_STRATA: Final = 1_000
_ENOUGH_VARIANCE: Final = 100.0
_NEGLIGIBLE: Final = 1e-20
_MOST_STEPS: Final = 60
_FAR: Final = 700.0


class Tables(NamedTuple):
    """A table of four cells for each stratum.

    Attributes
    ----------
    bad, total : array of int64
        Flagged rows and rows that the candidate has in the stratum.
    flagged, evaluated : array of int64
        Of all its rows.
    """

    bad: Integers
    total: Integers
    flagged: Integers
    evaluated: Integers

    def informative(self) -> Tables:
        """Without the strata that have only one possible outcome."""
        keep = (self.total > 0) & (self.total < self.evaluated)
        keep &= (self.flagged > 0) & (self.flagged < self.evaluated)
        return Tables(*(each[keep] for each in self))


def log_p_stratified(tables: Tables) -> float:
    """Natural logarithm of the one-sided p-value: so many flagged rows in the candidate, or more."""
    tables = tables.informative()
    if not len(tables.bad):
        return 0.0
    low, high = _bounds(tables)
    observed = int(tables.bad.sum())
    if observed <= int(low.sum()):
        return 0.0
    if observed == int(high.sum()):
        return min(float(log_pmf(high, *tables[1:]).sum()), 0.0)
    variance = _variance(tables)
    if len(tables.bad) > _MANY_STRATA and variance >= _ENOUGH_VARIANCE:
        expected = float((tables.total * (tables.flagged / tables.evaluated)).sum())
        return log_normal_tail((observed - expected - 0.5) / math.sqrt(variance))
    return _exact(tables, observed)


def _bounds(tables: Tables) -> tuple[Integers, Integers]:
    low = np.maximum(0, tables.total + tables.flagged - tables.evaluated)
    return low, np.minimum(tables.total, tables.flagged)


def _variance(tables: Tables) -> float:
    share = tables.flagged / tables.evaluated
    rest = (tables.evaluated - tables.total) / np.maximum(tables.evaluated - 1, 1)
    return float((tables.total * share * (1 - share) * rest).sum())


def log_normal_tail(z: float) -> float:
    """Natural logarithm of the upper tail of the normal distribution."""
    if z < 30:
        return math.log(math.erfc(z / math.sqrt(2)) / 2)
    # Where erfc underflows: the first terms of its asymptotic series.
    return -z * z / 2 - math.log(z * math.sqrt(2 * math.pi)) + math.log1p(-1 / z**2 + 3 / z**4)


class Tilted:
    """Hypergeometric distributions of several strata, under a common odds ratio.

    Parameters
    ----------
    tables : Tables
        Only the margins matter.
    """

    def __init__(self, tables: Tables) -> None:
        low, high = _bounds(tables)
        widths = high - low + 1
        self.starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(widths)[:-1]])
        stratum = np.repeat(np.arange(len(low)), widths)
        self._stratum = stratum
        self.values = np.arange(int(widths.sum()), dtype=np.int64) - self.starts[stratum] + low[stratum]
        self._log = log_pmf_of(self.values, stratum, *tables[1:])
        self.theta, self.log_mass = 0.0, 0.0
        self.probabilities: Floats = np.exp(self._log)

    def tilt(self, theta: float) -> tuple[float, float]:
        """Set the logarithm of the odds ratio; mean and variance of the sum under it."""
        log = self._log + theta * self.values
        peak = np.maximum.reduceat(log, self.starts)
        weights = np.exp(log - peak[self._stratum])
        mass = np.add.reduceat(weights, self.starts)
        self.probabilities = weights / mass[self._stratum]
        self.theta, self.log_mass = theta, float((peak + np.log(mass)).sum())
        means = np.add.reduceat(self.probabilities * self.values, self.starts)
        off = self.values - means[self._stratum]
        return float(means.sum()), float((self.probabilities * off * off).sum())

    def centre(self, wanted: float, guess: float = 0.0, within: float = 0.5) -> None:
        """Tilt so that the mean of the sum is `wanted`, to `within` standard deviations."""
        least, most, theta = -_FAR, _FAR, guess
        for _ in range(_MOST_STEPS):
            mean, variance = self.tilt(theta)
            if abs(mean - wanted) <= within * math.sqrt(variance) + 1e-9:
                return
            least, most = (theta, most) if mean < wanted else (least, theta)
            step = theta + (wanted - mean) / variance if variance > 0 else _FAR * 2
            # Newton's step where it stays between what was too low and too high, else halve.
            theta = step if least < step < most else (least + most) / 2


def _exact(tables: Tables, observed: int) -> float:
    strata = Tilted(tables)
    expected = float((tables.total * (tables.flagged / tables.evaluated)).sum())
    if observed > expected:
        strata.centre(observed, _log_odds_ratio(tables))
    pieces = (np.split(each, strata.starts[1:]) for each in (strata.values, strata.probabilities))
    parts = [_trimmed(int(values[0]), chances) for values, chances in zip(*pieces, strict=True)]
    start, chances = _convolved(parts)
    tail = chances[max(observed - start, 0) :]
    above = np.arange(len(tail)) + max(start - observed, 0)
    whole = float((tail * np.exp(-strata.theta * above)).sum())
    return min(strata.log_mass - strata.theta * observed + math.log(whole), 0.0)


def _log_odds_ratio(tables: Tables) -> float:
    """Mantel and Haenszel's estimate, kept finite."""
    others = tables.total - tables.bad, tables.flagged - tables.bad
    neither = tables.evaluated - tables.flagged - others[0]
    hits = float((tables.bad * (neither / tables.evaluated)).sum())
    misses = float((others[0] * (others[1] / tables.evaluated)).sum())
    return math.log((hits + 0.5) / (misses + 0.5))


def _trimmed(start: int, chances: Floats) -> tuple[int, Floats]:
    """Without the ends that change nothing."""
    there = np.flatnonzero(chances > _NEGLIGIBLE)
    return start + int(there[0]), chances[there[0] : there[-1] + 1]


def _convolved(parts: list[tuple[int, Floats]]) -> tuple[int, Floats]:
    """Distribution of the sum: neighbours are put together until one is left, so that none is long early."""
    while len(parts) > 1:
        joined = [
            _trimmed(one[0] + two[0], np.convolve(one[1], two[1]))
            for one, two in zip(parts[::2], parts[1::2], strict=False)
        ]
        parts = joined + parts[len(joined) * 2 :]
    return parts[0]
