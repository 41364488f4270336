"""A metric before and after, as a repair's chain keeps it."""

from __future__ import annotations

import msgspec


class MetricChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A metric of two evaluations by the same suite.

    Attributes
    ----------
    name : str
    task, slice : str or None
        Part of the suite, and of the samples.
    before, after : float
    low, high : float or None
        95% interval of the second less the first; None where there can be none.
    method : str
        How the interval was found, one of `dsvc.feedback.metrics.Method`.
    p_value : float or None
        Of McNemar's test, where that is the method.
    pairs : int
        Samples that were compared one by one.
    higher_is_better : bool or None
        None where nothing says, or the evaluations say different things.
    improved : bool
        Whether it became better by more than chance.
    regressed : bool or None
        Whether it became worse by more than what is tolerated, by more than chance; None: can't be told.
    """

    name: str
    before: float
    after: float
    task: str | None = None
    slice: str | None = None
    low: float | None = None
    high: float | None = None
    method: str = "none"
    p_value: float | None = None
    pairs: int = 0
    higher_is_better: bool | None = None
    improved: bool = False
    regressed: bool | None = None

    @property
    def label(self) -> str:
        """What it is called where several are: ``TASK/NAME [SLICE]``."""
        return metric_label(self.name, self.task, self.slice)

    @property
    def difference(self) -> float:
        """The value after less that before."""
        return self.after - self.before

    @property
    def is_better(self) -> bool:
        """Whether the value became better at all; False where nobody knows what is better."""
        if self.higher_is_better is None or self.after == self.before:
            return False
        return (self.after > self.before) == self.higher_is_better


def metric_label(name: str, task: str | None, slice: str | None) -> str:  # noqa: A002
    """Name a metric of a part of a suite, and of a part of its samples."""
    label = name if task is None else f"{task}/{name}"
    return label if slice is None else f"{label} [{slice}]"
