"""repair plan: what a repair would change, row by row, in which steps; nothing but the plan is recorded.

A plan is made for the newest commit of the current branch and the newest operation on its defect; where
either moved on, it is stale. One with a step that can't be done, such as what a person did by hand, is
recorded and shown with the reason, so that it can be seen what is in the way; applying it is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

import numpy as np

from dsvc.feedback.defect_state import DefectState
from dsvc.lineage.graph import ArtifactNode
from dsvc.lineage.row_set import encode_rows
from dsvc.model.defect import DefectVerb
from dsvc.model.errors import ConcurrentChangeError, UsageError
from dsvc.model.ids import CommitId
from dsvc.model.repair import ActionKind, Plan
from dsvc.porcelain.lineage.release_index import releases_holding
from dsvc.porcelain.records.defect_chain import DefectHead, defect_head
from dsvc.porcelain.records.repair_chain import RepairState, repairs_of, store_plan
from dsvc.porcelain.repair.consequences import NONE, Consequences, consequences
from dsvc.porcelain.repair.repair_change import Change, edit_change, rerun_change
from dsvc.porcelain.repair.repair_edits import Edits, edits_of
from dsvc.porcelain.repair.repair_request import Asked, RepairRequest, asked_of
from dsvc.porcelain.repair.repair_rows import Chosen, Selected, planned_rows, selected_of
from dsvc.porcelain.repair.repair_steps import steps_of
from dsvc.porcelain.repair.repair_target import (
    Base,
    FlaggedNow,
    NothingToRepairError,
    flagged_now,
)
from dsvc.porcelain.state.workspace import Workspace

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

_TALK: Final = frozenset({DefectVerb.COMMENT, DefectVerb.ASSIGN, DefectVerb.CONFIRM, DefectVerb.GRADE})
"""Operations on a defect that leave its rows, and that it is open, as they were."""


class StalePlanError(ConcurrentChangeError):
    """The branch or the defect moved on since a repair was planned; nothing was changed."""

    code: ClassVar[str] = "stale-plan"


class OtherRepairError(ConcurrentChangeError):
    """Another repair of the same defect is under way; nothing was changed."""

    code: ClassVar[str] = "other-repair"


class PlanBlockedError(UsageError):
    """A step of a plan can't be done."""

    code: ClassVar[str] = "plan-blocked"


class PlannedRepair(NamedTuple):
    """Outcome of `plan_repair`: the repair, whether it is new, and what its first step edits."""

    state: RepairState
    is_new: bool
    edits: Edits


def plan_repair(repo: Workspace, defect_id: str, request: RepairRequest) -> PlannedRepair:
    """Plan a repair of a defect, and record the plan.

    Parameters
    ----------
    defect_id : str
        At least its first digits.

    Raises
    ------
    NoSuchDefectError, NoSuchSourceError, NotFoundError
        If there is no such defect, source, run, file or artifact.
    UsageError
        If it asks for nothing, or several things; if rows or values are not such as can be changed.
    NothingToRepairError
        If none of the rows is there any more, or all are as they should be.
    SourceArtifactError
        If what only a source speaks for would be edited.
    NoCauseError
        If rows of the same cause are wanted, and no cause stands out.
    MissingDataError, CorruptDataError, MalformedInputError
        If anything that the answer needs can't be read.
    """
    asked = asked_of(repo, request)
    head = defect_head(repo, defect_id)
    _check_open(head.state)
    base = Base.current(repo)
    plan, edits = _plan(repo, base, head, request, asked)
    with repo.changing():
        state, is_new = store_plan(repo, plan, asked.kept())
    return PlannedRepair(state, is_new, edits)


def check_current(repo: Workspace, state: RepairState) -> None:
    """Check that a plan still holds: neither its branch nor its defect moved on.

    Raises
    ------
    StalePlanError
        If one did.
    """
    plan = state.plan
    head = repo.history.refs.get(plan.branch) if plan.branch else repo.history.refs.head().commit
    moved = None
    if head is None or str(head) != plan.base:
        moved = plan.branch.removeprefix("refs/heads/") or "HEAD"
    elif _moved_on(defect_head(repo, plan.defect), plan):
        moved = f"defect {plan.defect}"
    if moved is not None:
        raise StalePlanError(
            f"the plan is stale: {moved} moved on since repair {state.id} was planned",
            hint=f"plan again: dsvc repair plan {plan.defect}",
            details={"repair": state.id, "base": plan.base},
        )


def _moved_on(head: DefectHead, plan: Plan) -> bool:
    """Whether a defect became another one since it was planned for; talk about it changes nothing."""
    steps = {str(step.commit): step for step in head.state.history}
    if plan.defect_head not in steps:
        return str(head.commit) != plan.defect_head
    known, left = set[str](), [plan.defect_head]
    while left:
        name = left.pop()
        if name not in known:
            known.add(name)
            left += [str(each) for each in steps[name].parents] if name in steps else []
    return any(step.operation.verb not in _TALK for name, step in steps.items() if name not in known)


def check_alone(repo: Workspace, state: RepairState) -> None:
    """Check that no other repair of the same defect is under way.

    Raises
    ------
    OtherRepairError
        If one was begun, and neither verified nor sent back.
    """
    for other in repairs_of(repo, state.plan.defect):
        if other.id != state.id and other.is_under_way:
            raise OtherRepairError(
                f"repair {other.id} of {state.plan.defect} is {other.status.value}",
                hint=f"verify it first, or send it back: dsvc repair show {other.id}",
                details={"repair": other.id, "defect": state.plan.defect},
            )


def check_possible(state: RepairState) -> None:
    """Check that every step of a plan can be done.

    Raises
    ------
    PlanBlockedError
        If one can't.
    """
    if state.plan.blocked:
        raise PlanBlockedError(
            f"repair {state.id} can't be applied: {state.plan.blocked}",
            hint="repair further down with --at, or record that step anew with a command",
            details={"repair": state.id},
        )


def plan_edits(repo: Workspace, plan: Plan, file: bytes = b"") -> Edits:
    """What the first step of a plan does to the rows of its artifact; of a rerun nothing.

    Parameters
    ----------
    file : bytes
        Of a patch or a table of values: what the repair keeps of it.

    Raises
    ------
    UsageError, MalformedInputError
        If that isn't possible; a plan that was made here is.
    """
    planned = plan.planned(plan.path)
    manifest = repo.manifest(repo.history.read_commit(CommitId(plan.base)).manifest)
    folder = planned is not None and planned.folder
    chosen = NONE
    if planned is not None:
        from dsvc.lineage.row_set import decode_rows

        chosen = np.union1d(decode_rows(planned.flagged), decode_rows(planned.selected))
    return edits_of(repo, None if folder else manifest.get(plan.path), plan.action, chosen, file=file)


def _check_open(defect: DefectState) -> None:
    if defect.joined_into is not None:
        raise NothingToRepairError(
            f"defect {defect.id} went into {defect.joined_into}",
            hint=f"dsvc repair plan {defect.joined_into}",
            details={"defect": defect.id},
        )
    if not defect.status.is_open:
        raise NothingToRepairError(
            f"nothing to repair: defect {defect.id} is {defect.status.value}",
            hint=f"dsvc defect reopen {defect.id} --reason TEXT",
            details={"defect": defect.id},
        )


def _plan(
    repo: Workspace, base: Base, head: DefectHead, request: RepairRequest, asked: Asked
) -> tuple[Plan, Edits]:
    flagged = flagged_now(base, head.state)
    selected = selected_of(repo, base, head.state, flagged, request)
    if asked.action.kind is ActionKind.RERUN:
        change = rerun_change(repo, base, flagged, selected, asked)
    else:
        asked, change = edit_change(repo, base, flagged, selected, request, asked)
    subject = flagged.artifact.node
    base.resolve(list(change.starts))
    found = consequences(base.builder, base.flow, base.files, change.starts)
    leave = [node for node in change.starts if node != change.target.node and _is_folder(base, node)]
    rows = planned_rows(base, found, {subject: Chosen(flagged.rows, selected.rows), **change.chosen}, leave)
    steps = (change.first, *steps_of(base.flow, found.ways))
    affected, beyond = _affected(found, change, flagged, selected)
    who = repo.signature()
    left = change.edits.left
    plan = Plan(
        defect=head.state.id,
        defect_head=str(head.commit),
        base=str(base.commit),
        manifest=base.manifest.root.hex(),
        scope=request.scope if not request.causes else type(request.scope).CAUSE,
        action=asked.action,
        path=change.target.node.path,
        digest=change.target.node.digest,
        steps=steps,
        rows=rows,
        rows_affected=affected,
        rows_recomputed=sum(step.rows for step in steps),
        made_at=who.rfc3339(),
        by=f"{who.name} <{who.email}>",
        causes=selected.causes,
        releases=releases_holding(repo, [ArtifactNode(each.path, each.digest) for each in rows]),
        branch=base.branch,
        subject=subject.path,
        gone=flagged.gone,
        left=encode_rows(left),
        left_count=len(left),
        beyond=beyond,
        returning=sum(len(each) for each in found.returning.values()),
    )
    return plan, change.edits


def _is_folder(base: Base, node: ArtifactNode) -> bool:
    return base.builder.facts[node].folder is not None


def _affected(
    found: Consequences, change: Change, flagged: FlaggedNow, selected: Selected
) -> tuple[int, int]:
    """Rows of the subject that change or go, and those of them that are neither flagged nor selected."""
    touched = found.artifacts.get(flagged.artifact.node)
    if touched is None:
        return 0, 0
    rows = touched.rows
    if touched.unknown:
        rows = np.arange(flagged.artifact.records or 0, dtype=np.int64)
    beyond = np.setdiff1d(rows, np.union1d(flagged.rows, selected.rows))
    if change.target.node == flagged.artifact.node:
        beyond = np.setdiff1d(beyond, change.chosen[change.target.node].rows)
    return len(rows), len(beyond)
