"""Plain feedback in CSV is read as tables are; both plain formats are known by what stands in them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.feedback.importers.importer import (
    FeedbackMalformedError,
    UnknownFeedbackFormatError,
)
from dsvc.feedback.importers.registry import recognise
from dsvc.model.feedback import DefectSeverity, Selector
from tests.plainfeedback import HEADER, REF, ROWS, RUN, as_csv, jsonl, read, refusal, samples


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_csv_is_read_as_tables_are(delimiter: str, encoding: str) -> None:
    data = as_csv([HEADER, *ROWS], delimiter).encode(encoding)
    name = "a.tsv" if delimiter == "\t" else "a.csv"
    imported = read(data, name=name)
    first, second, third = imported.samples
    assert first.selector == Selector(path="清洗/a.csv".encode(), row={"id": "7", "语言": "zh"})
    assert (first.passed, first.symptom, first.severity) == (False, "wrong-label", DefectSeverity.P1)
    assert (first.scores, first.evidence, first.pointer) == (
        {"accuracy": 0.0},
        '多行\n"引号", 逗号',
        "line 2",
    )
    assert (second.passed, second.selector.row, second.pointer) == (True, {"id": "007", "语言": ""}, "line 4")
    assert (third.selector.row, third.passed) == (None, False)
    assert imported.run.extra == {"ignored": '{"注":1}'}
    assert recognise(data, "anything").name == "csv"


def test_csv_columns_are_mapped() -> None:
    data = as_csv([["编号", "错误", "symptom"], ["7", "typo", "not this"]]).encode()
    (sample,) = samples(data, {"row.id": "编号", "symptom": "错误"}, "a.csv")
    assert (sample.selector, sample.symptom) == (Selector(row={"id": "7"}), "typo")


BAD_CSV: dict[str, str] = {
    "passed": "position,passed\n1,maybe\n",
    "position": "position,symptom\n1.5,a\n",
    "value": "position,value\n1,high\n",
    "value that is no number": "position,value\n1,nan\n",
    "base64": "path_b64,symptom\n*,a\n",
    "too few": "position,symptom\n1\n",
    "too many": "position,symptom\n1,a,b\n",
    "open quote": 'position,symptom\n1,"a\n',
    "two columns": "position,symptom,symptom\n1,a,b\n",
    "nothing known": "id,text\n1,a\n",
    "two ways": "position,row.id,symptom\n1,1,a\n",
    "passed with a symptom": "position,passed,symptom\n1,true,a\n",
}


@pytest.mark.parametrize("case", BAD_CSV)
def test_bad_csv_is_refused_with_its_line(case: str) -> None:
    assert "line " in refusal(BAD_CSV[case].encode(), "a.csv")


def test_text_that_is_neither_encoding_is_refused() -> None:
    refusal(b"position,symptom\n1,\xff\xff\n", "a.csv")
    late = b"position,symptom\n" + b"1,a\n" * 20_000 + b"2,\xff\xff\n"
    assert "line 20002" in refusal(late, "a.csv")


# Recognition


@pytest.mark.parametrize(
    "line",
    [
        {"suite": "a"},
        RUN,
        {"metrics": [{"name": f"m{n}", "value": n} for n in range(5000)]},
        {"path": "a", "row": {"id": 7}, "symptom": "typo", "note": 1},
        {"dsvc_ref": REF, "passed": True, "text": "好"},
        {"position": 1, "severity": "P2"},
    ],
)
def test_the_plain_format_is_recognised(line: Mapping[str, Any]) -> None:
    for name in ("a.csv", "results.json", "x", "samples_1.jsonl"):
        assert recognise(jsonl(line), name).name == "jsonl"
        assert recognise(jsonl(line, {"position": 1, "passed": True}), name).name == "jsonl"


DATA: dict[str, bytes] = {
    "rows": jsonl({"id": 1, "text": "好", "label": 3}, {"id": 2, "text": "坏", "label": 1}),
    "medicine": jsonl({"path": "scan/1.png", "symptom": "cough", "age": 31}),
    "exams": jsonl({"position": 1, "passed": True, "name": "Ann"}),
    "models": jsonl({"model": "T", "suite": "hotel", "price": 3}),
    "one run line of another kind": jsonl({"seed": 1}),
    "csv": b"id,text,label\n1,a,2\n",
    "csv of medicine": b"path,symptom,age\nscan/1.png,cough,31\n",
    "csv of one column": b"text\nhello\n",
    "gb18030": "编号,文本\n1,好\n".encode("gb18030"),
    "array": b'[{"id": 1, "text": "a"}]',
    "nothing": b"",
    "text": b"hello",
    "parquet": b"PAR1\x15\x00\x15",
    "random": random.Random(6).randbytes(5000),
    "xml": b"<a/>",
}


@pytest.mark.parametrize("case", DATA)
@pytest.mark.parametrize("name", ["train.jsonl", "feedback.csv", "results.json"])
def test_data_is_no_feedback(case: str, name: str) -> None:
    with pytest.raises(UnknownFeedbackFormatError) as caught:
        recognise(DATA[case], name)
    assert "--format" in (caught.value.hint or "")


# Anything at all


def pieces() -> Iterator[bytes]:
    yield jsonl(
        RUN, {"path": "a", "row": {"id": 1}, "symptom": "x", "value": 1}, {"position": 3, "passed": True}
    )
    yield as_csv([HEADER, *ROWS]).encode()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), which=st.integers(0, 1))
def test_whatever_is_changed_is_read_or_refused(seed: int, which: int) -> None:
    chance = random.Random(seed)
    data = bytearray(list(pieces())[which])
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(data))
        data[place : place + chance.randint(0, 3)] = chance.choice(
            [b"", b'"', b"{", b"\xff", b",", b"\n", b"1e999"]
        )
    try:
        for sample in read(bytes(data), name=["a.jsonl", "a.csv"][which]).samples:
            assert sample.pointer.startswith("line ")
    except FeedbackMalformedError:
        pass
