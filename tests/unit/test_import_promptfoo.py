"""promptfoo's own results: verdicts, scores and rows as they stand there; contradictions are refused."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from dsvc.feedback.importers.importer import FeedbackMalformedError
from dsvc.feedback.importers.promptfoo import Promptfoo
from dsvc.model.feedback import Metric
from tests.tool_documents import ToolDocument

FILE = Path(__file__).resolve().parents[1] / "feedback_files" / "promptfoo" / "eval.json"
DOCUMENT: dict[str, Any] = json.loads(FILE.read_bytes())
TOOL = ToolDocument(Promptfoo(), DOCUMENT)
read, samples, changed = TOOL.read, TOOL.samples, TOOL.changed


def test_the_run_is_read() -> None:
    run, metrics, _found = read(DOCUMENT)
    assert (run.tool, run.tool_version, run.model) == ("promptfoo", "0.121.20", "predict.js")
    assert (run.run_id, run.suite, run.outcome) == (DOCUMENT["evalId"], "情感 reviews", "failed")
    assert run.created == DOCUMENT["results"]["timestamp"]
    assert json.loads(run.extra["stats"])["errors"] == 1
    expected = [("pass", 4 / 8, 8), ("same_label", 5 / 7, 7), ("short", 6 / 7, 7)]
    assert metrics == tuple(
        Metric(name=name, value=value, n=n, higher_is_better=True) for name, value, n in expected
    )


def test_samples_say_what_the_file_says() -> None:
    found = samples(DOCUMENT)
    rows = DOCUMENT["results"]["results"]
    assert [each.passed for each in found] == [row["success"] for row in rows]
    assert [each.selector.ref for each in found] == [row["vars"]["dsvc_ref"] for row in rows]
    assert [each.scores for each in found] == [
        {"pass": float(row["success"]), **row["namedScores"]} for row in rows
    ]
    assert [each.symptom for each in found] == [
        None,
        None,
        "failed-javascript-short",
        None,
        "failed-equals-same-label",
        "failed-equals-same-label",
        None,
        "error",
    ]
    assert found[4].explanation == 'Expected output "positive" to equal "negative"'
    assert (found[4].evidence, found[7].explanation) == ("positive", "模型没有回答")
    assert found[4].pointer == "/results/results/4/gradingResult/componentResults/0"
    assert found[0].pointer == "/results/results/0"


def test_stated_means_are_those_of_the_samples() -> None:
    _run, metrics, found = read(DOCUMENT)
    scores = [each.scores for each in found]
    for metric in metrics:
        values = [each[metric.name] for each in scores if metric.name in each]
        assert metric.n == len(values)
        assert metric.value == pytest.approx(sum(values) / len(values))


def test_several_prompts_are_tasks() -> None:
    document = copy.deepcopy(DOCUMENT)
    results = document["results"]
    results["prompts"].append(
        copy.deepcopy(results["prompts"][0]) | {"provider": {"id": "other", "label": "甲"}}
    )
    second = copy.deepcopy(results["results"])
    for row in second:
        row["promptIdx"] = 1
    results["results"] += second
    run, metrics, found = read(document)
    assert run.model is None
    tasks = [each.task for each in found]
    assert len(set(tasks)) == 2
    assert tasks[8] == "甲: Is this positive or negative? {{text}}"
    assert sorted((each.task or "", each.name) for each in metrics) == sorted(
        (task or "", name) for task in set(tasks) for name in ("pass", "same_label", "short")
    )
    ids = [each.sample_id for each in read(document).samples]
    assert len(set(ids)) == 16


def test_repetitions_and_tests_without_reference_are_told_apart() -> None:
    document = copy.deepcopy(DOCUMENT)
    rows = document["results"]["results"]
    for row in rows:
        for holder in (row, row["testCase"]):
            del holder["vars"]["dsvc_ref"], holder["metadata"]["dsvc_ref"]
    rows.append(copy.deepcopy(rows[0]))
    found = samples(document)
    assert not any(each.selector.selects for each in found)
    ids = [each.sample_id for each in found]
    assert len(set(ids)) == 9
    assert ids[8] == f"{ids[0]} (2)"
    assert ids[0].startswith("sha256:")
    reordered = {**document, "results": {**document["results"], "results": rows[::-1]}}
    assert {each.sample_id for each in samples(reordered)} == set(ids)


def test_a_metric_with_several_assertions_states_no_mean() -> None:
    document = changed("results", "prompts", 0, "metrics", "namedScoresCount", to={"same_label": 14})
    assert [each.name for each in read(document).metrics] == ["pass"]


def test_each_thing_that_is_wrong_is_an_observation() -> None:
    components = copy.deepcopy(DOCUMENT["results"]["results"][4]["gradingResult"]["componentResults"])
    components[1] |= {"pass": False, "reason": "太长"}
    found = samples(changed(*ROW, "gradingResult", "componentResults", to=[*components, components[1]]))
    first, second = found[4:6]
    assert [first.symptom, second.symptom] == ["failed-equals-same-label", "failed-javascript-short"]
    assert (first.sample_id, first.selector, first.evidence) == (
        second.sample_id,
        second.selector,
        second.evidence,
    )
    assert (bool(first.scores), second.scores, second.explanation) == (True, {}, "太长")
    assert len(found) == 9


def test_a_test_that_passed_by_its_threshold_is_no_observation() -> None:
    sample = samples(changed(*ROW, "success", to=True))[4]
    assert (sample.passed, sample.symptom) == (True, None)


ROW = ("results", "results", 4)
BAD: dict[str, Any] = {
    "version": changed("results", "version", to=2),
    "no version": changed("results", "version", to=None),
    "no results": {"evalId": "x"},
    "results as an array": changed("results", to=[]),
    "rows as an object": changed("results", "results", to={}),
    "no verdict": changed(*ROW, "success", to=None),
    "verdict as text": changed(*ROW, "success", to="false"),
    "score as text": changed(*ROW, "namedScores", to={"same_label": "high"}),
    "score that is no number": changed(*ROW, "namedScores", to={"same_label": float("nan")}),
    "two references": changed(*ROW, "metadata", to={"dsvc_ref": "c:a#id=1"}),
    "reference as number": changed(*ROW, "vars", to={"dsvc_ref": 5}),
    "endless reference": changed(*ROW, "vars", to={"dsvc_ref": "a" * 70_000}),
    "no such prompt": changed(*ROW, "promptIdx", to=7),
    "negative prompt": changed(*ROW, "promptIdx", to=-1),
    "counts as text": changed("results", "stats", "successes", to="4"),
    "row as null": changed(*ROW, to=None),
    "not an object": [],
}


@pytest.mark.parametrize("case", BAD)
def test_what_can_not_be_meant_is_refused_with_its_place(case: str) -> None:
    with pytest.raises(FeedbackMalformedError) as caught:
        samples(BAD[case])
    assert len(caught.value.message) < 400
