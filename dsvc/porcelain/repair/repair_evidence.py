"""What a later evaluation shows of a repair: that it is of the repaired data, and which bad rows are left."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

import numpy as np

from dsvc.diff.manifest_diff import diff_manifests
from dsvc.feedback.defect_state import DefectState
from dsvc.lineage.row_set import decode_rows
from dsvc.model.errors import NotFoundError
from dsvc.model.feedback import FeedbackRecord, Subject
from dsvc.model.ids import CommitId
from dsvc.model.paths import display_path
from dsvc.model.repair import RepairVerb
from dsvc.porcelain.feedback.brought_back import old_rows, place_in
from dsvc.porcelain.feedback.feedback_artifacts import Place
from dsvc.porcelain.feedback.feedback_defects import rows_at
from dsvc.porcelain.lineage.row_carry import GONE, CarriedBy, carry_rows
from dsvc.porcelain.records import feedback_chain
from dsvc.porcelain.records.feedback_chain import FeedbackHead
from dsvc.porcelain.records.repair_chain import RepairState
from dsvc.porcelain.state.workspace import Workspace

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsvc.model.defect import FlaggedRows
    from dsvc.model.repair import Plan
    from dsvc.store.manifest_tree import Manifest

    Numbers = NDArray[np.int64]

_NONE: Final = np.zeros(0, np.int64)


class RepairNotEvaluatedError(NotFoundError):
    """An evaluation is of data that doesn't have the result of a repair."""

    code: ClassVar[str] = "repair-not-evaluated"


class Left(NamedTuple):
    """What is left of a defect in the data of an evaluation.

    Attributes
    ----------
    observed : int
        Rows of the plan, or of the defect, that an observation of the same symptom falls on.
    unresolved : int
        Observations of the symptom of which nobody knows where they fall.
    unplanned : int
        Rows of the defect that the plan doesn't have, and that are as they were.
    """

    observed: int
    unresolved: int
    unplanned: int


def check_repaired(repo: Workspace, state: RepairState, head: FeedbackHead) -> None:
    """Check that an evaluation came after a repair and is of data that has its result.

    The repaired rows may be in a version that goes on from there, by a merge or further commits, as long as
    they are as the repair left them, or gone.

    Raises
    ------
    RepairNotEvaluatedError
        If it is not.
    MissingDataError, CorruptDataError, MalformedInputError
        If a version can't be read.
    """
    record, plan = head.record, state.plan
    assert state.commit is not None
    repaired_at, commit = CommitId(state.commit), CommitId(record.subject.commit)
    if not repo.history.is_ancestor(repaired_at, commit) and record.imported_at < _applied_at(state):
        raise _not_evaluated(state, head, "it is older than the repair")
    now, repaired = _manifest(repo, commit), _manifest(repo, repaired_at)
    _check_outputs(repo, state, head, now, repaired)
    place = place_in(now, plan)
    if place == place_in(repaired, plan):
        return
    name = display_path(plan.subject)
    if place is None:
        raise _not_evaluated(state, head, f"its version has no {name}")
    back = old_rows(repo, plan, repaired, now, [commit])
    if len(back):
        raise _not_evaluated(state, head, f"{len(back)} repaired rows of {name} are as they were before")
    changed = _changed_since(repo, plan, repaired, place, [commit, repaired_at])
    if changed:
        raise _not_evaluated(state, head, f"{changed} repaired rows of {name} were changed again since")


def _not_evaluated(state: RepairState, head: FeedbackHead, why: str) -> RepairNotEvaluatedError:
    assert state.commit is not None
    return RepairNotEvaluatedError(
        f"feedback {head.id} is not of what repair {state.id} made: {why}",
        hint=f"evaluate {state.commit[:12]}, or a version that has it, and import that: dsvc feedback import",
        details={"repair": state.id, "feedback": head.id, "commit": head.record.subject.commit},
    )


def _applied_at(state: RepairState) -> str:
    operations = (step.operation for step in state.history)
    return next(each.at for each in operations if each.verb is RepairVerb.APPLY)


def _check_outputs(
    repo: Workspace, state: RepairState, head: FeedbackHead, now: Manifest, repaired: Manifest
) -> None:
    """Check that the subject has files that the repair made, none of them as it was before."""
    subject, outputs = head.record.subject, 0
    for change in diff_manifests(_manifest(repo, CommitId(state.plan.base)), repaired):
        old, new = change.old, change.new
        same = old is not None and new is not None and old.digest == new.digest
        if same or not _is_within(change.path, subject):
            continue
        entry = now.get(change.path)
        outputs += (entry is None) == (new is None)
        if old is not None and entry is not None and entry.digest == old.digest:
            raise _not_evaluated(state, head, f"{display_path(change.path)} is as it was before")
    if not outputs:
        name = display_path(subject.path) or "its version"
        raise _not_evaluated(state, head, f"{name} has nothing that the repair changed")


def _is_within(path: bytes, subject: Subject) -> bool:
    return not subject.path or path == subject.path or path.startswith(subject.path + b"/")


def _changed_since(
    repo: Workspace, plan: Plan, repaired: Manifest, place: Place, near: Sequence[CommitId]
) -> int:
    """Rows that the repair changed and that are there with another content still."""
    planned, after = plan.planned(plan.subject), place_in(repaired, plan)
    if planned is None or after is None:
        return 0
    rows, base = _planned_rows(plan, plan.subject), CommitId(plan.base)
    made = carry_rows(
        repo, planned.path, planned.digest, rows, after.digest, new_path=after.path, near=[base, *near]
    )
    changed = np.unique(made.rows[(made.rows != GONE) & (made.how != CarriedBy.CONTENT)])
    if not len(changed):
        return 0
    later = carry_rows(
        repo, after.path, after.digest, changed, place.digest, new_path=place.path, near=near, by_map=False
    )
    return int(((later.rows != GONE) & (later.how != CarriedBy.CONTENT)).sum())


def _planned_rows(plan: Plan, path: bytes) -> Numbers:
    """Flagged and selected rows of an artifact of a plan, ascending."""
    planned = plan.planned(path)
    if planned is None:
        return _NONE
    return np.union1d(decode_rows(planned.flagged), decode_rows(planned.selected))


# What is left


def what_is_left(repo: Workspace, state: RepairState, defect: DefectState, head: FeedbackHead) -> Left:
    """Look for what is left of a defect in the data of an evaluation, and in what that says.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If a version or the evaluation can't be read.
    """
    lost = feedback_chain.unresolved(repo, head.id)
    return Left(
        _observed(repo, state, defect, head),
        sum(each.symptom == defect.symptom for each in lost),
        _unplanned(repo, state.plan, defect, head.record),
    )


def _observed(repo: Workspace, state: RepairState, defect: DefectState, head: FeedbackHead) -> int:
    plan, near = state.plan, _near(state, head.record)
    found: dict[Place, list[Numbers]] = defaultdict(list)
    for each in feedback_chain.observations(repo, head.id):
        if each.symptom == defect.symptom:
            found[Place(each.path, each.digest, each.folder)].append(np.array(each.positions, np.int64))
    count = 0
    for place, parts in found.items():
        bad = np.unique(np.concatenate(parts))
        own = [part for part in defect.rows if part.path == place.path]
        rows = rows_at(repo, own, place, near=near)
        planned = plan.planned(place.path)
        if planned is not None:
            meant = _planned_rows(plan, place.path)
            carried = carry_rows(repo, planned.path, planned.digest, meant, place.digest, near=near)
            rows = np.union1d(rows, carried.found)
        count += len(np.intersect1d(bad, rows))
    return count


def _unplanned(repo: Workspace, plan: Plan, defect: DefectState, record: FeedbackRecord) -> int:
    """Rows that were flagged when the plan was made already, and are in the data as they were."""
    commit = CommitId(record.subject.commit)
    place = place_in(_manifest(repo, commit), plan)
    if place is None:
        return 0
    near, found = [CommitId(plan.base), commit], [_NONE]
    for part in defect.rows:
        rows = _not_in_plan(repo, plan, part, near)
        there = carry_rows(repo, part.path, part.digest, rows, place.digest, new_path=place.path, near=near)
        found.append(there.rows[there.how == CarriedBy.CONTENT])
    return len(np.unique(np.concatenate(found)))


def _not_in_plan(repo: Workspace, plan: Plan, part: FlaggedRows, near: Sequence[CommitId]) -> Numbers:
    """Rows of a defect that a plan neither changes, nor leaves, nor knew to be gone."""
    rows = decode_rows(part.rows)
    for gone in plan.gone:
        if (gone.path, gone.digest) == (part.path, part.digest):
            rows = np.setdiff1d(rows, decode_rows(gone.rows))
    planned = plan.planned(plan.subject)
    if planned is None or not len(rows):
        return rows
    known = _planned_rows(plan, plan.subject)
    if plan.path == plan.subject:
        known = np.union1d(known, decode_rows(plan.left)) if plan.left_count else known
    at = carry_rows(repo, part.path, part.digest, rows, planned.digest, new_path=planned.path, near=near).rows
    beside: Numbers = rows[(at == GONE) | ~np.isin(at, known)]
    return beside


def _near(state: RepairState, record: FeedbackRecord) -> list[CommitId]:
    assert state.commit is not None
    return [CommitId(each) for each in (record.subject.commit, state.commit, state.plan.base)]


def _manifest(repo: Workspace, commit: CommitId) -> Manifest:
    return repo.manifest(repo.history.read_commit(commit).manifest)
