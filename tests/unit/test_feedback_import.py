"""feedback import: what is recorded, what it opens, and what is refused without a trace."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from dsvc.feedback.importers.importer import FeedbackMalformedError, UnknownFeedbackFormatError
from dsvc.lineage.row_set import decode_rows
from dsvc.model.errors import DsvcError, NotFoundError, StorageError, UsageError
from dsvc.model.feedback import DefectSeverity, Support
from dsvc.porcelain.feedback.feedback_import import ForeignFeedbackError, NothingResolvedError
from dsvc.porcelain.feedback.feedback_metrics import UnsupportedClaimError
from dsvc.porcelain.feedback.feedback_samples import ContradictoryFeedbackError
from dsvc.porcelain.feedback.feedback_subject import NotASubjectError
from dsvc.porcelain.records import feedback_chain
from tests.feedbackkit import FeedbackLab


@pytest.fixture
def lab(tmp_path: Path) -> FeedbackLab:
    return FeedbackLab(tmp_path)


def bad(key: int, symptom: str = "wrong-label", **more: object) -> dict[str, object]:
    return {"row": {"id": key}, "symptom": symptom, **more}


def good(key: int, **more: object) -> dict[str, object]:
    return {"row": {"id": key}, "passed": True, **more}


def test_it_is_a_commit_that_moves_nothing_else(lab: FeedbackLab) -> None:
    before = lab.refs()
    head = {"suite": "other", "model": "m1", "metrics": [{"name": "accuracy", "value": 0.5, "n": 4}]}
    lines = [
        head,
        bad(7, severity="P1", metric="accuracy", value=0),
        bad(8, metric="accuracy", value=0, evidence="看图"),
        good(1, metric="accuracy", value=1),
        good(2, metric="accuracy", value=1),
        bad(99),
    ]
    done = lab.take(*lines)
    after = lab.refs()
    ref = f"refs/dsvc/feedback/{done.feedback}"
    new = {name: tip for name, tip in after.items() if before.get(name) != tip}
    assert set(new) == {ref, f"refs/dsvc/defects/{done.defects[0]}", "refs/dsvc/operations"}
    assert new[ref] == str(done.commit)
    commit = lab.repo.history.read_commit(done.commit)
    assert bytes(commit.manifest).hex().startswith(done.feedback)
    assert lab.repo.status().clean

    record = lab.repo.feedback(done.feedback[:5]).record
    assert (record.suite, record.model, record.importer) == ("pilot", "m1", "jsonl")
    assert (record.samples, record.passed, record.observations, record.resolved_rows) == (5, 2, 3, 2)
    assert record.subject.commit == before["refs/heads/main"]
    (metric,) = record.metrics
    assert (metric.name, metric.value, metric.n, metric.support) == ("accuracy", 0.5, 4, Support.RECOMPUTED)
    (rows,) = record.evaluated
    assert rows.rows is not None
    assert decode_rows(rows.rows).tolist() == [1, 2, 7, 8]

    first, second = lab.repo.feedback_observations(done.feedback)
    assert (first.positions, first.keys, first.severity) == ((7,), ({"id": 7},), DefectSeverity.P1)
    assert (second.evidence, second.severity) == ("看图", DefectSeverity.P3)
    (lost,) = lab.repo.feedback_unresolved(done.feedback)
    assert (lost.pointer, lost.symptom) == ("line 6", "wrong-label")
    with feedback_chain.open_evidence(lab.repo, done.feedback) as stream:
        assert stream.read() == Path(lab.files / "结果.jsonl").read_bytes()
    identities, values = feedback_chain.scores(lab.repo, done.feedback, "accuracy")
    assert identities.shape == (4, 16)
    assert sorted(values.tolist()) == [0, 0, 1, 1]
    assert [bytes(each) for each in identities] == sorted(bytes(each) for each in identities)
    assert lab.repo.fsck().ok


def test_the_same_file_again_changes_nothing(lab: FeedbackLab) -> None:
    first = lab.take(bad(7), good(1))
    before = lab.refs()
    again = lab.take(bad(7), good(1))
    assert again.known
    assert (again.feedback, again.commit, again.defects) == (first.feedback, first.commit, first.defects)
    assert lab.refs() == before
    assert lab.take(bad(7), good(1), suite="another").feedback != first.feedback


def test_the_id_is_the_same_in_another_copy(lab: FeedbackLab, tmp_path: Path) -> None:
    import shutil

    from dsvc.porcelain.repository import Repository

    shutil.copytree(lab.root, tmp_path / "copy")
    other = Repository(str(tmp_path / "copy"))
    done = lab.take(bad(7), good(1))
    copied = other.feedback_import(lab.result(bad(7), good(1)), subject="HEAD:a.jsonl", suite="pilot")
    assert (copied.feedback, copied.defects) == (done.feedback, done.defects)


def test_defects_by_path_and_symptom(lab: FeedbackLab) -> None:
    done = lab.take(bad(7, severity="P2"), bad(8), bad(9, "typo"), {"path": "图/1.png", "symptom": "blurry"})
    found = {(each.path, each.symptom): each for each in lab.repo.defects()}
    assert {name: (each.count, each.severity.value) for name, each in found.items()} == {
        (b"a.jsonl", "wrong-label"): (2, "P2"),
        (b"a.jsonl", "typo"): (1, "P3"),
        ("图".encode(), "blurry"): (1, "P3"),
    }
    assert set(done.defects) == {each.id for each in found.values()}
    picture = found["图".encode(), "blurry"]
    assert picture.rows[0].folder
    assert decode_rows(picture.rows[0].rows).tolist() == [1]


def test_an_open_defect_that_shares_a_row_is_extended_wherever_the_row_stands_now(lab: FeedbackLab) -> None:
    first = lab.take(bad(7), bad(8))
    lab.write("a.jsonl", [{"id": 100, "text": "new", "label": 0}, *reversed(lab.rows[5:])])
    lab.commit("moved")
    second = lab.take(bad(7), bad(9, severity="P1"), suite="two")
    assert (second.opened, second.extended) == ((), first.defects)
    (state,) = lab.repo.defects()
    # Rows 7, 8 and 9 now stand at 13, 12 and 11.
    assert decode_rows(state.rows[-1].rows).tolist() == [11, 12, 13]
    assert (state.severity, state.blocking) == (DefectSeverity.P1, True)
    assert state.feedbacks == (first.feedback, second.feedback)
    third = lab.take(bad(15), suite="three")
    assert third.opened
    lab.repo.defect_reject(first.defects[0], "checked")
    assert lab.take(bad(7), suite="four").opened


def test_severity_that_opens(lab: FeedbackLab) -> None:
    lab.put("dsvc.toml", '[feedback]\nopen = "P2"\n')
    done = lab.take(bad(7), bad(8, "typo", severity="P2"), bad(9, "odd", severity="P1"))
    assert sorted(each.symptom for each in lab.repo.defects()) == ["odd", "typo"]
    assert done.below == 1
    assert not lab.take(bad(3), suite="mild").defects
    assert lab.take(bad(4), suite="graded", severity="P2").opened
    before = lab.refs()
    for text in ('[feedback]\nopen = "P4"\n', "[feedback]\nopen = 2\n", "[feedback]\nshut = 1\n"):
        lab.put("dsvc.toml", text)
        with pytest.raises(UsageError, match=r"dsvc\.toml"):
            lab.take(bad(5), suite="x")
    assert lab.refs() == before


def test_all_passed_is_recorded_without_defects(lab: FeedbackLab) -> None:
    done = lab.take(good(1), good(2))
    assert (done.record.outcome, done.defects) == ("passed", ())
    bare = lab.take({"suite": "s", "metrics": [{"name": "accuracy", "value": 0.9, "n": 100}]}, suite="bare")
    assert (bare.record.metrics[0].support, bare.record.evaluated) == (Support.UNSUPPORTED, ())


@pytest.mark.parametrize(
    ("evaluated", "rows"),
    [("listed", [7]), ({"where": "label == 1"}, [1, 4, 7, 10, 13, 16, 19]), ("all", None), (None, [])],
)
def test_what_was_evaluated(lab: FeedbackLab, evaluated: object, rows: list[int] | None) -> None:
    run = {"suite": "s", **({} if evaluated is None else {"evaluated": evaluated})}
    done = lab.take(run, bad(7))
    found = done.record.evaluated
    if rows == []:
        assert found == ()
    elif rows is None:
        assert (found[0].rows, found[0].count) == (None, 20)
    else:
        assert found[0].rows is not None
        assert decode_rows(found[0].rows).tolist() == rows


HEAD = {"suite": "s"}
CLAIM = {"suite": "s", "metrics": [{"name": "accuracy", "value": 0.95, "n": 2}]}


@pytest.mark.parametrize(
    ("lines", "error", "code"),
    [
        ([HEAD, bad(7), good(7)], ContradictoryFeedbackError, 41),
        ([HEAD, bad(7), {"position": 7, "passed": True}], ContradictoryFeedbackError, 41),
        ([HEAD, bad(7, metric="a", value=0), bad(7, metric="a", value=1)], ContradictoryFeedbackError, 41),
        ([CLAIM, bad(7, metric="accuracy", value=0), good(8, metric="accuracy", value=1)],
         UnsupportedClaimError, 41),
        ([CLAIM, bad(7), good(8)], UnsupportedClaimError, 41),
        ([HEAD, bad(777), {"path": "none.jsonl", "position": 1, "symptom": "x"}], NothingResolvedError, 14),
        ([{**HEAD, "data_commit": "0" * 40}, bad(7)], ForeignFeedbackError, 2),
        ([{**HEAD, "data_commit": "old"}, bad(7)], ForeignFeedbackError, 2),
        ([{**HEAD, "eval_set": "gone.jsonl"}, bad(7)], NotFoundError, 14),
        ([{**HEAD, "evaluated": {"where": "no_column > 1"}}, bad(7)], FeedbackMalformedError, 41),
        ([HEAD, bad(7), '{"row": {"id": 8}, "symptom": '], FeedbackMalformedError, 41),
        ([HEAD, bad(7, value=1e999)], FeedbackMalformedError, 41),
        (["nothing that is known"], UnknownFeedbackFormatError, 2),
    ],
)  # fmt: skip
def test_bad_files_leave_everything_as_it_was(
    lab: FeedbackLab, lines: list[object], error: type[DsvcError], code: int
) -> None:
    lab.repo.create_branch("old")
    lab.put("b.txt", "x")
    lab.commit("second")
    before = lab.refs()
    with pytest.raises(error) as caught:
        lab.take(*lines)
    assert caught.value.exit_code == code
    assert lab.refs() == before
    assert lab.repo.feedbacks() == []
    assert lab.repo.status().clean


@pytest.mark.parametrize("file", ["/proc/self/mem", "gone.jsonl", "a\0b", "x" * 5000])
def test_files_that_can_not_be_read(lab: FeedbackLab, file: str) -> None:
    with pytest.raises((StorageError, NotFoundError)):
        lab.repo.feedback_import(file, subject="a.jsonl", suite="s")
    assert lab.repo.feedbacks() == []


@pytest.mark.parametrize("revision", ["WORKTREE", "STAGED", "a..b", "HEAD^{", "@{7}", "HEAD~" + "9" * 30])
def test_references_to_what_is_no_version_are_not_found(lab: FeedbackLab, revision: str) -> None:
    done = lab.take(HEAD, bad(7), {"ref": f"{revision}:a.jsonl#id=3", "symptom": "x"})
    assert len(done.unresolved) == 1
    assert done.record.resolved_rows == 1


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("evaluated", ["listed", None])
def test_a_metric_over_no_samples_says_nothing(lab: FeedbackLab, evaluated: str | None) -> None:
    claim = {"suite": "s", "metrics": [{"name": "accuracy", "value": 0.0, "n": 0}], "evaluated": evaluated}
    done = lab.take({key: value for key, value in claim.items() if value}, bad(7))
    assert done.record.metrics[0].support is Support.UNSUPPORTED


def test_a_contradiction_names_both_places(lab: FeedbackLab) -> None:
    with pytest.raises(ContradictoryFeedbackError) as caught:
        lab.take(HEAD, good(3), bad(7), good(7))
    assert caught.value.details is not None
    assert sorted(caught.value.details["places"]) == ["line 3", "line 4"]  # type: ignore[call-overload]


def test_other_things_measured_in_one_row_contradict_nothing(lab: FeedbackLab) -> None:
    done = lab.take(bad(7, metric="accuracy", value=0), good(7, metric="toxicity", value=0))
    assert (done.record.passed, done.record.observations) == (1, 1)


def test_references_to_another_version(lab: FeedbackLab) -> None:
    old = lab.repo.feedback_reference(_row(lab, 7))
    lab.write("a.jsonl", lab.rows[3:])
    lab.commit("shorter")
    before = lab.refs()
    with pytest.raises(ForeignFeedbackError) as caught:
        lab.take(HEAD, {"ref": old, "symptom": "x"})
    assert caught.value.hint is not None
    assert old[:12] in caught.value.hint
    assert lab.refs() == before
    # Beside one that is to this version, those to others are followed.
    gone = old.replace("id=7", "id=1")
    done = lab.take(HEAD, {"ref": old, "symptom": "x"}, {"ref": gone, "symptom": "x"},
                    {"ref": lab.repo.feedback_reference(_row(lab, 9)), "symptom": "x"})  # fmt: skip
    assert sorted(each.positions for each in lab.repo.feedback_observations(done.feedback)) == [(4,), (6,)]
    assert ["not in" in each.reason for each in done.unresolved] == [True]


def _row(lab: FeedbackLab, key: int):  # type: ignore[no-untyped-def]
    from dsvc.porcelain.tables.row_target import parse_target

    return parse_target(f"HEAD:a.jsonl#id={key}")


@pytest.mark.parametrize(
    ("subject", "error"),
    [
        ("none.jsonl", NotFoundError),
        ("HEAD~7:a.jsonl", NotFoundError),
        ("WORKTREE:a.jsonl", NotASubjectError),
        ("STAGED:", NotASubjectError),
        ("a.jsonl#id=7", NotASubjectError),
        ("release:none", NotFoundError),
        ("", NotASubjectError),
    ],
)
def test_what_is_no_subject(lab: FeedbackLab, subject: str, error: type[DsvcError]) -> None:
    before = lab.refs()
    with pytest.raises(error):
        lab.take(bad(7), subject=subject)
    assert lab.refs() == before


@pytest.mark.parametrize("subject", ["HEAD:", "main", "v1", "release:v1"])
def test_a_whole_version_as_subject(lab: FeedbackLab, subject: str) -> None:
    lab.repo.create_tag("v1")
    done = lab.take(bad(7), {"path": "图/2.png", "symptom": "dark"}, subject=subject)
    assert (done.record.subject.path, done.record.subject.folder) == (b"", True)
    assert len(done.defects) == 2


def test_an_evaluation_set_beside_the_subject(lab: FeedbackLab) -> None:
    lab.write("eval.jsonl", [{"id": n, "q": f"问 {n}"} for n in range(4)])
    lab.commit("eval")
    done = lab.take({**HEAD, "eval_set": "HEAD:eval.jsonl"}, bad(2), good(3))
    (found,) = lab.repo.feedback_observations(done.feedback)
    assert (found.path, found.positions) == (b"eval.jsonl", (2,))
    assert done.record.subject.path == b"a.jsonl"
    # As lm-evaluation-harness names rows.
    text = '{\n  "id": 1,\n  "q": "问 1"\n}'
    assert hashlib.sha256(text.encode()).hexdigest()


def test_the_hook_is_told(lab: FeedbackLab, tmp_path: Path) -> None:
    from dsvc.porcelain.state.user_hooks import UserHooks

    hooks = lab.root / ".dsvc" / "hooks"
    hooks.mkdir(exist_ok=True)
    program = hooks / "post-feedback"
    program.write_text(f'#!/bin/sh\necho "$DSVC_FEEDBACK $DSVC_DEFECTS" > "{tmp_path}/told"\nexit 3\n')
    program.chmod(0o755)
    lab.repo.user_hooks = UserHooks(dict(os.environ), str(tmp_path / "notes.json"))
    first = lab.take(bad(7))
    assert first.warning is not None
    assert "is not run" in first.warning
    assert not (tmp_path / "told").exists()
    lab.repo.user_hooks.allow(lab.repo, "post-feedback")
    second = lab.take(bad(8), suite="two")
    assert (tmp_path / "told").read_text() == f"{second.feedback} {' '.join(second.defects)}\n"
    assert second.warning is not None
    assert "exited with 3" in second.warning


def test_undo_takes_an_import_back_whole(lab: FeedbackLab) -> None:
    before = lab.refs()
    lab.take(bad(7), bad(8, "typo"))
    lab.repo.undo()
    after = {name: tip for name, tip in lab.refs().items() if "/deleted/" not in name}
    assert {k: v for k, v in after.items() if k != "refs/dsvc/operations"} == {
        k: v for k, v in before.items() if k != "refs/dsvc/operations"
    }
    assert lab.repo.defects() == []


def test_gc_keeps_it(lab: FeedbackLab) -> None:
    done = lab.take(bad(7), good(1, metric="accuracy", value=1))
    lab.repo.gc(grace_seconds=0)
    with feedback_chain.open_evidence(lab.repo, done.feedback) as stream:
        assert stream.read()
    assert len(list(lab.repo.feedback_observations(done.feedback))) == 1
    assert lab.repo.fsck(read_data=True).ok
