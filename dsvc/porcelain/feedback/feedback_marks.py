"""Which evaluations looked at which commit, for those who read the history."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from dsvc.model.errors import DsvcError

if TYPE_CHECKING:
    from dsvc.model.feedback import FeedbackRecord
    from dsvc.porcelain.state.workspace import Workspace

_FEEDBACK_REFS: Final = "refs/dsvc/feedback/"
_DEFECT_REFS: Final = "refs/dsvc/defects/"
REPAIR_TRAILER: Final = "Dsvc-Repair"


class FeedbackMark(NamedTuple):
    """An evaluation of a commit.

    Attributes
    ----------
    id : str
    record : FeedbackRecord
    defects : int
        Defects that name it.
    """

    id: str
    record: FeedbackRecord
    defects: int


def feedback_marks(repo: Workspace) -> dict[str, tuple[FeedbackMark, ...]]:
    """Evaluations by the commit that they looked at, in hex; one that can't be read is left out.

    Where there is none this costs one look at the refs.
    """
    ids = [name.removeprefix(_FEEDBACK_REFS) for name in repo.history.refs.list(_FEEDBACK_REFS)]
    if not ids:
        return {}
    from dsvc.porcelain.records.feedback_chain import feedback_head

    counts = _defects(repo)
    found: dict[str, list[FeedbackMark]] = {}
    for id_ in sorted(ids):
        try:
            record = feedback_head(repo, id_).record
        except DsvcError:
            # What is damaged is fsck's to name; the history can be read without it.
            continue
        found.setdefault(record.subject.commit, []).append(FeedbackMark(id_, record, counts[id_]))
    return {
        commit: tuple(sorted(marks, key=lambda mark: (mark.record.imported_at, mark.id)))
        for commit, marks in found.items()
    }


def _defects(repo: Workspace) -> Counter[str]:
    """How many defects name each evaluation."""
    counts: Counter[str] = Counter()
    ids = [name.removeprefix(_DEFECT_REFS) for name in repo.history.refs.list(_DEFECT_REFS)]
    if not ids:
        return counts
    from dsvc.porcelain.records.defect_chain import defect_state

    for id_ in ids:
        try:
            counts.update(set(defect_state(repo, id_).feedbacks))
        except DsvcError:
            continue
    return counts


__all__ = ["REPAIR_TRAILER", "FeedbackMark", "feedback_marks"]
