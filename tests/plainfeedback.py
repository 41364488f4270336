"""Plain feedback files for tests of what reads them: made, read, refused."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from typing import Any

import pytest

from dsvc.feedback.importers.importer import (
    FeedbackMalformedError,
    Imported,
    ImportOptions,
)
from dsvc.feedback.importers.plain_csv import PlainCsv
from dsvc.feedback.importers.plain_jsonl import PlainJsonl
from dsvc.model.feedback import Sample

COMMIT = "0123456789abcdef" * 2 + "01234567"
REF = f"{COMMIT}:clean/a.jsonl#id=7"
RUN = {
    "suite": "意图 v2",
    "model": "小模型",
    "metrics": [{"name": "accuracy", "value": 0.81, "n": 500, "unit": None, "higher_is_better": True}],
    "evaluated": {"where": "split == 'test'"},
    "eval_set": "main:eval/test.jsonl",
    "kind": "finetuning",
    "seed": 7,
    "split": "test",
    "tool": "our-script",
    "run_id": "r1",
    "created": "2026-11-22T10:00:00Z",
    "data_commit": COMMIT,
}


def jsonl(*lines: Mapping[str, Any]) -> bytes:
    return b"".join(json.dumps(each, ensure_ascii=False).encode() + b"\n" for each in lines)


def read(data: bytes, columns: Mapping[str, str] = {}, name: str = "") -> Imported:
    reader = PlainCsv() if name.endswith(("csv", "tsv")) else PlainJsonl()
    return reader.read(lambda: io.BytesIO(data), ImportOptions(columns=columns, file_name=name))


def samples(data: bytes, columns: Mapping[str, str] = {}, name: str = "") -> list[Sample]:
    return list(read(data, columns, name).samples)


def refusal(data: bytes, name: str = "", columns: Mapping[str, str] = {}) -> str:
    with pytest.raises(FeedbackMalformedError) as caught:
        samples(data, columns, name)
    assert len(caught.value.message) < 400
    return caught.value.message


def as_csv(rows: list[list[str]], delimiter: str = ",") -> str:
    stream = io.StringIO(newline="")
    csv.writer(stream, delimiter=delimiter).writerows(rows)
    return stream.getvalue()


HEADER = ["path", "row.id", "row.语言", "passed", "symptom", "severity", "metric", "value", "evidence", "注"]
ROWS = [
    ["清洗/a.csv", "7", "zh", "false", "wrong-label", "P1", "accuracy", "0", '多行\n"引号", 逗号', "x"],
    ["清洗/a.csv", "007", "", "Passed", "", "P3", "accuracy", "1", "", ""],
    ["清洗/a.csv", "", "", "", "typo", "", "", "", "", ""],
]
