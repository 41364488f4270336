"""Row-wise runs done again on the rows that changed: what is spliced, and what stays as it was."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dsvc.lineage.run_check import check_run
from dsvc.lineage.run_tree import RunTree
from dsvc.model.run_record import RunKind
from dsvc.porcelain.recompute.recompute import (
    Correspondence,
    Edits,
    NewArtifact,
    edit_artifact,
    recompute,
)
from dsvc.porcelain.runs.rerun import check_rerun
from dsvc.porcelain.runs.run_artifacts import ArtifactFiles
from dsvc.porcelain.state.pending_runs import pending_runs
from tests.porcelain.working import Work, text
from tests.recompute_steps import KEYED, ROWS, again, csv, edited, made, mapped, out, recorded, work
from tests.recomputing import (
    PROGRAM,
    account_of,
    carrier,
    drops_of,
    links_of,
    rows_of,
    step,
    stored,
    version,
)

__all__ = ["made", "mapped", "work"]


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
