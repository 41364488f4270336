"""repair apply: what is committed, what stays untouched, and how an interrupted one goes on."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from dsvc.lineage.lineage_tree import LineageTree
from dsvc.lineage.row_set import decode_rows
from dsvc.model.defect import DefectStatus
from dsvc.model.errors import PolicyIncompleteError
from dsvc.model.ids import CommitId
from dsvc.model.repair import RepairOperation, RepairVerb
from dsvc.model.repair_proof import UnprovedReason, proof_digest
from dsvc.porcelain.defect_chain import defect_state
from dsvc.porcelain.known_run import find_run
from dsvc.porcelain.repair_apply import RepairApplied
from dsvc.porcelain.repair_carrying import StepDone
from dsvc.porcelain.repair_chain import RepairStateError, RepairStatus, append_repair, repair_head
from dsvc.porcelain.repair_plan import OtherRepairError, StalePlanError
from dsvc.porcelain.repair_refusal import RepairNotProvedError
from dsvc.porcelain.rerun import RerunFailedError
from dsvc.porcelain.run import run
from dsvc.porcelain.run_spec import RunSpec
from tests import applykit
from tests.applykit import carrier, content, table
from tests.lineagekit import Lab
from tests.porcelain.working import Work
from tests.repairkit import Pipeline, comment, flag


@pytest.fixture
def made(tmp_path: Path) -> Pipeline:
    return applykit.copied(tmp_path / "数据")


def a_plan(made: Pipeline, path: bytes = b"train.csv", rows: tuple[int, ...] = (5,), **action: object) -> str:
    given = action or {"values": {"label": "good"}, "at": b"labels.csv"}
    view = made.repo.repair_plan(flag(made, path, rows), **given)  # type: ignore[arg-type]
    return view.state.id


def told(done: RepairApplied) -> list[tuple[str, str, int, bool, bool]]:
    return [(s.step.name, s.outcome.value, s.rows, s.whole, s.earlier) for s in done.steps]


def check_model(made: Pipeline, commit: CommitId) -> None:
    """What follows on labels.csv is what the steps would make of it."""
    for name, rows in applykit.model(table(made, commit, "labels.csv")).items():
        assert table(made, commit, name) == rows, name


def check_proof(done: RepairApplied) -> None:
    """The only bad row became a good one: its group in stats.csv is gone, and the other one grew."""
    proof = done.proof
    found = {
        each.path.decode(): (each.flagged_changed, each.consequent_changed, each.further, each.came)
        for each in proof.artifacts
    }
    assert found == {
        "labels.csv": (1, 0, 0, 1),
        "clean.csv": (0, 1, 0, 1),
        "train.csv": (1, 0, 0, 1),
        "copy.csv": (0, 1, 0, 1),
        "stats.csv": (0, 2, 1, 1),
    }
    assert (proof.flagged_changed, proof.consequent_changed, proof.others_changed) == (1, 4, 0)
    assert (proof.conserved, proof.unproved, proof.not_as_asked, proof.files_unchanged) == (True, (), 0, 3)


# What is committed


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
    refs = repo.history.refs.list()
    again = repo.repair_apply(repair, carrier())
    assert repo.history.refs.list() == refs
    assert not again.is_new
    for name in ("commit", "branch", "proof", "trailers", "rows_recomputed"):
        assert getattr(again, name) == getattr(done, name)


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


# Going on, and once more


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


# What is refused


def test_stale_plan_is_refused(made: Pipeline) -> None:
    repair = a_plan(made)
    plan = repair_head(made.repo, repair).plan
    comment(made, plan.defect)
    refs = made.repo.history.refs.list()
    with pytest.raises(StalePlanError) as error:
        made.repo.repair_apply(repair, carrier())
    assert error.value.exit_code == 13
    assert made.repo.history.refs.list() == refs
    again = made.repo.repair_plan(plan.defect, values={"label": "good"}, at=b"labels.csv").state.id
    made.lab.work.commit("more", {b"more.txt": b"more\n"})
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


# Other shapes


def test_in_place_joined_split_and_into_a_folder(tmp_path: Path) -> None:
    """Rows of data.csv come from two files, are changed in place, and go into tables and into a folder."""
    work = Work(tmp_path / "形")
    repo = work.repo
    rows = [(n, f"w{n % 5}", "ab"[n % 2]) for n in range(12)]
    work.write(
        {
            b"raw.csv": ("id,t,l\n" + "".join(f"{n},{t},{x}\n" for n, t, x in rows)).encode(),
            b"more.csv": b"id,t,l\n50,x,a\n51,y,b\n",
            b"dsvc.toml": b'[tables."*.csv"]\nkey = ["id"]\n',
        }
    )
    for name, read, makes, line, rowwise in (
        ("label", "raw.csv", "labels.csv", "sed '2,$s/w/v/' raw.csv > labels.csv", True),
        (
            "join",
            "labels.csv more.csv",
            "data.csv",
            "(cat labels.csv; tail -n +2 more.csv) > data.csv",
            False,
        ),
        ("fix", "data.csv", "data.csv", "sed -i '2,$s/v/u/' data.csv", True),
        (
            "split",
            "data.csv",
            "a.csv b.csv",
            "for k in a b; do grep -e id -e ,$k$ data.csv > $k.csv; done",
            False,
        ),
        (
            "texts",
            "data.csv",
            "parts",
            "mkdir -p parts; for k in 0 1; do grep u$k data.csv > parts/$k; done",
            False,
        ),
    ):
        paths = [[os.fsencode(path) for path in words.split()] for words in (read, makes)]
        spec = RunSpec(name=name, inputs=paths[0], outputs=paths[1], rowwise=rowwise)
        run(repo, spec, [line], environ={"PATH": "/usr/bin:/bin"})
    work.commit("data")
    made = Pipeline(Lab(work))
    made.entries = {entry.path: entry for entry in repo.manifest_of("HEAD").entries()}
    done = repo.repair_apply(
        a_plan(made, b"data.csv", (0, 5), values={"l": "b"}, at=b"labels.csv"), carrier()
    )
    new = [f"{n},u{n % 5},{'b' if n in (0, 5) else 'ab'[n % 2]}" for n in range(12)] + ["50,x,a", "51,y,b"]
    for path, wanted in (
        ("data.csv", new),
        ("a.csv", [row for row in new if row.endswith("a")]),
        ("b.csv", [row for row in new if row.endswith("b")]),
    ):
        assert content(made, done.commit, path).decode().split() == ["id,t,l", *wanted]
    assert content(made, done.commit, "parts/0").decode().split() == [row for row in new if ",u0," in row]
    found = {
        each.path.decode(): (each.flagged_changed, each.consequent_changed, each.came)
        for each in done.proof.artifacts
    }
    assert found == {
        "labels.csv": (1, 0, 1),
        "data.csv": (1, 0, 1),
        "a.csv": (0, 1, 0),
        "b.csv": (0, 0, 1),
        "parts": (0, 1, 1),
    }
    assert [(each.path, each.reason) for each in done.proof.unproved] == [(b"parts", UnprovedReason.ANY_ROW)]
    assert done.proof.others_changed == 0
    assert repo.fsck(read_data=True).ok
