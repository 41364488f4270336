"""PII-01 to PII-03 and PII-07: what was found against what is declared, and by which right it is there."""

from __future__ import annotations

import itertools
import json
import tomllib
from dataclasses import replace

import pytest

from dsvc.lineage.known_sources import KnownSource
from dsvc.lineage.validation import Outcome
from dsvc.policy.detectors.detector import FileDetector
from dsvc.policy.detectors.pii import Pii
from dsvc.policy.detectors.secrets import Secrets
from dsvc.policy.example_text import world_of
from dsvc.policy.example_world import build_case
from dsvc.porcelain.policy.detection_cache import KeySet, Said
from dsvc.porcelain.policy.detections import RepositoryDetections, file_key
from tests.detector_scans import scan
from tests.policykit import Answer, ask, use_of

PASS, FAIL, INCOMPLETE = Outcome.PASS, Outcome.FAIL, Outcome.INCOMPLETE

# PII-01

TWO = """
file = [
    { path = "raw/一.jsonl", rows = [{ id = 1 }] },
    { path = "raw/b.jsonl", rows = [{ id = 2 }] },
    { path = "mixed.jsonl", rows = [{ id = 1 }, { id = 2 }] },
]
run = [{ name = "mix", kind = "mix", inputs = ["raw/一.jsonl", "raw/b.jsonl"], outputs = ["mixed.jsonl"] }]
"""


def scanned(one: str, two: str, path: str, hits: str, **parameters: int) -> Answer:
    sources = "".join(
        f'[[source]]\nid = "{id_}"\npaths = ["{file}"]\n{declared}\n'
        for id_, file, declared in (("甲", "raw/一.jsonl", one), ("b", "raw/b.jsonl", two))
    )
    detections = f'[detections.pii]\nstatus = "clean"\n[detections.pii.files."{path}"]\n{hits}\n'
    return ask("PII-01", TWO + sources + detections, parameters)


NONE, YES, SENSITIVE = (
    'contains_pi = "none"',
    'contains_pi = "yes"',
    'contains_pi = "yes"\nsensitive_pi = "yes"',
)
PLAIN = YES + '\nsensitive_pi = "no"'
MAIL = 'status = "hits"\ncounts = { email = 2 }'
CARD = 'status = "hits"\ncounts = { email = 2, cn_id_card = 1 }'


@pytest.mark.parametrize("path", ["raw/一.jsonl", "mixed.jsonl"])
def test_what_is_found_against_what_is_declared(path: str) -> None:
    for hits in (MAIL, CARD):
        assert scanned(NONE, NONE, path, hits).outcome is FAIL
        assert scanned("", NONE, path, hits).outcome is INCOMPLETE
        assert scanned('contains_pi = "unknown"', NONE, path, hits).outcome is INCOMPLETE
        assert scanned(SENSITIVE, NONE, path, hits).outcome is PASS
        assert scanned(SENSITIVE + '\nundetermined = ["contains_pi"]', NONE, path, hits).outcome is INCOMPLETE
    assert scanned(PLAIN, NONE, path, MAIL).outcome is PASS
    assert scanned(YES, NONE, path, MAIL).outcome is PASS
    assert scanned(PLAIN, NONE, path, CARD).outcome is FAIL
    assert scanned(YES, NONE, path, CARD).outcome is INCOMPLETE
    assert scanned(NONE, NONE, path, 'status = "unknown"\nreason = "it crashed"').outcome is INCOMPLETE
    assert scanned(NONE, NONE, path, 'status = "clean"').outcome is PASS


def test_one_source_that_declares_it_is_enough_for_mixed_data_only() -> None:
    assert scanned(NONE, YES, "mixed.jsonl", MAIL).outcome is PASS
    assert scanned("", YES, "mixed.jsonl", MAIL).outcome is PASS
    assert scanned(NONE, YES, "raw/一.jsonl", MAIL).outcome is FAIL


def test_a_tolerance_counts_hits_of_a_file() -> None:
    assert scanned(NONE, NONE, "mixed.jsonl", MAIL, tolerance=2).outcome is PASS
    assert scanned(NONE, NONE, "mixed.jsonl", MAIL, tolerance=1).outcome is FAIL


def test_the_message_names_kinds_places_and_the_command() -> None:
    answer = scanned(NONE, NONE, "raw/一.jsonl", CARD)
    assert [each.subject for each in answer.violations] == ["raw/一.jsonl".encode()]
    assert "not declared by its sources (甲): 2 email, 1 cn_id_card" in answer.messages
    assert "dsvc source set 甲 --field contains_pi=yes" in answer.messages


@pytest.mark.parametrize(
    ("rule", "detector", "value", "places"),
    [
        ("PII-01", Pii(), "13800138000", ["138****8000 (record 1, text)", "138****8000 (line 3)"]),
        ("SAFE-04", Secrets(), "ghp_" + "aB3dE6gH9jK2" * 3, ["(record 1, column text ***)", "(line 3 ***)"]),
    ],
)
def test_places_are_lines_of_text_and_records_of_tables(
    rule: str, detector: FileDetector, value: str, places: list[str]
) -> None:
    """What the detectors say of real files, as a repository knows it."""
    rows = [{"id": 1, "text": "x"}, {"id": 2, "text": value}]
    text = f"x\n\n{value}\n"
    files = [{"path": "a.jsonl", "rows": rows}, {"path": "b.txt", "content": text}]
    case = build_case(world_of({"file": files, "source": [{"id": "web", "contains_pi": "none"}]}))
    known = RepositoryDetections(case.entries)
    contents = {b"a.jsonl": "".join(f"{json.dumps(row)}\n" for row in rows), b"b.txt": text}
    found = {file_key(each): scan(detector, contents[each.path], each.path.decode()) for each in case.entries}
    known.know(detector.name, Said(KeySet(), found), detector.version(), "")
    use = use_of(rule)
    said = [each.message for each in use.rule.find(replace(case, detections=known), use.terms)]
    assert [place in message for place, message in zip(places, said, strict=True)] == [True, True], said
    assert not any(value in message for message in said)


def test_what_two_versions_of_a_source_say_apart_is_not_known() -> None:
    """A merge pins both; the file is there because of either."""
    for one, two, wanted in (
        ("yes", "yes", PASS),
        ("none", "none", FAIL),
        ("yes", "none", INCOMPLETE),
        ("none", "yes", INCOMPLETE),
        ("unknown", "none", INCOMPLETE),
    ):
        world = tomllib.loads(
            'file = [{ path = "a.txt", content = "x" }]\n'
            f'[[source]]\nid = "web"\ncontains_pi = "{one}"\nnow = {{ contains_pi = "{two}" }}\n'
            '[detections.pii]\nstatus = "hits"\ncounts = { email = 1 }\n'
        )
        case = build_case(world_of(world))
        sources = case.judged.origins.sources.all
        both = [sources["web"].now, *(tree for tree, _ in case.stated(sources["web"]))]
        sources["web"] = KnownSource(both, dict, both)
        use = use_of("PII-01")
        found = [each.outcome for each in use.rule.find(case, use.terms)]
        assert found == ([] if wanted is PASS else [wanted]), (one, two)


def test_a_file_without_a_source_declares_nothing() -> None:
    file = 'file = [{ path = "a.txt", content = "x" }]\n'
    found = '[detections.pii]\nstatus = "hits"\ncounts = { email = 1 }'
    assert ask("PII-01", file + found).outcome is INCOMPLETE


# PII-02, PII-03, PII-07


def app(rule: str, fields: str, *evidence: str, shared: str = "false") -> Answer:
    held = ", ".join(f'{{ type = "{kind}", valid_to = "{day}" }}' for kind, day in map(str.split, evidence))
    return ask(
        rule,
        f'settings = {{ shared = {shared} }}\nfile = [{{ path = "a.jsonl", rows = [{{ id = 1 }}] }}]\n'
        f'[[source]]\nid = "应用"\nacquisition = "user_input"\nevidence = [{held}]\n{fields}',
    )


GOOD, OLD = "consent 2026-11-22", "consent 2026-11-21"
BASE = PLAIN + '\npi_basis = "consent"'
STRICT = SENSITIVE + '\npi_basis = "contract"'


def test_basis_and_evidence() -> None:
    assert app("PII-02", BASE, GOOD).outcome is PASS
    assert app("PII-02", BASE, "authorisation 2027-01-01").outcome is PASS
    assert app("PII-02", BASE, OLD).outcome is FAIL
    assert app("PII-02", BASE).outcome is app("PII-02", BASE, "other 2027-01-01").outcome is INCOMPLETE
    assert app("PII-02", PLAIN, GOOD).outcome is INCOMPLETE, "without a basis"
    assert app("PII-02", PLAIN + '\npi_basis = "无"', GOOD).outcome is FAIL
    assert app("PII-02", YES + '\npi_basis = "consent"', GOOD).outcome is INCOMPLETE, "sensitive or not"


def test_sensitive_data_needs_separate_consent() -> None:
    contract = "contract 2027-01-01"
    assert app("PII-02", STRICT, contract).outcome is INCOMPLETE
    assert app("PII-02", STRICT, contract, GOOD).outcome is PASS
    assert app("PII-02", STRICT, contract, OLD).outcome is FAIL
    assert app("PII-02", STRICT + '\nseparate_consent_ref = "C-17"', contract).outcome is PASS
    assert app("PII-02", STRICT + '\nseparate_consent_ref = "none"', contract).outcome is FAIL
    assert app("PII-02", 'sensitive_pi = "yes"', GOOD).outcome is INCOMPLETE, "that is personal data too"


def test_whether_there_is_personal_data_is_for_another_rule() -> None:
    for fields in ("", NONE, 'contains_pi = "unknown"'):
        assert app("PII-02", fields).outcome is PASS
        assert app("PII-03", fields).outcome is PASS
        assert app("PII-07", fields).outcome is (PASS if fields == NONE else INCOMPLETE), "it comes last"
    merged = 'undetermined = ["contains_pi"]'
    for rule in ("PII-02", "PII-03", "PII-07", "SRC-11"):
        assert app(rule, merged).outcome is INCOMPLETE, rule


def test_children_have_a_guardian() -> None:
    minors = YES + '\nminors_under_14 = "yes"'
    assert app("PII-03", minors, GOOD).outcome is PASS
    assert app("PII-03", minors, OLD).outcome is FAIL
    assert app("PII-03", minors).outcome is INCOMPLETE
    assert (
        app("PII-03", YES).outcome
        is app("PII-03", YES + '\nminors_under_14 = "unknown"').outcome
        is INCOMPLETE
    )
    assert app("PII-03", YES + '\nminors_under_14 = "no"').outcome is PASS
    assert app("PII-03", 'minors_under_14 = "yes"').outcome is INCOMPLETE


def test_an_impact_assessment_is_asked_for_as_soon_as_one_reason_may_hold() -> None:
    for sensitive, shared, out in itertools.product(
        ("yes", "no", "unknown"), ("true", "false", None), ("out", "both", "in", None)
    ):
        fields = YES + f'\nsensitive_pi = "{sensitive}"\n'
        fields += f'cross_border = {{ direction = "{out}" }}\n' if out else ""
        world = 'file = [{ path = "a.jsonl", rows = [{ id = 1 }] }]\n[[source]]\nid = "a"\n' + fields
        head = f"settings = {{ shared = {shared} }}\n" if shared else ""
        needed = sensitive != "no" or shared != "false" or out in ("out", "both")
        assert ask("PII-07", head + world).outcome is (INCOMPLETE if needed else PASS)
        assert ask("PII-07", head + world + 'pipia_ref = "P-1"').outcome is PASS
        assert ask("PII-07", head + world + 'pipia_ref = "None"').outcome is (FAIL if needed else PASS)
