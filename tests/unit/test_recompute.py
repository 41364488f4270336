"""Runs done again on changed rows: what is spliced, what falls back to a whole run, what is refused."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from dsvc.diff.row_compare import NoSuchColumnError
from dsvc.lineage.run_check import check_run
from dsvc.lineage.run_tree import RunTree
from dsvc.model.errors import UsageError
from dsvc.model.manifest import Entry
from dsvc.model.run_record import Capture, RunKind
from dsvc.porcelain.pending_runs import pending_runs
from dsvc.porcelain.recompute import (
    Correspondence,
    Edits,
    NewArtifact,
    NotItsCodeError,
    ParameterNotTakenError,
    Recomputed,
    ValueMisfitError,
    correspondence_of_splice,
    edit_artifact,
    recompute,
)
from dsvc.porcelain.recompute_command import with_parameter
from dsvc.porcelain.recompute_edit import NoSuchRowError
from dsvc.porcelain.rerun import NotRepeatableError, RerunFailedError, check_rerun
from dsvc.porcelain.run import run_manual
from dsvc.porcelain.run_artifacts import ArtifactFiles
from dsvc.porcelain.run_spec import RunSpec
from tests.porcelain.working import Work, text
from tests.recomputing import (
    PROGRAM,
    Row,
    account_of,
    carrier,
    content,
    drops_of,
    folder,
    links_of,
    rows_of,
    step,
    stored,
    version,
)

ROWS = [{"id": n, "n": n % 7, "文": f"行{n}"} for n in range(12)]
KEYED = {"keys": {None: ("id",)}}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunTree]:
    """A repository with a run over `ROWS`, which most tests begin with a copy of."""
    work = folder(tmp_path_factory.mktemp("made"))
    work.write({b"a.csv": csv()})
    return work.folder, step(work, ["map", "a.csv", "b.csv"], ["a.csv"], ["b.csv"], **KEYED)


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return folder(tmp_path)


@pytest.fixture
def mapped(tmp_path: Path, made: tuple[Path, RunTree]) -> tuple[Work, RunTree]:
    shutil.copytree(made[0], tmp_path / "数据")
    work = folder(tmp_path)
    return work, RunTree(work.repo.store, made[1].id)


def csv(rows: Sequence[Row] = ROWS) -> bytes:
    return content(rows, "csv")


def recorded(
    work: Work, mode: str, rows: Sequence[Row] = ROWS, suffix: str = "csv", **spec: object
) -> RunTree:
    work.write({f"a.{suffix}".encode(): content(rows, suffix)})
    return step(
        work, [mode, f"a.{suffix}", f"b.{suffix}"], [f"a.{suffix}"], [f"b.{suffix}"], **{**KEYED, **spec}
    )


def edited(work: Work, tree: RunTree, edits: Edits, number: int = 0) -> NewArtifact:
    return edit_artifact(work.repo, tree.input_files(number)[0], edits).artifact


def again(work: Work, tree: RunTree, edits: Edits, **more: object) -> tuple[Recomputed, RunTree]:
    done = recompute(work.repo, tree, {0: edited(work, tree, edits)}, carrier(), **more)  # type: ignore[arg-type]
    new = RunTree(work.repo.store, done.run.id)
    assert list(check_run(new)) == []
    assert new.run.complete
    return done, new


def out(work: Work, tree: RunTree, number: int = 0) -> Entry:
    return tree.output_files(number)[0]


# By rows


def test_only_the_changed_rows_are_given_to_the_command(work: Work) -> None:
    log = PROGRAM.replace('"ran.log"', repr(str(work.folder.parent / "ran.log")))
    tree = recorded(work, "map", program=log)
    (work.folder.parent / "ran.log").unlink()
    done, new = again(work, tree, Edits(drop=[0, 5], values={"n": {3: "6", 7: "5"}}))
    assert (work.folder.parent / "ran.log").read_text() == "map [2]\n"
    assert (done.whole, done.rows_recomputed) == (False, 2)
    assert [row["n"] for row in rows_of(work, out(work, new))] == [1, 2, 6, 4, 6, 5, 1, 2, 3, 4]
    assert new.run.facts == {"recomputed": "2", "spliced-from": tree.id.hex()}
    assert new.run.rowwise
    assert new.run.command == tree.run.command
    found = done.outputs[0].correspondence
    assert found is not None
    assert found.old_of.tolist() == [1, 2, 3, 4, 6, 7, 8, 9, 10, 11]
    assert found.affected().tolist() == [2, 5]
    assert found.removed().tolist() == [0, 5]
    assert pending_runs(work.repo.layout) == [tree.id]


def test_a_run_that_was_spliced_can_be_done_again_as_any(mapped: tuple[Work, RunTree]) -> None:
    work, tree = mapped
    _, new = again(work, tree, Edits(values={"文": {1: "一"}}))
    assert check_rerun(work.repo, new, carrier()).identical
    done, third = again(work, new, Edits(values={"文": {2: "二"}}))
    assert not done.whole
    assert third.run.facts["spliced-from"] == new.id.hex()
    assert [row["文"] for row in rows_of(work, out(work, third))][:4] == ["行0!", "一!", "二!", "行3!"]


def test_nothing_runs_where_rows_only_go(mapped: tuple[Work, RunTree]) -> None:
    work, tree = mapped
    said: list[Sequence[str]] = []
    artifact = edited(work, tree, Edits(drop=[1, 2]))
    done = recompute(work.repo, tree, {0: artifact}, carrier(announce=said.append))
    assert said == []
    assert done.rows_recomputed == 0
    assert done.run.run.environment == tree.run.environment
    assert len(rows_of(work, done.outputs[0].files.entries[0])) == 10


def test_bytes_of_all_other_rows_are_as_they_were(work: Work) -> None:
    tree = recorded(work, "map", suffix="jsonl")
    before = stored(work, out(work, tree)).splitlines(keepends=True)
    _, new = again(work, tree, Edits(values={"n": {4: "9"}}))
    after = stored(work, out(work, new)).splitlines(keepends=True)
    assert [n for n, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1]] == [4]


def test_a_row_that_the_step_drops_now_and_one_that_it_keeps_now(work: Work) -> None:
    tree = recorded(work, "filter", drop_reason="no rest")
    assert [row["id"] for row in rows_of(work, out(work, tree))] == [1, 2, 4, 5, 8, 9, 11]
    done, new = again(work, tree, Edits(values={"n": {1: "3", 3: "1", 6: "2", 0: "1"}}))
    assert not done.whole
    assert [row["id"] for row in rows_of(work, out(work, new))] == [0, 2, 3, 4, 5, 6, 8, 9, 11]
    assert drops_of(account_of(new)) == {1: "no rest", 7: "no rest", 10: "no rest"}
    assert new.run.drops == {"no rest": 3}
    assert links_of(new) == [(0, 0), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 8), (7, 9), (8, 11)]


def test_an_output_without_a_row_left(work: Work) -> None:
    tree = recorded(work, "filter", [{"id": 1, "n": 1, "文": "a"}, {"id": 2, "n": 3, "文": "b"}])
    done, new = again(work, tree, Edits(drop=[0]))
    assert not done.whole
    assert rows_of(work, out(work, new)) == []
    assert stored(work, out(work, new)) == b"id,n,\xe6\x96\x87\r\n"


def test_where_every_row_changed_the_run_is_done_as_a_whole(mapped: tuple[Work, RunTree]) -> None:
    work, tree = mapped
    done, new = again(work, tree, Edits(values={"n": dict.fromkeys(range(12), "8")}))
    assert done.whole
    assert done.because == "every row of its inputs is affected"
    assert [row["n"] for row in rows_of(work, out(work, new))] == [8] * 12
    assert "recomputed" not in new.run.facts


def test_an_output_that_comes_out_as_it_was_has_the_identity(work: Work) -> None:
    program = PROGRAM.replace('dict(row, 文=row["文"] + "!")', 'dict(row, n="1")')
    tree = recorded(work, "map", program=program)
    done, _ = again(work, tree, Edits(values={"n": {4: "6"}}))
    found = done.outputs[0]
    assert found.correspondence is not None
    assert found.correspondence.is_identity
    assert found.files.entries[0].digest == out(work, tree).digest


def test_rows_of_one_key_are_done_again_together(work: Work) -> None:
    rows = [{"id": n // 2, "n": n % 3 + 1, "文": "x"} for n in range(8)]
    tree = recorded(work, "filter", rows, kind=RunKind.FILTER)
    done, new = again(work, tree, Edits(values={"文": {2: "y"}}))
    assert (done.whole, done.rows_recomputed) == (False, 2)
    assert [row["文"] for row in rows_of(work, out(work, new)) if row["id"] == 1] == ["x"]
    assert new.run.inputs[0].duplicate_keys == 8


def test_equal_rows_without_a_key(work: Work) -> None:
    rows = [{"id": 1, "n": 1, "文": "x"}] * 3 + [{"id": 2, "n": 3, "文": "y"}] * 2
    tree = recorded(work, "filter", rows, keys={})
    done, new = again(work, tree, Edits(drop=[1], values={"n": {3: "2"}}))
    assert not done.whole
    found = rows_of(work, out(work, new))
    assert [(row["id"], row["n"]) for row in found] == [(1, 1), (1, 1), (2, 2)]
    assert links_of(new) == [(0, 0), (1, 1), (2, 2)]


def test_rows_that_come_in_stand_behind_those_of_the_row_before(work: Work) -> None:
    tree = recorded(work, "filter-back")
    new_rows = [*ROWS[:5], {"id": 50, "n": 1, "文": "新"}, *ROWS[5:], {"id": 51, "n": 2, "文": "末"}]
    artifact = version(work, tree.input_files(0)[0], csv([{"id": 49, "n": 2, "文": "首"}, *new_rows]))
    done = recompute(work.repo, tree, {0: artifact}, carrier())
    assert (done.whole, done.rows_recomputed) == (False, 3)
    found = [row["id"] for row in rows_of(work, done.outputs[0].files.entries[0])]
    assert found == [49, 11, 51, 9, 8, 5, 4, 50, 2, 1]


def test_two_inputs_of_which_one_changed(work: Work) -> None:
    other = [{"id": 100 + n, "n": 1, "文": "乙"} for n in range(5)]
    work.write({b"a.csv": csv(), b"c.csv": csv(other)})
    tree = step(work, ["map", "a.csv", "c.csv", "b.csv"], ["a.csv", "c.csv"], ["b.csv"], **KEYED)
    done, new = again(work, tree, Edits(drop=[0], values={"n": {3: "9"}}))
    assert (done.whole, done.rows_recomputed) == (False, 1)
    assert len(rows_of(work, out(work, new))) == 16
    assert links_of(new, 0, 1) == [(11 + n, n) for n in range(5)]
    assert new.run.inputs[1] == tree.run.inputs[1]
    edit = edited(work, tree, Edits(values={"文": {2: "丙"}}), 1)
    done = recompute(work.repo, tree, {1: edit}, carrier())
    assert (done.whole, done.rows_recomputed) == (False, 1)


def test_a_command_that_takes_no_empty_table_gets_a_row_whose_outputs_count_for_nothing(work: Work) -> None:
    picky = PROGRAM.replace(
        "    write(target", "    assert all(read(path) for path in sources)\n    write(target"
    )
    work.write(
        {b"a.csv": csv(), b"c.csv": csv([{"id": 99, "n": 1, "文": "乙"}, {"id": 98, "n": 2, "文": "乙"}])}
    )
    tree = step(work, ["map", "a.csv", "c.csv", "b.csv"], ["a.csv", "c.csv"], ["b.csv"], picky, **KEYED)
    done, new = again(work, tree, Edits(values={"n": {3: "9"}}))
    assert (done.whole, done.rows_recomputed) == (False, 1)
    assert [row["id"] for row in rows_of(work, out(work, new))] == [*range(12), 99, 98]


LOOKUP = """
import csv, sys
names = {row["n"]: row["名"] for row in csv.DictReader(open("names.csv", encoding="utf-8"))}
rows = [dict(row, 文=names[row["n"]]) for row in csv.DictReader(open("a.csv", encoding="utf-8", newline=""))]
with open("b.csv", "w", encoding="utf-8", newline="") as stream:
    writer = csv.DictWriter(stream, ["id", "n", "文"])
    writer.writeheader()
    writer.writerows(rows)
"""


def test_a_lookup_is_there_whole_and_one_that_changed_means_a_whole_run(work: Work) -> None:
    names = "n,名\n" + "".join(f"{n},名{n}\n" for n in range(10))
    work.write({b"a.csv": csv(), b"names.csv": text(names)})
    tree = step(work, [], ["a.csv"], ["b.csv"], LOOKUP, lookups=[b"names.csv"], **KEYED)
    done, new = again(work, tree, Edits(values={"n": {3: "9"}}))
    assert not done.whole
    assert rows_of(work, out(work, new))[3]["文"] == "名9"
    lookup = tree.input_files(1)[0]
    artifact = edit_artifact(work.repo, lookup, Edits(values={"名": {2: "二"}})).artifact
    whole = recompute(work.repo, tree, {1: artifact}, carrier())
    assert (whole.whole, whole.because) == (True, "what it looks things up in changed")
    assert rows_of(work, whole.outputs[0].files.entries[0])[2]["文"] == "二"
    found = whole.outputs[0].correspondence
    assert found is not None
    assert found.affected().tolist() == [2, 9]


def test_files_of_a_folder(work: Work) -> None:
    program = """
import os
for name in os.listdir("in"):
    data = open(os.path.join("in", name)).read()
    if "bad" not in data:
        os.makedirs("out", exist_ok=True)
        open(os.path.join("out", name), "w").write(data.upper())
"""
    work.write({f"in/{n}.txt".encode(): text(f"text {n}" if n % 4 else "bad") for n in range(8)})
    tree = step(work, [], ["in"], ["out"], program, drop_reason="bad")
    files = ArtifactFiles(b"in", True, tuple(tree.input_files(0)))
    edit = edit_artifact(work.repo, files, Edits(drop=[1], reason="wrong"))
    assert edit.run is not None
    assert edit.run.run.drops == {"wrong": 1}
    assert list(check_run(RunTree(work.repo.store, edit.run.id))) == []
    entries = {entry.path: entry for entry in edit.artifact.files.entries}
    entries[b"in/5.txt"] = version(work, entries[b"in/5.txt"], b"new").files.entries[0]
    files = ArtifactFiles(b"in", True, tuple(entries.values()))
    old_of, changed = np.array([0, *range(2, 8)]), np.array([n == 5 for n in (0, *range(2, 8))])
    done = recompute(work.repo, tree, {0: NewArtifact(files, Correspondence(old_of, changed, 8))}, carrier())
    new = RunTree(work.repo.store, done.run.id)
    assert (done.whole, done.rows_recomputed) == (False, 1)
    assert list(check_run(new)) == []
    assert {entry.path: stored(work, entry) for entry in new.output_files(0)} == {
        b"out/2.txt": b"TEXT 2",
        b"out/3.txt": b"TEXT 3",
        b"out/5.txt": b"NEW",
        b"out/6.txt": b"TEXT 6",
        b"out/7.txt": b"TEXT 7",
    }
    assert new.run.drops == {"bad": 2}
    found = done.outputs[0].correspondence
    assert found is not None
    assert (found.removed().tolist(), found.affected().tolist()) == ([0], [2])


# As a whole


FLOATS = """
import csv
rows = list(csv.DictReader(open("a.csv", encoding="utf-8", newline="")))
whole = all(row["n"] for row in rows)
for row in rows:
    row["n"] = row["n"] and str(int(row["n"]) if whole else float(row["n"]))
with open("b.csv", "w", encoding="utf-8", newline="") as stream:
    writer = csv.DictWriter(stream, ["id", "n", "文"])
    writer.writeheader()
    writer.writerows(rows)
"""


def test_numbers_that_are_written_otherwise_when_few_rows_are_there(work: Work) -> None:
    rows = [dict(row, n="" if row["id"] == 8 else row["n"]) for row in ROWS]
    work.write({b"a.csv": csv(rows)})
    tree = step(work, [], ["a.csv"], ["b.csv"], FLOATS, **KEYED)
    done, new = again(work, tree, Edits(values={"文": {3: "new"}}))
    assert done.whole
    assert "written otherwise" in done.because
    assert stored(work, out(work, new)).decode().splitlines()[4] == "3,3.0,new"


def test_a_column_of_another_type_means_a_whole_run(work: Work) -> None:
    tree = recorded(
        work, "map", program=PROGRAM.replace('row["文"] + "!"', 'row["n"] if row["n"] != "9" else "neun"')
    )
    done, new = again(work, tree, Edits(values={"n": {3: "9"}}))
    assert done.whole
    assert "another type" in done.because
    assert rows_of(work, out(work, new))[3]["文"] == "neun"


def test_a_run_that_is_not_row_wise_or_looks_for_duplicates(work: Work) -> None:
    tree = recorded(work, "map", rowwise=False)
    done, _ = again(work, tree, Edits(drop=[1]))
    assert (done.whole, done.because, done.rows_recomputed) == (True, "it is not row-wise", 11)
    found = done.outputs[0].correspondence
    assert found is not None
    assert found.removed().tolist() == [1]
    assert not found.changed.any()


def test_an_unknown_correspondence_means_a_whole_run(mapped: tuple[Work, RunTree]) -> None:
    work, tree = mapped
    artifact = edited(work, tree, Edits(drop=[0]))._replace(correspondence=None)
    done = recompute(work.repo, tree, {0: artifact}, carrier())
    assert done.whole
    assert "isn't known" in done.because


# Parameters and code


def test_a_parameter_is_changed_in_the_command_and_in_the_environment(work: Work) -> None:
    program = PROGRAM.replace('"!"', 'os.environ["DSVC_PARAM_sign"] + sys.argv[-1]').replace(
        "main(*sys.argv[1:])", "main(*sys.argv[1:-2])"
    )
    work.write({b"a.csv": csv()})
    words = ["map", "a.csv", "b.csv", "--more-signs", "?"]
    tree = step(
        work, words, ["a.csv"], ["b.csv"], program, parameters={"sign": "!", "more_signs": "?"}, **KEYED
    )
    done = recompute(work.repo, tree, {}, carrier(), parameters={"sign": "§", "more_signs": "¿"})
    assert (done.whole, done.because) == (True, "parameters or code changed")
    new = RunTree(work.repo.store, done.run.id)
    assert rows_of(work, out(work, new))[0]["文"] == "行0§¿"
    assert new.run.parameters == {"sign": "§", "more_signs": "¿"}
    assert new.run.command[-1] == "¿"
    assert new.run.code.digest != tree.run.code.digest
    with pytest.raises(ParameterNotTakenError, match="it has more_signs, sign"):
        recompute(work.repo, tree, {}, carrier(), parameters={"other": "1"})


def test_other_parameters_for_chosen_rows_alone(work: Work) -> None:
    program = PROGRAM.replace('"!"', 'os.environ["DSVC_PARAM_sign"]')
    work.write({b"a.csv": csv()})
    tree = step(
        work, ["map", "a.csv", "b.csv"], ["a.csv"], ["b.csv"], program, parameters={"sign": "!"}, **KEYED
    )
    files = ArtifactFiles(b"a.csv", False, tuple(tree.input_files(0)))
    rows = Correspondence.identity(len(ROWS))
    rows.changed[[1, 3]] = True
    again = {0: NewArtifact(files, rows)}
    done = recompute(work.repo, tree, again, carrier(), parameters={"sign": "§"})
    assert (done.whole, done.rows_recomputed) == (False, 2)
    made = [row["文"] for row in rows_of(work, out(work, RunTree(work.repo.store, done.run.id)))]
    assert [number for number, text in enumerate(made) if str(text).endswith("§")] == [1, 3]
    assert done.outputs[0].correspondence is not None
    assert done.outputs[0].correspondence.affected().tolist() == [1, 3]
    rows.changed[:] = True
    whole = recompute(work.repo, tree, again, carrier(), parameters={"sign": "§"})
    assert (whole.whole, whole.because) == (True, "every row of its inputs is affected")


def test_a_parameter_that_nothing_takes_is_refused(work: Work) -> None:
    tree = recorded(work, "map", parameters={"level": "3"})
    with pytest.raises(ParameterNotTakenError) as caught:
        recompute(work.repo, tree, {}, carrier(), parameters={"level": "4"})
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["p", "--min-n", "3", "3"], ["p", "--min-n", "a b", "3"]),
        (["p", "--min_n=3", "--x=3"], ["p", "--min_n=a b", "--x=3"]),
        (["p", "min_n=3", "min_n=4"], ["p", "min_n=a b", "min_n=4"]),
        (["p --min-n 3 | q --min-n '3' --n=3"], ["p --min-n 'a b' | q --min-n 'a b' --n=3"]),
        (["p --min-n 35 --min_n=3"], ["p --min-n 35 --min_n='a b'"]),
        (["p --min-n $X"], ["p --min-n $X"]),
    ],
)
def test_words_that_hold_a_parameter(words: list[str], found: list[str]) -> None:
    assert with_parameter(words, "min_n", "3", "a b") == tuple(found)


def test_other_code_means_a_whole_run_and_its_promise_is_tested_again(work: Work) -> None:
    tree = recorded(work, "map", [dict(ROWS[0], id=n) for n in range(60)])
    good = PROGRAM.replace('"!"', '"。"').encode()
    done = recompute(work.repo, tree, {}, carrier(), code={b"step.py": good})
    new = RunTree(work.repo.store, done.run.id)
    assert rows_of(work, out(work, new))[0]["文"] == "行0。"
    assert new.run.rowwise
    assert stored(work, new.code_files()[0]) == good
    total = PROGRAM.replace(
        "    write(target, ", "    rows = [dict(row, n=len(rows)) for row in rows]\n    write(target, "
    )
    done = recompute(work.repo, tree, {}, carrier(), code={b"step.py": total.encode()})
    assert not done.run.run.rowwise
    with pytest.raises(NotItsCodeError):
        recompute(work.repo, tree, {}, carrier(), code={b"other.py": b""})


def test_a_command_that_fails_stores_nothing(mapped: tuple[Work, RunTree]) -> None:
    work, tree = mapped
    with pytest.raises(RerunFailedError):
        recompute(work.repo, tree, {}, carrier(), parameters={}, code={b"step.py": b"raise SystemExit(3)"})
    assert not list(Path(work.repo.layout.temporary).iterdir())
    assert pending_runs(work.repo.layout) == [tree.id]


def test_what_has_no_command_cannot_be_done_again(work: Work) -> None:
    work.write({b"a.csv": csv(), b"b.csv": csv()})
    done = run_manual(work.repo, RunSpec(name="m", inputs=[b"a.csv"], outputs=[b"b.csv"]), "by hand")
    with pytest.raises(NotRepeatableError):
        recompute(work.repo, RunTree(work.repo.store, done.id), {}, carrier())


# Edits


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_an_edit_is_a_run_that_accounts_for_every_row(work: Work, suffix: str) -> None:
    name = f"a.{suffix}".encode()
    work.commit("a", {name: content(ROWS, suffix)})
    old = work.repo.manifest_of("HEAD").get(name)
    assert old is not None
    edits = Edits(
        drop=[2, 11], values={"n": {0: "5", 1: "1"}, "文": {1: 'neu "q",', 3: None}}, reason="wrong"
    )
    found = edit_artifact(work.repo, old, edits, manual="dsvc repair r-1")
    assert found.run is not None
    run = found.run.run
    assert (run.kind, run.capture, run.manual, run.complete) == (
        RunKind.REPAIR,
        Capture.MAP,
        "dsvc repair r-1",
        True,
    )
    assert (run.rows["kept"], run.rows["changed"], run.rows["dropped"]) == (7, 3, 2)
    assert run.drops == {"wrong": 2}
    assert list(check_run(RunTree(work.repo.store, found.run.id))) == []
    rows = rows_of(work, found.artifact.files.entries[0])
    assert rows[:3] == [
        {"id": 0, "n": 5, "文": "行0"},
        {"id": 1, "n": 1, "文": 'neu "q",'},
        {"id": 3, "n": 3, "文": "" if suffix == "csv" else None},
    ]
    assert [row["id"] for row in rows] == [0, 1, *range(3, 11)]
    assert found.changed.tolist() == [0, 1, 3]


def test_setting_what_is_there_already_changes_nothing(work: Work) -> None:
    work.commit("a", {b"a.csv": csv()})
    old = work.repo.manifest_of("HEAD").get(b"a.csv")
    assert old is not None
    found = edit_artifact(work.repo, old, Edits(values={"n": {0: "0", 3: "3"}}))
    assert found.run is None
    assert found.artifact.files.entries[0].digest == old.digest
    assert found.artifact.correspondence is not None
    assert found.artifact.correspondence.is_identity


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("value", ["x", "1.5", "", "99999999999999999999"])
def test_a_value_that_does_not_fit_is_refused_before_anything_is_written(
    work: Work, suffix: str, value: str
) -> None:
    name = f"a.{suffix}".encode()
    work.commit("a", {name: content(ROWS, suffix)})
    old = work.repo.manifest_of("HEAD").get(name)
    assert old is not None
    published = work.repo.store.published_bytes
    with pytest.raises(ValueMisfitError):
        edit_artifact(work.repo, old, Edits(values={"n": {1: value}}))
    assert work.repo.store.published_bytes == published


def test_rows_and_columns_that_are_not_there(work: Work) -> None:
    work.commit("a", {b"a.csv": csv()})
    old = work.repo.manifest_of("HEAD").get(b"a.csv")
    assert old is not None
    with pytest.raises(NoSuchColumnError):
        edit_artifact(work.repo, old, Edits(values={"m": {1: "1"}}))
    for edits in (Edits(drop=[12]), Edits(values={"n": {-1: "1"}})):
        with pytest.raises(NoSuchRowError):
            edit_artifact(work.repo, old, edits)
    with pytest.raises(UsageError, match="dropped and changed"):
        edit_artifact(work.repo, old, Edits(drop=[1], values={"n": {1: "1"}}))


def test_an_edit_of_a_table_with_a_malformed_record_and_semicolons(work: Work) -> None:
    data = "a;b\n1,5;x\n2,5;y;z\n3,5;w\n"
    work.commit("a", {b"a.csv": text(data)})
    old = work.repo.manifest_of("HEAD").get(b"a.csv")
    assert old is not None
    found = edit_artifact(work.repo, old, Edits(values={"b": {1: "neu"}}))
    assert stored(work, found.artifact.files.entries[0]).decode() == "a;b\n1,5;x\n2,5;y;z\n3,5;neu\n"


# Correspondences


def test_a_correspondence_over_two_steps_and_from_the_other_side() -> None:
    first = correspondence_of_splice(5, np.array([1, 3]), np.array([1, 5]), np.array([1, -1]))
    assert first.old_of.tolist() == [0, 1, 2, 4, -1]
    assert first.changed.tolist() == [False, True, False, False, True]
    assert first.removed().tolist() == [3]
    assert first.touched().tolist() == [1, 3]
    second = correspondence_of_splice(5, np.array([0]), np.zeros(0, np.int64), np.zeros(0, np.int64))
    both = first.then(second)
    assert both.old_of.tolist() == [1, 2, 4, -1]
    assert both.changed.tolist() == [True, False, False, True]
    assert both.inverse().old_of.tolist() == [-1, 0, 1, -1, 2]
    assert Correspondence.identity(3).is_identity
