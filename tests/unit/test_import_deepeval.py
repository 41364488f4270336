"""deepeval's own test runs: verdicts, scores and rows as they stand there; contradictions are refused."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from dsvc.feedback.importers.deepeval import Deepeval
from dsvc.feedback.importers.importer import FeedbackMalformedError
from tests.tool_documents import ToolDocument

FOLDER = Path(__file__).resolve().parents[1] / "feedback_files" / "deepeval"
RUN: dict[str, Any] = json.loads((FOLDER / "test_run.json").read_bytes())
TALKS: dict[str, Any] = json.loads((FOLDER / "test_run_conversations.json").read_bytes())
TOOL = ToolDocument(Deepeval(), RUN)
read, samples, changed = TOOL.read, TOOL.samples, TOOL.changed


def test_the_run_is_read() -> None:
    run = read(RUN).run
    assert (run.tool, run.suite, run.model, run.outcome) == ("deepeval", "reviews", "predict.py", "failed")
    assert json.loads(run.extra["hyperparameters"])["prompt"] == "情感"
    assert read({**RUN, "testFailed": 0}).run.outcome == "passed"


@pytest.mark.parametrize(("document", "kind"), [(RUN, "testCases"), (TALKS, "conversationalTestCases")])
def test_samples_say_what_the_file_says(document: dict[str, Any], kind: str) -> None:
    _run, metrics, iterator = read(document)
    found, cases = list(iterator), document[kind]
    assert [each.passed for each in found] == [case["success"] for case in cases]
    assert [each.selector.ref for each in found] == [case["name"] for case in cases]
    assert [each.sample_id for each in found] == [case["name"].partition(":")[2] for case in cases]
    assert all(each.pointer.startswith(f"/{kind}/{n}") for n, each in enumerate(found))
    for sample, case in zip(found, cases, strict=True):
        stated = {each["name"]: each["score"] for each in case["metricsData"] if "score" in each}
        assert sample.scores == {"pass": float(case["success"]), **stated}
    assert {each.name for each in metrics} == {
        "pass",
        *(each["metric"] for each in document["metricsScores"]),
    }
    for metric in metrics:
        values = [each.scores[metric.name] for each in found if metric.name in each.scores]
        assert metric.n == len(values)
        assert metric.value == pytest.approx(sum(values) / len(values))


def test_symptoms_are_the_first_metric_that_failed() -> None:
    found = samples(RUN)
    assert [each.symptom for each in found] == [
        *(None, None, "failed-short-input", None),
        *("failed-same-label", "failed-same-label", None, "error"),
    ]
    assert (found[4].explanation, found[4].evidence) == ("应为 negative", "positive")
    assert found[7].explanation == "ValueError: no answer"
    (_one, _two, shouting) = samples(TALKS)
    assert shouting.symptom == "failed-polite"
    assert "Love it!" in (shouting.evidence or "")
    failed_and_broken = changed("testCases", 7, "metricsData", 1, "success", to=False)
    assert [each.symptom for each in samples(failed_and_broken)[7:]] == ["failed-short-input", "error"]
    assert [bool(each.scores) for each in samples(failed_and_broken)[7:]] == [True, False]
    assert samples(changed("testCases", 4, "metricsData", to=[]))[4].symptom == "failed"


def test_a_reference_may_be_the_name() -> None:
    ref = "0123456789abcdef0123456789abcdef01234567:清洗/a.jsonl#id=7"
    document = copy.deepcopy(RUN)
    for name, case in zip([ref, "review 2", "test_case_2", None], document["testCases"], strict=False):
        case["name"] = name
        del case["metadata"]
    first, second, third, fourth, *_others = samples(document)
    assert (first.selector.ref, first.sample_id) == (ref, "清洗/a.jsonl#id=7")
    assert (second.selector.selects, second.sample_id) == (False, "review 2")
    assert third.sample_id.startswith("sha256:")
    assert fourth.sample_id.startswith("sha256:")
    assert third.sample_id != fourth.sample_id


def test_what_is_not_judged_has_no_verdict() -> None:
    sample = samples(changed("testCases", 1, "success", to=None))[1]
    assert (sample.passed, sample.symptom) == (None, None)
    assert "pass" not in sample.scores


def test_metrics_of_one_name_have_no_score() -> None:
    document = changed("testCases", 0, "metricsData", 1, "name", to="Same Label")
    assert all("Same Label" not in each.scores for each in samples(document))


def test_a_flaky_metric_may_fail() -> None:
    document = copy.deepcopy(RUN)
    document["testCases"][0]["metricsData"][0] |= {"success": False, "flaky": True}
    assert samples(document)[0].passed is True


CASE = ("testCases", 0)
BAD: dict[str, Any] = {
    "passed although a metric failed": changed(*CASE, "metricsData", 0, "success", to=False),
    "verdict as text": changed(*CASE, "success", to="true"),
    "score as text": changed(*CASE, "metricsData", 0, "score", to="1"),
    "infinite score": changed(*CASE, "metricsData", 0, "score", to=float("inf")),
    "metrics as an object": changed(*CASE, "metricsData", to={}),
    "another reference": changed(*CASE, "additionalMetadata", to={"dsvc_ref": "c:a#id=1"}),
    "scores as text": changed("metricsScores", 0, "scores", to=["a"]),
    "a metric without name": changed("metricsScores", 0, "metric", to=None),
    "case as null": changed(*CASE, to=None),
    "cases as an object": changed("testCases", to={}),
    "counts as text": changed("testPassed", to="4"),
    "nothing": {},
    "an array": [],
}


@pytest.mark.parametrize("case", BAD)
def test_what_can_not_be_meant_is_refused(case: str) -> None:
    with pytest.raises(FeedbackMalformedError) as caught:
        samples(BAD[case])
    assert len(caught.value.message) < 400
