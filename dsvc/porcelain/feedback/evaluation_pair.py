"""Two evaluations by one suite: whether they can be compared, and what each metric did between them.

They can be where suite, split and evaluation set are the same, and they have a metric in common. Where only
one of them says what it was evaluated on, the samples must be the same, one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from dsvc.feedback.metric_names import is_percent
from dsvc.feedback.metrics import Comparison, Method, compare
from dsvc.model.errors import NotFoundError
from dsvc.model.feedback import FeedbackRecord, Metric
from dsvc.model.metric_change import MetricChange, metric_label
from dsvc.model.paths import display_path
from dsvc.porcelain.feedback.feedback_subject import find_subject
from dsvc.porcelain.records import feedback_chain
from dsvc.porcelain.records.feedback_chain import FEEDBACK_REFS, FeedbackHead
from dsvc.porcelain.state.workspace import Workspace

Key = tuple[str, str | None, str | None]
"""Name, task and slice of a metric."""


class EvaluationPair(NamedTuple):
    """Two evaluations, the second later, held against each other.

    Attributes
    ----------
    before, after : FeedbackHead
    changes : tuple of MetricChange
        Metrics that both have, in order of the first.
    missing : tuple of str
        Metrics that only the first has.
    reasons : tuple of str
        Why the two can't be compared; none where they can.
    """

    before: FeedbackHead
    after: FeedbackHead
    changes: tuple[MetricChange, ...]
    missing: tuple[str, ...]
    reasons: tuple[str, ...]

    @property
    def comparable(self) -> bool:
        """Whether a difference of metrics is one of the data."""
        return not self.reasons


def pair_of(
    repo: Workspace, before: FeedbackHead, after: FeedbackHead, tolerance: float = 0.0
) -> EvaluationPair:
    """Hold two evaluations against each other.

    Parameters
    ----------
    tolerance : float
        By how much a metric may become worse; of one in percent, in hundredths of that.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If one of both, or its samples, can't be read.
    """
    olds, news = _metrics(before.record), _metrics(after.record)
    twice = {key for found in (olds, news) for key, metric in found.items() if metric is None}
    changes = []
    for key, old in olds.items():
        new = news.get(key)
        if old is not None and new is not None and key not in twice:
            changes.append(_change(repo, (before.id, old), (after.id, new), tolerance))
    reasons = [*_apart(before.record, after.record), *_sets_apart(repo, before, after, changes)]
    reasons += [f"{metric_label(*key)} has two values in one evaluation" for key in sorted(twice, key=str)]
    if not changes:
        reasons.append("they have no metric in common")
    missing = tuple(metric_label(*key) for key in olds if key not in news)
    return EvaluationPair(before, after, tuple(changes), missing, tuple(reasons))


def newest(repo: Workspace, heads: Sequence[FeedbackHead]) -> FeedbackHead:
    """The evaluation that was imported last; of those of one second, as the log of operations has them.

    Parameters
    ----------
    heads : sequence of FeedbackHead
        At least one.
    """
    last = max(head.record.imported_at for head in heads)
    found = {head.id: head for head in heads if head.record.imported_at == last}
    if len(found) > 1:
        for operation in repo.history.operations:
            for name, _, new in operation.refs:
                id_ = name.removeprefix(FEEDBACK_REFS)
                if new is not None and id_ in found and id_ != name:
                    return found[id_]
    return found[max(found)]


def _metrics(record: FeedbackRecord) -> dict[Key, Metric | None]:
    """Metrics by name, task and slice; None where two values are given."""
    found: dict[Key, Metric | None] = {}
    for metric in record.metrics:
        key = (metric.name, metric.task, metric.slice)
        known = found.setdefault(key, metric)
        if known is None or known.value != metric.value:
            found[key] = None
    return found


def _change(
    repo: Workspace, before: tuple[str, Metric], after: tuple[str, Metric], tolerance: float
) -> MetricChange:
    scores = [feedback_chain.scores(repo, id_, each.name, each.task) for id_, each in (before, after)]
    found = compare(before[1], after[1], scores[0], scores[1])
    return change_of(found, before[1], tolerance)


def change_of(found: Comparison, metric: Metric, tolerance: float = 0.0) -> MetricChange:
    """Write a comparison down as it is kept."""
    scale = 100.0 if is_percent(metric.unit) else 1.0
    return MetricChange(
        name=metric.name,
        task=metric.task,
        slice=metric.slice,
        before=float(found.before),
        after=float(found.after),
        low=None if found.low is None else float(found.low),
        high=None if found.high is None else float(found.high),
        method=found.method.value,
        p_value=None if found.p_value is None else float(found.p_value),
        pairs=found.pairs,
        higher_is_better=found.higher_is_better,
        improved=bool(found.improved),
        regressed=found.regressed(tolerance * scale),
    )


def _apart(before: FeedbackRecord, after: FeedbackRecord) -> list[str]:
    """What tells suites and splits apart."""
    reasons = []
    if before.suite != after.suite:
        reasons.append(f"the suites differ: {before.suite} and {after.suite}")
    splits = (before.run.split, after.run.split)
    if None not in splits and splits[0] != splits[1]:
        reasons.append(f"the splits differ: {splits[0]} and {splits[1]}")
    return reasons


def _sets_apart(
    repo: Workspace, before: FeedbackHead, after: FeedbackHead, changes: list[MetricChange]
) -> list[str]:
    """What tells evaluation sets apart."""
    sets = []
    for head in (before, after):
        try:
            sets.append(evaluation_set(repo, head.record))
        except NotFoundError as error:
            return [f"the evaluation set of feedback {head.id} is not here: {error.message}"]
    one, two = sets
    if one and two:
        if set(one.values()) == set(two.values()):
            return []
        changed = sorted(display_path(path) for path in one if one[path] != two.get(path))
        return [f"the evaluation set is not the same: {', '.join(changed or map(display_path, two))}"]
    paired = any(each.method in (Method.MCNEMAR, Method.PAIRED) for each in changes)
    if paired or not (one or two):
        return []
    return ["only one of both says on which evaluation set, and their samples are not the same"]


def evaluation_set(repo: Workspace, record: FeedbackRecord) -> Mapping[bytes, bytes]:
    """What an evaluation was made on, as digests by path: what it names, else what lies beside its subject.

    Empty where nothing is known of it.

    Raises
    ------
    NotFoundError
        If it names one that is not here.
    """
    if record.run.eval_set is not None:
        subject = find_subject(repo, record.run.eval_set).subject
        return {subject.path: subject.digest}
    folder = record.subject.path + b"/" if record.subject.path else b""
    return {
        each.path: each.digest
        for each in record.evaluated
        if each.path != record.subject.path and not each.path.startswith(folder)
    }
