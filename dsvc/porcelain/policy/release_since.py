"""What a release gained over the one before: files, rows, metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from dsvc.diff.delta import Change
from dsvc.diff.manifest_diff import detect_renames, diff_manifests
from dsvc.lineage.coverage import holds_bytes
from dsvc.model.errors import MalformedInputError, NotFoundError, UsageError
from dsvc.model.ids import CommitId, NodeId
from dsvc.model.release import ReleaseStatus
from dsvc.porcelain.policy.release_evaluations import evaluation_fact
from dsvc.porcelain.records.feedback_chain import FeedbackHead, scores
from dsvc.porcelain.records.lineage_facts import rules_file
from dsvc.porcelain.records.release_chain import ReleaseState, releases
from dsvc.porcelain.state.values import DiffResult
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.table_diff import table_versions
from dsvc.porcelain.tables.table_rules import RULES_FILE
from dsvc.release.facts import ChangeKind, FileChange
from dsvc.release.quality_gain import Interval, MetricChange, quality_gain
from dsvc.table.roles import TableRules

if TYPE_CHECKING:
    from dsvc.diff.row_diff import TableVersion
    from dsvc.diff.table_delta import TableDelta
    from dsvc.feedback.metrics import Scores
    from dsvc.model.feedback import Metric

_GONE: Final = (ReleaseStatus.ANNOUNCED, ReleaseStatus.WITHDRAWN)


def previous_release(repo: Workspace, commit: CommitId, name: str) -> ReleaseState | None:
    """The newest release that is not withdrawn and whose version is this one or comes before it.

    Parameters
    ----------
    name : str
        Of the release that is asked for; it is not the one before itself.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If a release or the history can't be read.
    """
    newest: ReleaseState | None = None
    for state in releases(repo):
        before = state.commit
        if state.name == name or before is None or state.status in _GONE:
            continue
        if repo.history.is_ancestor(before, commit) and (newest is None or is_newer(repo, state, newest)):
            newest = state
    return newest


def is_newer(repo: Workspace, state: ReleaseState, other: ReleaseState) -> bool:
    """Whether one was made later; of two in one second the one whose version comes later."""
    one, two = state.created, other.created
    assert one is not None
    assert two is not None
    assert one.commit is not None
    assert two.commit is not None
    if one.at != two.at:
        return one.at > two.at
    return one.commit != two.commit and repo.history.is_ancestor(CommitId(two.commit), CommitId(one.commit))


# Files and rows


def changed_files(
    repo: Workspace, before: NodeId, root: NodeId, paths: Iterable[bytes]
) -> tuple[FileChange, ...]:
    """Say which files differ, tables by how many rows; keys are those that the newer version declares.

    Parameters
    ----------
    paths : iterable of bytes
        Files that count, of both versions.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If a manifest or a file can't be read.
    """
    wanted = set(paths)
    data = rules_file(repo, root)
    rules = TableRules() if data is None else TableRules.parse(data, RULES_FILE)
    changes = detect_renames(list(diff_manifests(repo.manifest(before), repo.manifest(root))))
    found = []
    for change in changes:
        sides = [each for each in (change.old, change.new) if each is not None and holds_bytes(each)]
        if not any(each.path in wanted for each in sides):
            continue
        delta = _rows(repo, change, rules.for_path(change.path).key)
        found.append(
            FileChange(
                path=change.path,
                change=ChangeKind(change.kind.value),
                rows_added=None if delta is None else delta.rows_added,
                rows_removed=None if delta is None else delta.rows_removed,
                rows_changed=None if delta is None else delta.rows_changed,
            )
        )
    return tuple(found)


def _rows(repo: Workspace, change: Change, key: tuple[str, ...]) -> TableDelta | None:
    """Compare a table; None where it is none, or can't be read as one."""
    try:
        versions = table_versions(repo, change, DiffResult(source="", target="", changes=[change]))
        if versions is None:
            return None
        return _compared(versions, key)
    except MalformedInputError:
        return None


def _compared(versions: tuple[TableVersion, TableVersion], key: tuple[str, ...]) -> TableDelta:
    from dsvc.diff.row_diff import diff_tables

    try:
        return diff_tables(*versions, configured=key, limit=0)
    except (UsageError, NotFoundError):
        # A key that comes twice, or is no column any more: rows count as they are.
        return diff_tables(*versions, key=(), limit=0)


# Metrics


def newest_of_suites(heads: Iterable[FeedbackHead]) -> list[FeedbackHead]:
    """Of several evaluations by one suite, of one kind, the newest."""
    found: dict[tuple[str, str], FeedbackHead] = {}
    for head in sorted(heads, key=lambda each: (each.record.imported_at, each.id)):
        found[head.record.suite, head.record.run.kind or ""] = head
    return list(found.values())


def compared_metrics(
    repo: Workspace, before: Iterable[FeedbackHead], after: Iterable[FeedbackHead]
) -> tuple[MetricChange, ...]:
    """Put the metrics of evaluations of two releases side by side, with intervals where there can be any.

    Of several evaluations by one suite, of one kind, the newest counts.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If scores can't be read.
    """
    old, new = newest_of_suites(before), newest_of_suites(after)
    feedback = {id(metric): head.id for head in (*old, *new) for metric in head.record.metrics}

    def compare(one: Metric, other: Metric) -> Interval | None:
        from dsvc.feedback.metrics import compare as compare_metrics

        found = compare_metrics(one, other, _scores(repo, feedback, one), _scores(repo, feedback, other))
        if found.low is None or found.high is None:
            return None
        return Interval(found.low, found.high, str(found.method))

    return quality_gain(map(evaluation_fact, old), map(evaluation_fact, new), compare)


def _scores(repo: Workspace, feedback: Mapping[int, str], metric: Metric) -> Scores | None:
    """Values of the samples that a metric is over; None where there are none."""
    if metric.slice is not None:
        return None
    found = scores(repo, feedback[id(metric)], metric.name, metric.task)
    return found if len(found[1]) else None
