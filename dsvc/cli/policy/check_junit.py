"""A verdict as a JUnit report: a suite for each rule that was asked, a case for each subject."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

from dsvc.cli.writing.names import show_line
from dsvc.lineage.validation import Outcome, Severity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dsvc.lineage.validation import Violation
    from dsvc.porcelain.policy.verdict import CheckResult

_NOT_IN_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(result: CheckResult, titles: Mapping[str, str]) -> str:
    """Write a verdict as XML.

    What blocks is a failure, or an error where it can't be told. What is waived, inherited or only a warning
    is skipped, with the reason.

    Parameters
    ----------
    titles : mapping of str to str
        What each rule asks, by its id.
    """
    suites = ET.Element("testsuites", name="dsvc check")
    ids = sorted({rule.id for rule in result.rules} | {each.rule for each in result.violations})
    for id_ in ids:
        found = [each for each in result.violations if each.rule == id_]
        suites.append(_suite(id_, titles.get(id_, id_), found, result.as_of))
    ET.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, encoding="unicode") + "\n"


def _suite(id_: str, title: str, found: Sequence[Violation], day: str) -> ET.Element:
    kinds = [_kind(each) for each in found]
    suite = ET.Element(
        "testsuite",
        name=_xml(f"{id_} {title}"),
        tests=str(max(1, len(found))),
        failures=str(kinds.count("failure")),
        errors=str(kinds.count("error")),
        skipped=str(kinds.count("skipped")),
        timestamp=f"{day}T00:00:00",
        time="0",
        package="dsvc",
    )
    if not found:
        ET.SubElement(suite, "testcase", name=_xml(title), classname=f"dsvc.{id_}", time="0")
    for kind, violation in zip(kinds, found, strict=True):
        subject = show_line(violation.subject.decode("utf-8", "backslashreplace")) or "the whole version"
        case = ET.SubElement(
            suite, "testcase", name=_xml(subject), classname=f"dsvc.{violation.rule}", time="0"
        )
        text = show_line(violation.message)
        node = ET.SubElement(case, kind, message=_xml(_reason(violation) + text))
        if kind != "skipped":
            node.set("type", violation.outcome.value)
        hint = "" if violation.hint is None else f"\n{show_line(violation.hint)}"
        node.text = _xml(f"{text}\n{violation.clause}{hint}")
    return suite


def _kind(violation: Violation) -> str:
    if not violation.blocks:
        return "skipped"
    return "failure" if violation.outcome is Outcome.FAIL else "error"


def _reason(violation: Violation) -> str:
    if violation.waiver is not None:
        return f"waived by {violation.waiver}: "
    if violation.inherited:
        return "as in the version before: "
    return "" if violation.severity is Severity.BLOCKING else f"{violation.severity.value}: "


def _xml(text: str) -> str:
    """Leave out what XML 1.0 can't hold."""
    return _NOT_IN_XML.sub("\ufffd", text)
