"""What the gate knows of releases: which is the one before, how metrics moved since, what is announced."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from dsvc.model.errors import DsvcError
from dsvc.model.ids import CommitId, NodeId
from dsvc.model.release import ReleaseOperation, ReleaseStatus, ReleaseVerb, status_after
from dsvc.policy.facts import Announcement, QualityChange
from dsvc.porcelain.records.release_chain import RELEASES, release_head, release_names
from dsvc.porcelain.state.moment import Moment, as_of

if TYPE_CHECKING:
    from dsvc.model.feedback import Metric
    from dsvc.model.manifest import Entry
    from dsvc.porcelain.records.feedback_chain import FeedbackHead
    from dsvc.porcelain.state.workspace import Workspace
    from dsvc.release.quality_gain import MetricChange

_Key = tuple[str, str, str, str, str, str]


class KnownRelease(NamedTuple):
    """A release as it was at a moment: its operations, oldest first."""

    name: str
    status: ReleaseStatus
    operations: tuple[ReleaseOperation, ...]

    @property
    def created(self) -> ReleaseOperation | None:
        """How it was created, where it was."""
        return next((each for each in self.operations if each.verb is ReleaseVerb.CREATE), None)


def known_release(repo: Workspace, name: str, moment: Moment) -> KnownRelease | None:
    """A release as it was at a moment; None where there was none.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If it can't be read.
    """
    tip = as_of(repo, RELEASES.tip(repo, name), moment)
    if tip is None:
        return None
    steps = release_head(repo, name).history
    while steps and steps[0].commit != tip:
        steps = steps[1:]
    status: ReleaseStatus | None = None
    for step in reversed(steps):
        status = status_after(status, step.operation.verb)
    return None if status is None else KnownRelease(name, status, tuple(s.operation for s in reversed(steps)))


# Announcements


def announcements(repo: Workspace, moment: Moment, name: str | None = None) -> tuple[Announcement, ...]:
    """Releases that are announced and not created yet, by name.

    Parameters
    ----------
    moment : Moment
        What was recorded later is not known.
    name : str or None
        The release that is to be made; None: it is not known which, so all of them count.
    """
    found = []
    for each in release_names(repo) if name is None else [name]:
        try:
            known = known_release(repo, each, moment)
        except DsvcError as error:
            found.append(Announcement(each, problem=error.message))
            continue
        if known is None or known.status is not ReleaseStatus.ANNOUNCED:
            continue
        until = [operation.until for operation in known.operations if operation.until is not None]
        found.append(Announcement(each, known.operations[0].at[:10], until[-1] if until else None))
    return tuple(found)


# Metrics


def quality_changes(
    repo: Workspace, root: NodeId, entries: Sequence[Entry], tips: Sequence[CommitId], moment: Moment
) -> tuple[QualityChange, ...]:
    """Metrics of the newest release before a version, and of the version; none where no release is before it.

    Of several evaluations by one suite, of one kind, the newest counts.

    Parameters
    ----------
    root, entries
        Manifest of the version, and its files.
    tips : sequence of CommitId
        The commit, or those that it will follow.
    moment : Moment
        What was recorded later is not known.
    """
    try:
        before = _before(repo, root, tips, moment)
        if before is None:
            return ()
        return tuple(_changes(repo, before, root, entries, moment))
    except DsvcError as error:
        return (QualityChange(f"what is known of releases ({error.message})", None, None),)


def _before(
    repo: Workspace, root: NodeId, tips: Sequence[CommitId], moment: Moment
) -> tuple[str, NodeId] | None:
    """The newest release whose version comes before, and is another one."""
    newest: tuple[str, str, NodeId] | None = None
    for name in release_names(repo):
        known = known_release(repo, name, moment)
        created = None if known is None else known.created
        if known is None or created is None or known.status is ReleaseStatus.WITHDRAWN:
            continue
        commit = CommitId.parse(created.commit or "")
        files = repo.history.read_commit(commit).manifest
        if files == root or not any(repo.history.is_ancestor(commit, tip) for tip in tips):
            continue
        found = (created.at, name, files)
        newest = found if newest is None else max(newest, found)
    return None if newest is None else newest[1:]


def _changes(
    repo: Workspace, before: tuple[str, NodeId], root: NodeId, entries: Sequence[Entry], moment: Moment
) -> Iterator[QualityChange]:
    from dsvc.porcelain.policy.release_evaluations import evaluations_of
    from dsvc.porcelain.policy.release_since import compared_metrics, newest_of_suites

    release, files = before
    earlier = [each for each in repo.manifest(files).entries() if each.is_file]
    old = newest_of_suites(evaluations_of(repo, files, earlier, moment))
    new = newest_of_suites(evaluations_of(repo, root, entries, moment)) if old else []
    known = [_by_key(old), _by_key(new)]
    for change in compared_metrics(repo, old, new):
        stated = [each for side in known for each in side.get(_key_of(change), ())]
        yield _change(change, release, stated, before=bool(known[0].get(_key_of(change))))


def _by_key(heads: Sequence[FeedbackHead]) -> dict[_Key, list[Metric]]:
    found: dict[_Key, list[Metric]] = {}
    for head in heads:
        for metric in head.record.metrics:
            key = (head.record.suite, head.record.run.kind or "", metric.name)
            rest = (metric.task or "", metric.slice or "", metric.unit or "")
            found.setdefault((*key, *rest), []).append(metric)
    return found


def _key_of(change: MetricChange) -> _Key:
    rest = (change.task or "", change.slice or "", change.unit or "")
    return (change.suite, change.kind or "", change.name, *rest)


def _change(change: MetricChange, release: str, stated: Sequence[Metric], *, before: bool) -> QualityChange:
    """A change as rules compare it; `before` says that the release before has the metric in any way."""
    from dsvc.feedback.metric_names import is_percent, known_direction

    scale = 0.01 if is_percent(change.unit) else 1.0
    one, two, low, high = (
        None if each is None else each * scale
        for each in (change.before, change.after, change.low, change.high)
    )
    said = {each.higher_is_better for each in stated} - {None}
    better = next(iter(said)) if len(said) == 1 else None if said else known_direction(change.name)
    parts = [change.suite, change.kind, change.task, change.slice]
    name = f"{change.name} ({', '.join(str(each) for each in parts if each)})"
    # Several values that differ are none that could be compared.
    if before and one is None:
        two = None
    return QualityChange(name, one, two, low, high, better, release)
