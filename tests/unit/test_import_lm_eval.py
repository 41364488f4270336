"""Files of lm-evaluation-harness: what the tool printed is what is read, and hashes are those of our rows."""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.feedback.importers.importer import (
    Companion,
    FeedbackMalformedError,
    Imported,
    ImportOptions,
    UnknownFeedbackFormatError,
)
from dsvc.feedback.importers.lm_eval import LmEval
from dsvc.feedback.importers.registry import recognise
from dsvc.feedback.reference import read_reference
from dsvc.model.feedback import Metric
from tests.feedback_mutations import FILES, answers, damaged_bytes, damaged_json, everything, opened

RUN = FILES / "lm_eval" / "run"
DATA = {each.name: each.read_bytes() for each in sorted(RUN.iterdir())}
RESULTS, CHOICE, LABEL = DATA
PLAIN = [json.loads(line) for line in (FILES / "reviews_plain.jsonl").read_text("utf-8").splitlines()]


def companions(files: Mapping[str, bytes]) -> tuple[Companion, ...]:
    return tuple(Companion(name, lambda data=data: io.BytesIO(data)) for name, data in files.items())  # type: ignore[misc]


def read(name: str, beside: Mapping[str, bytes] = DATA, data: bytes | None = None) -> Imported:
    options = ImportOptions(companions=companions(beside), file_name=name)
    return opened(LmEval(), DATA[name] if data is None else data, options)


def printed() -> set[tuple[str, str, str, str, str]]:
    """What the tool printed, from the table in the README."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (FILES / "lm_eval" / "README.md").read_text("utf-8").splitlines()
        if "±" in line
    ]
    found, task = set(), ""
    for row in rows:
        task = row[0] or task
        found.add((task, row[4], row[2], row[6], row[8]))
    return found


def test_metrics_are_those_that_the_tool_printed() -> None:
    metrics = read(RESULTS).metrics
    assert {
        (
            str(each.task),
            each.name.partition(",")[0],
            each.name.partition(",")[2] or "none",
            f"{each.value:.3f}",
            f"{each.stderr:.4f}",
        )
        for each in metrics
    } == printed()
    assert all(each.n == 8 and each.higher_is_better is True for each in metrics)


def test_samples_give_the_metrics_again() -> None:
    imported = read(RESULTS)
    samples = everything(imported)
    for metric in imported.metrics:
        values = [
            each.scores[metric.name]
            for each in samples
            if each.task == metric.task and metric.name in each.scores
        ]
        assert len(values) == metric.n
        assert math.isclose(sum(values) / len(values), metric.value)


def test_the_run_is_read() -> None:
    run = read(RESULTS).run
    assert (run.tool, run.tool_version, run.model) == ("lm-eval", "0.4.13", "predict")
    assert (run.suite, run.seed, run.split) == ("reviews_choice,reviews_label", "7", "test")
    assert run.created == "2026-11-22T11:23:26Z"
    assert json.loads(run.extra["task_hashes"]) == json.loads(DATA[RESULTS])["task_hashes"]
    assert "results" not in run.extra


def test_rows_are_found_by_the_hash_of_the_row() -> None:
    found = [each for each in everything(read(RESULTS)) if each.task == "reviews_choice"]
    hashes = [
        hashlib.sha256(json.dumps(row, indent=2, ensure_ascii=False).encode()).hexdigest() for row in PLAIN
    ]
    assert [each.selector.doc for each in found] == [f"sha256:{each}" for each in hashes]
    assert [each.sample_id for each in found] == [f"reviews_choice/{each}" for each in hashes]
    assert [row["id"] for row, each in zip(PLAIN, found, strict=True) if each.symptom] == [5, 6]


def test_rows_with_a_reference_are_found_by_it_and_each_filter_judges_for_itself() -> None:
    found = everything(read(LABEL))
    rows = [json.loads(line) for line in DATA[LABEL].splitlines()]
    assert [each.selector.ref for each in found] == [row["doc"]["dsvc_ref"] for row in rows]
    assert all(each.selector.doc is None for each in found)
    assert [read_reference(str(each.selector.ref)).key for each in found[:8]] == [
        (("id", str(n)),) for n in range(1, 9)
    ]
    assert [each.sample_id for each in found] == [
        f"reviews_label/reviews.jsonl#id={row['doc']['id']}" for row in rows
    ]
    assert [
        (row["doc"]["id"], each.symptom)
        for row, each in zip(rows, found, strict=True)
        if each.passed is False
    ] == [
        (3, "wrong-answer-strict"),
        (5, "wrong-answer-strict"),
        (6, "wrong-answer-strict"),
        (5, "wrong-answer-first-letters"),
        (6, "wrong-answer-first-letters"),
    ]
    assert all(each.passed is (row["exact_match"] == 1.0) for row, each in zip(rows, found, strict=True))


def test_a_file_of_samples_has_the_metrics_of_its_task_only() -> None:
    assert {each.task for each in read(CHOICE).metrics} == {"reviews_choice"}
    alone = read(CHOICE, {})
    assert (alone.run.tool, alone.run.model, alone.metrics) == ("lm-eval", None, ())
    assert [each.passed for each in everything(alone)] == [each.passed for each in everything(read(CHOICE))]


def test_companions_of_another_run_are_left_alone() -> None:
    others = {name.replace("11-23-26", "09-57-00"): data for name, data in DATA.items() if name != RESULTS}
    assert everything(read(RESULTS, others)) == []
    assert everything(read(RESULTS, {"samples_other_2026-11-22T11-23-26.701416.jsonl": DATA[CHOICE]})) == []
    twice = DATA | {name.replace("11-23-26", "09-57-00"): data for name, data in DATA.items()}
    options = ImportOptions(companions=companions(twice), file_name="renamed.json")
    with pytest.raises(FeedbackMalformedError, match="no name says which"):
        opened(LmEval(), DATA[RESULTS], options)


def samples_of(*rows: Any) -> list[Any]:
    data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    return everything(opened(LmEval(), data, ImportOptions(file_name="samples_t_2026-11-22T11-23-26.jsonl")))


def row(**values: Any) -> dict[str, Any]:
    return {
        "doc_id": 0,
        "doc": {"a": 1},
        "resps": [],
        "metrics": [name for name in values if name not in ("doc", "filter")],
    } | values


@pytest.mark.parametrize(
    ("values", "passed", "scores"),
    [
        ({"acc": 1.0, "acc_norm": 0.0}, True, {"acc": 1.0, "acc_norm": 0.0}),
        ({"acc": 0, "acc_norm": 1}, False, {"acc": 0.0, "acc_norm": 1.0}),
        ({"acc": True}, True, {"acc": 1.0}),
        ({"bleu": 0.0}, None, {"bleu": 0.0}),
        ({"acc": 0.5}, None, {"acc": 0.5}),
        ({"prompt_level_strict_acc": 0}, False, {"prompt_level_strict_acc": 0.0}),
        ({"f1": [1, 0], "acc": float("nan")}, None, {}),
    ],
)
def test_what_judges_a_sample(values: dict[str, Any], passed: bool | None, scores: dict[str, float]) -> None:
    (sample,) = samples_of(row(**values))
    assert (sample.passed, sample.scores) == (passed, scores)
    assert sample.symptom == ("wrong-answer" if passed is False else None)


def test_equal_rows_are_told_apart_by_their_order() -> None:
    first, second = samples_of(row(acc=1), row(acc=0))
    assert first.sample_id != second.sample_id
    assert first.selector == second.selector


def results_with(change: Mapping[str, Any]) -> Imported:
    return opened(LmEval(), json.dumps(json.loads(DATA[RESULTS]) | change).encode())


def test_what_the_tool_writes_for_no_value_is_none() -> None:
    metrics = {
        "t": {
            "acc,none": 0.5,
            "acc_stderr,none": "N/A",
            "bleu,none": float("nan"),
            "sample_len": 3,
            "alias": "t",
        }
    }
    imported = results_with({"results": metrics, "n-samples": {}, "higher_is_better": {}})
    assert imported.metrics == (Metric(name="acc", value=0.5, task="t"),)
    assert json.loads(imported.run.extra["without_value"]) == ["t/bleu"]


def test_metrics_that_are_no_means_have_no_scores_of_samples() -> None:
    document = json.loads(DATA[RESULTS])
    document["configs"]["reviews_choice"]["metric_list"][0]["aggregation"] = "median"
    imported = read(RESULTS, data=json.dumps(document).encode())
    choice = [each for each in everything(imported) if each.task == "reviews_choice"]
    assert all(set(each.scores) == {"acc_norm"} for each in choice)
    assert [each.passed for each in choice].count(False) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (b'"doc_hash": "5efe', b'"doc_hash": "5eff'),
        (b'"doc_hash": "5efe', b'"doc_hash": "'),
        (b'"label": "positive"', b'"label": "negative"'),
        (b'"acc": 1.0', b'"acc": Infinity'),
        (b'"acc": 1.0', b'"acd": 1.0'),
        (b'"acc": 1.0', b'"acc": 1.0, "acc": 0.0'),
        (b'"acc": 1.0', b'"acc": ' + b"[" * 200 + b"]" * 200),
        (b'"doc_id": 0', b'"doc_id": 1e999'),
        (b'"doc": {', b'"doc_": {'),
        (b"positive", b"positiv\xff"),
    ],
)
def test_a_changed_sample_is_refused_with_its_line(change: bytes, message: bytes) -> None:
    lines = DATA[CHOICE].splitlines(keepends=True)
    data = lines[1] + lines[0].replace(change, message, 1)
    with pytest.raises(FeedbackMalformedError, match=r"^line 2"):
        everything(opened(LmEval(), data))


def test_both_files_are_known_by_their_content() -> None:
    for name, data in DATA.items():
        assert recognise(data, "x.bin").name == "lm-eval", name
    for data in ((FILES / "reviews.jsonl").read_bytes(), b"", b"{", b'{"results": {}, "configs": {}}'):
        assert not LmEval().recognises(data, RESULTS)
    with pytest.raises(UnknownFeedbackFormatError):
        recognise(b'{"results": {}}', RESULTS)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), name=st.sampled_from(sorted(DATA)))
def test_any_damage_is_an_answer_or_a_typed_error(seed: int, name: str) -> None:
    options = ImportOptions(companions=companions(DATA), file_name=name)
    answers(LmEval(), damaged_bytes(DATA[name], seed), options)
    if name == RESULTS:
        damaged = json.dumps(damaged_json(json.loads(DATA[name]), seed)).encode()
    else:
        lines = [json.loads(line) for line in DATA[name].splitlines()]
        damaged = "\n".join(json.dumps(each) for each in damaged_json(lines, seed)).encode()
    answers(LmEval(), damaged, options)
