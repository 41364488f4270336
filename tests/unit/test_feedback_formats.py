"""Files are recognised by what stands in them, whatever they are called; damaged ones are read or refused."""

from __future__ import annotations

import contextlib
import io
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.feedback.importers.importer import (
    HEAD_BYTES,
    FeedbackMalformedError,
    ImportOptions,
    UnknownFeedbackFormatError,
)
from dsvc.feedback.importers.registry import NAMES, by_name, recognise

FILES = Path(__file__).resolve().parents[1] / "feedback_files"
TOOLS = {
    "deepeval": "deepeval",
    "evidently": "evidently",
    "inspect": "inspect",
    "junit": "junit",
    "lm_eval": "lm-eval",
    "mlflow": "mlflow",
    "promptfoo": "promptfoo",
}
"""Format by folder."""
RESULTS = {".json", ".jsonl", ".xml", ".eval"}
WRITTEN = [
    path
    for folder, tool in TOOLS.items()
    if tool in NAMES
    for path in sorted((FILES / folder).rglob("*"))
    if path.suffix in RESULTS and path.name != "inspect_reads.json"
]


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_file_is_known_by_its_content(path: Path) -> None:
    head = path.read_bytes()[:HEAD_BYTES]
    tool = TOOLS[path.relative_to(FILES).parts[0]]
    for name in (path.name, "x", "results_1.json", "samples_a_1.jsonl", "junit.xml", "数据.csv", "log.eval"):
        assert recognise(head, name).name == tool
        claims = [each for each in NAMES if by_name(each).recognises(head, name)]
        assert claims == [tool]


@pytest.mark.parametrize("path", sorted(FILES.glob("*.jsonl")), ids=lambda path: path.name)
def test_the_evaluated_table_itself_is_no_feedback(path: Path) -> None:
    for name in (path.name, "results.json", "samples_a_1.jsonl", "feedback.jsonl", "a.csv"):
        with pytest.raises(UnknownFeedbackFormatError) as caught:
            recognise(path.read_bytes(), name)
        assert "--format" in (caught.value.hint or "")


def test_no_other_name_is_known() -> None:
    with pytest.raises(UnknownFeedbackFormatError) as caught:
        by_name("html")
    assert all(name in (caught.value.hint or "") for name in NAMES)


OF_JSON = [path for path in WRITTEN if path.parent.name in ("deepeval", "evidently", "mlflow", "promptfoo")]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), path=st.sampled_from(OF_JSON))
def test_a_changed_file_is_read_or_refused(seed: int, path: Path) -> None:
    chance = random.Random(seed)
    data = bytearray(path.read_bytes())
    for _ in range(chance.randint(1, 5)):
        place = chance.randrange(len(data))
        change = chance.choice(
            [b"", b'"', b"{", b"]", b"\xff", b",", b"null", b"1e999", b"NaN", b"-1", b"[]"]
        )
        data[place : place + chance.randint(0, 8)] = change
    if chance.random() < 0.2:
        del data[chance.randrange(len(data)) :]
    with contextlib.suppress(FeedbackMalformedError):
        for sample in (
            by_name(TOOLS[path.parent.name]).read(lambda: io.BytesIO(data), ImportOptions()).samples
        ):
            assert (sample.symptom is not None) == (sample.passed is False)
