"""JUnit XML, as pytest and many other test runners write it: one sample for each test case.

=========== =============================================================================================
failure     wrong: ``failed-`` and the name of the test without its parameters
error       wrong: ``error-`` and the name of the test; it could not be carried out
skipped     no judgement, and no part of the share that passed
=========== =============================================================================================

A row is found by the property ``dsvc_ref`` of the case: in pytest ``record_property("dsvc_ref", …)``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from dsvc.feedback.importers.importer import Imported, ImportOptions, OpenFile, counted
from dsvc.feedback.importers.junit_document import Case, Report, read_report
from dsvc.feedback.importers.tool_fields import ERROR, PASSED, Repeats, cut, failed, without_commit
from dsvc.feedback.reference import FIELD
from dsvc.model.feedback import EvaluationRun, Metric, Sample, Selector

TOOL: Final = "junit"
_ROOT: Final = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*\?>\s*|<!--.*?-->\s*)*<(?:testsuites|testsuite)[\s>/]", re.DOTALL
)
_PARAMETERS: Final = re.compile(r"[\[({].*", re.DOTALL)
_UTC: Final = re.compile(r"\+00:?00$")


class Junit:
    """Reads reports of tests."""

    name: Final = TOOL

    def recognises(self, head: bytes, file_name: str) -> bool:
        """Say whether the first element is one of a report."""
        if head.startswith((b"\xff\xfe", b"\xfe\xff")):
            head = head.decode("utf-16", "replace").encode()
        return _ROOT.match(head) is not None

    def read(self, open_file: OpenFile, options: ImportOptions) -> Imported:
        """Read a report.

        Raises
        ------
        FeedbackMalformedError
            If it is none, not well-formed, has a document type, or is beyond a limit.
        """
        with open_file() as stream:
            report = read_report(stream)
        judged = [case for case in report.cases if not case.skipped]
        metrics: tuple[Metric, ...] = ()
        if judged:
            passed = sum(case.fault is None for case in judged)
            share = Metric(name=PASSED, value=passed / len(judged), n=len(judged), higher_is_better=True)
            metrics = (share,)
        return Imported(_run(report, judged), metrics, counted(_samples(report.cases)))


def _run(report: Report, judged: list[Case]) -> EvaluationRun:
    stamp = report.timestamp
    failing = any(case.fault is not None for case in judged)
    return EvaluationRun(
        tool=TOOL,
        created=_UTC.sub("Z", stamp) if stamp else None,
        suite=report.name,
        outcome=("failed" if failing else "passed") if judged else None,
        extra=report.extra,
    )


def _samples(cases: list[Case]) -> Iterator[Sample]:
    repeats = Repeats()
    for number, case in enumerate(cases, 1):
        yield _sample(number, case, repeats)


def _sample(number: int, case: Case, repeats: Repeats) -> Sample:
    reference = case.properties.get(FIELD)
    name = _PARAMETERS.sub("", case.name).strip() or case.name
    passed = None if case.skipped else case.fault is None
    symptom: str | None = None
    if passed is False:
        symptom = failed(name) if case.fault == "failure" else failed(name).replace("failed", ERROR, 1)
    row = f"{name}/{without_commit(reference)}" if reference else case.name
    return Sample(
        pointer=f"line {case.line}, test case {number}",
        sample_id=repeats.name(f"{case.place}::{row}"),
        selector=Selector(ref=reference) if reference else Selector(),
        passed=passed,
        scores={} if passed is None else {PASSED: float(passed)},
        symptom=symptom,
        explanation=cut(case.told),
        evidence=cut(case.text),
    )
