"""docs/feedback-files.md does what it says: its files are recognised and read, its Python runs."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from dsvc.feedback.importers.importer import ImportOptions
from dsvc.feedback.importers.registry import NAMES, recognise
from dsvc.model.feedback import Sample
from dsvc.table.query.predicate import parse

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "feedback-files.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))
FORMATS = {"Plain JSON Lines": "jsonl", "Plain CSV": "csv", "MLflow": "mlflow"}


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


EXAMPLES = [
    (FORMATS.get(title, title), block.encode(), text)
    for title, text in SECTIONS.items()
    for language in ("jsonl", "csv", "json")
    for block in blocks(text, language)
]


def read(format_: str, data: bytes) -> list[Sample]:
    importer = recognise(data, "x")
    assert importer.name == format_
    return list(importer.read(lambda: io.BytesIO(data), ImportOptions()).samples)


@pytest.mark.parametrize(("format_", "data", "text"), EXAMPLES, ids=[each[0] for each in EXAMPLES])
def test_files_are_read_as_the_page_says(format_: str, data: bytes, text: str) -> None:
    failed = [sample for sample in read(format_, data) if sample.passed is False]
    assert failed
    if format_ not in ("jsonl", "csv"):
        assert f"here\n  `{failed[0].symptom}`" in text or f"here `{failed[0].symptom}`" in text


def test_every_format_has_an_example() -> None:
    assert [each[0] for each in EXAMPLES] == ["jsonl", "csv", "promptfoo", "deepeval", "evidently", "mlflow"]
    table = re.findall(r"^\| `([a-z-]+)` \|", TEXT, re.MULTILINE)
    assert set(NAMES) <= set(table)


def test_conditions_are_conditions() -> None:
    conditions = [sample.selector.where for sample in read("jsonl", EXAMPLES[0][1]) if sample.selector.where]
    assert conditions
    for each in conditions:
        parse(each)


def test_python_runs() -> None:
    (block,) = blocks(TEXT, "python")
    exec(compile(block, "feedback-files.md", "exec"), {})
