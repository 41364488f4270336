"""Rules over labels and quality where answers meet: stated twice, wrongly, or by a review."""

from __future__ import annotations

from typing import Any

import pytest

from dsvc.lineage.validation import Outcome
from dsvc.policy.example_text import World, world_of
from dsvc.policy.rule import Value
from tests.policykit import data, judged

PASS, FAIL, INCOMPLETE = Outcome.PASS, Outcome.FAIL, Outcome.INCOMPLETE
FIVE = {"precision": 0.95, "consistency": 0.95, "timeliness": 0.95, "completeness": 0.95, "neutrality": 0.95}


def labelled(*reviews: dict[str, str], **facts: str) -> World:
    """Two labels made by a run, and reviews of them in their order."""
    rows = [{"id": 1, "text": "a", "label": "x"}, {"id": 2, "text": "b", "label": "y"}]
    files: list[dict[str, Any]] = [
        {"path": "raw.jsonl", "rows": [{"id": 1, "text": "a"}, {"id": 2, "text": "b"}]},
        {"path": "标注.jsonl", "rows": rows},
    ]
    run = {
        "name": "标注",
        "kind": "label",
        "inputs": ["raw.jsonl"],
        "outputs": ["标注.jsonl"],
        "facts": facts,
    }
    runs: list[dict[str, Any]] = [run]
    for number, each in enumerate(reviews):
        files.append({"path": f"r{number}.txt", "content": str(number)})
        runs.append(
            {
                "name": f"看{number}",
                "kind": "review",
                "inputs": ["标注.jsonl"],
                "outputs": [f"r{number}.txt"],
                "started_at": f"2026-02-0{number + 1}T00:00:00Z",
                "facts": each,
            }
        )
    return world_of({"file": files, "source": [{"id": "web", "paths": ["raw.jsonl"]}], "run": runs})


# ANN-01: labels that somebody else made


@pytest.mark.parametrize(
    ("fields", "wanted", "says"),
    [
        ({"rules_version": "3", "evidence": [{"type": "annotation_rules"}]}, PASS, ""),
        ({"evidence": [{"type": "annotation_rules"}]}, INCOMPLETE, "by which version"),
        ({"rules_version": "", "evidence": [{"type": "annotation_rules"}]}, INCOMPLETE, "by which version"),
        (
            {
                "rules_version": "3",
                "undetermined": ["rules_version"],
                "evidence": [{"type": "annotation_rules"}],
            },
            INCOMPLETE,
            "by which version",
        ),
        ({"rules_version": "3"}, INCOMPLETE, "are not kept"),
        ({"rules_version": "3", "evidence": [{"type": "contract"}]}, INCOMPLETE, "are not kept"),
        (
            {
                "rules_version": "3",
                "evidence": [{"type": "annotation_rules", "valid_to": "2026-11-21"}],
            },
            FAIL,
            "don't hold on 2026-11-22",
        ),
        (
            {
                "rules_version": "3",
                "evidence": [
                    {"type": "annotation_rules", "name": "old.md", "valid_to": "2026-11-21"},
                    {"type": "annotation_rules", "name": "new.md", "valid_from": "2026-11-22"},
                ],
            },
            PASS,
            "",
        ),
    ],
)
def test_labels_of_others_name_their_rules_and_keep_them(
    fields: dict[str, Any], wanted: Outcome, says: str
) -> None:
    outcome, messages = judged("ANN-01", data({"acquisition": "annotation_output", **fields}))
    assert outcome is wanted
    assert len(messages) == bool(says)
    assert all(says in each for each in messages)
    crawled = {**fields, "acquisition": "crawl"}
    assert judged("ANN-01", data(crawled))[0] is PASS, "what is no output of annotation has no such rules"


def test_a_label_run_cites_its_rules_and_its_batch() -> None:
    facts = {"rules": "v2", "batch": "b1"}

    def said(*runs: dict[str, str], lookups: tuple[str, ...] = ("r.txt",)) -> tuple[Outcome, str]:
        names = [f"{place}.jsonl" for place in range(len(runs))]
        world = {
            "file": [{"path": name, "rows": [{"id": 1, "text": name}]} for name in ("raw.jsonl", *names)]
            + [{"path": "r.txt", "content": "rules"}],
            "source": [{"id": "raw", "paths": ["raw.jsonl", "r.txt"]}],
            "run": [
                {
                    "name": f"标{place}",
                    "kind": "label",
                    "inputs": ["raw.jsonl"],
                    "lookups": [*lookups],
                    "outputs": [names[place]],
                    "facts": each,
                }
                for place, each in enumerate(runs)
            ],
        }
        outcome, messages = judged("ANN-01", world_of(world))
        return outcome, " ".join(messages)

    assert said(facts, facts) == (PASS, "")
    for runs, lookups, wanted, words in (
        ([{"rules": "v2"}], ("r.txt",), INCOMPLETE, "which batch it labelled"),
        ([{"batch": "b1"}], ("r.txt",), INCOMPLETE, "by which version of the rules"),
        ([facts], (), INCOMPLETE, "rules by which it labelled are not kept"),
        ([facts, {**facts, "rules": "v3"}], ("r.txt",), FAIL, "batch b1 was labelled by rules v2 and by v3"),
        ([facts, {"rules": "v3", "batch": "b2"}], ("r.txt",), PASS, ""),
    ):
        outcome, message = said(*runs, lookups=lookups)
        assert outcome is wanted
        assert words in message


# ANN-03, ANN-04: what reviews said


CROSS = {"review": "cross", "verdict": "pass", "sample": "2", "agreement": "0.7"}


@pytest.mark.parametrize(
    ("purpose", "changes", "wanted", "says"),
    [
        ("functional", {"sample": "1"}, PASS, ""),
        ("functional", {"verdict": "fail"}, FAIL, "did not pass"),
        ("functional", {"verdict": ""}, INCOMPLETE, "what came of the review"),
        ("functional", {"sample": "0"}, INCOMPLETE, "how many items"),
        ("functional", {"review": "automatic"}, INCOMPLETE, "nobody has checked"),
        ("safety", {}, PASS, ""),
        ("safety", {"sample": "1"}, FAIL, "1 of 2 items"),
        ("", {}, PASS, ""),
        ("", {"sample": "1"}, INCOMPLETE, "functional or for safety"),
    ],
)
def test_labels_are_checked_by_sample_or_one_by_one(
    purpose: str, changes: dict[str, str], wanted: Outcome, says: str
) -> None:
    outcome, messages = judged("ANN-03", labelled({**CROSS, **changes}, purpose=purpose))
    assert outcome is wanted
    assert says in " ".join(messages)


def test_the_newest_verdict_counts_and_the_widest_sample() -> None:
    failed = {**CROSS, "verdict": "fail"}
    assert judged("ANN-03", labelled(failed, CROSS, purpose="safety"))[0] is PASS
    assert judged("ANN-03", labelled(CROSS, failed, purpose="safety"))[0] is FAIL
    assert judged("ANN-03", labelled(CROSS, {**CROSS, "sample": "1"}, purpose="safety"))[0] is PASS


@pytest.mark.parametrize(
    ("changes", "wanted", "says"),
    [
        ({}, PASS, ""),
        ({"agreement": "0.699"}, FAIL, "0.699"),
        ({"agreement": "many"}, INCOMPLETE, "how far annotators agree"),
        ({"agreement": ""}, INCOMPLETE, "how far annotators agree"),
        ({"agreement": "nan"}, INCOMPLETE, "how far annotators agree"),
        ({"agreement": "1"}, PASS, ""),
        ({"agreement": "75"}, INCOMPLETE, "how far annotators agree"),
        ({"agreement": "inf"}, INCOMPLETE, "how far annotators agree"),
        ({"agreement": "1.01"}, INCOMPLETE, "how far annotators agree"),
        ({"agreement": "-1"}, FAIL, "-1"),
        ({"agreement": "-1.01"}, INCOMPLETE, "how far annotators agree"),
        ({"verdict": ""}, INCOMPLETE, "what came of the review"),
        ({"verdict": "fail"}, FAIL, "the cross review"),
        ({"review": "other"}, INCOMPLETE, "have no cross review"),
    ],
)
def test_three_levels_of_review_pass_and_annotators_agree(
    changes: dict[str, str], wanted: Outcome, says: str
) -> None:
    others = [{"review": level, "verdict": "pass"} for level in ("automatic", "expert")]
    outcome, messages = judged("ANN-04", labelled(*others, {**CROSS, **changes}))
    assert outcome is wanted
    assert says in " ".join(messages)


# QTY-01: a review that states quality, and what sources state


def measured(stated: dict[str, str], **parameters: Value) -> tuple[Outcome, list[str]]:
    """A table whose quality a review states, next to one whose source does."""
    metrics = [f"{name}=0.95" for name in FIVE]
    world = {
        "file": [
            {"path": "a.jsonl", "rows": [{"id": 1}]},
            {"path": "b.jsonl", "rows": [{"id": 2}]},
            {"path": "r.txt", "content": "fine"},
        ],
        "source": [
            {"id": "甲", "paths": ["a.jsonl"]},
            {"id": "乙", "paths": ["b.jsonl"], "metrics": metrics},
        ],
        "run": [
            {"name": "看", "kind": "review", "inputs": ["a.jsonl"], "outputs": ["r.txt"], "facts": stated}
        ],
    }
    return judged("QTY-01", world_of(world), **parameters)


@pytest.mark.parametrize(
    ("changes", "wanted", "says"),
    [
        ({}, PASS, ""),
        ({"aspect": "quality"}, PASS, ""),
        ({"precision": "0.9"}, PASS, ""),
        ({"precision": "0.89"}, FAIL, "run 看: precision is 0.89; at least 0.9"),
        ({"precision": "1"}, PASS, ""),
        ({"precision": "1.01"}, INCOMPLETE, "run 看: precision is not recorded"),
        ({"precision": "-0.1"}, INCOMPLETE, "precision"),
        ({"precision": "good"}, INCOMPLETE, "precision"),
        ({"neutrality": ""}, INCOMPLETE, "neutrality"),
    ],
)
def test_a_review_states_the_quality_of_what_it_read(
    changes: dict[str, str], wanted: Outcome, says: str
) -> None:
    stated = {name: str(value) for name, value in FIVE.items()}
    outcome, messages = measured({**stated, **changes})
    assert outcome is wanted
    assert says in " ".join(messages)


def test_a_review_of_something_else_states_no_quality() -> None:
    outcome, messages = measured({"aspect": "safety", "verdict": "pass"})
    assert outcome is INCOMPLETE
    assert all("源" not in each and "甲" in each for each in messages)
    assert measured({"aspect": "quality"})[0] is INCOMPLETE
    assert measured(dict.fromkeys(FIVE, "0.95"), neutrality=0.96)[0] is FAIL


def test_metrics_of_a_source_that_are_no_shares_are_not_stated() -> None:
    good = [f"{name}=0.95" for name in FIVE]
    assert judged("QTY-01", data({"metrics": good}))[0] is PASS
    for word in ("much", "1.5", "-1", "nan", ""):
        assert judged("QTY-01", data({"metrics": [*good[:4], f"neutrality={word}"]}))[0] is INCOMPLETE


# AUD-01, AUD-02


def test_a_signature_that_is_wrong_is_named() -> None:
    outcome, messages = judged("AUD-01", data(audit={"bad_signatures": ["c0ffee"]}))
    assert (outcome, messages) == (FAIL, ["the signature of c0ffee is wrong"])
