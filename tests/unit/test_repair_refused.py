"""repair apply that is interrupted goes on where it was; what is refused, and what is left then."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from dsvc.lineage.row_set import decode_rows
from dsvc.model.defect import DefectStatus
from dsvc.model.errors import PolicyIncompleteError
from dsvc.model.repair_proof import UnprovedReason
from dsvc.porcelain.records.defect_chain import defect_state
from dsvc.porcelain.records.repair_chain import RepairStateError, RepairStatus, repair_head
from dsvc.porcelain.repair.repair_carrying import StepDone
from dsvc.porcelain.repair.repair_plan import StalePlanError
from dsvc.porcelain.repair.repair_refusal import RepairNotProvedError
from dsvc.porcelain.runs.rerun import RerunFailedError
from tests import applykit
from tests.applykit import a_plan, carrier, check_model, check_proof, content
from tests.repairkit import Pipeline, comment, reject


@pytest.fixture
def made(tmp_path: Path) -> Pipeline:
    return applykit.copied(tmp_path / "数据")


class StoppedError(Exception):
    pass


def test_interrupted_it_goes_on_or_is_given_up(made: Pipeline) -> None:
    repair, ran = a_plan(made), Counter[str]()
    planned = repair_head(made.repo, repair)
    base = carrier()
    how = type(base)(environ=base.environ, output=2, announce=lambda words: ran.update([words[3]]))

    def stop(step: StepDone) -> None:
        if step.number == 1:
            raise StoppedError

    with pytest.raises(RepairStateError):
        made.repo.repair_give_up(repair)
    with pytest.raises(StoppedError):
        made.repo.repair_apply(repair, how, on_step=stop)
    assert made.repo.repair_give_up(repair) == planned
    with pytest.raises(StoppedError):
        made.repo.repair_apply(repair, how, on_step=stop)
    made.repo.gc(grace_seconds=0)
    work = made.lab.work.reopen()
    assert repair_head(work, repair).status is RepairStatus.APPLYING
    done = work.repair_apply(repair, how)
    assert [each.earlier for each in done.steps] == [True, True, False, False, False]
    assert ran == {"clean": 2, "dedup": 1, "count": 1}
    check_model(made, done.commit)
    check_proof(done)


def test_undo_takes_it_back_in_one_step(made: Pipeline) -> None:
    repair = a_plan(made, b"copy.csv", (5,), drop=True)
    done = made.repo.repair_apply(repair, carrier())
    made.repo.undo()
    repo = made.lab.work.reopen()
    assert repo.history.refs.get(f"refs/heads/{done.branch}") is None
    assert repair_head(repo, repair).status is RepairStatus.APPLYING
    assert defect_state(repo, done.state.plan.defect).status is DefectStatus.OPEN
    again = repo.repair_apply(repair, carrier())
    assert [each.earlier for each in again.steps] == [True]
    assert repo.history.read_commit(again.commit).manifest == repo.history.read_commit(done.commit).manifest


# What is refused


def test_stale_plan_is_refused(made: Pipeline) -> None:
    repair = a_plan(made)
    plan = repair_head(made.repo, repair).plan
    comment(made, plan.defect)
    made.lab.work.commit("more", {b"more.txt": b"more\n"})
    refs = made.repo.history.refs.list()
    with pytest.raises(StalePlanError) as error:
        made.repo.repair_apply(repair, carrier())
    assert error.value.exit_code == 13
    assert made.repo.history.refs.list() == refs
    again = made.repo.repair_plan(plan.defect, values={"label": "good"}, at=b"labels.csv").state.id
    reject(made, plan.defect)
    with pytest.raises(StalePlanError):
        made.repo.repair_apply(again, carrier())


def test_command_that_fails_leaves_what_was_done(made: Pipeline) -> None:
    repair = a_plan(made)
    with pytest.raises(RerunFailedError):
        made.repo.repair_apply(
            repair, type(carrier())(environ={"PATH": "/nowhere", "PYTHONHOME": "/x"}, output=2)
        )
    state = repair_head(made.repo, repair)
    assert (state.status, sorted(state.steps)) == (RepairStatus.APPLYING, [0])


def test_gate_that_refuses_leaves_the_steps(made: Pipeline) -> None:
    """The source has no evidence, which the default policy asks for."""
    made.lab.work.write({b"dsvc.toml": b'[tables."*.csv"]\nkey = ["id"]\n[policy]\npacks = ["default"]\n'})
    made.repo.add(all=True)
    made.repo.commit("policy", no_verify=True)
    repair = a_plan(made, b"copy.csv", (5,), drop=True)
    with pytest.raises(PolicyIncompleteError):
        made.repo.repair_apply(repair, carrier())
    state = repair_head(made.repo, repair)
    assert (state.status, sorted(state.steps)) == (RepairStatus.APPLYING, [0])
    assert not made.repo.history.refs.list("refs/heads/repair/")
    done = made.repo.repair_apply(repair, carrier(), no_verify=True)
    assert dict(done.trailers)["Dsvc-No-Verify"] == "true"


def test_step_that_makes_something_else_each_time_is_not_committed(made: Pipeline) -> None:
    """Every row gets another value each time, and the plan knows of one row."""
    from tests.recomputing import step

    program = applykit.PROGRAM.replace(
        "def dedup",
        "def stamp(rows):\n    return [dict(row, at=os.urandom(8).hex()) for row in rows]\n\ndef dedup",
    ).replace('["id", "text", "label"]', '["id"]')
    made.lab.work.write({b"dsvc.toml": b'[tables."*.csv"]\nkey = ["id"]\n'})
    step(
        made.lab.work,
        ["stamp", "train.csv", "stamped.csv"],
        ["train.csv"],
        ["stamped.csv"],
        program,
        rowwise=False,
    )
    made.lab.work.commit("stamped")
    repair = a_plan(made, drop=True)
    refs = {n: t for n, t in made.repo.history.refs.list().items() if "operations" not in n}
    with pytest.raises(
        RepairNotProvedError, match=r"7 rows that the plan doesn't have: stamped\.csv#@0"
    ) as error:
        made.repo.repair_apply(repair, carrier())
    assert error.value.exit_code == 1
    assert error.value.details["artifacts"] == [
        {
            "path": "stamped.csv",
            "others_changed": 7,
            "rows": [0, 1, 2, 3, 4, 6, 7],
            "new_rows": list(range(7)),
        }
    ]
    assert {n: t for n, t in made.repo.history.refs.list().items() if "operations" not in n} == refs
    assert repair_head(made.repo, repair).status is RepairStatus.PLANNED


def test_run_without_row_maps_is_not_proven(made: Pipeline) -> None:
    """A chart has no rows, and of a step that mixes all rows any row may differ."""
    from tests.recomputing import step

    program = (
        "import sys\nopen(sys.argv[2], 'w').write('# %d' % len(open(sys.argv[1]).read().splitlines()))\n"
    )
    step(made.lab.work, ["train.csv", "card.md"], ["train.csv"], ["card.md"], program, rowwise=False)
    made.lab.work.commit("card")
    done = made.repo.repair_apply(a_plan(made, drop=True), carrier())
    assert (b"card.md", UnprovedReason.NO_ROWS) in [(each.path, each.reason) for each in done.proof.unproved]
    assert done.proof.others_changed == 0
    assert content(made, done.commit, "card.md") == b"# 8"
    planned = done.state.plan.planned(b"train.csv")
    assert planned is not None
    assert decode_rows(planned.flagged).tolist() == [5]
