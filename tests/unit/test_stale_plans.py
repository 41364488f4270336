"""Repair plans when rows moved on and others are at work; what is no plan at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsvc.lineage.row_set import decode_rows
from dsvc.model.errors import CorruptDataError, MissingDataError, NotFoundError, UsageError
from dsvc.model.repair import PlanStep, RepairOperation, RepairVerb
from dsvc.porcelain.records.repair_chain import append_repair, repair_head, repair_ids
from dsvc.porcelain.repair.repair_plan import (
    OtherRepairError,
    StalePlanError,
    check_alone,
    check_current,
)
from dsvc.porcelain.repair.repair_target import Base, NothingToRepairError
from dsvc.porcelain.runs.known_run import find_run
from tests.porcelain.working import Work
from tests.repairkit import Pipeline, by_path, comment, flag, pipeline, reject

NONE: set[int] = set()


@pytest.fixture
def made(tmp_path: Path) -> Pipeline:
    return pipeline(Work(tmp_path / "数据"))


def told(steps: tuple[PlanStep, ...]) -> list[tuple[str, str, list[str], int]]:
    return [(s.kind.value, s.name, [path.decode() for path in s.outputs], s.rows) for s in steps]


def test_rows_are_carried_to_the_newest_version(made: Pipeline) -> None:
    old = made.entries[b"train.csv"].digest
    work = made.lab.work
    now = lines_without((work.folder / "train.csv").read_bytes(), 2)
    made.entries |= made.lab.put({b"train.csv": now})
    keep = [n for n in range(8) if n != 2]
    made.lab.run(
        "dedup", [made.entries[b"clean.csv"]], [made.entries[b"train.csv"]], {(0, 0): list(enumerate(keep))}
    )
    made.lab.commit()
    defect = flag(made, b"train.csv", [2, 5], digest=old)
    plan = made.repo.repair_plan(defect, drop=True).state.plan
    assert by_path(plan)["train.csv"] == ({4}, NONE, NONE)
    assert [(each.count, decode_rows(each.rows).tolist()) for each in plan.gone] == [(1, [2])]
    gone = flag(made, b"train.csv", [2], digest=old, symptom="other")
    with pytest.raises(NothingToRepairError):
        made.repo.repair_plan(gone, drop=True)


def lines_without(data: bytes, row: int) -> bytes:
    found = data.splitlines(keepends=True)
    return b"".join(found[: row + 1] + found[row + 2 :])


def test_stale_plans(made: Pipeline) -> None:
    defect = flag(made, b"train.csv", [2])
    state = made.repo.repair_plan(defect, drop=True).state
    check_current(made.repo, state)
    made.lab.put({b"README.md": b"uncommitted"})
    check_current(made.repo, state)
    made.lab.commit()
    with pytest.raises(StalePlanError) as caught:
        check_current(made.repo, state)
    assert caught.value.exit_code == 13
    newer = made.repo.repair_plan(defect, drop=True).state
    assert newer.id != state.id
    comment(made, defect)
    check_current(made.repo, newer)
    reject(made, defect)
    with pytest.raises(StalePlanError):
        check_current(made.repo, newer)


def test_two_repairs_of_one_defect(made: Pipeline) -> None:
    defect = flag(made, b"train.csv", [2])
    one = made.repo.repair_plan(defect, drop=True).state
    two = made.repo.repair_plan(defect, values={"label": "good"}).state
    check_alone(made.repo, one)
    run = find_run(made.repo, "count").id
    step = RepairOperation(verb=RepairVerb.STEP, at="2026-01-01T00:00:00Z", by="Bo", step=0, run=run.hex())
    with made.repo.changing():
        one = append_repair(made.repo, one, step, run=run)
    check_alone(made.repo, one)
    with pytest.raises(OtherRepairError) as caught:
        check_alone(made.repo, two)
    assert caught.value.exit_code == 13
    back = RepairOperation(verb=RepairVerb.RETURN, at="2026-01-01T00:00:00Z", by="Bo", reason="no")
    with made.repo.changing():
        append_repair(made.repo, one, back)
    check_alone(made.repo, repair_head(made.repo, two.id))


def test_what_is_asked_must_be_one_thing(made: Pipeline) -> None:
    defect = flag(made, b"train.csv", [2])
    repo = made.repo
    for wrong in (
        {},
        {"drop": True, "values": {"label": "x"}},
        {"drop": True, "key": ["id"]},
        {"drop": True, "parameters": {"a": "b"}},
        {"drop": True, "scope": "world"},
        {"patch": "/nowhere/x.csv"},
        {"drop": True, "at": b"nowhere.csv"},
        {"drop": True, "at": b"stats.csv"},
    ):
        with pytest.raises((UsageError, NotFoundError)):
            repo.repair_plan(defect, **wrong)  # type: ignore[arg-type]
    with pytest.raises(NotFoundError):
        repo.repair_plan("d-00000000", drop=True)
    assert repair_ids(repo) == []


def test_files_of_a_folder_are_records(made: Pipeline) -> None:
    lab = made.lab
    lab.put({f"图/{n}.txt".encode(): f"{n}".encode() for n in range(3)})
    folder = lab.folder("图".encode())
    lab.run("cut", [made.entries[b"train.csv"]], [folder], {(0, 0): [(n, n) for n in range(3)]})
    after = lab.put({b"seen.csv": b"id\n0\n1\n2\n"})
    made.entries |= after
    lab.run("look", [folder], [after[b"seen.csv"]], {(0, 0): [(n, n) for n in range(3)]}, rowwise=True)
    lab.commit()
    digest = Base.current(made.repo).artifact("图".encode(), folder=True).node.digest
    defect = flag(made, "图".encode(), [1], digest=digest, folder=True)
    view = made.repo.repair_plan(defect, drop=True)
    assert by_path(view.state.plan) == {"图": ({1}, NONE, NONE), "seen.csv": (NONE, NONE, {1})}
    assert [(each.name, each.after) for each in view.samples] == [("图/1.txt", None)]
    assert told(view.state.plan.steps)[1] == ("rows", "look", ["seen.csv"], 0)
    with pytest.raises(UsageError):
        made.repo.repair_plan(defect, values={"x": "y"})
    back = made.repo.repair_plan(defect, drop=True, at=b"train.csv").state.plan
    assert by_path(back)["train.csv"] == ({1}, NONE, NONE)
    assert by_path(back)["图"] == ({1}, NONE, NONE)


def test_plans_are_made_of_what_can_be_read(made: Pipeline) -> None:
    """A row map that is gone is no reason to take nothing for an answer."""
    defect = flag(made, b"train.csv", [2])
    for pack in (made.lab.work.folder / ".dsvc" / "packs").rglob("*.pack"):
        data = bytearray(pack.read_bytes())
        data[len(data) // 3 : len(data) // 2] = bytes(len(data) // 2 - len(data) // 3)
        pack.chmod(0o600)
        pack.write_bytes(data)
    repo = made.lab.work.reopen()
    with pytest.raises((CorruptDataError, MissingDataError)):
        repo.repair_plan(defect, drop=True)
    assert repair_ids(repo) == []
