"""The plain formats: what stands in the file comes out, and what can't be meant is refused with its line."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import pytest

from dsvc.feedback.importers.importer import (
    MAX_LINE_BYTES,
    FeedbackMalformedError,
    ImportOptions,
)
from dsvc.feedback.importers.plain_csv import PlainCsv
from dsvc.feedback.importers.plain_fields import FeedbackMappingError
from dsvc.feedback.importers.plain_jsonl import PlainJsonl
from dsvc.model.feedback import DefectSeverity, Metric, PilotKind, Sample, Selector
from tests.plainfeedback import COMMIT, REF, RUN, jsonl, read, refusal, samples


def test_a_run_line_is_the_run() -> None:
    run, metrics, found = read(b"\xef\xbb\xbf\n" + jsonl({**RUN, "note": ["ours"]}))
    assert metrics == (Metric(name="accuracy", value=0.81, n=500, higher_is_better=True),)
    assert (run.suite, run.model, run.kind, run.seed) == ("意图 v2", "小模型", PilotKind.FINETUNING, "7")
    assert (run.evaluated, run.where, run.eval_set) == ("where", "split == 'test'", "main:eval/test.jsonl")
    assert (run.tool, run.run_id, run.data_commit, run.split) == ("our-script", "r1", COMMIT, "test")
    assert list(found) == []
    assert run.extra == {"note": '["ours"]'}


def test_lines_are_samples_and_observations() -> None:
    lines = jsonl(
        {"path": "清洗/a.jsonl", "row": {"id": 7, "lang": "zh"}, "symptom": "wrong-label", "severity": "P1"},
        {"position": 17, "passed": True, "metric": "accuracy", "value": 1, "severity": "P3"},
        {"where": "label == 3 and n > 10", "passed": False, "slice": "long", "explanation": "说明"},
        {"row_hash": "blake3:ab", "metric": "f1", "value": 0.25, "sample_id": "s4"},
        {"ref": REF, "symptom": "typo", "value": False, "evidence": {"said": "猫", "is": None}},
        {"path_b64": "bGF0aW4t6S5jc3Y=", "path": "latin-\ufffd.csv", "position": 0, "symptom": "typo"},
        {"path": "a.png"},
    )
    failed = {"passed": False, "symptom": "failed"}
    assert samples(lines) == [
        Sample(
            pointer="line 1",
            selector=Selector(path="清洗/a.jsonl".encode(), row={"id": 7, "lang": "zh"}),
            sample_id='清洗/a.jsonl#{"id":7,"lang":"zh"}',
            passed=False,
            symptom="wrong-label",
            severity=DefectSeverity.P1,
        ),
        Sample(pointer="line 2", selector=Selector(position=17), passed=True, scores={"accuracy": 1.0}),
        Sample(
            pointer="line 3",
            selector=Selector(where="label == 3 and n > 10"),
            slice="long",
            explanation="说明",
            **failed,  # type: ignore[arg-type]
        ),
        Sample(
            pointer="line 4", selector=Selector(row_hash="blake3:ab"), scores={"f1": 0.25}, sample_id="s4"
        ),
        Sample(
            pointer="line 5",
            selector=Selector(ref=REF),
            sample_id="clean/a.jsonl#id=7",
            passed=False,
            symptom="typo",
            scores={"value": 0.0},
            evidence='{"said":"猫","is":null}',
        ),
        Sample(
            pointer="line 6",
            selector=Selector(path=b"latin-\xe9.csv", position=0),
            passed=False,
            symptom="typo",
        ),
        Sample(pointer="line 7", selector=Selector(path=b"a.png"), **failed),  # type: ignore[arg-type]
    ]


def test_a_reference_may_stand_beside_what_it_says() -> None:
    for beside in (
        {"path": "clean/a.jsonl"},
        {"row": {"id": 7}},
        {"path": "clean/a.jsonl", "row": {"id": "7"}},
    ):
        (sample,) = samples(jsonl({"ref": REF, "dsvc_ref": REF, **beside}))
        assert sample.selector == Selector(ref=REF)


SENSELESS: dict[str, Mapping[str, Any]] = {
    "two ways": {"row": {"id": 1}, "position": 1},
    "three ways": {"where": "a == 1", "position": 1, "row_hash": "blake3:00"},
    "another row": {"ref": REF, "row": {"id": 8}},
    "another path": {"ref": REF, "path": "b"},
    "reference and condition": {"ref": REF, "where": "a == 1"},
    "two references": {"ref": REF, "dsvc_ref": REF + "1"},
    "no reference": {"ref": "seven", "path": "a"},
    "severity": {"position": 1, "severity": "P0"},
    "passed with a symptom": {"position": 1, "passed": True, "symptom": "typo"},
    "a symptom that is a number": {"position": 1, "symptom": 7},
    "passed as text": {"position": 1, "passed": "yes"},
    "passed as a number": {"position": 1, "passed": 1},
    "position as text": {"position": "1"},
    "position as truth": {"position": True},
    "negative position": {"position": -1},
    "huge position": {"position": 10**30},
    "row as text": {"row": "id=7"},
    "empty row": {"row": {}},
    "row of rows": {"row": {"id": {"a": 1}}},
    "huge key": {"row": {"id": 10**40}},
    "key that is no number": {"row": {"id": float("nan")}},
    "value that is no number": {"position": 1, "value": float("inf")},
    "huge value": {"position": 1, "value": 10**400},
    "value as text": {"position": 1, "value": "0.5"},
    "empty path": {"path": "", "symptom": "typo"},
    "two paths": {"path": "a", "path_b64": "YmI=", "symptom": "typo"},
    "second run": RUN,
    "a row of data": {"id": 7, "text": "好"},
    "run and row": {**RUN, "id": 7},
}


@pytest.mark.parametrize("case", SENSELESS)
def test_what_can_not_be_meant_is_refused_with_its_line(case: str) -> None:
    assert "line 3" in refusal(jsonl(RUN, {"position": 5, "symptom": "typo"}, SENSELESS[case]))


DAMAGED: dict[str, bytes] = {
    "cut off": b'{"position": 1, "symptom": "ty',
    "array": b'[{"position": 1}]',
    "text": b"hello",
    "twice": b'{"position": 1, "position": 2}',
    "twice, with a blank": b'{"position" : 1, "position"\t: 2}',
    "twice, escaped": b'{"position": 1, "positio\\u006e": 2}',
    "twice in a row": b'{"row": {"id": 1, "id": 2}}',
    "not UTF-8": b'{"path": "\xff\xfe", "position": 1}',
    "deep": b'{"position": 1, "evidence": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    "deeper": b'{"position": 1, "evidence": ' + b"[" * 300_000,
    "two values": b'{"position": 1} {"position": 2}',
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damage_is_refused_with_its_line(case: str) -> None:
    assert "line 2" in refusal(jsonl({"position": 5, "symptom": "typo"}) + DAMAGED[case])
    refusal(DAMAGED[case])


BAD_RUNS: dict[str, Mapping[str, Any]] = {
    "evaluated": {"evaluated": "some"},
    "evaluated where": {"evaluated": {"where": 1}},
    "kind": {"kind": "pilot"},
    "a metric without value": {"metrics": [{"name": "f1"}]},
    "a metric without name": {"metrics": [{"value": 1}]},
    "a metric that is no number": {"metrics": [{"name": "f1", "value": float("nan")}]},
    "a metric with something else": {"metrics": [{"name": "f1", "value": 1, "std": 2}]},
    "two values of a metric": {"metrics": [{"name": "f1", "value": 1}, {"name": "f1", "value": 0}]},
    "metrics as an object": {"metrics": {"f1": 1}},
    "suite": {"suite": 1},
    "seed": {"seed": [1]},
}


@pytest.mark.parametrize("case", BAD_RUNS)
def test_a_run_that_is_none_is_refused(case: str) -> None:
    assert refusal(jsonl({**RUN, **BAD_RUNS[case]})).startswith("line 1/")


def test_a_file_without_anything_is_refused() -> None:
    refusal(b"")
    refusal(b"\n \n")
    refusal(b"", "a.csv")
    refusal(b"\n\n", "a.csv")


def test_texts_that_look_like_keys_are_texts() -> None:
    (sample,) = samples(jsonl({"position": 1, "evidence": '{"position": 2, "a":1}', "symptom": "a"}))
    assert sample.evidence == '{"position": 2, "a":1}'


def test_unknown_keys_are_counted_and_named() -> None:
    data = jsonl(
        RUN, *({"position": n, "symptom": "a", "note": n} for n in range(3)), {"position": 9, "模型": 1}
    )
    imported = read(data)
    assert len(list(imported.samples)) == 4
    assert imported.run.extra == {"ignored": '{"note":3,"模型":1}'}
    many = read(jsonl({"position": 1, **{f"k{n:03}": n for n in range(200)}}))
    list(many.samples)
    assert json.loads(many.run.extra["ignored"])["…"] == 150


def test_names_of_others_are_mapped() -> None:
    columns = {"row.id": "qid", "symptom": "error", "path": "file"}
    lines = jsonl({"qid": 3, "error": "typo", "file": "a", "path": "not this"}, {"qid": 4, "error": None})
    first, second = samples(lines, columns)
    assert first.selector == Selector(path=b"a", row={"id": 3})
    assert (first.symptom, second.selector.row) == ("typo", {"id": 4})
    (sample,) = samples(jsonl({"key": {"id": 3}}), {"row": "key"})
    assert sample.selector.row == {"id": 3}
    with pytest.raises(FeedbackMappingError):
        samples(b"key,error\n1,typo\n", {"row": "key"}, "a.csv")
    for wrong in ({"symptoms": "error"}, {"row.": "qid"}, {"row.id": "x", "path": "x"}):
        with pytest.raises(FeedbackMappingError):
            samples(lines, wrong)
        with pytest.raises(FeedbackMappingError):
            samples(b"qid,error\n1,typo\n", wrong, "a.csv")
    for data, name in ((lines, ""), (b"qid,error\n1,typo\n", "a.csv")):
        with pytest.raises(FeedbackMappingError, match="lacking"):
            samples(data, {"row.id": "qid", "symptom": "lacking"}, name)


class Endless(io.RawIOBase):
    """So many bytes of one kind after a beginning."""

    def __init__(self, front: bytes, size: int) -> None:
        self._front = front
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = self._front[: len(buffer)] or b"a" * min(len(buffer), self._left)
        self._front = self._front[len(part) :]
        self._left -= len(part)
        buffer[: len(part)] = part
        return len(part)


@pytest.mark.parametrize(
    ("name", "front"), [("a.jsonl", b'{"position": 1}\n"'), ("a.csv", b'position\n1\n"')]
)
def test_a_line_without_end_is_refused(name: str, front: bytes) -> None:
    reader = PlainCsv() if name == "a.csv" else PlainJsonl()
    imported = reader.read(
        lambda: io.BufferedReader(Endless(front, 8 * MAX_LINE_BYTES)),
        ImportOptions(),
    )
    with pytest.raises(FeedbackMalformedError, match=r"line [23]"):
        list(imported.samples)
