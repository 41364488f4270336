"""Metrics of an evaluation held against its samples: computed again where that can be, else marked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from dsvc.feedback.metric_names import known_direction
from dsvc.feedback.metrics import disagrees, recompute
from dsvc.model.errors import MalformedInputError
from dsvc.model.feedback import EvaluationRun, Metric, Support

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsvc.porcelain.feedback.feedback_samples import Samples, ScorePlace

    Values = NDArray[np.float64]


class UnsupportedClaimError(MalformedInputError):
    """A file states a metric that its own samples don't show."""

    code = "unsupported-claim"


def settle_metrics(run: EvaluationRun, stated: Sequence[Metric], samples: Samples) -> tuple[Metric, ...]:
    """Compute metrics again from samples.

    A metric is held against its samples where they are all there: as many as it says it is over, or, where it
    says nothing, when samples that passed are listed too.

    Returns
    -------
    tuple of Metric
        Those that were stated, and means of values that no stated one is about.

    Raises
    ------
    UnsupportedClaimError
        If one is stated that samples don't show.
    """
    found = [_settled(run, metric, samples) for metric in stated]
    if samples.lists_all or run.evaluated == "listed":
        found += _derived({metric.name for metric in stated}, samples)
    return tuple(found)


def _settled(run: EvaluationRun, metric: Metric, samples: Samples) -> Metric:
    def fits(place: ScorePlace) -> bool:
        own = place.metric == metric.name and metric.task in (None, place.task)
        return own and metric.slice in (None, place.slice)

    values = _chosen(run, metric, samples, samples.values(fits))
    if values is None or not len(values):
        return metric
    n = len(values)
    value = recompute(metric.name, values, metric.unit)
    if value is None:
        # The name doesn't say what it is: a mean if it is that of its values, else nobody knows.
        if disagrees(metric.value, float(np.mean(values)), n):
            return metric
        value = float(np.mean(values))
    claimed = run.evaluated == "listed" and metric.n is not None and metric.n != n
    if claimed or disagrees(metric.value, value, n):
        of = f" of {metric.task}" if metric.task else ""
        over = "" if metric.n is None else f" over {metric.n}"
        raise UnsupportedClaimError(
            f"it states {metric.name[:80]}{of[:80]} = {metric.value:g}{over}; its {n} samples show {value:g}",
            hint="an evaluation counts as far as its samples show it",
            details={"metric": metric.name[:200], "stated": metric.value, "recomputed": value, "n": n},
        )
    return msgspec.structs.replace(metric, support=Support.RECOMPUTED, n=metric.n or n)


def _chosen(run: EvaluationRun, metric: Metric, samples: Samples, values: Values) -> Values | None:
    """Values of all samples that a metric is over; None where they are not all there.

    Verdicts stand for values that a file doesn't give; which they are over is known only by their number.
    """
    verdicts = _verdicts(metric, samples)
    listed = run.evaluated == "listed"
    if metric.n is None:
        if len(values):
            return values if samples.lists_all or listed else None
        return verdicts if len(verdicts) and listed else None
    for each in (values, verdicts):
        if len(each) == metric.n:
            return each
    if len(values) > metric.n:
        return values
    return next((each for each in (values, verdicts) if listed and len(each)), None)


def _verdicts(metric: Metric, samples: Samples) -> Values:
    """Verdicts as values, for a share of what passed."""
    if not known_direction(metric.name):
        return np.zeros(0)
    counts = [
        each
        for (task, slice_), each in samples.verdicts.items()
        if metric.task in (None, task) and metric.slice in (None, slice_)
    ]
    passed, failed = (sum(each[at] for each in counts) for at in (0, 1))
    return np.repeat([1.0, 0.0], [passed, failed])


def _derived(stated: set[str], samples: Samples) -> list[Metric]:
    """Means of values that no stated metric is about."""
    places = {(each.metric, each.task) for each in samples.score_places() if each.metric not in stated}
    found = []
    for name, task in sorted(places, key=lambda place: (place[0], place[1] or "")):
        values = samples.values(lambda each, name=name, task=task: (each.metric, each.task) == (name, task))  # type: ignore[misc]
        value = recompute(name, values)
        if value is not None:
            found.append(
                Metric(
                    name=name,
                    value=value,
                    n=len(values),
                    task=task,
                    higher_is_better=known_direction(name),
                    support=Support.RECOMPUTED,
                )
            )
    return found
