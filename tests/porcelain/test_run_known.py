"""Runs: found, undone, made by hand, edited, and what is kept of how they were made."""

from __future__ import annotations

import os

import pytest

from dsvc.model.errors import NotFoundError
from dsvc.model.run_record import RunKind
from dsvc.porcelain.runs.known_run import AmbiguousRunError
from dsvc.porcelain.runs.run_spec import RunSpec
from tests.porcelain.running import ROWS, do, fates, pending, table
from tests.porcelain.working import Work


def test_a_run_is_found_by_id_and_by_name(work: Work) -> None:
    work.write({b"a.csv": table(ROWS)})
    one = do(work, "write('b.csv', read('a.csv'))", "a.csv", "b.csv", name="copy")
    work.commit("one")
    work.branch("other")
    two = do(work, "write('c.csv', read('a.csv'))", "a.csv", "c.csv", name="copy", seed="2")
    three = do(work, "write('d.csv', read('a.csv'))", "a.csv", "d.csv", name="加工")
    work.commit("two")
    work.repo.checkout("main")
    for result in (one, two, three):
        assert work.repo.load_run(result.id.hex()).id == result.id
        assert work.repo.load_run(result.id.short()).id == result.id
    assert work.repo.load_run("加工").id == three.id
    with pytest.raises(AmbiguousRunError) as caught:
        work.repo.load_run("copy")
    assert one.id.short() in str(caught.value.hint)
    assert two.id.short() in str(caught.value.hint)
    for text in ("nothing", "ab", "00000000"):
        with pytest.raises(NotFoundError):
            work.repo.load_run(text)


def test_an_undone_run_waits_no_more_until_that_is_undone(work: Work) -> None:
    work.write({b"a.csv": table(ROWS)})
    do(work, "write('b.csv', read('a.csv'))", "a.csv", "b.csv")
    work.repo.undo()
    assert pending(work) == []
    work.repo.undo(str(next(iter(work.repo.history.operations)).id))
    assert pending(work) == ["step"]
    assert work.repo.gc(grace_seconds=0).candidates >= 0
    work.commit("it")
    assert work.repo.log().__next__().runs
    assert work.repo.fsck(read_data=True).defects == ()


def test_manual_work_starts_from_the_version_before(work: Work) -> None:
    work.write({b"a.csv": table(ROWS)})
    work.commit("before")
    work.write({b"a.csv": table([{**row, "x": 9} for row in ROWS])})
    spec = RunSpec(
        name="fix", kind=RunKind.LABEL, inputs=[b"a.csv"], outputs=[b"a.csv"], keys={None: ("id",)}
    )
    result = work.repo.run_manual(spec, "标签已改正")
    assert (result.run.manual, result.run.command) == ("标签已改正", ())
    changed = sum(1 for row in ROWS if row["x"] != 9)
    assert fates(result) == {"kept": 40 - changed, "changed": changed}
    work.repo.add(all=True)
    work.repo.commit("after")
    assert pending(work) == []
    # Of a file that was edited after its run, the version before is the run's.
    do(work, "write('b.csv', read('a.csv'))", "a.csv", "b.csv")
    work.write({b"b.csv": table([{**row, "x": 8} for row in ROWS])})
    edited = work.repo.run_manual(
        RunSpec(name="edit", inputs=[b"b.csv"], outputs=[b"b.csv"], keys={None: ("id",)}), "x set to 8"
    )
    assert edited.run.inputs[0].digest == result.run.outputs[0].digest
    work.commit("both")
    assert pending(work) == []
    assert len(work.repo.show().runs) == 2


def test_an_edited_output_leaves_its_run_waiting(work: Work) -> None:
    work.write({b"a.csv": table(ROWS)})
    do(work, "write('b.csv', read('a.csv')[:9])", "a.csv", "b.csv", name="copy")
    work.write({b"b.csv": table(ROWS[:5])})
    work.commit("edited")
    assert pending(work) == ["copy"]
    assert work.repo.show().runs == ()


def test_what_a_run_made_is_added_without_being_read(work: Work) -> None:
    work.write({b"a.csv": table(ROWS)})
    do(work, "write('b.csv', read('a.csv')); import time; time.sleep(0.1)", "a.csv", "b.csv")
    before = work.reopen()
    added = before.add([b"b.csv"])
    assert (added.added, before.open_file(b"b.csv", "STAGED").read()) == (1, table(ROWS))
    work.commit("it")
    work.write({b"b.csv": b"id\n1\n"})
    added = work.repo.add([b"b.csv"])
    assert (added.modified, work.repo.open_file(b"b.csv", "STAGED").read()) == (1, b"id\n1\n")


@pytest.mark.parametrize(
    ("kind", "facts"),
    [
        (RunKind.LABEL, {"by": "model", "model": "预标注-2", "auto_share": "1"}),
        (RunKind.LABEL, {"by": "human", "corrected_from": "prelabel", "auto_share": "0.75"}),
        (RunKind.REVIEW, {"review": "automatic", "verdict": "fail", "rules": "规则-3"}),
        (
            RunKind.REVIEW,
            {
                "review": "cross",
                "verdict": "pass",
                "agreement": "-.25",
                "agreement_metric": "krippendorff_alpha",
            },
        ),
        (RunKind.REVIEW, {"review": "expert", "verdict": "pass", "sample": "200", "reviewer": "exp-01"}),
    ],
)
def test_how_labels_were_made_and_reviewed_is_kept(work: Work, kind: RunKind, facts: dict[str, str]) -> None:
    work.write({b"a.csv": table(ROWS)})
    spec = RunSpec(name="step", kind=kind, inputs=[b"a.csv"], outputs=[b"b.csv"], facts=facts)
    made = work.repo.run(spec, ["cp", "a.csv", "b.csv"], environ=dict(os.environ))
    assert made.run.facts == facts
