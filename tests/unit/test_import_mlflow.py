"""MLflow's own assessments, traces and tables: the same verdicts whichever way they are written."""

from __future__ import annotations

import copy
import io
import json
from pathlib import Path
from typing import Any

import pytest

from dsvc.feedback.importers.importer import FeedbackMalformedError, Imported, ImportOptions
from dsvc.feedback.importers.mlflow_feedback import MlflowFeedback
from dsvc.model.feedback import Sample

FOLDER = Path(__file__).resolve().parents[1] / "feedback_files" / "mlflow"
ASSESSMENTS: list[dict[str, Any]] = json.loads((FOLDER / "assessments.json").read_bytes())
TRACES = [json.loads(line) for line in (FOLDER / "traces.jsonl").read_bytes().splitlines()]
TABLE: dict[str, Any] = json.loads((FOLDER / "eval_results_table.json").read_bytes())
REF = "0123456789abcdef0123456789abcdef01234567:a.jsonl#id="


def read(data: bytes | Any) -> Imported:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return MlflowFeedback().read(lambda: io.BytesIO(raw), ImportOptions())


def samples(data: bytes | Any) -> list[Sample]:
    return list(read(data).samples)


def facts(found: list[Sample]) -> list[Any]:
    return [
        (each.selector.ref, each.passed, each.symptom, each.scores, each.sample_id, each.explanation)
        for each in found
    ]


def assessment(
    value: Any = True, name: str = "right", ref: str | None = f"{REF}1", **more: Any
) -> dict[str, Any]:
    return {
        "assessment_name": name,
        "trace_id": "tr-1",
        "source": {"source_type": "HUMAN", "source_id": "甲"},
        "feedback": {"value": value},
        "metadata": {"dsvc_ref": ref} if ref else None,
        **more,
    }


def test_assessments_say_what_the_file_says() -> None:
    run, metrics, iterator = read(ASSESSMENTS)
    found = list(iterator)
    given = [each for each in ASSESSMENTS if "feedback" in each]
    assert (run.tool, run.extra, len(found)) == ("mlflow", {"expectations": "1"}, len(given) == 12 and 12)
    verdicts = {True: True, False: False, "yes": True, "no": False}
    for sample, each in zip(found, given, strict=True):
        value = each["feedback"]["value"]
        passed = verdicts.get(value) if isinstance(value, (bool, str)) else None
        assert sample.passed is passed
        wrong = "failed-" + each["assessment_name"].replace("_", "-")
        assert sample.symptom == (wrong if passed is False else None)
        assert sample.scores == (
            {} if value is None else {each["assessment_name"]: float(verdicts.get(value, value))}
        )
        assert each["source"]["source_type"] in (sample.evidence or "")
    assert {(each.name, each.value, each.n) for each in metrics} == {
        ("correct_label", 6 / 8, 8),
        ("quality", 0.5, 2),
        ("score", 0.25, 1),
    }
    assert found[6].explanation == "语气不当"
    assert found[10].explanation == "judge gave no answer"


def test_a_row_is_found_through_another_assessment_of_its_trace() -> None:
    found = samples(ASSESSMENTS)
    assert all(each.selector.ref for each in found)
    late = [assessment("no", "quality", None), assessment(True)]
    assert [each.selector.ref for each in samples(late)] == [f"{REF}1"] * 2


def test_every_way_of_writing_says_the_same() -> None:
    expected = facts(samples(ASSESSMENTS))
    assert facts(samples((FOLDER / "assessments.jsonl").read_bytes())) == expected
    assert facts(samples((FOLDER / "traces.jsonl").read_bytes())) == expected
    assert facts(samples(TRACES)) == expected
    for indent in (None, 2):
        one = samples(json.dumps(TRACES[4], indent=indent).encode())
        assert facts(one) == [each for each in expected if each[0].endswith("#id=5")]


def test_tables_are_read() -> None:
    _run, metrics, iterator = read(TABLE)
    found = list(iterator)
    assert [each.selector.ref for each in found] == [row[1] for row in TABLE["data"]]
    assert [each.passed for each in found] == [row[2] == row[3] for row in TABLE["data"]]
    assert [(each.name, each.value, each.n) for each in metrics] == [("same_label", 0.75, 8)]
    assert found[4].symptom == "failed-same-label"
    assert json.loads(found[4].evidence or "") == {"predictions": "positive"}


def test_columns_judge_if_they_hold_verdicts() -> None:
    columns = ["dsvc_ref", "a/score", "b/value", "b/rationale", "c/score"]
    data = [
        [f"{REF}1", 0.5, "yes", "好", True],
        [f"{REF}2", 1, "no", "坏", None],
        [None, 0, None, None, False],
    ]
    first, second, third = samples({"columns": columns, "data": data})
    assert (first.passed, second.passed, third.passed) == (True, False, False)
    assert (second.symptom, second.explanation, third.symptom) == ("failed-b", "坏", "failed-c")
    assert (second.scores, third.scores) == ({"a": 1.0, "b": 0.0}, {"a": 0.0, "c": 0.0})
    (alone,) = samples({"columns": ["a/score"], "data": [[0.5]]})
    assert alone.passed is None


def test_what_was_replaced_or_is_no_verdict_does_not_count() -> None:
    given = [
        assessment(True, valid=False),
        assessment("unknown"),
        assessment(["a"]),
        assessment(0),
        assessment("No "),
        assessment(None, feedback={"value": True, "error": {"error_code": "LATE"}}),
    ]
    imported = read(given)
    assert [each.passed for each in imported.samples] == [None, None, None, False, None]
    assert imported.run.extra == {"replaced": "1"}


LINE = json.dumps(assessment()).encode()
BAD: dict[str, Any] = {
    "no name": [assessment(name="")],
    "no feedback": [assessment(feedback=None)],
    "unknown source": [assessment(source={"source_type": "ORACLE"})],
    "no source": [assessment(source=None)],
    "value beyond doubles": [assessment(10**400)],
    "infinite value": [assessment(float("inf"))],
    "two rows of one trace": [assessment(), assessment(ref=f"{REF}2")],
    "something else": [{"a": 1}],
    "an array of numbers": [1, 2],
    "text": "hello",
    "nothing": b"",
    "a line cut off": LINE + b"\n" + LINE[:-5],
    "a line that is something else": LINE + b"\n{}\n",
    "tag and metadata differ": [
        {"info": {"trace_id": "t", "tags": {"dsvc_ref": f"{REF}9"}, "assessments": [assessment()]}}
    ],
    "row too short": {**TABLE, "data": [["a"]]},
    "column twice": {"columns": ["a/score", "a/score"], "data": []},
    "metric twice": {"columns": ["a/score", "a/value"], "data": []},
    "score as object": {"columns": ["a/score"], "data": [[{}]]},
    "columns of numbers": {"columns": ["a/score", 1], "data": []},
}


@pytest.mark.parametrize("case", BAD)
def test_what_can_not_be_meant_is_refused(case: str) -> None:
    with pytest.raises(FeedbackMalformedError) as caught:
        samples(copy.deepcopy(BAD[case]))
    assert len(caught.value.message) < 400
