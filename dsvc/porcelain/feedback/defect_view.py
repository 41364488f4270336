"""A defect with all that belongs to it: evaluations, rows, causes, repairs and their proofs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from dsvc.lineage.run_tree import RunTree
from dsvc.model.defect import Cause, CauseKind
from dsvc.model.errors import DsvcError
from dsvc.model.run_record import RunId
from dsvc.porcelain.feedback.cause_report import CauseReport, cause_report
from dsvc.porcelain.feedback.not_flagged import NotFlagged, not_flagged
from dsvc.porcelain.records.defect_chain import DefectHead, defect_head
from dsvc.porcelain.records.feedback_chain import FeedbackHead, feedback_head
from dsvc.porcelain.records.repair_chain import RepairState, repairs_of
from dsvc.porcelain.state.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class DefectView:
    """A defect, from the evaluation that found it to the one that closed it.

    Attributes
    ----------
    head : DefectHead
    evaluations : tuple of FeedbackHead
        Those that flagged rows, in order.
    report : CauseReport or None
        Its causes; None where they can't be worked out.
    others : NotFlagged or None
        Rows like those that are flagged; None where they can't be found.
    repairs : tuple of RepairState
        The oldest plan first.
    closing : FeedbackHead or None
        The evaluation that verified a repair, or sent it back, last.
    run_names : dict of str to str
        Names of runs that are causes, by id.
    unknown : tuple of DsvcError
        Why something of this is not known.
    """

    head: DefectHead
    evaluations: tuple[FeedbackHead, ...] = ()
    report: CauseReport | None = None
    others: NotFlagged | None = None
    repairs: tuple[RepairState, ...] = ()
    closing: FeedbackHead | None = None
    run_names: dict[str, str] = field(default_factory=dict)
    unknown: tuple[DsvcError, ...] = ()


def defect_view(repo: Workspace, defect: str) -> DefectView:
    """Put together what is known of a defect; what can't be read is named, and the rest is shown.

    Parameters
    ----------
    defect : str
        At least the first 4 digits of its id.

    Raises
    ------
    NoSuchDefectError
        If there is none.
    MissingDataError, CorruptDataError, MalformedInputError
        If the defect itself can't be read.
    """
    head = defect_head(repo, defect)
    unknown: list[DsvcError] = []
    evaluations: list[FeedbackHead] = []
    for id_ in head.state.feedbacks:
        try:
            evaluations.append(feedback_head(repo, id_))
        except DsvcError as error:
            unknown.append(error)
    report: CauseReport | None = None
    others: NotFlagged | None = None
    try:
        report = cause_report(repo, head)
        others = not_flagged(repo, head, report)
    except DsvcError as error:
        if error.message not in {each.message for each in unknown}:
            unknown.append(error)
    found: list[RepairState] = []
    closing: FeedbackHead | None = None
    try:
        found = repairs_of(repo, head.state.id)
        last = next((each.feedback for each in reversed(found) if each.feedback), None)
        closing = None if last is None else feedback_head(repo, last)
    except DsvcError as error:
        unknown.append(error)
    run_names: dict[str, str] = {}
    for id_ in () if report is None else _runs_among(report.causes):
        try:
            run_names[id_] = RunTree(repo.store, RunId(bytes.fromhex(id_))).run.name
        except DsvcError as error:
            unknown.append(error)
    return DefectView(
        head=head,
        evaluations=tuple(evaluations),
        report=report,
        others=others,
        repairs=tuple(found),
        closing=closing,
        run_names=run_names,
        unknown=tuple(unknown),
    )


def _runs_among(causes: Sequence[Cause]) -> Iterator[str]:
    """Ids of the runs among causes and their other names, each once."""
    names = (name for cause in causes for name in (f"{cause.kind.value} {cause.id}", *cause.aliases))
    for name in dict.fromkeys(names):
        kind, _, id_ = name.partition(" ")
        if kind == CauseKind.RUN.value:
            yield id_
