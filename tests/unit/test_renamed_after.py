"""A file that got another name after it was found bad, and a defect that was found again after a repair."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsvc.lineage.row_set import decode_rows
from dsvc.model.ids import CommitId
from dsvc.porcelain.feedback.cause_report import cause_report
from dsvc.porcelain.repair.repair_target import NothingToRepairError
from dsvc.porcelain.tree.moved_file import moved_to
from tests.feedbackkit import ROWS
from tests.verifykit import BAD, RepairLab


@pytest.fixture
def lab(tmp_path: Path) -> RepairLab:
    return RepairLab(tmp_path)


def head(lab: RepairLab) -> CommitId:
    commit = lab.repo.history.refs.head().commit
    assert commit is not None
    return commit


def test_a_plan_follows_a_file_that_was_renamed(lab: RepairLab) -> None:
    lab.find()
    lab.repo.move(b"a.jsonl", "新 名.jsonl".encode())
    lab.commit("renamed")
    lab.write("新 名.jsonl", ROWS[::-1])
    lab.commit("in another order")
    (planned,) = lab.repo.repair_plan(lab.defect, drop=True).state.plan.rows
    assert planned.path == "新 名.jsonl".encode()
    # Where the rows of the defect stand now.
    assert decode_rows(planned.flagged).tolist() == sorted(len(ROWS) - 1 - n for n in BAD)


def test_a_file_that_is_gone_is_not_guessed(lab: RepairLab) -> None:
    lab.find()
    before = head(lab)
    # Renamed and changed at once: nothing tells it from another file.
    (lab.root / "a.jsonl").unlink()
    lab.write("b.jsonl", [{**row, "label": 7} for row in ROWS])
    lab.commit("another file")
    assert moved_to(lab.repo, head(lab), b"a.jsonl") is None
    assert moved_to(lab.repo, before, b"never.jsonl") is None
    with pytest.raises(NothingToRepairError):
        lab.repo.repair_plan(lab.defect, drop=True)


def test_causes_are_counted_as_found_not_as_repaired(lab: RepairLab) -> None:
    lab.find()
    found = cause_report(lab.repo, lab.defect)
    repair = lab.repair()
    # One row is bad still; it is the same defect.
    assert not lab.verify(repair, lab.evaluate(BAD[:1])).is_verified
    again = cause_report(lab.repo, lab.defect)
    assert (again.commit, again.flagged) == (found.commit, len(BAD))
    assert again.causes == found.causes
