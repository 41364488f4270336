"""repair verify: what closes a defect, what sends a repair back, and what says nothing."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from dsvc.feedback.defect_state import DefectStepError
from dsvc.model.defect import DefectVerb
from dsvc.model.errors import UsageError
from dsvc.model.feedback import Metric
from dsvc.model.repair import RepairVerb
from dsvc.porcelain.feedback.evaluation_pair import pair_of
from dsvc.porcelain.records.feedback_chain import NoSuchFeedbackError
from dsvc.porcelain.records.repair_chain import NoSuchRepairError, RepairStateError, repair_head
from dsvc.porcelain.repair.repair_evidence import RepairNotEvaluatedError
from dsvc.porcelain.repair.repair_verify import VerifyStatus
from tests.defectkit import record_feedback
from tests.verifykit import BAD, RepairLab

OPEN = ("repairing", "applied")
SENT_BACK = ("repairing", "returned")
CLOSED = ("verified", "verified")


@pytest.fixture
def lab(tmp_path: Path) -> RepairLab:
    return RepairLab(tmp_path)


def metric(value: float, name: str = "accuracy", **more: object) -> dict[str, object]:
    return {"name": name, "value": value, **more}


def test_paired_samples_close_it(lab: RepairLab) -> None:
    before = lab.find()
    repair = lab.repair()
    after = lab.evaluate()
    result = lab.verify(repair, after)
    assert (result.status, result.before, result.feedback) == (VerifyStatus.VERIFIED, before, after)
    assert (result.reasons, result.regressions, result.of_defect) == ((), (), ("accuracy",))
    (change,) = result.metrics
    assert (change.before, change.after, change.method, change.pairs) == (0.6, 1.0, "mcnemar", 20)
    # All 8 that differ went one way: the exact test is a coin thrown 8 times, both sides.
    assert change.p_value == pytest.approx(2 / 2**8)
    assert lab.status() == CLOSED
    # Both chains say so, with the interval, in one operation that undo takes back.
    closing = lab.repo.defect(lab.defect).history[-1].operation
    assert (closing.verb, closing.repair, closing.feedback) == (DefectVerb.VERIFY, repair, after)
    assert dict(closing.metrics) == {"accuracy": (0.6, 1.0)}
    done = repair_head(lab.repo, repair).history[0].operation
    assert (done.verb, done.metrics, done.feedback) == (RepairVerb.VERIFY, result.metrics, after)
    assert lab.repo.fsck().ok
    lab.repo.undo()
    assert lab.status() == OPEN


def test_a_repaired_row_that_is_bad_still(lab: RepairLab) -> None:
    lab.find()
    repair = lab.repair()
    after = lab.evaluate(bad=[3])
    result = lab.verify(repair, after)
    assert result.status is VerifyStatus.RETURNED
    assert result.reasons == (f"feedback {after} finds 1 of the rows bad still",)
    assert lab.status() == SENT_BACK
    operation = lab.repo.defect(lab.defect).history[-1].operation
    assert (operation.verb, operation.reason) == (DefectVerb.RETURN, "; ".join(result.reasons))
    # Asked again it says the same, and records nothing more.
    refs = lab.refs()
    assert not lab.verify(repair, after).recorded
    assert lab.refs() == refs
    # The next evaluation may close it all the same.
    assert lab.verify(repair, lab.evaluate()).is_verified
    assert lab.status() == CLOSED


def test_another_symptom_on_the_rows_is_another_defect(lab: RepairLab) -> None:
    lab.find(metrics=[metric(0.5, n=400)], scored=False)
    repair = lab.repair()
    after = lab.evaluate([3], [metric(0.8, n=400)], symptom="blurred", scored=False)
    assert lab.verify(repair, after).is_verified


def test_a_gain_that_may_be_chance(lab: RepairLab) -> None:
    lab.find(bad=range(8, 11))
    repair = lab.repair(bad=range(8, 11))
    result = lab.verify(repair, lab.evaluate())
    assert result.status is VerifyStatus.RETURNED
    (change,) = result.metrics
    assert (change.method, change.improved) == ("mcnemar", False)
    assert result.reasons[0].startswith("accuracy: 0.85 to 1, 95% interval")
    # An interval that there is, nobody talks away.
    assert not lab.verify(repair, lab.evaluate(), accept_point="it looks good").is_verified


def test_unpaired_shares_and_standard_errors(lab: RepairLab) -> None:
    measured = [metric(0.60, n=500), metric(2.0, "loss", stderr=0.05)]
    lab.find(metrics=measured, scored=False)
    repair = lab.repair()
    worse = lab.evaluate(metrics=[metric(0.70, n=500), metric(2.3, "loss", stderr=0.05)], scored=False)
    result = lab.verify(repair, worse)
    assert (result.status, result.regressions) == (VerifyStatus.RETURNED, ("loss",))
    assert result.reasons[0].startswith("regression in loss: 2 to 2.3")
    found = {change.name: change for change in result.metrics}
    assert (found["accuracy"].method, found["loss"].method) == ("newcombe", "stderr")
    low, high = 0.3 - 1.959964 * 0.05 * 2**0.5, 0.3 + 1.959964 * 0.05 * 2**0.5
    assert (found["loss"].low, found["loss"].high) == (pytest.approx(low), pytest.approx(high))
    assert found["accuracy"].improved
    better = lab.evaluate(metrics=[metric(0.70, n=500), metric(2.01, "loss", stderr=0.05)], scored=False)
    assert lab.verify(repair, better).is_verified


def test_a_point_is_accepted_with_a_reason(lab: RepairLab) -> None:
    lab.find(metrics=[metric(30.0, "perplexity")], scored=False)
    repair = lab.repair()
    after = lab.evaluate(metrics=[metric(20.0, "perplexity")], scored=False)
    refs = lab.refs()
    result = lab.verify(repair, after)
    assert (result.status, result.recorded) == (VerifyStatus.UNDECIDED, False)
    assert lab.refs() == refs
    with pytest.raises(UsageError):
        lab.verify(repair, after, accept_point=" ")
    worse = lab.evaluate(metrics=[metric(31.0, "perplexity")], scored=False)
    assert lab.verify(repair, worse, accept_point="never mind").status is VerifyStatus.RETURNED
    result = lab.verify(repair, after, accept_point="三次重复结果一致")
    assert (result.is_verified, result.accepted) == (True, "三次重复结果一致")
    assert lab.repo.defect(lab.defect).history[-1].operation.reason == "三次重复结果一致"


def test_what_cannot_be_compared_changes_nothing(lab: RepairLab) -> None:
    lab.write("eval.jsonl", [{"id": n} for n in range(4)])
    lab.write("other.jsonl", [{"id": n} for n in range(5)])
    lab.commit("sets")
    stated = metric(0.5, n=400, higher_is_better=True)
    lab.find(metrics=[stated], scored=False, eval_set="HEAD:eval.jsonl", split="test")
    repair = lab.repair()
    good = [metric(0.9, n=400)]
    same = {"eval_set": "HEAD:eval.jsonl", "split": "test"}
    after = [
        lab.evaluate(metrics=good, scored=False, suite="other", **same),
        lab.evaluate(metrics=good, scored=False, **(same | {"split": "train"})),
        lab.evaluate(metrics=good, scored=False, **(same | {"eval_set": "HEAD:other.jsonl"})),
        lab.evaluate(metrics=good, scored=False, split="test"),
        lab.evaluate(metrics=[metric(0.9, "recall", n=400)], scored=False, **same),
        lab.evaluate(metrics=[metric(0.9, n=400, higher_is_better=False)], scored=False, **same),
    ]
    refs = lab.refs()
    said = []
    for each in after:
        result = lab.verify(repair, each, accept_point="please")
        assert (result.status, result.comparable) == (VerifyStatus.NOT_COMPARABLE, False)
        said.append(result.reasons[0])
    assert [text.partition(":")[0] for text in said] == [
        "the suites differ",
        "the splits differ",
        "the evaluation set is not the same",
        "only one of both says on which evaluation set, and their samples are not the same",
        "they have no metric in common",
        # They contradict each other: suddenly lower is better.
        "nobody says which way is better",
    ]
    assert lab.refs() == refs
    assert lab.status() == OPEN
    assert lab.verify(repair, lab.evaluate(metrics=good, scored=False, **same)).is_verified


def test_a_metric_that_is_measured_twice(lab: RepairLab) -> None:
    commit, manifest = lab.repo.history.refs.head().commit, lab.repo.manifest_of("HEAD")
    entry = manifest.get(b"a.jsonl")
    assert commit is not None
    assert entry is not None
    values = [[Metric(name="accuracy", value=each, n=400) for each in group] for group in ([0.5], [0.9, 0.4])]
    ids = [record_feedback(lab.repo, commit, entry, metrics=each) for each in values]
    pair = pair_of(lab.repo, *(lab.repo.feedback(each) for each in ids))
    assert "accuracy has two values in one evaluation" in pair.reasons
    assert (pair.changes, pair.comparable) == ((), False)


def test_a_repair_that_changes_the_evaluation_set(lab: RepairLab) -> None:
    """Rows of the set itself were flagged: with them changed, a better value shows nothing."""
    lab.write("train.jsonl", [{"id": n} for n in range(4)])
    lab.commit("train")
    run = {"eval_set": "HEAD:a.jsonl", "scored": False}
    lab.find(metrics=[metric(0.5, n=400)], subject="HEAD:", **run)
    repair = lab.repair()
    result = lab.verify(repair, lab.evaluate(metrics=[metric(0.9, n=400)], subject="HEAD:", **run))
    assert result.status is VerifyStatus.NOT_COMPARABLE
    assert result.reasons == ("the evaluation set is not the same: a.jsonl",)


def test_the_metric_that_observations_name_counts(lab: RepairLab) -> None:
    other = metric(0.5, "exact_match", n=400)
    lab.find(metrics=[other], of="accuracy")
    repair = lab.repair()
    # What the defect is about is as it was: nothing moved but a metric that it isn't about.
    later = lab.evaluate(bad=range(12, 20), metrics=[metric(0.9, "exact_match", n=400)], symptom="else")
    result = lab.verify(repair, later)
    assert result.of_defect == ("accuracy",)
    assert {change.name: change.improved for change in result.metrics} == {
        "accuracy": False,
        "exact_match": True,
    }
    assert result.status is VerifyStatus.RETURNED
    gone = lab.evaluate(metrics=[metric(0.9, "exact_match", n=400)], scored=False)
    result = lab.verify(repair, gone)
    assert result.reasons == ("what the defect is about, accuracy, is not measured any more",)
    assert (result.status, result.missing) == (VerifyStatus.NOT_COMPARABLE, ("accuracy",))


def test_the_packs_tolerance(lab: RepairLab) -> None:
    """A loss in f1 from 0.80 to 0.70 is one in every pack, unless that lets it pass."""
    pack = """id = "our"
version = "1"
date = "2026-01-01"

[title]
en = "our own"
zh = "自己的"

[note]
en = "of a test"
zh = "测试用"

[rules.QTY-01]
severity = "warning"
stage = "release"
clause = "ours"
parameters = { tolerance = 0.3 }
"""
    measured = [metric(0.5, n=2000), metric(0.8, "f1", stderr=0.01)]
    lab.find(metrics=measured, scored=False)
    repair = lab.repair()
    later = [metric(0.9, n=2000), metric(0.7, "f1", stderr=0.01)]
    result = lab.verify(repair, lab.evaluate(metrics=later, scored=False))
    assert (result.status, result.regressions, result.tolerance) == (VerifyStatus.RETURNED, ("f1",), 0.0)
    lab.put("our.toml", pack)
    lab.put("dsvc.toml", '[policy]\npacks = ["our.toml"]\n')
    lab.commit("policy")
    result = lab.verify(repair, lab.evaluate(metrics=later, scored=False))
    assert (result.tolerance, result.regressions) == (0.3, ())
    assert result.is_verified


def test_observations_that_nobody_can_place(lab: RepairLab) -> None:
    lab.find(metrics=[metric(0.5, n=400)], scored=False)
    repair = lab.repair()
    lost = {"row": {"id": 999}, "symptom": "wrong-label"}
    found = {"row": {"id": 15}, "symptom": "blurred"}
    head = {"suite": "pilot", "metrics": [metric(0.9, n=400)]}
    result = lab.verify(repair, lab.take(head, lost, found).feedback)
    assert (result.status, result.recorded) == (VerifyStatus.UNDECIDED, False)


def test_rows_flagged_since_are_not_closed_with_the_others(lab: RepairLab) -> None:
    """Another evaluation of the old data finds a row more, of which the plan knows nothing."""
    old = lab.repo.history.refs.head().commit
    lab.find(metrics=[metric(0.5, n=400)], scored=False)
    repair = lab.repair()
    rows, lab.rows = lab.rows, [{**row} for row in lab.rows]
    lab.evaluate([*BAD, 15], [metric(0.5, n=400)], scored=False, subject=f"{old}:a.jsonl")
    lab.rows = rows
    assert lab.repo.defect(lab.defect).rows[-1].count == 9
    good = [metric(0.9, n=400)]
    result = lab.verify(repair, lab.evaluate(metrics=good, scored=False))
    assert result.status is VerifyStatus.RETURNED
    assert result.reasons == ("1 rows of the defect are not in the plan, and are as they were",)


def test_wrong_orders(lab: RepairLab) -> None:
    first = lab.find()
    repair = lab.plan()
    refs = lab.refs()
    with pytest.raises(RepairStateError, match="was not applied yet"):
        lab.verify(repair, first)
    with pytest.raises(NoSuchRepairError):
        lab.verify("r-00000000", first)
    with pytest.raises(NoSuchFeedbackError):
        lab.verify(repair, "0000")
    assert lab.refs() == refs
    second = lab.evaluate(metrics=[metric(0.5, "f1")], subject="HEAD:a.jsonl", suite="pilot", seed="2")
    lab.set_label()
    lab.apply(repair, lab.commit("repair"))
    with pytest.raises(UsageError, match="is what found defect"):
        lab.verify(repair, first)
    # Times are of whole seconds: which of its two faults is told depends on them.
    with pytest.raises(RepairNotEvaluatedError, match=r"a\.jsonl is as it was before|older than the repair"):
        lab.verify(repair, second)
    # Of the new version, but of nothing that the repair changed.
    pictures = lab.take({"path": "图/1.png", "symptom": "dark"}, subject="图").feedback
    with pytest.raises(RepairNotEvaluatedError, match="has nothing that the repair changed"):
        lab.verify(repair, pictures)
    assert repair_head(lab.repo, repair).status.value == "applied"
    after = lab.evaluate()
    assert lab.verify(repair, after).is_verified
    with pytest.raises(RepairStateError, match="is verified already"):
        lab.verify(repair, after)


def test_a_rejected_defect_is_not_verified(lab: RepairLab) -> None:
    lab.find()
    repair = lab.repair()
    lab.repo.defect_reject(lab.defect, "all as it should be")
    with pytest.raises(DefectStepError):
        lab.verify(repair, lab.evaluate())


def test_versions_that_go_on_from_the_repair(lab: RepairLab) -> None:
    lab.find()
    base = str(lab.repo.history.refs.head().commit)
    repair = lab.plan()
    lab.repo.create_branch("other", base)
    lab.set_label()
    repaired = lab.commit("repair")
    lab.apply(repair, repaired)
    fixed = list(lab.rows)
    # Old rows in a later version: it is not what the repair made.
    lab.rows = [*fixed, {"id": 0, "text": "文本 0", "label": 0}]
    lab.write("a.jsonl", lab.rows)
    lab.commit("back")
    after = lab.take({"metrics": [metric(1.0, n=21)]}).feedback
    with pytest.raises(RepairNotEvaluatedError, match=r"1 repaired rows of a\.jsonl are as they were"):
        lab.verify(repair, after)
    # Repaired rows that somebody changed once more.
    lab.rows = [{**row, "label": 5} if row["id"] == 2 else row for row in fixed]
    lab.write("a.jsonl", lab.rows)
    lab.commit("again")
    after = lab.take({"metrics": [metric(1.0, n=20)]}).feedback
    with pytest.raises(RepairNotEvaluatedError, match=r"1 repaired rows of a\.jsonl were changed again"):
        lab.verify(repair, after)
    # Other rows, and other files, may change; a merge is a version like any other.
    lab.rows = [*fixed, {"id": 77, "text": "new", "label": 1}]
    lab.write("a.jsonl", lab.rows)
    lab.put("notes.txt", "more")
    lab.commit("goes on")
    result = lab.verify(repair, lab.evaluate())
    # There is a sample more: the two are not paired, and shares of 20 and 21 decide.
    assert result.metrics[0].method == "newcombe"
    assert result.is_verified


def test_dropped_rows(lab: RepairLab) -> None:
    """Rows that are gone can't be observed; the metric is over fewer samples, and not paired."""
    lab.find()
    repair = lab.repair(drop=True)
    result = lab.verify(repair, lab.evaluate())
    assert result.metrics[0].method == "newcombe"
    assert result.is_verified
    assert msgspec.json.encode(result.metrics[0])
