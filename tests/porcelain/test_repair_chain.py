"""The chain of a repair: what its operations leave, and that its runs are kept."""

from __future__ import annotations

from typing import Any

import pytest
from blake3 import blake3

from dsvc.model.errors import ConcurrentChangeError, UsageError
from dsvc.model.repair import (
    Action,
    ActionKind,
    Plan,
    PlanStep,
    RepairOperation,
    RepairVerb,
    Scope,
    StepKind,
)
from dsvc.model.repair_proof import Proof
from dsvc.porcelain.records.repair_chain import (
    NoSuchRepairError,
    RepairState,
    RepairStateError,
    RepairStatus,
    append_repair,
    find_repair,
    repair_code,
    repair_file,
    repair_head,
    repair_ids,
    repairs_of,
    store_plan,
)
from tests.lineagekit import Lab, make_run, numbered
from tests.porcelain.working import Work

WHEN, WHO = "2026-01-01T00:00:00Z", "Ann <ann@example.org>"
PROOF = Proof(
    flagged_changed=1,
    selected_changed=0,
    consequent_changed=2,
    others_changed=0,
    conserved=True,
    files_unchanged=3,
)


@pytest.fixture
def lab(work: Work) -> Lab:
    return Lab(work)


CODE = {"step.py": blake3(b"print()\n").hexdigest()}


def a_plan(**more: Any) -> Plan:
    given: dict[str, Any] = {
        "defect": "d-12345678",
        "defect_head": "a" * 40,
        "base": "b" * 40,
        "manifest": "c" * 64,
        "scope": Scope.FLAGGED,
        "action": Action(kind=ActionKind.RELABEL, file="标签.csv", key=("id",), code=CODE),
        "path": "数据.csv".encode(),
        "digest": bytes(32),
        "steps": (PlanStep(kind=StepKind.EDIT, name="repair", outputs=("数据.csv".encode(),)),),
        "rows": (),
        "rows_affected": 1,
        "rows_recomputed": 0,
        "made_at": WHEN,
        "by": WHO,
    }
    return Plan(**(given | more))


FILES = {"files/标签.csv".encode(): b"id,label\n1,x\n", b"code/step.py": b"print()\n"}


def planned(lab: Lab, plan: Plan | None = None, files: dict[bytes, bytes] | None = None) -> RepairState:
    with lab.repo.changing():
        return store_plan(lab.repo, plan or a_plan(), FILES if files is None else files)[0]


def done(verb: RepairVerb, **more: Any) -> RepairOperation:
    return RepairOperation(verb=verb, at=WHEN, by=WHO, **more)


def append(lab: Lab, state: RepairState, verb: RepairVerb, **more: Any) -> RepairState:
    given = {name: more.pop(name) for name in ("run", "proof") if name in more}
    with lab.repo.changing():
        return append_repair(lab.repo, state, done(verb, **more), **given)


def test_plan_is_kept_with_what_it_needs(lab: Lab) -> None:
    state = planned(lab)
    assert state.id.startswith("r-")
    assert len(state.id) == 10
    assert state.status is RepairStatus.PLANNED
    again = repair_head(lab.work.reopen(), state.id)
    assert again == state
    assert again.plan == a_plan()
    assert repair_file(lab.repo, again, "标签.csv") == b"id,label\n1,x\n"
    assert repair_code(lab.repo, again) == {b"step.py": b"print()\n"}
    assert not lab.repo.fsck(read_data=True).defects


def test_same_plan_is_the_same_repair(lab: Lab) -> None:
    first = planned(lab)
    assert planned(lab, a_plan(made_at="2026-02-02T00:00:00Z", by="Bo <bo@example.org>")) == first
    other = planned(lab, a_plan(rows_affected=2))
    changed = planned(lab, files={**FILES, b"code/step.py": b"print(1)\n"})
    assert len({first.id, other.id, changed.id}) == 3
    assert repair_ids(lab.repo) == sorted([first.id, other.id, changed.id])
    assert {each.id for each in repairs_of(lab.repo, "d-12345678")} == {first.id, other.id, changed.id}
    assert repairs_of(lab.repo, "d-00000000") == []


def test_steps_keep_their_runs_through_gc(lab: Lab) -> None:
    items = lab.put({b"a.csv": numbered(3)})
    state = planned(lab)
    with lab.repo.changing():
        made = make_run(lab.repo.store, "step", [items[b"a.csv"]], [items[b"a.csv"]], second=1)
        state = append_repair(lab.repo, state, done(RepairVerb.STEP, step=0, run=made.id.hex()), run=made.id)
    assert state.status is RepairStatus.APPLYING
    assert state.steps == {0: made.id}
    assert state.is_under_way
    lab.repo.gc(grace_seconds=0)
    report = lab.work.reopen().fsck(read_data=True)
    assert not report.defects
    from dsvc.lineage.run_tree import RunTree

    assert RunTree(lab.repo.store, made.id).run.name == "step"


def test_applied_verified_and_sent_back(lab: Lab) -> None:
    state = append(lab, planned(lab), RepairVerb.APPLY, commit="d" * 40, proof=PROOF)
    assert (state.status, state.commit, state.proof) == (RepairStatus.APPLIED, "d" * 40, PROOF)
    back = append(lab, state, RepairVerb.RETURN, feedback="f" * 12, reason="没有变好")
    assert (back.status, back.feedback, back.is_under_way) == (RepairStatus.RETURNED, "f" * 12, False)
    assert [each.operation.verb.value for each in back.history] == ["return", "apply", "plan"]
    with pytest.raises(RepairStateError):
        append(lab, back, RepairVerb.APPLY)
    lab.repo.undo()
    assert repair_head(lab.work.reopen(), state.id) == state


def test_operation_on_an_older_state_changes_nothing(lab: Lab) -> None:
    state = planned(lab)
    now = append(lab, state, RepairVerb.APPLY, commit="d" * 40, proof=PROOF)
    with pytest.raises(ConcurrentChangeError):
        append(lab, state, RepairVerb.RETURN, reason="x")
    assert repair_head(lab.repo, state.id) == now


def test_ids(lab: Lab) -> None:
    assert find_repair(lab.repo, "r-12345678") is None
    with pytest.raises(NoSuchRepairError):
        repair_head(lab.repo, "r-12345678")
    with pytest.raises(UsageError):
        repair_head(lab.repo, "../main")
