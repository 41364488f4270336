"""repair verify: a later evaluation closes the defect of a repair, or sends the repair back.

Before is the newest evaluation by the same suite that found rows of the defect in data without the repair.
The defect's metrics are those that its observations there give values of; where these give none, those over
the whole suite, else all. It is verified if no observation of its symptom falls on rows of the plan, if one
of its metrics became better by more than chance, and none of any kind became worse beyond the tolerance.

================ =========================================================================== ===============
status           when                                                                        what is recorded
================ =========================================================================== ===============
verified         all of that is so                                                           on both chains
returned         the evaluation says that something of it is not so                          on both chains
not-comparable   it is by another suite, or on another set, than the one before              nothing
undecided        it doesn't say: no interval can be had, or rows could not be found          nothing
================ =========================================================================== ===============
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from dsvc.feedback.defect_state import check_step
from dsvc.model.defect import DefectVerb
from dsvc.model.errors import UsageError
from dsvc.model.ids import CommitId
from dsvc.model.metric_change import MetricChange
from dsvc.model.repair import RepairOperation, RepairVerb
from dsvc.porcelain.feedback.evaluation_pair import EvaluationPair, newest, pair_of
from dsvc.porcelain.policy.policy_in_force import in_force
from dsvc.porcelain.records import defect_chain, feedback_chain
from dsvc.porcelain.records.defect_chain import DefectHead
from dsvc.porcelain.records.feedback_chain import FeedbackHead
from dsvc.porcelain.records.repair_chain import (
    RepairState,
    RepairStateError,
    RepairStatus,
    prepare_repair,
    repair_head,
)
from dsvc.porcelain.repair.repair_evidence import Left, check_repaired, what_is_left
from dsvc.porcelain.state.workspace import Workspace

_TOLERANCE = ("QTY-01", "tolerance")
_MAX_REASON = 10_000


class VerifyStatus(StrEnum):
    """What an evaluation says of a repair; the table above."""

    VERIFIED = "verified"
    RETURNED = "returned"
    NOT_COMPARABLE = "not-comparable"
    UNDECIDED = "undecided"


class VerifyResult(msgspec.Struct, frozen=True, kw_only=True):
    """Outcome of `verify_repair`.

    Attributes
    ----------
    repair, defect : str
    feedback, before : str
        Ids of the evaluation that was asked, and of the one that it is held against.
    status : VerifyStatus
    metrics : tuple of MetricChange
        All that both evaluations have.
    of_defect : tuple of str
        Labels of those that the defect is about.
    comparable : bool
        Whether the two evaluations can be compared.
    reasons : tuple of str
        Why it is not verified.
    regressions : tuple of str
        Labels of metrics that became worse beyond the tolerance.
    tolerance : float
    missing : tuple of str
        Labels of metrics that only the evaluation before has.
    accepted : str or None
        Why a change without an interval was accepted, where it was.
    recorded : bool
        Whether anything was recorded.
    """

    repair: str
    defect: str
    feedback: str
    before: str
    status: VerifyStatus
    metrics: tuple[MetricChange, ...]
    of_defect: tuple[str, ...]
    comparable: bool
    reasons: tuple[str, ...] = ()
    regressions: tuple[str, ...] = ()
    tolerance: float = 0.0
    missing: tuple[str, ...] = ()
    accepted: str | None = None
    recorded: bool = False

    @property
    def is_verified(self) -> bool:
        """Whether the defect is closed."""
        return self.status is VerifyStatus.VERIFIED


def verify_repair(
    repo: Workspace, repair: str, feedback: str, *, accept_point: str | None = None
) -> VerifyResult:
    """Hold a later evaluation against a repair; it closes the defect or sends the repair back.

    Parameters
    ----------
    repair : str
        Its id.
    feedback : str
        At least the first 4 digits of the later evaluation's id.
    accept_point : str or None
        Why a better value is accepted where no interval of the difference can be had; it is recorded.

    Raises
    ------
    NoSuchRepairError, NoSuchFeedbackError
        If there is no such repair or evaluation.
    RepairStateError, DefectStepError
        If the repair was not applied or is verified, or the defect is closed.
    RepairNotEvaluatedError
        If the evaluation is older than the repair, or of data that doesn't have its result.
    UsageError
        If it is the one that found the defect, or no reason is given to accept a value.
    ConcurrentChangeError
        If the repair or the defect changed meanwhile; nothing was recorded.
    MissingDataError, CorruptDataError, MalformedInputError
        If something that the answer needs can't be read.
    """
    accepted = _reason(accept_point)
    state = repair_head(repo, repair)
    after = feedback_chain.feedback_head(repo, feedback)
    defect = defect_chain.defect_head(repo, state.plan.defect)
    _check_state(state, defect)
    before = _before(repo, state, defect, after)
    check_repaired(repo, state, after)
    root = repo.history.read_commit(CommitId(after.record.subject.commit)).manifest
    limit = tolerance(repo, root)
    pair = pair_of(repo, before, after, limit)
    chosen, named = _of_defect(repo, defect, pair)
    left = what_is_left(repo, state, defect.state, after)
    result = VerifyResult(
        repair=state.id,
        defect=defect.state.id,
        feedback=after.id,
        before=before.id,
        status=VerifyStatus.VERIFIED,
        metrics=pair.changes,
        of_defect=tuple(each.label for each in chosen),
        comparable=pair.comparable,
        regressions=tuple(each.label for each in pair.changes if each.regressed),
        tolerance=limit,
        missing=pair.missing,
    )
    result = _judged(result, pair, chosen, named, left, accepted)
    return _recorded(repo, state, defect, result)


def _reason(accept_point: str | None) -> str | None:
    if accept_point is None:
        return None
    text = accept_point.strip()
    if not text or len(text) > _MAX_REASON:
        raise UsageError("say why the value is accepted", hint="--accept-point REASON")
    return text


def _check_state(state: RepairState, defect: DefectHead) -> None:
    """Check that there is something to verify."""
    if state.commit is None or state.status is RepairStatus.VERIFIED:
        done = "is verified already" if state.commit is not None else "was not applied yet"
        hint = f"dsvc repair {'show' if state.commit is not None else 'apply'} {state.id}"
        details = {"repair": state.id, "status": state.status.value}
        raise RepairStateError(f"repair {state.id} {done}", hint=hint, details=details)
    check_step(defect.state, DefectVerb.VERIFY)


def _before(repo: Workspace, state: RepairState, defect: DefectHead, after: FeedbackHead) -> FeedbackHead:
    """The newest evaluation that found the defect in data without the repair, by the same suite if one is.

    Raises
    ------
    UsageError
        If that is the later one itself, or there is none.
    """
    assert state.commit is not None
    repaired = CommitId(state.commit)
    found = []
    for id_ in defect.state.feedbacks:
        head = feedback_chain.feedback_head(repo, id_)
        if not repo.history.is_ancestor(repaired, CommitId(head.record.subject.commit)):
            found.append(head)
    if after.id in {head.id for head in found}:
        raise UsageError(
            f"feedback {after.id} is what found defect {defect.state.id}; a later one must close it",
            hint=f"evaluate {state.commit[:12]}, and import that: dsvc feedback import",
            details={"feedback": after.id, "defect": defect.state.id},
        )
    if not found:
        raise UsageError(
            f"no evaluation of defect {defect.state.id} is of data without the repair",
            hint=f"dsvc defect show {defect.state.id}",
            details={"defect": defect.state.id},
        )
    same = [head for head in found if head.record.suite == after.record.suite]
    return newest(repo, same or found)


def tolerance(repo: Workspace, root: bytes) -> float:
    """By how much a metric may become worse, as the packs in force for a version say: the strictest; else 0.

    Parameters
    ----------
    root : NodeId
        Manifest of the version.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If a manifest, a ``dsvc.toml`` or a pack can't be read.
    """
    from dsvc.model.ids import NodeId

    rule, name = _TOLERANCE
    policies = in_force(repo, NodeId(root)).policies
    found = [
        use.terms.number(name)
        for policy in policies
        for use in policy.uses
        if use.rule.id == rule and name in use.terms.parameters
    ]
    return max(min(found, default=0.0), 0.0)


def _of_defect(
    repo: Workspace, defect: DefectHead, pair: EvaluationPair
) -> tuple[list[MetricChange], list[str]]:
    """Metrics that the defect is about, as far as both evaluations have them; and names that are given."""
    found: set[tuple[str, str | None]] = set()
    for each in feedback_chain.observations(repo, pair.before.id):
        if (each.symptom, each.path) == (defect.state.symptom, defect.state.path):
            found.update((name, each.task) for name in each.scores)
    stated = {metric.name for metric in pair.before.record.metrics}
    found = {each for each in found if each[0] in stated}
    if found:
        names = {name for name, _ in found}
        tasks = {(name, None) for name in names} | found
        return [each for each in pair.changes if (each.name, each.task) in tasks], sorted(names)
    whole = [each for each in pair.changes if each.task is None and each.slice is None]
    return whole or list(pair.changes), []


# The verdict


def _judged(
    result: VerifyResult,
    pair: EvaluationPair,
    chosen: Sequence[MetricChange],
    named: Sequence[str],
    left: Left,
    accepted: str | None,
) -> VerifyResult:
    """Say what two evaluations show: first whether they show anything, then what speaks against it."""
    apart = list(pair.reasons)
    if named and not chosen:
        apart.append(f"what the defect is about, {', '.join(named)}, is not measured any more")
    elif chosen and all(each.higher_is_better is None for each in chosen):
        apart.append(f"nobody says which way is better: {', '.join(each.label for each in chosen)}")
    if apart:
        return _not(result, VerifyStatus.NOT_COMPARABLE, apart, comparable=False)
    gain, open_, used = _gain(chosen, accepted)
    against = [*_left_reasons(left, pair.after.id), *gain]
    against += [f"regression in {_moved(each)}" for each in pair.changes if each.regressed]
    if against:
        return _not(result, VerifyStatus.RETURNED, against)
    if left.unresolved:
        open_ = [
            *open_,
            f"of {left.unresolved} observations of this symptom it is not known which rows they are on",
        ]
    if open_:
        return _not(result, VerifyStatus.UNDECIDED, open_)
    return msgspec.structs.replace(result, accepted=accepted if used else None)


def _not(
    result: VerifyResult, status: VerifyStatus, reasons: Sequence[str], *, comparable: bool = True
) -> VerifyResult:
    return msgspec.structs.replace(
        result, status=status, reasons=tuple(dict.fromkeys(reasons)), comparable=comparable
    )


def _left_reasons(left: Left, feedback: str) -> list[str]:
    reasons = []
    if left.observed:
        reasons.append(f"feedback {feedback} finds {left.observed} of the rows bad still")
    if left.unplanned:
        reasons.append(f"{left.unplanned} rows of the defect are not in the plan, and are as they were")
    return reasons


def _gain(chosen: Sequence[MetricChange], accepted: str | None) -> tuple[list[str], list[str], bool]:
    """Whether a metric of the defect became better: what speaks against it, what is open, a point taken."""
    known = [each for each in chosen if each.higher_is_better is not None]
    if any(each.improved for each in known):
        return [], [], False
    if any(each.low is not None for each in known) or not any(each.is_better for each in known):
        return [_moved(each) for each in known], [], False
    if accepted is not None:
        return [], [], True
    labels = ", ".join(each.label for each in known if each.is_better)
    return [], [f"no interval can be had for {labels}: whether it is chance can't be told"], False


def _moved(change: MetricChange) -> str:
    """What a metric did, in words."""
    text = f"{change.label}: {change.before:.6g} to {change.after:.6g}"
    if change.low is None or change.high is None:
        return f"{text}, not better"
    return f"{text}, 95% interval of the difference {change.low:+.4g} to {change.high:+.4g}"


# Recording


def _recorded(repo: Workspace, state: RepairState, defect: DefectHead, result: VerifyResult) -> VerifyResult:
    """Record a verdict on the chains of the defect and the repair, in one step."""
    verbs = {
        VerifyStatus.VERIFIED: (DefectVerb.VERIFY, RepairVerb.VERIFY),
        VerifyStatus.RETURNED: (DefectVerb.RETURN, RepairVerb.RETURN),
    }.get(result.status)
    told = state.status is RepairStatus.RETURNED and state.feedback == result.feedback
    if verbs is None or (told and result.status is VerifyStatus.RETURNED):
        return result
    reason = result.accepted or "; ".join(result.reasons) or None
    who = repo.signature()
    fields: dict[str, object] = {
        "repair": state.id,
        "commit": state.commit,
        "feedback": result.feedback,
        "reason": reason,
        "metrics": {each.label: (each.before, each.after) for each in result.metrics},
    }
    operation = RepairOperation(
        verb=verbs[1],
        at=who.rfc3339(),
        by=f"{who.name} <{who.email}>",
        feedback=result.feedback,
        reason=reason,
        metrics=result.metrics,
    )
    with repo.changing():
        done = defect_chain.prepare(repo, defect.state.id, verbs[0], defect, fields)
        prepared, change = prepare_repair(repo, state, operation)
        repo.store.publish()
        repo.record(
            "repair verify",
            arguments=[state.id, "--feedback", result.feedback],
            changes=[done.change, change],
            objects=[*done.prepared.objects, *prepared.objects],
        )
    return msgspec.structs.replace(result, recorded=True)
