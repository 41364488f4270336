"""Metrics of two versions beside each other: of evaluations by the same suite that both of them have."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from dsvc.model.ids import CommitId
from dsvc.porcelain.records.feedback_chain import FEEDBACK_REFS, FeedbackHead, feedback_head
from dsvc.porcelain.state.revisions import UNCOMMITTED
from dsvc.porcelain.state.workspace import Workspace

if TYPE_CHECKING:
    from dsvc.porcelain.feedback.evaluation_pair import EvaluationPair


def metric_table(repo: Workspace, old: str, new: str) -> list[EvaluationPair]:
    """Hold evaluations of two versions against each other.

    An evaluation is of a version if it was made of the same files, whatever commit that was. Of several by
    one suite the newest count, those of one subject first.

    Parameters
    ----------
    old, new : str
        Revisions; of what is not committed there is no evaluation.

    Returns
    -------
    list of EvaluationPair
        By suite; none where no suite evaluated both.

    Raises
    ------
    NotFoundError
        If there is no such revision.
    MissingDataError, CorruptDataError, MalformedInputError
        If an evaluation can't be read.
    """
    if old in UNCOMMITTED or new in UNCOMMITTED:
        return []
    names = [name.removeprefix(FEEDBACK_REFS) for name in repo.history.refs.list(FEEDBACK_REFS)]
    if not names:
        return []
    sides = [_manifest(repo, each) for each in (old, new)]
    if sides[0] == sides[1]:
        return []
    found: dict[str, tuple[list[FeedbackHead], list[FeedbackHead]]] = defaultdict(lambda: ([], []))
    for name in names:
        head = feedback_head(repo, name)
        if head.record.subject.manifest in sides:
            found[head.record.suite][sides.index(head.record.subject.manifest)].append(head)
    from dsvc.porcelain.feedback.evaluation_pair import pair_of

    chosen = [_chosen(repo, *found[suite]) for suite in sorted(found)]
    return [pair_of(repo, *pair) for pair in chosen if pair is not None]


def _manifest(repo: Workspace, revision: str) -> str:
    """Root of the manifest of a version, in hex."""
    commit: CommitId = repo.history.peel(repo.history.revisions.resolve(revision))
    return bytes(repo.history.read_commit(commit).manifest).hex()


def _chosen(
    repo: Workspace, olds: list[FeedbackHead], news: list[FeedbackHead]
) -> tuple[FeedbackHead, FeedbackHead] | None:
    """The newest of both sides, of one subject if there are such; None where a side has none."""
    shared = {head.record.subject.path for head in olds} & {head.record.subject.path for head in news}
    if not olds or not news:
        return None
    from dsvc.porcelain.feedback.evaluation_pair import newest

    sides = [[h for h in side if h.record.subject.path in shared] or side for side in (olds, news)]
    return newest(repo, sides[0]), newest(repo, sides[1])
