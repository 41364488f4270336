"""Arguments that are no UTF-8, in every verb that records a text: refused before anything is done."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dsvc.cli.main import run as dsvc
from dsvc.model.errors import MalformedInputError
from dsvc.model.waiver import Revocation, WaiverMalformedError, encode_revocation
from dsvc.testing.faults import tried
from tests.feedbackkit import FeedbackLab

TEXT = os.fsdecode(b"\xff")
VERBS = """
request add q --kind deletion --subject x --ground {} · request add q --kind refusal --author {}
request add q --kind refusal --url http://a/{} · request add q --kind refusal --domain {}
request confirm --note {} · request refuse known --reason {} · request seal known --reason {}
request erase known --reason {} --yes · defect comment {defect} -m {} · defect assign {defect} --to {}
defect reject {defect} --reason {} · defect grade {defect} P3 --reason {}
defect confirm {defect} --reason {} · defect split {defect} --rows 0 --reason {}
feedback import {result} --subject HEAD:a.jsonl --suite {} · feedback import {result} --subject {} --suite s
feedback import {result} --subject HEAD:a.jsonl --suite s --model {} · repair plan {defect} --set label={}
repair plan {defect} --set {}=x · repair plan {defect} --drop --cause run+{} · release announce r --to {}
release announce r --until 9999-01-01 --reason {} · release create {} · release create r --title {}
release create r --consumer {} · run --kind ingest --name {} -o made -- touch made
run --kind ingest --name r --param a={} -o made -- touch made
run --kind ingest --name r --fact tool={} -o made -- touch made
run --kind ingest --name r -o made -- touch made {}
run --kind ingest --name r --seed {} -o made -- touch made
run --kind ingest --name r --drop-reason {} -o made -- touch made
run --kind ingest --name r --manual {} -o a.jsonl
source add s --path a.jsonl --title {} --acquisition sensor · commit --allow-empty -m {} · tag -m {} t
tag {} · branch {} · config user.name {} · sql {}
"""


@pytest.fixture
def lab(tmp_path: Path) -> FeedbackLab:
    return FeedbackLab(tmp_path)


def test_f39_texts_that_are_no_utf_8_are_refused(
    lab: FeedbackLab, capsys: pytest.CaptureFixture[str]
) -> None:
    (defect,) = lab.take(*({"row": {"id": n}, "symptom": "坏", "severity": "P1"} for n in range(3))).opened
    lab.repo.request_add("known", "deletion", subjects=["x"])
    result = lab.result({"row": {"id": 5}, "symptom": "other"})
    before = lab.refs()
    lab.repo.close()
    listed = [each.split() for line in VERBS.strip().splitlines() for each in line.split("·")]
    for words in listed:
        told = [each.replace("+", " ").format(TEXT, defect=defect, result=result) for each in words]
        code = dsvc(["-C", str(lab.root), *told])
        said = capsys.readouterr().err
        assert code in (2, 14, 22, 41), (words, code, said)
        assert "Traceback" not in said, words
    assert lab.refs() == before
    assert not (lab.root / "made").exists(), "what can't be recorded doesn't run"
    tried("hostile cases", len(listed))


def test_f39_the_end_of_a_waiver_is_a_text() -> None:
    with pytest.raises(WaiverMalformedError):
        encode_revocation(Revocation(by="Ann <a@example.org>", made_at="2026-11-22T00:00:00Z", reason=TEXT))


def test_f39_what_the_library_is_given(lab: FeedbackLab) -> None:
    (defect,) = lab.take({"row": {"id": 1}, "symptom": "坏"}).opened
    for text in (TEXT, "\ud800", "好" * 50 + "\udfff"):
        with pytest.raises(MalformedInputError, match="UTF-8"):
            lab.repo.defect_comment(defect, text)
