"""The built-in packs against the lists that they were made from, typed out here."""

from __future__ import annotations

import re
from typing import Final

import pytest

from dsvc.lineage.validation import Gate, Severity
from dsvc.policy.pack import PACKS, PackError, built_in, load_built_in, parse_pack
from dsvc.policy.rule import Binding
from dsvc.policy.rule_catalogue import all_rules, find_rule

NAMES: Final = ["cn-genai", "default", "eu-ai-act", "open-licences", "us-ca-ab2013"]
DEFAULT: Final = {
    Gate.COMMIT: "SRC-01 SRC-02 SRC-03 SRC-07 SRC-08 LIC-01 PII-02 SAFE-04",
    Gate.PUSH: "LIN-01 LIN-02 LIN-03 LIN-04 LIC-03 SYN-01",
    Gate.RELEASE: "SRC-11 LIC-02 LIC-04 LIC-05 PIL-02",
}
"""What the definition of the gate lists for `default`."""
TABLE: Final = """
SRC-01 B c  SRC-02 B c  SRC-03 B c  SRC-04 B c  SRC-05 B r  SRC-06 W r  SRC-07 B c  SRC-08 B c  SRC-09 B r
SRC-10 W p  SRC-11 B r  SRC-12 W r  LIC-01 B c  LIC-02 B r  LIC-03 B p  LIC-04 B r  LIC-05 B r  LIC-06 B p
LIC-07 B r  PII-01 B p  PII-02 B c  PII-03 B c  PII-04 B r  PII-05 B r  PII-06 B r  PII-07 B r  XB-01 B p
XB-02 B p   XB-03 B p   SAFE-01 B r SAFE-02 B r SAFE-03 W r SAFE-04 B c SAFE-05 B p ANN-01 B c  ANN-02 B c
ANN-03 B p  ANN-04 B r  ANN-05 B p  LIN-01 B p  LIN-02 B p  LIN-03 B p  LIN-04 B p  LIN-05 B r  SYN-01 B p
QTY-01 B r  PIL-01 B r  PIL-02 B r  REL-01 B r  REL-02 B r  REL-03 I r  AUD-01 B p  AUD-02 B r
"""
"""Severity and stage of each rule; of SRC-11, which the table has twice, the one that blocks."""
LATER: Final = "SRC-06 SRC-10 SRC-12 LIC-06 LIC-07 PII-03 PII-06 XB-03 SAFE-03 SAFE-05 QTY-01 REL-01 REL-03"
"""Rules that the first cut of 40 leaves out."""
SEVERITIES: Final = {"B": Severity.BLOCKING, "W": Severity.WARNING, "I": Severity.INFORMATION}
STAGES: Final = {"c": Gate.COMMIT, "p": Gate.PUSH, "r": Gate.RELEASE}
NOT_READ: Final = re.compile(
    "办法|规定|指引|网络安全法|登记|GB/T|GB 4|TC260|PIPL|GDPR|AI Act|CDSM|Civ. Code"
    "|RFC|CC BY|terms of|Measures"
)
"""Law and standards that nobody compared with the primary text yet."""


def table() -> dict[str, tuple[Severity, Gate]]:
    words = TABLE.split()
    rows = zip(words[::3], words[1::3], words[2::3], strict=True)
    return {rule: (SEVERITIES[severity], STAGES[stage]) for rule, severity, stage in rows}


def test_the_packs_are_those_that_were_asked_for() -> None:
    assert built_in() == NAMES
    for name in NAMES:
        pack = load_built_in(name)
        assert pack.id == name
        assert pack.digest == parse_pack((PACKS / f"{name}.toml").read_bytes(), name).digest
        assert set(pack.title) == set(pack.note) == {"en", "zh"}
        assert "Not legal advice" in pack.note["en"]
        assert "不构成法律意见" in pack.note["zh"]
        assert pack.date.startswith(pack.version.replace(".", "-"))
    assert len({load_built_in(name).digest for name in NAMES}) == len(NAMES)


def test_default_is_exactly_what_the_definition_lists() -> None:
    rules = load_built_in("default").rules
    assert {id_: terms.gate for id_, terms in rules.items()} == {
        id_: gate for gate, ids in DEFAULT.items() for id_ in ids.split()
    }
    assert {terms.severity for terms in rules.values()} == {Severity.BLOCKING}
    scans = {detector for id_ in rules for detector in find_rule(id_).scans}
    assert scans == {"secrets"}, "it needs no extra package"


def test_every_rule_is_named_by_a_pack_as_the_table_has_it() -> None:
    rows = table()
    assert len(rows) == 53
    assert len(rows.keys() - set(LATER.split())) == 40
    assert {rule.id for rule in all_rules()} == set(rows)
    named: set[str] = set()
    for name in NAMES:
        rules = load_built_in(name).rules
        named |= set(rules)
        assert {id_: (terms.severity, terms.gate) for id_, terms in rules.items()} == {
            id_: rows[id_] for id_ in rules
        }
    assert named == set(rows)


def test_what_nobody_compared_with_the_text_says_so() -> None:
    for name in NAMES:
        for id_, terms in load_built_in(name).rules.items():
            assert terms.clause.strip()
            assert terms.verified is not bool(NOT_READ.search(terms.clause)), (name, id_, terms.clause)


def test_numbers_are_those_of_the_clauses() -> None:
    rules = load_built_in("cn-genai").rules
    numbers = {
        "SRC-04": {"max_rate": 0.05},
        "SRC-05": {"max_rate": 0.05},
        "SRC-06": {"min_sources": 2},
        "SRC-10": {"days": 90},
        "SAFE-01": {"sample": 4000, "pass_rate": 0.96},
        "SAFE-02": {"share": 0.1, "pass_rate": 0.98},
        "SAFE-03": {"words": 10_000, "a1_words": 200, "a2_words": 100, "days": 7},
        "XB-01": {"free_below": 100_000, "assessed_from": 1_000_000, "assessed_from_sensitive": 10_000},
    }
    for id_, values in numbers.items():
        assert {name: rules[id_].parameters[name] for name in values} == values


def test_rules_have_the_days_of_their_clauses() -> None:
    cn = load_built_in("cn-genai").rules
    begins = {
        "GB/T 45654": "2025-11-01",
        "PIPL": "2021-11-01",
        "数据跨境流动规定": "2024-03-22",
        "标识办法": "2025-09-01",
        "高质量数据集": "2025-08-28",
    }
    for id_, terms in cn.items():
        days = {
            day for words, day in begins.items() if terms.clause.startswith(words) or words in terms.clause
        }
        if terms.binding is Binding.MANDATORY:
            assert terms.effective_from is not None, id_
        if terms.clause.startswith("GB/T 45654"):
            assert days <= {"2025-11-01"}
            assert terms.effective_from == "2025-11-01"
            assert not terms.holds_on("2025-10-31")
            assert terms.holds_on("2025-11-01")
        if id_ in ("XB-01", "XB-03", "SYN-01", "QTY-01"):
            assert days == {terms.effective_from}
    assert cn["SRC-01"].effective_from == "2023-08-15"
    eu = load_built_in("eu-ai-act").rules
    later = {id_ for id_, terms in eu.items() if not terms.holds_on("2026-11-22")}
    assert later == {"SAFE-05", "ANN-01", "LIN-01", "LIN-02", "LIN-03", "LIN-05", "QTY-01", "AUD-01"}
    assert all(eu[id_].holds_on("2027-12-02") and not eu[id_].holds_on("2027-12-01") for id_ in later)
    assert {terms.effective_from for terms in load_built_in("us-ca-ab2013").rules.values()} == {"2026-01-01"}


def test_proposals_are_told_from_law() -> None:
    proposed = {
        (name, id_)
        for name in NAMES
        for id_, terms in load_built_in(name).rules.items()
        if terms.binding is Binding.PROPOSAL
    }
    assert proposed == {("cn-genai", id_) for id_ in ("REL-01", "REL-02", "REL-03", "AUD-01")}
    for name, place in (("eu-ai-act", "EU"), ("us-ca-ab2013", "US-CA")):
        for terms in load_built_in(name).rules.values():
            assert (terms.jurisdiction, terms.binding) == (place, Binding.MANDATORY)
    for id_, terms in load_built_in("cn-genai").rules.items():
        assert terms.jurisdiction == "CN" or terms.binding is Binding.RECOMMENDED, id_


def test_profiles_tighten_and_never_loosen() -> None:
    pack = load_built_in("cn-genai")
    assert set(pack.profiles) == {"medical", "social"}

    def parameters(profile: str | None) -> dict[str, object]:
        return {use.rule.id: dict(use.terms.parameters) for use in pack.uses(profile)}

    base, medical = parameters(None), parameters("medical")
    assert parameters("social") == base
    changed = {id_ for id_, values in medical.items() if values != base[id_]}
    assert changed == {"SRC-04", "SRC-05", "SAFE-01", "SAFE-02", "ANN-04", "QTY-01"}
    overridden = pack.uses("medical", {"SAFE-01": {"pass_rate": 0.995}})
    assert next(u.terms.number("pass_rate") for u in overridden if u.rule.id == "SAFE-01") == 0.995
    with pytest.raises(PackError, match="looser"):
        pack.uses("medical", {"SAFE-01": {"pass_rate": 0.97}})
