"""What the gate knows of evaluations: of which version each was, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsvc.model.errors import DsvcError
from dsvc.model.feedback import DefectSeverity
from dsvc.policy.facts import Evaluation
from dsvc.porcelain.records.defect_chain import DEFECTS, defect_at, defect_ids
from dsvc.porcelain.records.feedback_chain import (
    FEEDBACK,
    FEEDBACK_REFS,
    FeedbackHead,
    feedback_at,
    feedback_ids,
    unresolved,
)
from dsvc.porcelain.records.lost_refs import lost_refs
from dsvc.porcelain.state.moment import Moment, as_of

if TYPE_CHECKING:
    from dsvc.feedback.defect_state import DefectState
    from dsvc.porcelain.state.workspace import Workspace

_STATED = ("passed", "failed")
_UNKNOWN = "unknown"


def evaluations(repo: Workspace, moment: Moment) -> tuple[Evaluation, ...]:
    """Every evaluation with what came of it, by id; one that can't be read says why.

    Parameters
    ----------
    moment : Moment
        What was recorded later is not known.
    """
    found = []
    for id_ in lost_refs(repo, FEEDBACK_REFS):
        said = "the log knows it, and it is not there any more"
        found.append(Evaluation(id_, "", b"", _UNKNOWN, said))
    states: list[DefectState] | None = None
    for id_ in feedback_ids(repo):
        try:
            tip = as_of(repo, FEEDBACK.head(repo, id_), moment)
            if tip is None:
                continue
            head = feedback_at(repo, tip, id_)
            if states is None:
                states = _states(repo, moment)
            outcome = _outcome(repo, head, states)
        except DsvcError as error:
            found.append(Evaluation(id_, "", b"", _UNKNOWN, error.message))
            continue
        kind = head.record.run.kind
        root = bytes.fromhex(head.record.subject.manifest)
        found.append(Evaluation(id_, "" if kind is None else kind.value, root, outcome))
    return tuple(sorted(found))


def _states(repo: Workspace, moment: Moment) -> list[DefectState]:
    tips = ((id_, as_of(repo, DEFECTS.head(repo, id_), moment)) for id_ in defect_ids(repo))
    return [defect_at(repo, id_, tip) for id_, tip in tips if tip is not None]


def _outcome(repo: Workspace, head: FeedbackHead, states: list[DefectState]) -> str:
    """What came of an evaluation: what its tool says of the whole, else what it found.

    It failed where it flagged rows of a defect that ever was a P1 and is open. It is unknown where a P1 that
    it states could not be found in the data, or where it measured nothing; else it passed.
    """
    record = head.record
    if record.run.outcome in _STATED:
        return record.run.outcome
    mine = (each for each in states if head.id in each.feedbacks and each.is_open)
    if any(each.worst_severity is DefectSeverity.P1 for each in mine):
        return "failed"
    if record.unresolved and any(
        each.severity is DefectSeverity.P1 and each.symptom for each in unresolved(repo, head.id)
    ):
        return _UNKNOWN
    return "passed" if record.samples or record.metrics else _UNKNOWN
