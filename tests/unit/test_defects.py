"""Defects: what can be done to them, splitting and joining, and what blocks."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dsvc.feedback.defect_state import DefectState, DefectStepError
from dsvc.lineage.row_set import decode_rows
from dsvc.model.defect import DefectStatus, DefectVerb
from dsvc.model.errors import ConcurrentChangeError, DsvcError, MalformedInputError, UsageError
from dsvc.model.feedback import DefectSeverity
from dsvc.porcelain.records import defect_chain
from dsvc.porcelain.records.defect_chain import NoSuchDefectError
from dsvc.porcelain.repository import Repository
from tests.feedbackkit import FeedbackLab


@pytest.fixture
def lab(tmp_path: Path) -> FeedbackLab:
    return FeedbackLab(tmp_path)


def opened(lab: FeedbackLab, *keys: int, severity: str = "P3", symptom: str = "wrong") -> str:
    lines = [{"row": {"id": key}, "symptom": symptom, "severity": severity} for key in keys]
    (id_,) = lab.take(*lines, suite=f"{keys} {symptom}").opened
    return id_


def positions(state: DefectState) -> list[int]:
    return decode_rows(state.rows[-1].rows).tolist()


def operate(lab: FeedbackLab, id_: str, verb: DefectVerb) -> DefectState:
    with lab.repo.changing():
        return defect_chain.operate(lab.repo, id_, verb, repair="r-12345678").state


def test_the_way_of_a_defect(lab: FeedbackLab) -> None:
    repo, id_ = lab.repo, opened(lab, 7, 8)
    assert repo.defect_confirm(id_).status is DefectStatus.CONFIRMED
    assert repo.defect_assign(id_, to="李").assignee == "李"
    assert repo.defect_assign(id_, due="2026-01-31").assignee == "李"
    assert repo.defect_comment(id_, "  looked at it\n").history[-1].operation.reason == "looked at it"
    assert operate(lab, id_, DefectVerb.REPAIR).status is DefectStatus.REPAIRING
    assert operate(lab, id_, DefectVerb.RETURN).status is DefectStatus.REPAIRING
    assert operate(lab, id_, DefectVerb.VERIFY).status is DefectStatus.VERIFIED
    state = repo.defect_reopen(id_[2:6], "it came back")
    assert (state.status, state.repairs, state.due) == (DefectStatus.REOPENED, ("r-12345678",), "2026-01-31")
    assert [step.operation.clock for step in state.history] == list(range(1, 10))
    assert repo.defects(overdue=True) == [state]
    assert repo.defects(status="reopened", assignee="李", path=b"a.jsonl", severity="P3") == [state]
    assert repo.defects(path=b"a") == repo.defects(status="open") == repo.defects(assignee="Li") == []


@pytest.mark.parametrize(
    ("before", "step"),
    [
        ([], lambda repo, id_: repo.defect_reopen(id_, "r")),
        (["confirm"], lambda repo, id_: repo.defect_confirm(id_)),
        (["reject"], lambda repo, id_: repo.defect_confirm(id_)),
        (["reject"], lambda repo, id_: repo.defect_reject(id_, "again")),
        (["reject"], lambda repo, id_: repo.defect_grade(id_, "P1", "r")),
        (["reject"], lambda repo, id_: repo.defect_assign(id_, "li")),
        (["reject"], lambda repo, id_: repo.defect_split(id_, rows=[7])),
        ([], lambda repo, id_: repo.defect_reject(id_, "  ")),
        ([], lambda repo, id_: repo.defect_grade(id_, "P3", "the same")),
        ([], lambda repo, id_: repo.defect_assign(id_)),
        ([], lambda repo, id_: repo.defect_assign(id_, due="2026-02-30")),
        ([], lambda repo, id_: repo.defect_comment(id_, "")),
        ([], lambda repo, id_: repo.defect_comment(id_, "x" * 70_000)),
        ([], lambda repo, id_: repo.defect_split(id_, rows=[7, 8])),
        ([], lambda repo, id_: repo.defect_split(id_, rows=[1])),
        ([], lambda repo, id_: repo.defect_split(id_)),
        ([], lambda repo, id_: repo.defect_split(id_, where="label ==")),
        ([], lambda repo, id_: repo.defect_join(id_, [id_])),
        ([], lambda repo, id_: repo.defect_join(id_, [])),
    ],
)
def test_what_can_not_be_done_leaves_it_as_it_was(
    lab: FeedbackLab, before: list[str], step: Callable[[Repository, str], object]
) -> None:
    id_ = opened(lab, 7, 8)
    for each in before:
        {"confirm": lab.repo.defect_confirm, "reject": lab.repo.defect_reject}[each](id_, "because")
    refs = lab.refs()
    with pytest.raises(UsageError):
        step(lab.repo, id_)
    assert lab.refs() == refs


def test_ids(lab: FeedbackLab) -> None:
    opened(lab, 7)
    for id_ in ("d-ffff0000", "ffffffff", "", "d-", "../x", "d-12", "x" * 80):
        with pytest.raises(NoSuchDefectError):
            lab.repo.defect(id_)


def test_a_p1_blocks_until_it_is_verified_whatever_it_is_graded(lab: FeedbackLab) -> None:
    repo, id_ = lab.repo, opened(lab, 7, 8, severity="P1")
    assert repo.defect(id_).blocking
    assert not repo.defect(id_).needs_waiver
    graded = repo.defect_grade(id_, "P3", "not so bad")
    assert (graded.severity, graded.worst_severity) == (DefectSeverity.P3, DefectSeverity.P1)
    assert (graded.blocking, graded.needs_waiver) == (True, True)
    left, new = repo.defect_split(id_, rows=[7])
    # Rows don't get out of it by a split either.
    assert (new.severity, new.blocking, new.needs_waiver) == (DefectSeverity.P3, True, True)
    rejected = repo.defect_reject(left.id, "no")
    assert (rejected.blocking, rejected.needs_waiver, rejected.is_open) == (True, True, False)
    other = opened(lab, 15)
    assert not repo.defect(other).blocking
    joined = repo.defect_join(other, [new.id])
    assert joined.blocking
    assert not repo.defect(new.id).blocking
    operate(lab, other, DefectVerb.REPAIR)
    assert not operate(lab, other, DefectVerb.VERIFY).blocking


def test_split_and_join(lab: FeedbackLab) -> None:
    repo, id_ = lab.repo, opened(lab, 1, 4, 5, 8)
    left, new = repo.defect_split(id_, where="label == 2", reason="another annotator")
    assert (positions(left), positions(new)) == ([1, 4], [5, 8])
    assert (new.split_from, new.feedbacks, new.symptom) == (id_, left.feedbacks, "wrong")
    other = opened(lab, 11, symptom="typo")
    joined = repo.defect_join(id_, [new.id, other])
    assert sorted(positions(joined)) == [1, 4, 5, 8, 11]
    assert len(joined.feedbacks) == 2
    gone = repo.defect(new.id)
    assert (gone.joined_into, gone.is_open) == (id_, False)
    with pytest.raises(DefectStepError, match=id_):
        repo.defect_confirm(new.id)
    assert repo.defect_reopen(new.id, "was another thing").joined_into is None
    picture = lab.take({"path": "图/1.png", "symptom": "dark"}, suite="pictures").opened[0]
    with pytest.raises(DefectStepError):
        repo.defect_join(id_, [picture])
    assert repo.fsck().ok


def test_a_split_reaches_the_rows_of_earlier_contents(lab: FeedbackLab) -> None:
    id_ = opened(lab, 7, 8)
    lab.write("a.jsonl", lab.rows[5:])
    lab.commit("shorter")
    lab.take({"row": {"id": 7}, "symptom": "wrong"}, suite="later")
    left, new = lab.repo.defect_split(id_, rows=[2])
    assert [decode_rows(each.rows).tolist() for each in left.rows] == [[8], [3]]
    assert [decode_rows(each.rows).tolist() for each in new.rows] == [[7], [2]]


def test_two_copies_end_in_the_same_state(lab: FeedbackLab, tmp_path: Path) -> None:
    id_ = opened(lab, 7, 8)
    shutil.copytree(lab.root, tmp_path / "copy")
    other = Repository(str(tmp_path / "copy"))
    lab.repo.defect_reject(id_, "fine by me")
    other.defect_confirm(id_)
    other.defect_grade(id_, "P1", "very bad")
    _fetch(other, lab.repo)
    _fetch(lab.repo, other)
    theirs = defect_chain.DEFECTS.head(other, id_)
    ours = defect_chain.DEFECTS.head(lab.repo, id_)
    mine = defect_chain.merge(lab.repo, id_, theirs)
    also = defect_chain.merge(other, id_, ours)
    assert mine.state.status is also.state.status is DefectStatus.CONFIRMED
    assert mine.state.severity is also.state.severity is DefectSeverity.P1
    assert mine.state.history == also.state.history
    # The one who knows all only moves on; once more changes nothing.
    _fetch(other, lab.repo)
    again = defect_chain.merge(lab.repo, id_, also.commit)
    before = lab.refs()
    assert defect_chain.merge(lab.repo, id_, also.commit).commit == again.commit
    assert lab.refs() == before
    assert lab.repo.fsck().ok


def _fetch(source: Repository, target: Repository) -> None:
    """Copy objects and packs, as a remote will."""
    for name in ("git/objects", "packs"):
        shutil.copytree(os.path.join(source.path, name), os.path.join(target.path, name), dirs_exist_ok=True)
    target.close()
    target.__dict__.pop("history", None)


def test_a_chain_of_another_defect_is_not_united(lab: FeedbackLab) -> None:
    one, two = opened(lab, 7), opened(lab, 8, symptom="typo")
    before = lab.refs()
    with pytest.raises(MalformedInputError):
        defect_chain.merge(lab.repo, one, defect_chain.DEFECTS.head(lab.repo, two))
    assert lab.refs() == before


def test_f29_a_ref_that_moved_meanwhile(lab: FeedbackLab) -> None:
    id_ = opened(lab, 7)
    stale = defect_chain.defect_head(lab.repo, id_)
    lab.repo.defect_confirm(id_)
    before = lab.refs()
    with lab.repo.changing():
        late = defect_chain.prepare(lab.repo, id_, DefectVerb.CONFIRM, stale, {})
        with pytest.raises(ConcurrentChangeError):
            defect_chain.record(lab.repo, "defect confirm", [late])
    assert lab.refs() == before


def test_undo(lab: FeedbackLab) -> None:
    id_ = opened(lab, 7, 8)
    lab.repo.defect_split(id_, rows=[7])
    lab.repo.undo()
    (state,) = lab.repo.defects()
    assert positions(state) == [7, 8]


def test_it_is_a_target_of_lineage(lab: FeedbackLab) -> None:
    from dsvc.porcelain.lineage.lineage_target import parse_lineage_target

    id_ = opened(lab, 7, 8)
    target = parse_lineage_target(f"defect:{id_[:6]}")
    (step,) = lab.repo.trace(target).steps
    assert (step.step.artifact.path, step.positions) == (b"a.jsonl", (7, 8))
    lab.write("a.jsonl", lab.rows[5:])
    lab.commit("shorter")
    (step,) = lab.repo.trace(target).steps
    assert step.positions == (7, 8)
    with pytest.raises(NoSuchDefectError):
        lab.repo.impact(parse_lineage_target("defect:ffff"))


def test_malformed_chains_are_refused(lab: FeedbackLab) -> None:
    from dsvc.history.refs import RefChange
    from dsvc.porcelain.records.operation_chain import prepare_operation, store_parts

    for number, parts in enumerate(({b"operation": b"x"}, {b"other": b"x"})):
        with lab.repo.changing():
            made = prepare_operation(lab.repo, store_parts(lab.repo, parts), [], "x")
            lab.repo.store.publish()
            change = RefChange(f"refs/dsvc/defects/d-0000000{number}", None, made.id)
            lab.repo.record("x", changes=[change], objects=made.objects)
        with pytest.raises(DsvcError) as caught:
            lab.repo.defect(f"d-0000000{number}")
        assert caught.value.exit_code in (30, 41)
    found = lab.repo.fsck()
    assert sorted(each.id for each in found.defects) == ["F072", "F072"]
