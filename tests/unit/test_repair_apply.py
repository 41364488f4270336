"""repair apply: what is committed, what stays untouched, and how an interrupted one goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsvc.lineage.lineage_tree import LineageTree
from dsvc.model.defect import DefectStatus
from dsvc.model.repair import RepairOperation, RepairVerb
from dsvc.model.repair_proof import proof_digest
from dsvc.porcelain.records.defect_chain import defect_state
from dsvc.porcelain.records.repair_chain import RepairStateError, RepairStatus, append_repair, repair_head
from dsvc.porcelain.repair.repair_apply import RepairApplied
from dsvc.porcelain.repair.repair_plan import OtherRepairError
from dsvc.porcelain.runs.known_run import find_run
from tests import applykit
from tests.applykit import a_plan, carrier, check_model, check_proof, content, table, told
from tests.repairkit import Pipeline


@pytest.fixture
def made(tmp_path: Path) -> Pipeline:
    return applykit.copied(tmp_path / "数据")


# What is committed


def check_again(made: Pipeline, repair: str, done: RepairApplied) -> None:
    """Asked once more, the same answer is given and nothing is done."""
    refs = made.repo.history.refs.list()
    again = made.repo.repair_apply(repair, carrier())
    assert made.repo.history.refs.list() == refs
    assert not again.is_new
    for name in ("commit", "branch", "proof", "trailers", "rows_recomputed"):
        assert getattr(again, name) == getattr(done, name)


def test_set_at_an_ancestor(made: Pipeline) -> None:
    repo, work = made.repo, made.lab.work
    repair = a_plan(made)
    before = made.head
    work.write({b"train.csv": b"mine\n", b"new.txt": b"new\n", b"staged.txt": b"staged\n"})
    repo.add([b"staged.txt"])
    kept = work.tree(), repo.history.refs.head(), repo.staged().root
    done = repo.repair_apply(repair, carrier())
    assert (work.tree(), repo.history.refs.head(), repo.staged().root) == kept
    assert told(done) == [
        ("repair", "made", 0, False, False),
        ("clean", "made", 1, False, False),
        ("dedup", "made", 12, True, False),
        ("count", "made", 8, True, False),
        ("copy", "made", 0, False, False),
    ]
    assert done.rows_recomputed == 21
    labels = table(made, before, "labels.csv")
    labels[5]["label"] = "good"
    assert table(made, done.commit, "labels.csv") == labels
    check_model(made, done.commit)
    commit = repo.history.read_commit(done.commit)
    state = repair_head(repo, repair)
    assert commit.parents == (before,)
    assert repo.history.refs.get(f"refs/heads/{done.branch}") == done.commit
    assert done.branch == f"repair/{state.plan.defect}"
    assert commit.message == f"repair {state.plan.defect}: set label=good in 1 row of labels.csv"
    assert commit.trailers == done.trailers
    assert (
        dict(done.trailers).items()
        >= {
            "Dsvc-Defect": state.plan.defect,
            "Dsvc-Repair": repair,
            "Dsvc-Feedback": "f" * 12,
            "Dsvc-Proof": f"blake3:{proof_digest(done.proof)}",
        }.items()
    )
    assert (state.status, state.commit, state.proof) == (RepairStatus.APPLIED, str(done.commit), done.proof)
    defect = defect_state(repo, state.plan.defect)
    assert (defect.status, defect.repairs) == (DefectStatus.REPAIRING, (repair,))
    runs = LineageTree(repo.store, commit.lineage).runs()
    assert set(state.steps.values()) <= set(runs)
    assert repo.fsck(read_data=True).ok
    assert repo.trace(f"{done.commit}:train.csv#@5").complete
    check_proof(done)
    check_again(made, repair, done)


def test_duplicate_of_a_dropped_row_comes_back(made: Pipeline) -> None:
    done = made.repo.repair_apply(a_plan(made, rows=(0,), drop=True, at=b"clean.csv"), carrier())
    ids = [row["id"] for row in table(made, done.commit, "train.csv")]
    assert ids == [*"1234567", "8"]
    proof = {each.path.decode(): each for each in done.proof.artifacts}
    assert (proof["train.csv"].flagged_changed, proof["train.csv"].came) == (1, 1)
    assert done.proof.others_changed == 0
    # As many good rows as before: nothing is written anew.
    assert "stats.csv" not in proof
    assert told(done)[2] == ("count", "same", 8, True, False)


def test_row_that_becomes_a_duplicate_takes_another_one_out(made: Pipeline) -> None:
    """Row 0 gets the text of row 1, which is left out for it now: reached from a row of the plan."""
    repair = a_plan(made, rows=(0,), values={"text": "句子 1"}, at=b"labels.csv")
    done = made.repo.repair_apply(repair, carrier())
    check_model(made, done.commit)
    train = next(each for each in done.proof.artifacts if each.path == b"train.csv")
    assert (train.flagged_changed, train.consequent_changed, train.further) == (1, 1, 1)
    assert done.proof.others_changed == 0


def test_steps_whose_inputs_come_out_the_same_are_left_out(made: Pipeline) -> None:
    """Row 8 of clean.csv is left out of train.csv in any case."""
    repair = a_plan(made, b"clean.csv", (8,), drop=True)
    words: list[str] = []
    how = carrier()
    done = made.repo.repair_apply(
        repair, type(how)(environ=how.environ, output=2, announce=lambda each: words.append(each[3]))
    )
    assert words == ["dedup"]
    assert [(s.step.name, s.outcome.value) for s in done.steps] == [
        ("repair", "made"),
        ("dedup", "same"),
        ("count", "skipped"),
        ("copy", "skipped"),
    ]
    assert [each.path for each in done.proof.artifacts] == [b"clean.csv"]


def test_run_again_with_another_parameter_for_chosen_rows(made: Pipeline) -> None:
    """With bad=3 row 3 would be bad; it isn't flagged, and keeps what the run said of it before."""
    repair = a_plan(made, b"labels.csv", (5,), rerun="label", parameters={"bad": "3"})
    done = made.repo.repair_apply(repair, carrier())
    assert told(done)[0] == ("label", "made", 1, False, False)
    assert {row["label"] for row in table(made, done.commit, "labels.csv")} == {"good"}
    check_model(made, done.commit)
    assert (done.proof.others_changed, done.proof.flagged_changed) == (0, 1)
    record = find_run(made.repo, done.state.steps[0].hex()).run
    assert record.parameters == {"bad": "3"}


def test_new_code_is_part_of_the_commit(made: Pipeline, tmp_path: Path) -> None:
    new = applykit.PROGRAM.replace('"bad" if bad', '"bad" if False and bad').encode()
    (tmp_path / "new.py").write_bytes(new)
    repair = a_plan(made, b"labels.csv", (5,), rerun="label", code={b"step.py": str(tmp_path / "new.py")})
    done = made.repo.repair_apply(repair, carrier())
    assert content(made, done.commit, "step.py") == new
    assert (done.proof.others_changed, done.proof.files_unchanged) == (0, 2)


def test_source_is_withdrawn_with_the_repair(made: Pipeline) -> None:
    repair = a_plan(made, b"labels.csv", (5,), withdraw_source="crawl")
    assert made.repo.source("crawl").record.status.value == "active"
    done = made.repo.repair_apply(repair, carrier())
    assert table(made, done.commit, "labels.csv") == []
    record = made.repo.source("crawl").record
    assert (record.status.value, record.reason) == (
        "withdrawn",
        f"repair {repair} of {done.state.plan.defect}",
    )
    lineage = LineageTree(made.repo.store, made.repo.history.read_commit(done.commit).lineage)
    assert lineage.sources()["crawl"].record.status.value == "withdrawn"
    made.repo.undo()
    assert made.repo.source("crawl").record.status.value == "active"


# Branches


def test_merged_into_a_main_that_stayed_or_moved(made: Pipeline) -> None:
    repair = a_plan(made)
    done = made.repo.repair_apply(repair, carrier())
    assert made.repo.merge(done.branch).fast_forward
    assert made.head == done.commit
    made.repo.undo()
    made.lab.work.commit("readme", {b"README.md": b"words\n"})
    outcome = made.repo.merge(done.branch)
    assert not outcome.conflicts
    check_model(made, made.head)
    assert table(made, made.head, "labels.csv")[5]["label"] == "good"
    assert made.repo.fsck().ok


def test_second_repair_has_a_branch_of_its_own(made: Pipeline) -> None:
    repair = a_plan(made, b"copy.csv", (5,), drop=True)
    first = made.repo.repair_apply(repair, carrier())
    defect = first.state.plan.defect
    other = made.repo.repair_plan(defect, values={"label": "good"}).state.id
    with pytest.raises(OtherRepairError):
        made.repo.repair_apply(other, carrier())
    back = RepairOperation(verb=RepairVerb.RETURN, at="", by="", reason="没有变好")
    with made.repo.changing():
        append_repair(made.repo, repair_head(made.repo, repair), back)
    with pytest.raises(RepairStateError):
        made.repo.repair_apply(repair, carrier())
    second = made.repo.repair_apply(other, carrier())
    assert (second.branch, first.branch) == (f"repair/{defect}-2", f"repair/{defect}")
