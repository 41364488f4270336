"""Repair plans: which rows, which steps, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsvc.lineage.row_set import decode_rows
from dsvc.model.errors import DsvcError, NotFoundError, UsageError
from dsvc.model.repair import PlanStep, Scope, StepKind, StepReason
from dsvc.porcelain.records.repair_chain import repair_ids
from dsvc.porcelain.records.source_chain import NoSuchSourceError
from dsvc.porcelain.repair.repair_edits import RepairValueError, UnflaggedRowsError
from dsvc.porcelain.repair.repair_plan import (
    PlanBlockedError,
    check_possible,
    plan_edits,
)
from dsvc.porcelain.repair.repair_rows import NoCauseError
from dsvc.porcelain.repair.repair_table import ValueTableError
from dsvc.porcelain.repair.repair_target import NothingToRepairError, SourceArtifactError
from tests.porcelain.working import Work
from tests.repairkit import Pipeline, by_path, flag, pipeline

NONE: set[int] = set()


@pytest.fixture
def made(tmp_path: Path) -> Pipeline:
    return pipeline(Work(tmp_path / "数据"))


def told(steps: tuple[PlanStep, ...]) -> list[tuple[str, str, list[str], int]]:
    return [(s.kind.value, s.name, [path.decode() for path in s.outputs], s.rows) for s in steps]


def everything(made: Pipeline) -> object:
    """All refs but those of repairs and the log of operations, what is staged, and the files."""
    refs = {
        name: tip
        for name, tip in made.repo.history.refs.list().items()
        if not name.startswith(("refs/dsvc/repairs/", "refs/dsvc/operations"))
    }
    folder = made.lab.work.folder
    files = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
    return refs, made.repo.staged().root, files


# Rows and steps


def test_dropped_rows_take_what_came_of_them(made: Pipeline) -> None:
    defect = flag(made, b"train.csv", [2, 5])
    before = everything(made)
    view = made.repo.repair_plan(defect, drop=True)
    assert everything(made) == before
    plan = view.state.plan
    assert by_path(plan) == {
        "train.csv": ({2, 5}, NONE, NONE),
        "copy.csv": (NONE, NONE, {2, 5}),
        "stats.csv": (NONE, NONE, {0}),
    }
    assert sorted(told(plan.steps)) == [
        ("copy", "copy", ["copy.csv"], 0),
        ("edit", "repair", ["train.csv"], 0),
        ("whole", "count", ["stats.csv"], 8),
    ]
    assert plan.steps[0].kind is StepKind.EDIT
    assert (plan.rows_affected, plan.rows_recomputed, plan.beyond, plan.returning) == (2, 8, 0, 0)
    assert (plan.base, plan.branch, plan.subject) == (str(made.head), "refs/heads/main", b"train.csv")
    assert [each.after for each in view.samples] == [None, None]
    assert view.samples[0].before == {"id": "2", "text": "句 2", "label": "bad", "who": "wang"}
    assert view.samples[0].name == "train.csv#@2"
    assert made.repo.repair(view.state.id).samples == view.samples


def test_set_at_an_ancestor_brings_duplicates_back(made: Pipeline) -> None:
    """Row 0 of train.csv is row 0 of labels.csv; row 8 of clean.csv was left out for it."""
    defect = flag(made, b"train.csv", [0])
    plan = made.repo.repair_plan(defect, values={"label": "bad"}, at=b"labels.csv").state.plan
    assert by_path(plan) == {
        "labels.csv": ({0}, NONE, NONE),
        "clean.csv": (NONE, NONE, {0, 8}),
        "train.csv": ({0}, NONE, NONE),
        "copy.csv": (NONE, NONE, {0}),
        "stats.csv": (NONE, NONE, {1}),
    }
    steps = {step.name: step for step in plan.steps}
    assert [plan.steps[0].name, plan.steps[1].name, plan.steps[2].name] == ["repair", "clean", "dedup"]
    assert (steps["clean"].kind, steps["clean"].rows, steps["clean"].because) == (StepKind.ROWS, 1, None)
    assert (steps["dedup"].kind, steps["dedup"].rows) == (StepKind.WHOLE, 10)
    assert steps["dedup"].because is StepReason.NOT_ROWWISE
    assert plan.returning == 1
    assert (plan.path, plan.rows_affected) == (b"labels.csv", 1)
    assert plan.rows_recomputed == sum(step.rows for step in plan.steps) == 1 + 10 + 8


def test_ancestor_row_with_other_children_is_told(made: Pipeline) -> None:
    lab = made.lab
    pairs = lab.put({b"pairs.csv": b"id,n\n" + b"".join(b"%d,%d\n" % (n // 2, n) for n in range(4))})
    made.entries |= pairs
    lab.run(
        "explode",
        [made.entries[b"train.csv"]],
        [pairs[b"pairs.csv"]],
        {(0, 0): [(n, n // 2) for n in range(4)]},
        rowwise=True,
    )
    lab.commit()
    defect = flag(made, b"pairs.csv", [1])
    plan = made.repo.repair_plan(defect, drop=True, at=b"train.csv").state.plan
    assert by_path(plan)["pairs.csv"] == ({1}, NONE, {0})
    assert (plan.beyond, plan.rows_affected) == (1, 2)
    assert next(step for step in plan.steps if step.name == "explode").rows == 0


def test_rows_that_have_the_value_are_left(made: Pipeline) -> None:
    defect = flag(made, b"train.csv", [1, 2])
    view = made.repo.repair_plan(defect, values={"label": "good", "who": "li"})
    plan = view.state.plan
    assert by_path(plan)["train.csv"] == ({2}, NONE, NONE)
    assert (set(decode_rows(plan.left).tolist()), plan.left_count) == ({1}, 1)
    assert [each.after for each in view.samples] == [{"label": "good", "who": "li"}]
    again = flag(made, b"train.csv", [1], symptom="other")
    with pytest.raises(NothingToRepairError):
        made.repo.repair_plan(again, values={"label": "good"})


def test_same_plan_twice_is_one_repair(made: Pipeline) -> None:
    defect = flag(made, b"train.csv", [2])
    first = made.repo.repair_plan(defect, drop=True)
    second = made.repo.repair_plan(defect, drop=True)
    assert (first.is_new, second.is_new) == (True, False)
    assert first.state == second.state
    assert repair_ids(made.repo) == [first.state.id]
    assert [each.id for each in made.repo.repairs()] == [first.state.id]


# Relabelling and patches


def test_relabel_by_key(made: Pipeline, tmp_path: Path) -> None:
    defect = flag(made, b"train.csv", [2, 3, 4])
    table = tmp_path / "新标签.csv"
    table.write_text("id,label\n2,good\n4,good\n5,good\n77,bad\n", encoding="utf-8")
    view = made.repo.repair_plan(defect, relabel=str(table), key=["id"])
    plan = view.state.plan
    # Row 3 is not in the table, row 4 has the value already; of rows that are not flagged nothing is taken.
    assert by_path(plan)["train.csv"] == ({2}, NONE, NONE)
    assert set(decode_rows(plan.left).tolist()) == {3, 4}
    assert (plan.action.file, plan.action.key) == ("新标签.csv", ("id",))
    edits = plan_edits(made.repo, plan, table.read_bytes())
    assert {name: (each.rows.tolist(), each.values) for name, each in edits.cells.items()} == {
        "label": ([2], ("good",))
    }
    table.unlink()
    assert made.repo.repair(view.state.id).samples == view.samples
    assert view.samples[0].after == {"label": "good"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.jsonl", '{"id": 2, "label": "good"}\n{"id": 3, "label": "good", "text": "改"}\n'),
        ("p.csv", "id,label\n2,good\n3,good\n"),
    ],
)
def test_patch_that_is_a_table(made: Pipeline, tmp_path: Path, name: str, text: str) -> None:
    defect = flag(made, b"train.csv", [2, 3])
    (tmp_path / name).write_text(text, encoding="utf-8")
    plan = made.repo.repair_plan(defect, patch=str(tmp_path / name)).state.plan
    assert by_path(plan)["train.csv"] == ({2, 3}, NONE, NONE)
    assert plan.action.key == ("id",)


def test_patch_of_unflagged_rows_is_refused(made: Pipeline, tmp_path: Path) -> None:
    defect = flag(made, b"train.csv", [2])
    (tmp_path / "p.csv").write_text("id,label\n2,good\n3,good\n", encoding="utf-8")
    before = everything(made)
    with pytest.raises(UnflaggedRowsError) as caught:
        made.repo.repair_plan(defect, patch=str(tmp_path / "p.csv"))
    assert caught.value.details["rows"] == [3]
    assert "train.csv#@3" in caught.value.message
    (tmp_path / "p.csv").write_text("id,label\n2,good\n99,good\n", encoding="utf-8")
    with pytest.raises(NotFoundError):
        made.repo.repair_plan(defect, patch=str(tmp_path / "p.csv"))
    assert everything(made) == before
    assert repair_ids(made.repo) == []


def patch_of(made: Pipeline, new: bytes) -> bytes:
    """A patch of train.csv as diff --patch writes it; the file is as before afterwards."""
    work, old = made.lab.work, (made.lab.work.folder / "train.csv").read_bytes()
    work.write({b"train.csv": new})
    found = made.repo.diff()
    data = b"".join(made.repo.diff_patch(found))
    work.write({b"train.csv": old})
    return data


def test_patch_that_dsvc_made(made: Pipeline, tmp_path: Path) -> None:
    defect = flag(made, b"train.csv", [2, 3])
    rows = (made.lab.work.folder / "train.csv").read_bytes()
    new = rows.replace("2,句 2,bad".encode(), "2,句二,good".encode())
    new = new.replace("3,句 3,bad,li\n".encode(), b"")
    (tmp_path / "p.patch").write_bytes(patch_of(made, new))
    view = made.repo.repair_plan(defect, patch=str(tmp_path / "p.patch"))
    assert by_path(view.state.plan)["train.csv"] == ({2, 3}, NONE, NONE)
    assert [each.after for each in view.samples] == [{"text": "句二", "label": "good"}, None]
    (tmp_path / "q.patch").write_bytes(patch_of(made, new.replace(b"7,good,li", b"7,bad,li")))
    with pytest.raises(UnflaggedRowsError):
        made.repo.repair_plan(defect, patch=str(tmp_path / "q.patch"))
    (tmp_path / "r.patch").write_bytes(patch_of(made, rows + b"100,x,good,li\n"))
    with pytest.raises(UsageError):
        made.repo.repair_plan(defect, patch=str(tmp_path / "r.patch"))


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        ("x.csv", b"id,label\n2,a\n2,b\n", ValueTableError),
        ("x.csv", b"id,label\n2,a\n02,b\n", ValueTableError),
        ("x.jsonl", b'{"id": 2, "label": "a"}\n{"id": "2", "label": "b"}\n', ValueTableError),
        ("x.csv", b"who,label\nli,a\n", ValueTableError),
        ("x.csv", b"id\n2\n", ValueTableError),
        ("x.txt", b"id,label\n2,a\n", ValueTableError),
        ("x.csv", b"id,colour\n2,red\n", RepairValueError),
        ("x.csv", b"", DsvcError),
        ("x.patch", b"diff --dsvc-table a/train.csv b/train.csv\n{}\n", DsvcError),
    ],
)
def test_tables_that_cannot_be_used(
    made: Pipeline, tmp_path: Path, name: str, data: bytes, error: type[DsvcError]
) -> None:
    defect = flag(made, b"train.csv", [2])
    (tmp_path / name).write_bytes(data)
    with pytest.raises(error) as caught:
        made.repo.repair_plan(defect, patch=str(tmp_path / name))
    assert caught.value.exit_code in (2, 14, 41)
    assert repair_ids(made.repo) == []


@pytest.mark.parametrize("path", ["gone.csv", "", "x.csv/y.csv"])
def test_files_that_are_not_there(made: Pipeline, tmp_path: Path, path: str) -> None:
    defect = flag(made, b"train.csv", [2])
    (tmp_path / "x.csv").write_bytes(b"id,label\n2,a\n")
    for name in ("patch", "relabel"):
        with pytest.raises(DsvcError) as caught:
            made.repo.repair_plan(defect, **{name: str(tmp_path / path)})  # type: ignore[arg-type]
        assert caught.value.exit_code == 14, path
    assert repair_ids(made.repo) == []


def test_values_that_do_not_fit(made: Pipeline) -> None:
    defect = flag(made, b"train.csv", [2])
    for values in ({"id": "two"}, {"colour": "red"}):
        with pytest.raises(RepairValueError):
            made.repo.repair_plan(defect, values=values)
    assert repair_ids(made.repo) == []


# Sources, causes, runs


def test_rows_of_a_source_go(made: Pipeline) -> None:
    defect = flag(made, b"train.csv", [2])
    plan = made.repo.repair_plan(defect, exclude_source="crawl").state.plan
    assert by_path(plan)["train.csv"] == ({2}, set(range(8)) - {2}, NONE)
    assert by_path(plan)["stats.csv"] == (NONE, NONE, {0, 1})
    withdrawn = made.repo.repair_plan(defect, withdraw_source="crawl").state.plan
    assert withdrawn.rows == plan.rows
    with pytest.raises(NoSuchSourceError):
        made.repo.repair_plan(defect, exclude_source="nowhere")


def test_what_a_source_delivered_is_not_edited(made: Pipeline) -> None:
    defect = flag(made, b"raw.csv", [2])
    with pytest.raises(SourceArtifactError) as caught:
        made.repo.repair_plan(defect, drop=True)
    assert "--exclude-source crawl" in (caught.value.hint or "")
    other = flag(made, b"train.csv", [2])
    with pytest.raises(SourceArtifactError):
        made.repo.repair_plan(other, drop=True, at=b"raw.csv")


def test_cause_that_is_named(made: Pipeline) -> None:
    defect = flag(made, b"train.csv", [3, 5])
    plan = made.repo.repair_plan(defect, values={"label": "?"}, causes=["column who=li"]).state.plan
    assert by_path(plan)["train.csv"] == ({3, 5}, {1, 7}, NONE)
    assert (plan.scope, plan.causes) == (Scope.CAUSE, ("column who=li",))
    # Row 9 has that cause too, and is in labels.csv only: it was dropped as a duplicate further down.
    above = made.repo.repair_plan(defect, values={"label": "?"}, at=b"labels.csv", causes=["column who=li"])
    assert by_path(above.state.plan)["labels.csv"] == ({3, 5}, {1, 7, 9}, NONE)
    for wrong, error in (("column who=nobody", NoCauseError), ("planet mars", UsageError), ("x", UsageError)):
        with pytest.raises(error):
            made.repo.repair_plan(defect, drop=True, causes=[wrong])


def test_run_with_other_parameters(made: Pipeline) -> None:
    defect = flag(made, b"train.csv", [2])
    plan = made.repo.repair_plan(defect, rerun="label", parameters={"guide": "2"}).state.plan
    first = plan.steps[0]
    assert (first.kind, first.name, first.rows) == (StepKind.WHOLE, "label", 10)
    assert first.because is StepReason.NOT_ROWWISE
    labels = plan.planned(b"labels.csv")
    assert labels is not None
    assert labels.unknown
    assert labels.counts == (1, 0, 9)
    clean = next(step for step in plan.steps if step.name == "clean")
    assert (clean.kind, clean.because) == (StepKind.ROWS, StepReason.INPUTS)
    assert plan.action.parameters == {"guide": "2"}
    for parameters, run in (({"colour": "red"}, "label"), ({}, "label"), ({"guide": "2"}, "count")):
        with pytest.raises((UsageError, NotFoundError)):
            made.repo.repair_plan(defect, rerun=run, parameters=parameters)


def test_rowwise_run_is_done_again_on_its_rows_only(made: Pipeline) -> None:
    lab = made.lab
    strict = lab.put({b"strict.csv": b"id\n" + b"".join(b"%d\n" % n for n in range(10))})
    same = {(0, 0): [(n, n) for n in range(10)]}
    lab.run(
        "map",
        [made.entries[b"clean.csv"]],
        [strict[b"strict.csv"]],
        same,
        rowwise=True,
        parameters={"k": "1"},
    )
    made.entries |= strict
    lab.commit()
    defect = flag(made, b"strict.csv", [4, 6])
    plan = made.repo.repair_plan(defect, rerun="map", parameters={"k": "2"}).state.plan
    assert told(plan.steps) == [("rows", "map", ["strict.csv"], 2)]
    assert by_path(plan) == {"strict.csv": ({4, 6}, NONE, NONE)}
    # Where it is about every row that the run made, the plan says what applying does: all rows of its input.
    every = flag(made, b"strict.csv", list(range(10)))
    plan = made.repo.repair_plan(every, rerun="map", parameters={"k": "2"}).state.plan
    assert told(plan.steps) == [("whole", "map", ["strict.csv"], 10)]
    assert plan.rows_recomputed == 10


def test_step_done_by_hand_blocks_a_plan(tmp_path: Path) -> None:
    made = pipeline(Work(tmp_path / "w"), manual=True)
    lab = made.lab
    made.entries |= lab.put({b"seen.csv": b"id\n1\n2\n"})
    lab.run(
        "look",
        [made.entries[b"train.csv"]],
        [made.entries[b"seen.csv"]],
        {(0, 0): [(0, 1), (1, 2)]},
        command=(),
    )
    lab.commit()
    defect = flag(made, b"train.csv", [2])
    view = made.repo.repair_plan(defect, drop=True)
    assert "look" in view.state.plan.blocked
    with pytest.raises(PlanBlockedError):
        check_possible(view.state)
    # What is not downstream of the edit blocks nothing.
    lower = flag(made, b"stats.csv", [0])
    check_possible(made.repo.repair_plan(lower, values={"n": "4"}).state)
