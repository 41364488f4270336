"""Reports of a verdict hold to public schemas, whatever names and messages are in it."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes
from xml.etree import ElementTree as ET

import jsonschema
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.cli.policy.check_html import page
from dsvc.cli.policy.check_junit import junit
from dsvc.cli.policy.check_sarif import sarif
from dsvc.cli.policy.check_text import said_of
from dsvc.lineage.validation import Gate, Outcome, Severity, Violation
from dsvc.policy.waivers import Standing
from dsvc.porcelain.policy.verdict import CheckResult, PackInForce, RuleAsked
from dsvc.porcelain.policy.waivers import WaiverUse

SCHEMAS = Path(__file__).parents[2] / "schemas"
SARIF = json.loads((SCHEMAS / "sarif-schema-2.1.0.json").read_text(encoding="utf-8"))
ASKED = (
    RuleAsked("LIN-01", Severity.BLOCKING, "S4 血缘; PROV", True, "default@1"),
    RuleAsked("SRC-01", Severity.BLOCKING, "S4", False, "default@1"),
    RuleAsked("SRC-10", Severity.WARNING, "", False, "default@1"),
)
NAMES = (
    b"a.csv",
    "数据/训练 集.jsonl".encode(),
    b"-rf <b>&\"'.csv",
    b"line\nbreak\x07\xff\xfe",
    b"run:" + b"ab" * 32,
    "source:网页".encode(),
    b"raw.csv@" + b"0f" * 32,
    b"",
)


@functools.cache
def junit_schema() -> Any:
    import xmlschema

    return xmlschema.XMLSchema(str(SCHEMAS / "junit-10.xsd"))


def verdict(*violations: Violation) -> CheckResult:
    return CheckResult(
        outcome=Outcome.FAIL if violations else Outcome.PASS,
        version="ab" * 32,
        commit=None,
        stage=Gate.PUSH,
        as_of="2026-11-22",
        packs=(PackInForce("default@1", "cd" * 32),),
        rules=ASKED,
        violations=violations,
    )


def violation(subject: bytes, message: str = "it has no source", **more: object) -> Violation:
    base = Violation(
        "SRC-01",
        Severity.BLOCKING,
        subject,
        message,
        "dsvc source add …",
        "S4",
        Outcome.FAIL,
        digest=b"d" * 32,
        settled_by="source_officer",
    )
    return base._replace(**more)  # type: ignore[arg-type]


VARIANTS = (
    {},
    {"outcome": Outcome.INCOMPLETE},
    {"inherited": True},
    {"waiver": "0123456789ab"},
    {"severity": Severity.WARNING},
    {"severity": Severity.INFORMATION, "hint": None},
    {"rule": "POLICY", "clause": ""},
)


def all_kinds() -> CheckResult:
    return verdict(*(violation(name, **variant) for name in NAMES for variant in VARIANTS))


@pytest.mark.parametrize("result", [verdict(), all_kinds()], ids=["nothing", "all kinds"])
def test_sarif_holds_to_the_schema(result: CheckResult) -> None:
    log = json.loads(json.dumps(sarif(result, {"SRC-01": "来源"})))
    jsonschema.validate(log, SARIF)
    found = log["runs"][0]["results"]
    assert len(found) == len(result.violations)
    for each, origin in zip(found, result.violations, strict=True):
        assert log["runs"][0]["tool"]["driver"]["rules"][each["ruleIndex"]]["id"] == origin.rule
        assert ("suppressions" in each) == (origin.waiver is not None)
        assert (each["baselineState"] == "unchanged") == origin.inherited


def test_a_file_is_found_by_its_address() -> None:
    log = sarif(verdict(*(violation(name) for name in NAMES[:4])), {})
    uris = [
        each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        for each in log["runs"][0]["results"]
    ]
    assert [unquote_to_bytes(uri) for uri in uris] == list(NAMES[:4])


@pytest.mark.parametrize("result", [verdict(), all_kinds()], ids=["nothing", "all kinds"])
def test_junit_holds_to_the_schema(result: CheckResult) -> None:
    text = junit(result, {"SRC-01": "来源"})
    junit_schema().validate(text)
    suites = ET.fromstring(text)
    cases = suites.findall("testsuite/testcase")
    blocking = [each for each in result.violations if each.blocks]
    failed = [case for case in cases if case.find("failure") is not None]
    unknown = [case for case in cases if case.find("error") is not None]
    assert len(failed) == sum(each.outcome is Outcome.FAIL for each in blocking)
    assert len(unknown) == sum(each.outcome is Outcome.INCOMPLETE for each in blocking)
    assert {suite.get("name", "").split()[0] for suite in suites} >= {"LIN-01", "SRC-01", "SRC-10"}


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=40), st.text(max_size=60))
def test_any_name_and_text_can_be_reported(subject: bytes, message: str) -> None:
    result = verdict(violation(subject, message))
    jsonschema.validate(sarif(result, {}), SARIF)
    junit_schema().validate(junit(result, {}))
    assert "<script" not in "".join(page(result)).lower()


def test_the_page_needs_nothing_and_shows_names_as_text() -> None:
    result = verdict(violation(b"<img src=x onerror=alert(1)>.csv", "<script>alert(1)</script>"))
    text = "".join(page(result))
    assert "&lt;img src=x onerror=alert(1)&gt;.csv" in text
    assert "<script" not in text
    assert "default-src 'none'" in text
    assert not [word for word in ("http://", "https://", 'src="', "url(") if word in text]


def test_waivers_are_in_every_report_with_who_and_why() -> None:
    uses = tuple(
        WaiverUse(
            id=id_,
            standing=standing,
            why="made by <Ann>",
            rule="SRC-01",
            subject="数据/a.csv".encode(),
            digest="64" * 32,
            reason="合同 <在路上>",
            until="2026-12-31",
            made_at="2026-11-22T00:00:00Z",
            by="Li <li@example.org>",
            key="SHA256:abc",
        )
        for id_, standing in (("0123456789ab", Standing.COUNTS), ("ba9876543210", Standing.SELF_MADE))
    )
    found = msgspec.structs.replace(
        verdict(violation("数据/a.csv".encode(), waiver="0123456789ab")),
        waivers=uses,
        first_roster="ab" * 20,
        officers=("li@example.org SHA256:abc",),
    )
    log = json.loads(json.dumps(sarif(found, {})))
    jsonschema.validate(log, SARIF)
    (suppression,) = log["runs"][0]["results"][0]["suppressions"]
    assert suppression["justification"].endswith("until 2026-12-31 by Li <li@example.org>: 合同 <在路上>")
    assert [use["standing"] for use in log["runs"][0]["properties"]["waivers"]] == ["counts", "self-made"]
    text = "".join(page(found))
    assert text.count("合同 &lt;在路上&gt;") == 2
    assert "made by &lt;Ann&gt;" in text
    assert "li@example.org SHA256:abc" in text
    assert "<Ann>" not in text


@pytest.mark.parametrize(
    ("subject", "message", "said"),
    [
        (b"a.csv", "a.csv has no source", "a.csv has no source"),
        (b"a.csv", "it has secrets", "a.csv: it has secrets"),
        (b"source:web", "source web: evidence missing", "source:web: evidence missing"),
        (b"source:web", "the licence of source web is not determined", None),
        (b"", "nobody looked", "the whole version: nobody looked"),
        (b"b\xff.csv", "it has secrets", '"b\\377.csv": it has secrets'),
    ],
)
def test_a_subject_is_named_once(subject: bytes, message: str, said: str | None) -> None:
    assert said_of(violation(subject, message)) == (said or f"{subject.decode()}: {message}")
