"""Runs done again: what means a whole one, other parameters and code, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsvc.lineage.run_tree import RunTree
from dsvc.porcelain.recompute.recompute import (
    Correspondence,
    Edits,
    NewArtifact,
    NotItsCodeError,
    ParameterNotTakenError,
    recompute,
)
from dsvc.porcelain.recompute.recompute_command import with_parameter
from dsvc.porcelain.runs.rerun import NotRepeatableError, RerunFailedError
from dsvc.porcelain.runs.run import run_manual
from dsvc.porcelain.runs.run_artifacts import ArtifactFiles
from dsvc.porcelain.runs.run_spec import RunSpec
from dsvc.porcelain.state.pending_runs import pending_runs
from tests.porcelain.working import Work
from tests.recompute_steps import KEYED, ROWS, again, csv, edited, made, mapped, out, recorded, work
from tests.recomputing import (
    PROGRAM,
    carrier,
    rows_of,
    step,
    stored,
)

__all__ = ["made", "mapped", "work"]


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
