"""evidently's own snapshots: tests that fail are observations on a column, numbers are metrics."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from dsvc.feedback.importers.evidently import Evidently
from dsvc.feedback.importers.importer import FeedbackMalformedError
from dsvc.model.feedback import DefectSeverity
from tests.tool_documents import ToolDocument

FOLDER = Path(__file__).resolve().parents[1] / "feedback_files" / "evidently"
SNAPSHOT: dict[str, Any] = json.loads((FOLDER / "snapshot.json").read_bytes())
DRIFT: dict[str, Any] = json.loads((FOLDER / "snapshot_drift.json").read_bytes())
TOOL = ToolDocument(Evidently(), SNAPSHOT)
read, samples, changed = TOOL.read, TOOL.samples, TOOL.changed


def test_tests_are_samples_of_columns() -> None:
    found = samples(SNAPSHOT)
    told = [(each.selector.column, each.passed, each.symptom) for each in found]
    assert told == [
        (None, True, None),
        ("评分", False, "failed-missing-value-count"),
        ("length", False, "failed-max-value"),
        ("label", True, None),
        (None, False, "failed-accuracy"),
    ]
    assert found[1].explanation == SNAPSHOT["tests"][1]["description"]
    assert json.loads(found[1].evidence or "") == {"count": 1, "share": 0.125}
    assert len({each.sample_id for each in found}) == 5


def test_numbers_are_metrics() -> None:
    run, metrics, _found = read(SNAPSHOT)
    assert (run.tool, run.outcome) == ("evidently", "failed")
    values = {each.name: each.value for each in metrics}
    assert values["RowCount()"] == 8
    assert values["MissingValueCount(column=评分)/share"] == 0.125
    assert values["UniqueValueCount(column=lang)/counts/zh"] == 4
    assert values["Accuracy(classification_name=default)"] == 0.75
    assert len(values) == len(metrics) == 13


def test_a_report_without_tests_judges_nothing() -> None:
    run, metrics, found = read(DRIFT)
    assert (run.outcome, list(found), len(metrics)) == (None, [], 4)


@pytest.mark.parametrize(
    ("status", "passed", "symptom", "severity"),
    [
        ("WARNING", False, "failed-missing-value-count", DefectSeverity.P3),
        ("ERROR", False, "error", None),
        ("SKIPPED", None, None, None),
    ],
)
def test_other_outcomes(status: str, passed: bool | None, symptom: str | None, severity: object) -> None:
    sample = samples(changed("tests", 1, "status", to=status))[1]
    assert (sample.passed, sample.symptom, sample.severity) == (passed, symptom, severity)


def test_metrics_of_many_values_are_cut_and_named() -> None:
    many = {"counts": {f"v{n}": n for n in range(1000)}}
    run, metrics, _found = read(changed("metrics", 3, "value", to=many))
    assert sum(each.name.startswith("UniqueValueCount") for each in metrics) == 200
    assert json.loads(run.extra["metrics-cut"]) == ["UniqueValueCount(column=lang)"]


def test_the_same_metric_twice_is_told_apart() -> None:
    twice = copy.deepcopy(SNAPSHOT)
    twice["metrics"] += [copy.deepcopy(twice["metrics"][0]), {**twice["metrics"][0], "value": 9}]
    names = [each.name for each in read(twice).metrics]
    assert len(names) == len(set(names)) == 14


def test_a_value_that_there_is_not_is_no_metric() -> None:
    assert len(read(changed("metrics", 0, "value", to=float("nan"))).metrics) == 12


BAD: dict[str, Any] = {
    "unknown status": changed("tests", 0, "status", to="PASS"),
    "no status": changed("tests", 0, "status", to=None),
    "infinite value": changed("metrics", 0, "value", to=float("inf")),
    "a metric without name": changed("metrics", 0, "metric_name", to=None),
    "tests as an object": changed("tests", to={}),
    "a test as text": changed("tests", 0, to="FAIL"),
    "no tests": {"metrics": []},
    "an array": [],
}


@pytest.mark.parametrize("case", BAD)
def test_what_can_not_be_meant_is_refused(case: str) -> None:
    with pytest.raises(FeedbackMalformedError) as caught:
        samples(BAD[case])
    assert len(caught.value.message) < 400
