"""Metrics before and after a repair: whether a difference is more than chance, and whether it is a gain.

===================================== ======================================================================
what is known of both                 interval of the difference
===================================== ======================================================================
values of the same samples, 0 or 1    Newcombe's paired score interval, and McNemar's exact test (`MCNEMAR`)
values of the same samples, others    Student's t of the differences (`PAIRED`)
how many samples, of shares           Newcombe's score interval of independent shares (`NEWCOMBE`)
standard errors                       normal (`STDERR`)
nothing of these                      none (`NONE`): only a person can accept the change
===================================== ======================================================================

Values of samples count where their mean is the metric; two evaluations are paired where their samples are the
same, each of them, so that leaving some out can't make a metric better. Where the metric is a share, `n` is
used whatever standard error is stated, but for one that no share of so many samples can have.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from dsvc.feedback.exact_test import Z95
from dsvc.feedback.intervals import ALPHA, Interval, independent_shares, mcnemar, paired_shares, t_quantile
from dsvc.feedback.metric_names import is_mean, is_percent, known_direction, may_be_share
from dsvc.model.feedback import Metric

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Scores = tuple[NDArray[np.uint8], NDArray[np.float64]]
    """Identities of samples, 16 bytes each, and their values."""

RELATIVE: Final = 1e-6
MOST_ROUNDING: Final = 0.005
"""A share is taken to be written with two decimals at least."""
_STDERR_SLACK: Final = 1.05
_FEW_EQUAL: Final = 6
"""That so many samples all change by the same amount has a chance below 5% where either way is as likely."""


class Method(StrEnum):
    """How the interval was found; the table above."""

    MCNEMAR = "mcnemar"
    PAIRED = "paired-t"
    NEWCOMBE = "newcombe"
    STDERR = "stderr"
    NONE = "none"


class Comparison(NamedTuple):
    """A metric before and after.

    Attributes
    ----------
    name : str
    before, after, difference : float
        Values, and the second less the first.
    low, high : float or None
        95% interval of the difference.
    method : Method
    p_value : float or None
        Of McNemar's test, where that is the method.
    pairs : int
        Samples that both evaluations have, where they were paired.
    higher_is_better : bool or None
        None where nothing says, or both evaluations say different things.
    """

    name: str
    before: float
    after: float
    difference: float
    low: float | None
    high: float | None
    method: Method
    p_value: float | None
    pairs: int
    higher_is_better: bool | None

    @property
    def comparable(self) -> bool:
        """Whether it is known which way is better."""
        return self.higher_is_better is not None

    @property
    def improved(self) -> bool:
        """Whether it became better by more than chance.

        The interval excludes 0 on the right side; with McNemar's test, that says so too.
        """
        if self.low is None or self.high is None or not self.comparable:
            return False
        if self.p_value is not None and self.p_value >= ALPHA:
            return False
        return min(self._gain(self.low), self._gain(self.high)) > 0

    def regressed(self, tolerance: float = 0.0) -> bool | None:
        """Whether it became worse by more than `tolerance`, by more than chance: the whole interval.

        None where that can't be said: there is no interval, or nobody knows what is better.
        """
        if self.low is None or self.high is None or not self.comparable:
            return None
        return max(self._gain(self.low), self._gain(self.high)) < -abs(tolerance)

    def _gain(self, difference: float) -> float:
        if self.higher_is_better is None:
            return 0.0
        return difference if self.higher_is_better else -difference


def direction(before: Metric, after: Metric) -> bool | None:
    """Whether higher is better, by what the evaluations say, else by the name.

    Both must not say different things: then it is not known.
    """
    stated = {each.higher_is_better for each in (before, after)} - {None}
    if len(stated) > 1:
        return None
    return stated.pop() if stated else known_direction(before.name)


def compare(
    before: Metric, after: Metric, scores_before: Scores | None = None, scores_after: Scores | None = None
) -> Comparison:
    """Compare a metric of two evaluations; that both are of the same suite and set, the caller knows.

    Parameters
    ----------
    before, after : Metric
    scores_before, scores_after : (array of uint8, array of float64), optional
        Values of the samples: identities, shape (n, 16), and values.

    Returns
    -------
    Comparison
    """
    pair = (before, after)
    values = [_shown(metric, each) for metric, each in zip(pair, (scores_before, scores_after), strict=True)]
    scale = 100.0 if is_percent(before.unit) else 1.0
    same_unit = is_percent(before.unit) == is_percent(after.unit)
    found = _paired(values[0], values[1], scale) if same_unit else None
    if found is None and same_unit:
        found = _independent(before, after, values, scale)
    interval, method, p_value, pairs = found or (None, Method.NONE, None, 0)
    one, two = before.value, after.value
    if pairs and values[0] is not None and values[1] is not None:
        # As the samples show them: the stated values may be rounded.
        one, two = (float(each[1].mean()) * scale for each in (values[0], values[1]))
    low, high = interval or (None, None)
    return Comparison(
        before.name, one, two, two - one, low, high, method, p_value, pairs, direction(before, after)
    )


_Found = tuple[Interval, Method, float | None, int]


def _shown(metric: Metric, scores: Scores | None) -> tuple[NDArray[np.void], NDArray[np.float64]] | None:
    """Samples with one value each, on a scale of 1, if their mean is the metric."""
    if scores is None or not len(scores[1]) or not bool(np.isfinite(scores[1]).all()):
        return None
    names = np.ascontiguousarray(scores[0]).view(f"V{scores[0].shape[1]}").reshape(-1)
    unique, place, count = np.unique(names, return_inverse=True, return_counts=True)
    values = np.bincount(place, scores[1]) / count
    if is_percent(metric.unit) and float(values.max()) > 1:
        values = values / 100
    scale = 100.0 if is_percent(metric.unit) else 1.0
    return None if disagrees(metric.value, float(values.mean()) * scale, len(values)) else (unique, values)


def _paired(
    before: tuple[NDArray[np.void], NDArray[np.float64]] | None,
    after: tuple[NDArray[np.void], NDArray[np.float64]] | None,
    scale: float,
) -> _Found | None:
    if before is None or after is None or not np.array_equal(before[0], after[0]):
        return None
    one, two, n = before[1], after[1], len(before[1])
    if all(bool(((each == 0) | (each == 1)).all()) for each in (one, two)):
        passed = int(((one == 1) & (two == 1)).sum())
        lost, won = int((one > two).sum()), int((two > one).sum())
        low, high = paired_shares(passed, lost, won, n - passed - lost - won)
        return (low * scale, high * scale), Method.MCNEMAR, mcnemar(lost, won), n
    change = two - one
    mean, spread = float(change.mean()), float(change.std(ddof=1)) if n > 1 else 0.0
    if n < 2 or (spread <= RELATIVE * abs(mean) and n < _FEW_EQUAL):
        return None
    reach = t_quantile(n - 1) * spread / math.sqrt(n)
    return ((mean - reach) * scale, (mean + reach) * scale), Method.PAIRED, None, n


def _independent(
    before: Metric,
    after: Metric,
    values: list[tuple[NDArray[np.void], NDArray[np.float64]] | None],
    scale: float,
) -> _Found | None:
    shares = [_share(metric, own, scale) for metric, own in zip((before, after), values, strict=True)]
    if shares[0] is not None and shares[1] is not None:
        low, high = independent_shares(*shares[0], *shares[1])
        return (low * scale, high * scale), Method.NEWCOMBE, None, 0
    errors = [_stderr(metric, own, scale) for metric, own in zip((before, after), values, strict=True)]
    # An error of 0, as for a model that gets everything right, says only that nothing varied.
    if errors[0] and errors[1]:
        reach = Z95 * math.hypot(errors[0], errors[1])
        difference = after.value - before.value
        return (difference - reach, difference + reach), Method.STDERR, None, 0
    return None


def _share(
    metric: Metric, own: tuple[NDArray[np.void], NDArray[np.float64]] | None, scale: float
) -> tuple[float, int] | None:
    """The metric as a share of so many samples, if it can be one."""
    n = len(own[1]) if own is not None else metric.n
    value = metric.value / scale
    if n is None or n < 1 or not 0 <= value <= 1 or not may_be_share(metric.name, metric.unit):
        return None
    if own is not None and not bool(((own[1] >= 0) & (own[1] <= 1)).all()):
        return None
    # No mean of values from 0 to 1 has a larger standard error than that of as many zeros and ones.
    most = math.sqrt(value * (1 - value) / max(n - 1, 1))
    if metric.stderr is not None and metric.stderr / scale > most * _STDERR_SLACK + RELATIVE:
        return None
    return value, n


def _stderr(
    metric: Metric, own: tuple[NDArray[np.void], NDArray[np.float64]] | None, scale: float
) -> float | None:
    if metric.stderr is not None and math.isfinite(metric.stderr) and metric.stderr >= 0:
        return metric.stderr
    if own is None or len(own[1]) < 2:
        return None
    return scale * float(own[1].std(ddof=1)) / math.sqrt(len(own[1]))


def recompute(name: str, values: NDArray[np.float64], unit: str | None = None) -> float | None:
    """Compute a metric again from the values of its samples, in its unit.

    None where the name doesn't say that it is their mean (`metric_names.is_mean`), or there are none.
    """
    if not len(values) or not is_mean(name):
        return None
    mean = float(np.mean(values))
    return mean * 100 if is_percent(unit) and float(values.max()) <= 1 else mean


def rounding(stated: float) -> float:
    """How far a stated value may be from what it was before it was written down.

    Half a unit of its last written digit, as the shortest text has it that gives the number again; of a value
    up to 1 at most `MOST_ROUNDING`, since nobody knows whether ``1.0`` was meant to one digit or to all.
    """
    digits, _, exponent = repr(float(stated)).lower().partition("e")
    fraction = digits.partition(".")[2]
    decimals = 0 if fraction in ("", "0") else len(fraction)
    unit = 10.0 ** (int(exponent or 0) - decimals)
    return min(unit / 2, MOST_ROUNDING) if abs(stated) <= 1 else unit / 2


def disagrees(stated: float, recomputed: float, n: int | None = None) -> bool:
    """Whether samples show something else than what is stated.

    Parameters
    ----------
    stated, recomputed : float
        What differs by no more than `rounding`, or one part in a million, agrees.
    n : int, optional
        How many samples it was computed from; none show nothing.
    """
    if n == 0 or not math.isfinite(stated) or not math.isfinite(recomputed):
        return True
    allowed = max(rounding(stated), RELATIVE * max(abs(stated), abs(recomputed)))
    return abs(stated - recomputed) > allowed * (1 + 1e-9) + 1e-15
