"""Rules over labels, samples, quality, pilots and releases: where the line runs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.lineage.closure import Step
from dsvc.lineage.validation import Gate, Outcome, Severity
from dsvc.policy.example_check import ask
from dsvc.policy.example_text import world_of
from dsvc.policy.example_world import build_case
from dsvc.policy.reviews import runs_behind
from dsvc.policy.rule import RuleUse, Terms
from dsvc.policy.rule_catalogue import find_rule
from tests.policykit import use_of

PASS, FAIL, INCOMPLETE = Outcome.PASS, Outcome.FAIL, Outcome.INCOMPLETE
RISKS = {**{f"A.1.{n}": 200 for n in range(1, 9)}, **{f"A.2.{n}": 100 for n in range(1, 10)}}


def judged(rule: str, **world: Any) -> tuple[Outcome, list[str]]:
    found = find_rule(rule)
    defaults = {name: each.default for name, each in found.parameters.items()}
    terms = Terms(severity=Severity.BLOCKING, gate=Gate.RELEASE, clause="", parameters=defaults)
    outcome, findings = ask(RuleUse(found, terms, "test"), world_of(world))
    return outcome, [each.message for each in findings]


def rows(count: int) -> list[dict[str, object]]:
    return [{"id": n, "text": f"t{n}"} for n in range(count)]


def sampled(level: str, count: int, seed: str | None = "content", **facts: str) -> dict[str, Any]:
    """A table of so many rows, and a review of it."""
    review = {"name": "看", "kind": "review", "inputs": ["数据.jsonl"], "outputs": ["r.txt"]}
    review["facts"] = {"aspect": "safety", "review": level, "verdict": "pass", **facts}
    if seed is not None:
        review["seed"] = seed
    return {
        "file": [{"path": "数据.jsonl", "rows": rows(count)}, {"path": "r.txt", "content": "fine"}],
        "source": [{"id": "源", "paths": ["数据.jsonl"]}],
        "run": [review],
    }


@pytest.mark.parametrize(
    ("count", "sample", "passed", "wanted"),
    [
        (5000, 4000, 3840, PASS),
        (5000, 4000, 3839, FAIL),
        (5000, 3999, 3999, FAIL),
        (4001, 4000, 4000, PASS),
        (10, 10, 10, PASS),
        (10, 9, 9, FAIL),
        (10, 10, 11, FAIL),
    ],
)
def test_a_manual_sample(count: int, sample: int, passed: int, wanted: Outcome) -> None:
    world = sampled("expert", count, sample=str(sample), passed=str(passed))
    assert judged("SAFE-01", **world)[0] is wanted


@pytest.mark.parametrize(
    ("seed", "wanted", "said"),
    [(None, INCOMPLETE, "not recorded"), ("1", FAIL, "with the seed 1, not with"), ("content", PASS, "")],
)
def test_nobody_chooses_the_sample(seed: str | None, wanted: Outcome, said: str) -> None:
    outcome, messages = judged("SAFE-01", **sampled("expert", 3, seed, sample="3", passed="3"))
    assert outcome is wanted
    assert said in "".join(messages)


@pytest.mark.parametrize(
    ("sample", "passed", "wanted"),
    [(101, 101, PASS), (100, 100, FAIL), (200, 196, PASS), (200, 195, FAIL)],
)
def test_a_technical_sample_is_a_tenth_rounded_up(sample: int, passed: int, wanted: Outcome) -> None:
    world = sampled("automatic", 1001, None, sample=str(sample), passed=str(passed))
    assert judged("SAFE-02", **world)[0] is wanted


@pytest.mark.parametrize(
    ("words", "found", "wanted", "said"),
    [
        (None, {}, PASS, ""),
        ("policy/词.toml", {"words": {"status": "clean"}}, PASS, ""),
        (
            "policy/词.toml",
            {"words": {"status": "hits", "counts": {"A.1.1": 2}}},
            FAIL,
            "2 words of the list",
        ),
        ("policy/词.toml", {}, INCOMPLETE, "sensitive words can't be told"),
        # The list itself has all of them.
        ("数据.jsonl", {"words": {"status": "hits", "counts": {"A.1.1": 2}}}, PASS, ""),
    ],
)
def test_words_of_the_list_that_the_settings_name(
    words: str | None, found: dict[str, object], wanted: Outcome, said: str
) -> None:
    world = sampled("automatic", 3, None, sample="3", passed="3")
    files = {"r.txt": {"status": "clean"}}
    detections = {name: {**each, "files": files} for name, each in found.items() if isinstance(each, dict)}
    outcome, messages = judged("SAFE-02", **world, settings={"words": words}, detections=detections)
    assert outcome is wanted
    assert said in "".join(messages)


@pytest.mark.parametrize(("sample", "passed"), [("1" + "0" * 12, "1"), ("9" * 18, "5" + "0" * 17)])
def test_a_sample_of_more_than_there_can_be_is_not_recorded(sample: str, passed: str) -> None:
    outcome, messages = judged("SAFE-01", **sampled("expert", 3, sample=sample, passed=passed))
    assert outcome is INCOMPLETE
    assert "how many items were looked at" in messages[0]
    largest = sampled("expert", 3, sample="9" * 12, passed="5" * 12)
    assert judged("SAFE-01", **largest)[0] is FAIL


@pytest.mark.parametrize(("passed", "wanted"), [("960000", PASS), ("959999", FAIL)])
def test_a_share_is_compared_to_the_last_item(passed: str, wanted: Outcome) -> None:
    assert judged("SAFE-01", **sampled("expert", 3, sample="1000000", passed=passed))[0] is wanted


def test_who_has_no_sample_is_told_its_seed() -> None:
    world = sampled("automatic", 3, None, sample="3", passed="3")
    case = build_case(world_of(world))
    use = use_of("SAFE-01")
    (finding,) = use.rule.find(case, use.terms)
    seed = build_case(world_of(sampled("expert", 3))).judged.origins.runs
    (run,) = (seed.run(id_) for id_ in seed.ids)
    assert finding.outcome is INCOMPLETE
    assert f"--seed {run.seed}, which" in str(finding.hint)


@pytest.mark.parametrize(("hits", "wanted"), [(1, PASS), (2, FAIL)])
def test_one_record_in_fifty_may_have_words_of_the_list(hits: int, wanted: Outcome) -> None:
    world = sampled("automatic", 50, None, sample="50", passed="50")
    words = {"status": "hits", "counts": {"A.1.1": hits}, "files": {"r.txt": {"status": "clean"}}}
    assert judged("SAFE-02", **world, settings={"words": "w"}, detections={"words": words})[0] is wanted
    assert judged("SAFE-03", **world)[0] is INCOMPLETE, "there is no list"


def test_a_file_that_the_sample_left_out_is_named() -> None:
    world = sampled("automatic", 3, None, sample="3", passed="3")
    world["file"].append({"path": "别的.jsonl", "rows": rows(1)})
    outcome, messages = judged("SAFE-02", **world)
    assert outcome is INCOMPLETE
    assert "别的.jsonl" in messages[0]


def test_what_was_made_into_something_else_needs_no_sample_of_its_own() -> None:
    world = sampled("automatic", 3, None, sample="3", passed="3")
    world["file"].append({"path": "raw.jsonl", "rows": rows(2)})
    world["source"] = [{"id": "源", "paths": ["raw.jsonl"]}]
    world["run"].append(
        {"name": "clean", "kind": "clean", "inputs": ["raw.jsonl"], "outputs": ["数据.jsonl"]}
    )
    assert judged("SAFE-02", **world)[0] is PASS


def test_of_two_reviews_the_newest_counts() -> None:
    world = sampled("automatic", 3, None, sample="3", passed="3")
    world["file"].append({"path": "again.txt", "content": "not so fine"})
    again = {**world["run"][0], "name": "again", "outputs": ["again.txt"]}
    again["facts"] = {**again["facts"], "passed": "1"}
    world["run"].append(again)
    assert judged("SAFE-02", **world)[0] is FAIL


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, PASS),
        ({"words": 9999}, FAIL),
        ({"updated": "2026-11-15"}, PASS),
        ({"updated": "2026-11-14"}, FAIL),
        ({"updated": "2026-11-23"}, INCOMPLETE),
        ({"updated": "last week"}, INCOMPLETE),
        ({"risks": {**RISKS, "A.1.3": 199}}, FAIL),
        ({"risks": {**RISKS, "A.2.3": 99}}, FAIL),
        ({"risks": {name: n for name, n in RISKS.items() if name != "A.2.9"}}, INCOMPLETE),
        ({"risks": {}}, INCOMPLETE),
    ],
)
def test_the_list_of_words(changes: dict[str, object], wanted: Outcome) -> None:
    words = {"version": "1", "updated": "2026-11-22", "words": 10_000, "risks": RISKS, **changes}
    assert judged("SAFE-03", word_list=words)[0] is wanted


def labelled(**facts: str) -> dict[str, Any]:
    return {
        "file": [{"path": "a.jsonl", "rows": rows(2)}, {"path": "b.jsonl", "rows": rows(2)}],
        "source": [{"id": "web", "paths": ["a.jsonl"]}],
        "run": [
            {"name": "标注", "kind": "label", "inputs": ["a.jsonl"], "outputs": ["b.jsonl"], "facts": facts}
        ],
    }


@pytest.mark.parametrize(
    ("facts", "wanted"),
    [
        ({"annotator": "ann-1", "qualification": "c-1"}, PASS),
        ({"annotator": "ann-1", "qualification": "c-1..2026-01-01"}, PASS),
        ({"annotator": "ann-1", "qualification": "c-1..2025-12-31"}, FAIL),
        ({"annotator": "ann-1"}, INCOMPLETE),
        ({"qualification": "c-1"}, INCOMPLETE),
        ({"by": "model", "model": "tagger-2"}, PASS),
        ({"annotator": "ann-1, ann-2", "reviewer": "ann-2", "qualification": "c-1"}, FAIL),
    ],
)
def test_who_labels_is_qualified_and_does_not_review(facts: dict[str, str], wanted: Outcome) -> None:
    # The run was on 2026-01-01.
    assert judged("ANN-02", **labelled(**facts))[0] is wanted


def test_labels_without_declared_columns_are_unknown() -> None:
    outcome, messages = judged("ANN-05", **labelled(), detections={"label_conflicts": {"status": "clean"}})
    assert outcome is INCOMPLETE
    assert "content" in messages[0]


def test_data_without_labels_has_no_conflicts() -> None:
    world = {"file": [{"path": "a.jsonl", "rows": rows(2)}], "source": [{"id": "web"}]}
    assert judged("ANN-05", **world)[0] is PASS


def test_near_duplicates_across_splits_are_asked_for_where_a_pack_wants_them() -> None:
    world: dict[str, Any] = {
        "file": [{"path": "a.csv", "rows": rows(2)}],
        "source": [{"id": "web"}],
        "tables": {"*.csv": {"content": "text", "split": "id"}},
    }
    assert judged("LIN-05", **world)[0] is PASS
    world["parameters"] = {"near_duplicates": True}
    assert judged("LIN-05", **world)[0] is INCOMPLETE
    for status, wanted in (("clean", PASS), ("hits", FAIL), ("unknown", INCOMPLETE)):
        assert judged("LIN-05", **world, detections={"near_duplicates": {"status": status}})[0] is wanted


@pytest.mark.parametrize(
    ("window", "wanted"),
    [
        ("2026-10-01..2026-11-21", PASS),
        ("2026-10-01..2026-10-30", PASS),
        ("2026-10-02..2026-10-30", FAIL),
        ("2026-10-01..2026-11-22", FAIL),
        ("2026-11-30..2026-11-01", INCOMPLETE),
        ("soon", INCOMPLETE),
        ("", INCOMPLETE),
    ],
)
def test_people_can_object_until_the_last_day_is_over(window: str, wanted: Outcome) -> None:
    world = {
        "file": [{"path": "a.csv", "rows": rows(1)}],
        "source": [{"id": "web", "objection_window": window}],
        "parameters": {"days": 30},
    }
    assert judged("REL-01", **world)[0] is wanted


@pytest.mark.parametrize("status", ["open", "confirmed", "repairing", "reopened"])
def test_a_blocking_defect_that_is_not_closed_exits_with_23(status: str) -> None:
    assert judged("PIL-02", defect=[{"id": "d", "status": status}])[0] is FAIL
    assert judged("PIL-02", defect=[{"id": "d", "status": status, "severity": "P2"}])[0] is PASS
    assert find_rule("PIL-02").exit_code == 23


@pytest.mark.parametrize(
    ("defect", "wanted"),
    [
        ({"severity": "P3", "worst": "P1"}, FAIL),
        ({"severity": "P1", "status": "rejected"}, FAIL),
        ({"severity": "P2", "worst": "P2", "status": "rejected"}, PASS),
        ({"status": "verified"}, PASS),
        ({"status": "verified", "back": 1}, FAIL),
        ({"status": "verified", "severity": "P2", "back": 1}, PASS),
        ({"status": "verified", "problem": "it is torn"}, INCOMPLETE),
        ({"status": "closed"}, INCOMPLETE),
        ({"severity": "P0"}, INCOMPLETE),
        ({"severity": "P3", "worst": "P0"}, INCOMPLETE),
    ],
)
def test_lowering_a_blocking_defect_closes_it_as_little_as_losing_its_record(
    defect: dict[str, object], wanted: Outcome
) -> None:
    assert judged("PIL-02", defect=[{"id": "d", "path": "a.csv", **defect}])[0] is wanted


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"before": 0.9, "after": 0.9}, PASS),
        ({"before": 0.9, "after": 0.95, "low": 0.01, "high": 0.09}, PASS),
        ({"before": 0.9, "after": 0.8, "low": -0.15, "high": -0.05}, FAIL),
        ({"before": 0.9, "after": 0.8, "low": -0.25, "high": 0.05}, PASS),
        ({"before": 0.9, "after": 0.8}, INCOMPLETE),
        ({"before": 0.9, "after": 0.95}, PASS),
        ({"before": 2.0, "after": 2.3, "low": 0.2, "high": 0.4, "higher_is_better": False}, FAIL),
        ({"before": 2.3, "after": 2.0, "low": -0.4, "high": -0.2, "higher_is_better": False}, PASS),
        ({"before": 2.3, "after": 2.0, "low": -0.4, "high": -0.2, "higher_is_better": "unknown"}, INCOMPLETE),
        ({"before": 0.9, "unmeasured": True}, INCOMPLETE),
        ({"after": 0.9}, PASS),
        ({}, INCOMPLETE),
    ],
)
def test_no_metric_is_worse_than_in_the_release_before(change: dict[str, object], wanted: Outcome) -> None:
    assert judged("QTY-01", change=[{"id": "m", **change}])[0] is wanted


@pytest.mark.parametrize(("tolerance", "wanted"), [(0.0, FAIL), (0.049, FAIL), (0.051, PASS), (0.2, PASS)])
def test_a_tolerance_is_held_against_the_whole_interval(tolerance: float, wanted: Outcome) -> None:
    change = {"id": "m", "before": 0.9, "after": 0.8, "low": -0.15, "high": -0.05}
    assert judged("QTY-01", change=[change], parameters={"tolerance": tolerance})[0] is wanted


@pytest.mark.parametrize(
    ("announced", "days", "wanted"),
    [
        ({"until": "2026-11-21"}, 0, PASS),
        ({"until": "2026-11-22"}, 0, FAIL),
        ({"until": "2026-10-30"}, 30, PASS),
        ({"until": "2026-10-29"}, 30, FAIL),
        ({}, 0, PASS),
        ({}, 30, INCOMPLETE),
        ({"problem": "it is torn"}, 0, INCOMPLETE),
    ],
)
def test_people_can_object_to_an_announced_release(
    announced: dict[str, str], days: int, wanted: Outcome
) -> None:
    world = {"announced": [{"id": "v1", **announced}], "parameters": {"days": days}}
    assert judged("REL-01", **world)[0] is wanted


def test_an_evaluation_that_cannot_be_read_leaves_the_pilot_untold() -> None:
    passed = [{"id": kind, "kind": kind} for kind in ("training", "finetuning", "inference")]
    assert judged("PIL-01", evaluation=passed)[0] is PASS
    torn = {"id": "e", "kind": "", "of": "another", "problem": "it is torn"}
    assert judged("PIL-01", evaluation=[*passed, torn])[0] is INCOMPLETE


@pytest.mark.parametrize(("outcome", "said"), [("", "is unknown"), ("maybe", "is maybe")])
def test_an_evaluation_of_which_nothing_came_is_none_that_passed(outcome: str, said: str) -> None:
    passed = [{"id": kind, "kind": kind} for kind in ("training", "finetuning", "inference")]
    found, messages = judged(
        "PIL-01", evaluation=[*passed, {"id": "e", "kind": "training", "outcome": outcome}]
    )
    assert found is INCOMPLETE
    assert said in messages[0]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=8))
@settings(max_examples=40, deadline=None)
def test_the_runs_behind_a_run_are_those_that_a_search_finds(steps: list[tuple[int, int]]) -> None:
    files = [{"path": f"f{n}", "content": f"{n}"} for n in range(6)]
    runs = [
        {"name": f"r{n}", "inputs": [f"f{a}"], "outputs": [f"f{b}"]}
        for n, (a, b) in enumerate(steps)
        if a != b
    ]
    case = build_case(world_of({"file": files, "run": runs, "source": [{"id": "s", "paths": ["f0"]}]}))
    closure = case.judged.closure
    ids = list(closure.runs)
    found = runs_behind(case, ids, ids)
    for id_ in ids:
        seen: set[Step] = set()
        pending: list[Step] = [id_]
        while pending:
            for parent in closure.parents[pending.pop()]:
                if parent not in seen:
                    seen.add(parent)
                    pending.append(parent)
        assert set(found[id_]) == (seen & set(ids)) - {id_}
