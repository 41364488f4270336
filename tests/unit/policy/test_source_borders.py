"""Rules over sources, releases and files at their borders: merged values, days, names of hosts, screens."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dsvc.lineage.validation import Outcome
from dsvc.policy.example_check import ask as ask_example
from dsvc.policy.example_check import load_examples
from dsvc.policy.example_text import RunEntry, SourceEntry, world_of
from dsvc.policy.example_world import build_case
from tests.policykit import data, judged, use_of

PASS, FAIL, INCOMPLETE = Outcome.PASS, Outcome.FAIL, Outcome.INCOMPLETE

# REL-02, REL-03


def disclosed(**changes: Any) -> tuple[Outcome, list[str]]:
    given = {
        "url": "https://example.org/data",
        "issuer": "Example University",
        "description": "short texts",
        "modality": ["text"],
        "contains_pi": "none",
        "aggregate_consumer_info": "no",
        "collected_from": "2024-01-01",
        "collected_to": "2024-06-30",
        "first_used": "2025-03-01",
        "synthetic": "no",
        "responsible_person": "data office",
    }
    return judged("REL-02", data({**given, **changes}))


def test_days_of_a_disclosure_follow_each_other() -> None:
    assert disclosed()[0] is PASS
    assert disclosed(first_used="2026-11-22")[0] is PASS
    assert disclosed(first_used="2026-11-23") == (
        FAIL,
        ["source 源: it was first used on 2026-11-23, which is to come (AB 2013 (11))"],
    )
    assert disclosed(collected_to="2024-01-01")[0] is PASS
    assert disclosed(collected_to="2023-12-31")[0] is FAIL


def test_a_registration_that_is_over_registers_nothing() -> None:
    both = [{"registered": "yes", "valid_to": "2026-11-22"}, {"id": "乙", "registered": "yes"}]
    assert judged("REL-03", data(*both))[0] is PASS
    both[0]["valid_to"] = "2026-11-21"
    outcome, messages = judged("REL-03", data(*both))
    assert outcome is FAIL
    assert "its registration held until 2026-11-21" in messages[0]
    assert messages[1].startswith("1 of 2 sources are registered (50%)")
    assert judged("REL-03", data(*both), share=0.5)[1] == messages[:1]
    both[1]["registered"] = "no"
    assert "0 of 2 sources" in judged("REL-03", data(*both), share=0.5)[1][1]


# SRC-02, SRC-03, SRC-09, SRC-10, REL-01


def test_what_two_merged_values_say_is_not_known() -> None:
    held = {"evidence": [{"type": "licence_text"}], "undetermined": ["acquisition"]}
    outcome, messages = judged("SRC-02", data(held))
    assert outcome is INCOMPLETE
    assert "acquisition has two values" in messages[0]
    ends = {"evidence": [{"type": "licence_text"}], "expiry": "2030-01-01"}
    assert judged("SRC-10", data(ends))[0] is PASS
    outcome, messages = judged("SRC-10", data({**ends, "undetermined": ["expiry"]}))
    assert outcome is INCOMPLETE
    assert "expiry" in messages[0]


def test_a_source_that_shares_a_site_with_a_blacklisted_one_is_named() -> None:
    bad = {"id": "坏", "status": "blacklisted", "paths": [], "domains": ["bad.example.org", "x.org=9"]}
    for domains, wanted in (
        (["good.example.org"], PASS),
        (["x.org=120"], FAIL),
        ([], PASS),
    ):
        world = data({"paths": ["数据.jsonl"], "domains": domains, "supplier": "甲"}, bad)
        assert judged("SRC-03", world, same=("domains",))[0] is wanted
        assert judged("SRC-03", world)[0] is PASS, "sites are compared where a pack asks for it"
    for own, other, wanted in (
        ("甲 ", "甲", FAIL),
        ("ACME", "acme", FAIL),
        ("甲", "乙", PASS),
        (" ", " ", PASS),
    ):
        world = data({"paths": ["数据.jsonl"], "supplier": own}, {**bad, "supplier": other})
        assert judged("SRC-03", world, same=("supplier",))[0] is wanted


def test_other_files_than_the_refused_one_are_none_of_its_business() -> None:
    register = {"id": "register", "kind": "refusal", "state": "refused", "received_at": "2026-11-22"}
    refusal = {"id": "r1", "kind": "refusal", "digests": ["乙.txt"]}
    files = [{"path": "甲.txt", "content": "a"}, {"path": "乙.txt", "content": "b"}]
    world = {"file": files, "source": [{"id": "web"}], "request": [register, refusal]}
    outcome, findings = ask_example(use_of("SRC-09"), world_of(world))
    assert outcome is FAIL
    assert [each.message for each in findings if each.subject == "乙.txt".encode()] == [
        "request r1 refuses this file"
    ]
    assert not [each for each in findings if each.subject == "甲.txt".encode()]


@pytest.mark.parametrize(
    ("host", "wanted"),
    [
        ("例.org", FAIL),
        ("www.例.org", FAIL),
        ("www。例。org", FAIL),
        ("*.例.org=12", FAIL),
        ("bad..例.org.", FAIL),
        ("a" * 70 + ".例.org", FAIL),
        ("xn--fsq.org", FAIL),
        ("例.org.cn", PASS),
        ("本例.org", PASS),
    ],
)
def test_a_part_that_is_no_name_does_not_hide_the_site_it_is_below(host: str, wanted: Outcome) -> None:
    register = {"id": "register", "kind": "refusal", "state": "refused", "received_at": "2026-11-22"}
    refusal = {"id": "r1", "kind": "refusal", "domains": ["xn--fsq.org"]}
    world = data({"acquisition": "crawl", "domains": [host]}, request=[register, refusal])
    assert judged("SRC-09", world)[0] is wanted


def test_an_objection_is_open_until_it_is_settled() -> None:
    window = {"objection_window": "2026-10-01..2026-10-31", "acquisition": "crawl", "domains": ["a.org"]}
    for state, wanted in (("open", FAIL), ("erased", PASS), ("refused", PASS)):
        refusal = {"id": "r1", "kind": "refusal", "state": state, "domains": ["a.org"]}
        assert judged("REL-01", data(window, request=[refusal]))[0] is wanted
    access = {"id": "r1", "kind": "withdrawal", "domains": ["a.org"]}
    assert judged("REL-01", data(window, request=[access]))[0] is PASS, (
        "who asks for a copy objects to nothing"
    )


def test_a_source_of_unknown_kind_may_be_the_one_that_is_missing() -> None:
    """With it there may be enough of each kind, so that none is too few."""
    one, two, blank = ({"id": name, "modality": ["image"]} for name in ("一", "b", "c"))
    del blank["modality"]
    for sources, wanted in (((one,), FAIL), ((one, two), PASS), ((one, blank), INCOMPLETE)):
        assert judged("SRC-06", data(*sources))[0] is wanted, sources


def test_a_number_that_is_none_is_unknown() -> None:
    """Such a record was made by something else than dsvc, which refuses it."""
    for rate, wanted in (("0.05", PASS), ("0.051", FAIL), ("a few", INCOMPLETE), ("-1", INCOMPLETE)):
        stated = {"sample": "100", "harmful_rate": rate, "date": "2026-11-01"}
        world = data({"unchecked": {"fields": {"pre_collection_assessment": stated}}})
        assert judged("SRC-04", world)[0] is wanted, rate


def test_who_made_up_data_need_not_say_so_twice() -> None:
    """AB 2013 (12): the acquisition says it, or the field does."""
    lacking = {
        acquisition: [
            each for each in judged("REL-02", data({"acquisition": acquisition}))[1] if "(12)" in each
        ]
        for acquisition in ("synthetic", "crawl")
    }
    assert [len(each) for each in lacking.values()] == [0, 1]
    begun = judged("REL-02", data({"collected_from": "2024-01-01"}))[1]
    assert [each for each in begun if "collected_to" in each]


# LIC-02


def test_of_a_file_from_nowhere_no_use_is_known_to_be_permitted() -> None:
    files = [{"path": name, "rows": [{"id": 1, "text": name}]} for name in ("mine.csv", "found.csv")]
    world = {
        "file": files,
        "source": [{"id": "own", "paths": ["mine.csv"]}],
        "settings": {"purpose": "research"},
    }
    outcome, messages = judged("LIC-02", world_of(world))
    assert outcome is INCOMPLETE
    assert messages == ["found.csv: not all that it comes from is known"]


def test_of_a_file_from_nowhere_nobody_states_the_quality() -> None:
    files = [{"path": "found.csv", "rows": [{"id": 1, "text": "x"}]}]
    outcome, messages = judged("QTY-01", world_of({"file": files}))
    assert outcome is INCOMPLETE
    assert messages == ["no review states the quality of found.csv, and no source does"]


@pytest.mark.parametrize("rule", ["LIC-02", "QTY-01", "SAFE-01", "ANN-01"])
def test_what_cannot_be_read_leaves_its_rules_incomplete(rule: str) -> None:
    """With all else as in the example in which the rule passes."""
    world = load_examples(rule).worlds["pass"]
    assert ask_example(use_of(rule), world)[0] is PASS
    run, source = RunEntry(name="lost", lost=True), SourceEntry(id="lost", lost=True)
    outcome, findings = ask_example(use_of(rule), msgspec.structs.replace(world, run=[*world.run, run]))
    assert outcome is INCOMPLETE
    assert any(each.subject.startswith(b"run:") for each in findings)
    more = msgspec.structs.replace(world, source=[*world.source, source])
    outcome, findings = ask_example(use_of(rule), more)
    assert outcome is INCOMPLETE
    assert any(each.subject == b"source:lost" for each in findings)


# PII-01, SAFE-05, LIN-05


def test_only_the_first_places_are_shown() -> None:
    def message(kinds: int) -> str:
        detection = {"status": "hits", "counts": {f"kind{n}": 1 for n in range(kinds)}}
        return judged("PII-01", data({"contains_pi": "none"}, detections={"pii": detection}))[1][0]

    assert [message(kinds).count("*** (line 1)") for kinds in (2, 3, 4, 60)] == [2, 3, 3, 3]


def test_labels_before_are_screened_where_there_are_any() -> None:
    rows = [{"id": 1, "text": "a", "label": "x"}]
    before = '{"id": 1, "text": "a", "label": "y"}\n'
    world: dict[str, Any] = {
        "file": [{"path": "a.jsonl", "rows": rows, "before": before}],
        "source": [{"id": "web"}],
        "tables": {"*.jsonl": {"content": "text", "label": "label", "key": "id"}},
        "detections": {"poisoning": {"status": "clean"}},
    }

    def options(**changes: Any) -> dict[str, str]:
        case = build_case(world_of({**world, **changes}))
        use = use_of("SAFE-05")
        (wanted,) = use.rule.wants(case, use.terms)
        return {**dict(wanted.options), "entries": str(len(list(wanted.entries)))}

    both = options()
    assert (both["previous"], both["entries"], both["key"]) == ("1", "2", '["id"]')
    assert "screens" not in both
    fresh = options(file=[{"path": "a.jsonl", "rows": rows}])
    assert "previous" not in fresh
    assert fresh["entries"] == "1"
    plain = options(tables={"*.jsonl": {"content": "text"}})
    assert (plain["screens"], plain["entries"]) == ("burst", "1")
    assert "key" not in plain


def test_a_split_into_one_table_has_nothing_to_leak_into() -> None:
    files = [{"path": name, "rows": [{"id": 1, "text": "a"}]} for name in ("raw.csv", "train.csv")]
    split = {"name": "split", "kind": "split", "inputs": ["raw.csv"], "outputs": ["train.csv"]}
    world = {
        "file": files,
        "source": [{"id": "web", "paths": ["raw.csv"]}],
        "run": [split],
        "tables": {"*.csv": {"content": "text"}},
    }
    assert judged("LIN-05", world_of(world), near_duplicates=True)[0] is PASS


def test_what_others_labelled_is_screened_for_turned_labels() -> None:
    """Without a declared column of labels the answer is unknown, not that only bursts were asked for."""
    world = {"tables": {"*.jsonl": {"content": "text"}}, "detections": {"poisoning": {"status": "clean"}}}
    assert judged("SAFE-05", data({"acquisition": "crawl"}, **world))[0] is PASS
    outcome, messages = judged("SAFE-05", data({"acquisition": "annotation_output"}, **world))
    assert outcome is INCOMPLETE
    assert "label" in messages[0]


def test_only_what_others_labelled_is_asked_for_its_labels() -> None:
    files = [{"path": name, "rows": [{"id": 1, "text": name}]} for name in ("theirs.csv", "own.csv")]
    sources = [
        {"id": "w", "paths": ["theirs.csv"], "acquisition": "annotation_output"},
        {"id": "o", "paths": ["own.csv"], "acquisition": "crawl"},
    ]
    tables = {"*.csv": {"content": "text", "label": "label"}}
    case = build_case(world_of({"file": files, "source": sources, "tables": {"*.csv": {"content": "text"}}}))
    use = use_of("ANN-05")
    assert [each.subject for each in use.rule.find(case, use.terms)] == [b"theirs.csv"]
    assert [*use.rule.wants(case, use.terms)] == [], "which column has the labels is not declared"
    case = build_case(world_of({"file": files, "source": sources, "tables": tables}))
    assert len([*use.rule.wants(case, use.terms)]) == 2


def test_rows_of_a_split_that_are_not_known_are_not_apart() -> None:
    files = [
        {"path": "raw.csv", "rows": [{"id": 1, "text": "a"}]},
        {"path": "train.csv", "content": 'id,text\n1,"a\n'},
        {"path": "test.csv", "rows": [{"id": 1, "text": "b"}]},
    ]
    split = {"name": "split", "kind": "split", "inputs": ["raw.csv"], "outputs": ["train.csv", "test.csv"]}
    world = {"file": files, "source": [{"id": "web", "paths": ["raw.csv"]}], "run": [split]}
    assert judged("LIN-05", world_of(world))[0] is INCOMPLETE
