"""Rules over sources, at their borders: dates, shares, merges, several states, names in Chinese."""

from __future__ import annotations

import pytest

from dsvc.lineage.evidence import evidence_needed
from dsvc.lineage.validation import Outcome
from dsvc.model.source_record import Acquisition
from tests.policykit import ask

PASS, FAIL, INCOMPLETE = Outcome.PASS, Outcome.FAIL, Outcome.INCOMPLETE
FILE = 'file = [{ path = "数据/a.jsonl", rows = [{ id = 1, text = "a" }] }]\n'


def world(*sources: str, head: str = "") -> str:
    """A world of one file, and sources given as the lines of their tables."""
    return head + FILE + "".join(f"[[source]]\n{lines}\n" for lines in sources)


# SRC-02


@pytest.mark.parametrize("acquisition", list(Acquisition))
def test_each_acquisition_needs_each_of_its_groups(acquisition: Acquisition) -> None:
    groups = evidence_needed(acquisition)
    kinds = [group[-1] for group in groups]

    def outcome(held: list[str]) -> Outcome:
        evidence = ", ".join(f'{{ type = "{kind}" }}' for kind in held)
        lines = f'id = "网页-1"\nacquisition = "{acquisition}"\nevidence = [{evidence}]'
        return ask("SRC-02", world(lines)).outcome

    assert outcome(kinds) is PASS
    for number in range(len(kinds)):
        assert outcome(kinds[:number] + kinds[number + 1 :]) is INCOMPLETE


@pytest.mark.parametrize(
    ("evidence", "expected", "says"),
    [
        ('valid_to = "2026-11-22"', PASS, ""),
        ('valid_to = "2026-11-21"', FAIL, "expired on 2026-11-21"),
        ('valid_to = "2026-11-22T00:00:00Z"', PASS, ""),
        ('valid_from = "2026-11-22"', PASS, ""),
        ('valid_from = "2026-11-23"', FAIL, "holds only from 2026-11-23 on"),
        ('bytes = "other"', FAIL, "not the file that the record names"),
        ('bytes = "absent"', INCOMPLETE, "not in the store"),
        ('bytes = "lost"', INCOMPLETE, "missing from the store"),
    ],
)
def test_evidence_must_stand_that_day(evidence: str, expected: Outcome, says: str) -> None:
    lines = f'id = "网页"\nevidence = [{{ type = "licence_text", {evidence} }}]'
    answer = ask("SRC-02", world(lines))
    assert answer.outcome is expected
    assert says in answer.messages
    assert [each.subject for each in answer.violations] == ["source:网页".encode()] * bool(says)
    assert all("dsvc " in (each.hint or "") for each in answer.violations)


def test_one_piece_that_stands_is_enough() -> None:
    old, new = '{ type = "licence_text", valid_to = "2020-01-01" }', '{ type = "licence_text" }'
    assert ask("SRC-02", world(f'id = "s"\nevidence = [{old}, {new}]')).outcome is PASS
    assert ask("SRC-02", world(f'id = "s"\nevidence = [{old}]')).outcome is FAIL
    other = '{ type = "other", valid_to = "2020-01-01" }'
    assert ask("SRC-02", world(f'id = "s"\nevidence = [{new}, {other}]')).outcome is PASS


def test_facts_are_those_that_the_version_saw() -> None:
    lines = 'id = "s"\npre_collection_assessment = { harmful_rate = 0.9 }\n'
    better = 'now = { "pre_collection_assessment.harmful_rate" = 0.01 }'
    assert ask("SRC-04", world(lines + better)).outcome is FAIL


# SRC-03


def test_what_a_blacklisted_source_had_may_not_come_back() -> None:
    two = 'file = [{ path = "a.txt", content = "x" }, { path = "b.txt", content = "x" }]\n'
    banned = '[[source]]\nid = "bad"\npaths = ["a.txt"]\nstatus = "blacklisted"\nsupplier = "Acme"\n'
    good = '[[source]]\nid = "good"\npaths = ["b.txt"]\nsupplier = "ACME"\n'
    answer = ask("SRC-03", two + banned + good)
    assert {each.subject for each in answer.violations} == {b"source:bad", b"b.txt"}
    # The path of the banned source itself is not judged: only the content, and who supplied it, give it away.
    unused = two.replace('"x" },', '"x", judged = false },') + banned + good
    answer = ask("SRC-03", unused)
    assert [each.subject for each in answer.violations] == [b"b.txt"]
    assert "source bad" in answer.messages
    answer = ask("SRC-03", unused, {"same": ("supplier",)})
    assert [each.subject for each in answer.violations] == [b"source:good"]
    assert ask("SRC-03", unused, {"same": ()}).outcome is PASS
    empty = unused.replace('content = "x"', 'content = ""')
    assert ask("SRC-03", empty).outcome is PASS


# SRC-04 and SRC-05


@pytest.mark.parametrize(
    ("assessment", "expected"),
    [
        ("{ harmful_rate = 0.05 }", PASS),
        ("{ harmful_rate = 0.05, sample = 4000 }", PASS),
        ("{ harmful_rate = 0 }", PASS),
        ("{ harmful_rate = 0.051 }", FAIL),
        ("{ harmful_rate = 0.0500001 }", FAIL),
        ("{ harmful_rate = 1 }", FAIL),
        ("{ sample = 4000 }", INCOMPLETE),
        ("{ harmful_rate = 0.01, sample = 0 }", INCOMPLETE),
        ('""', INCOMPLETE),
    ],
)
def test_harmful_share(assessment: str, expected: Outcome) -> None:
    for rule, field in (("SRC-04", "pre"), ("SRC-05", "post")):
        name = f"{field}_collection_assessment"
        answer = ask(rule, world(f'id = "s"\nacquisition = "crawl"\n{name} = {assessment}'))
        assert answer.outcome is expected
        other = ask(rule, world(f'id = "s"\nacquisition = "synthetic"\n{name} = {assessment}'))
        assert other.outcome is PASS, "what was made is not collected"
        open_ = ask(rule, world(f'id = "s"\n{name} = {assessment}\nundetermined = ["{name}"]'))
        assert open_.outcome is INCOMPLETE
        assert "met in a merge" in open_.messages


def test_a_sample_can_be_asked_for() -> None:
    lines = world('id = "s"\npre_collection_assessment = { harmful_rate = 0, sample = 99 }')
    assert ask("SRC-04", lines, {"min_sample": 99}).outcome is PASS
    assert ask("SRC-04", lines, {"min_sample": 100}).outcome is FAIL
    bare = world('id = "s"\npre_collection_assessment = { harmful_rate = 0 }')
    assert ask("SRC-04", bare, {"min_sample": 1}).outcome is INCOMPLETE


# SRC-06


def mix(*sources: tuple[str, str, str, int]) -> str:
    files = ", ".join(f'{{ path = "{id_}.txt", content = "{"x" * size}" }}' for id_, _, _, size in sources)
    return f"file = [{files}]\n" + "".join(
        f'[[source]]\nid = "{id_}"\npaths = ["{id_}.txt"]\nmodality = {types}\nlanguage = {languages}\n'
        for id_, types, languages, _ in sources
    )


def test_sources_by_language_and_type() -> None:
    a, b = ("a", '["text"]', '["zh"]', 5), ("b", '["text"]', '["zh-Hans", "en"]', 5)
    assert "text in en comes from b only" in ask("SRC-06", mix(a, b)).messages
    c = ("c", '["text"]', '["EN_us"]', 5)
    assert ask("SRC-06", mix(a, b, c)).outcome is PASS
    image = ("d", '["image"]', '""', 5)
    answer = ask("SRC-06", mix(a, b, c, image))
    assert [each.message.split(" comes")[0] for each in answer.violations] == ["image"]
    assert ask("SRC-06", mix(a, b, c, image), {"min_sources": 1}).outcome is PASS


def test_the_largest_source_has_a_share() -> None:
    def share(first: int, second: int) -> Outcome:
        sources = [("a", '["text"]', '["zh"]', first), ("b", '["text"]', '["zh"]', second)]
        return ask("SRC-06", mix(*sources)).outcome

    assert share(80, 20) is PASS
    assert share(81, 19) is FAIL
    two = mix(("a", '["text"]', '["zh"]', 1), ("b", '["text"]', '["zh"]', 1))
    assert ask("SRC-06", two, {"measure": "rows"}).outcome is INCOMPLETE, "a text has no rows"


# SRC-10, SRC-11, SRC-12


@pytest.mark.parametrize(
    ("day", "expected"), [("2027-02-20", PASS), ("2027-02-19", FAIL), ("2020-01-01", FAIL)]
)
def test_ninety_days_before_the_end(day: str, expected: Outcome) -> None:
    held = f'evidence = [{{ type = "licence_text", valid_to = "{day}" }}]'
    assert ask("SRC-10", world(f'id = "s"\n{held}')).outcome is expected
    unlimited = 'evidence = [{ type = "licence_text" }]'
    for name in ("expiry", "valid_to"):
        assert ask("SRC-10", world(f'id = "s"\n{unlimited}\n{name} = "{day}"')).outcome is expected
    ending = f'cross_border = {{ valid_to = "{day}" }}'
    assert ask("SRC-10", world(f'id = "s"\n{unlimited}\n{ending}')).outcome is expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ('rights_status = "clear"\ncontains_pi = "yes"', PASS),
        ('rights_status = "disputed"\ncontains_pi = "none"', FAIL),
        ('rights_status = "undetermined"\ncontains_pi = "none"', INCOMPLETE),
        ('contains_pi = "none"', INCOMPLETE),
        ('rights_status = "clear"', INCOMPLETE),
        ('rights_status = "clear"\ncontains_pi = "unknown"', INCOMPLETE),
        ('rights_status = "clear"\ncontains_pi = "none"\nlegal_basis = "undetermined"', INCOMPLETE),
        ('rights_status = "clear"\ncontains_pi = "none"\nundetermined = ["rights_status"]', INCOMPLETE),
        ('rights_status = "clear"\ncontains_pi = "none"\nundetermined = ["legal_basis"]', INCOMPLETE),
    ],
)
def test_rights_and_personal_data_are_settled(lines: str, expected: Outcome) -> None:
    assert ask("SRC-11", world(f'id = "来源"\n{lines}')).outcome is expected


@pytest.mark.parametrize(
    ("domains", "expected"),
    [
        ('["a.org=1", "b.org=0"]', PASS),
        ('["https://a.org/x=10"]', PASS),
        ('["a.org=1", "b.org"]', INCOMPLETE),
        ('["a.org=1", "b.org=1.5"]', FAIL),
        ('["a.org=1", "A.org=2"]', FAIL),
        ('["a.org=0"]', FAIL),
        ("[]", INCOMPLETE),
    ],
)
def test_domains_with_sizes(domains: str, expected: Outcome) -> None:
    lines = f'id = "s"\ndomains = {domains}\nacquisition = '
    assert ask("SRC-12", world(lines + '"crawl"')).outcome is expected
    assert ask("SRC-12", world(lines + '"api"')).outcome is PASS


# What can't be read


def test_a_source_that_cannot_be_read_leaves_every_rule_undecided() -> None:
    good = 'id = "good"\npaths = ["数据/a.jsonl"]\nacquisition = "self_generated"\nlegal_basis = "licence"'
    for rule in ("SRC-02", "SRC-04", "SRC-07", "SRC-11", "PII-02", "XB-02", "SYN-01"):
        answer = ask(rule, world(good, 'id = "lost"\nlost = true'))
        assert answer.outcome is not PASS, rule
        assert "lost" in answer.messages
