"""What a release gained over the one before: metrics of the same suite, side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

import msgspec

from dsvc.model.feedback import Metric, PilotKind


class Measured(Protocol):
    """An evaluation, as far as metrics are compared."""

    @property
    def suite(self) -> str:
        """Name of the suite."""

    @property
    def kind(self) -> PilotKind | None:
        """What was tried out."""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What was measured."""


class Interval(NamedTuple):
    """95% interval of the difference after minus before, and how it was worked out."""

    low: float
    high: float
    method: str


class MetricChange(msgspec.Struct, frozen=True, kw_only=True):
    """A metric of this release and of the one before.

    Attributes
    ----------
    suite, name : str
    kind : PilotKind or None
    task, slice, unit : str or None
    before, after : float or None
        None where one of the two has no such metric, or several that differ.
    n_before, n_after : int or None
    higher_is_better : bool or None
    low, high : float or None
        95% interval of the difference.
    method : str or None
        How that was worked out; None: it could not be.
    """

    suite: str
    name: str
    kind: PilotKind | None = None
    task: str | None = None
    slice: str | None = None
    unit: str | None = None
    before: float | None = None
    after: float | None = None
    n_before: int | None = None
    n_after: int | None = None
    higher_is_better: bool | None = None
    low: float | None = None
    high: float | None = None
    method: str | None = None

    @property
    def difference(self) -> float | None:
        """After minus before."""
        return None if self.before is None or self.after is None else self.after - self.before

    @property
    def is_better(self) -> bool | None:
        """Whether it moved the right way beyond doubt, or the wrong way; None: that can't be told."""
        if self.higher_is_better is None or self.low is None or self.high is None:
            return None
        if self.low <= 0 <= self.high:
            return None
        return (self.low > 0) is self.higher_is_better


Compare = Callable[[Metric, Metric], Interval | None]
"""Gives the interval of a difference; None where none can be had."""
_Key = tuple[str, str, str, str, str, str]


def quality_gain(
    before: Iterable[Measured], after: Iterable[Measured], compare: Compare
) -> tuple[MetricChange, ...]:
    """Put the metrics of two releases side by side.

    A metric is the same where suite, kind of the pilot, name, task, slice and unit are. One that only one of
    the two has is listed too. Where one release has it twice with different values, neither counts: `before`
    or `after` is None.
    """
    old, new = _by_key(before), _by_key(after)
    found = []
    for key in sorted(old.keys() | new.keys()):
        earlier, later = _only(old.get(key, [])), _only(new.get(key, []))
        interval = None if earlier is None or later is None else compare(earlier, later)
        found.append(_change(key, earlier, later, interval))
    return tuple(found)


def _by_key(evaluations: Iterable[Measured]) -> dict[_Key, list[Metric]]:
    found: dict[_Key, list[Metric]] = {}
    for each in evaluations:
        for metric in each.metrics:
            key = (
                each.suite,
                each.kind or "",
                metric.name,
                metric.task or "",
                metric.slice or "",
                metric.unit or "",
            )
            found.setdefault(key, []).append(metric)
    return found


def _only(metrics: list[Metric]) -> Metric | None:
    """Give the metric, where all say the same."""
    return metrics[0] if metrics and len({(each.value, each.n) for each in metrics}) == 1 else None


def _change(
    key: _Key, before: Metric | None, after: Metric | None, interval: Interval | None
) -> MetricChange:
    suite, kind, name, task, slice_, unit = key
    stated = {each.higher_is_better for each in (before, after) if each is not None} - {None}
    return MetricChange(
        suite=suite,
        name=name,
        kind=PilotKind(kind) if kind else None,
        task=task or None,
        slice=slice_ or None,
        unit=unit or None,
        before=None if before is None else before.value,
        after=None if after is None else after.value,
        n_before=None if before is None else before.n,
        n_after=None if after is None else after.n,
        higher_is_better=stated.pop() if len(stated) == 1 else None,
        low=None if interval is None else interval.low,
        high=None if interval is None else interval.high,
        method=None if interval is None else interval.method,
    )
