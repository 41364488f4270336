"""deepeval: the test run that it writes into ``DEEPEVAL_RESULTS_FOLDER``.

======================= ======================================================================================
row                     ``dsvc_ref`` in the ``metadata`` of a test case, else its ``name`` where that is one
passed                  ``success`` of the test case; null where it was not judged
symptom                 ``failed-`` and the metric below its threshold, an observation for each; ``error``
                        where one could not be measured
scores                  ``pass`` and the score of each metric
metrics                 ``pass`` of ``testPassed`` and ``testFailed``; means of ``metricsScores``
======================= ======================================================================================

Conversations are test cases as others are.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from dsvc.feedback.importers.importer import Imported, ImportOptions, OpenFile, counted, malformed
from dsvc.feedback.importers.json_document import JsonObject, finite, read_document, to_json
from dsvc.feedback.importers.peek import key_paths
from dsvc.feedback.importers.plain_fields import FAILED
from dsvc.feedback.importers.tool_fields import (
    ERROR,
    PASSED,
    Fault,
    Repeats,
    by_content,
    cut,
    failed,
    mean,
    reference_in,
    with_faults,
    without_commit,
)
from dsvc.feedback.reference import MalformedReferenceError, read_reference
from dsvc.model.feedback import EvaluationRun, Metric, Sample, Selector

NAME: Final = "deepeval"
_CASES: Final = ("testCases", "conversationalTestCases")
_TOP: Final = frozenset({*_CASES, "metricsScores", "testPassed", "testFailed", "identifier"})
_UNNAMED: Final = re.compile(r"(conversational_)?test_case_[0-9]+")
_IN_CASES: Final = {
    (kind, "*", key) for kind in _CASES for key in ("metricsData", "input", "turns", "success")
}


class Deepeval:
    """Reader of test runs that deepeval wrote."""

    name = NAME

    def recognises(self, head: bytes, file_name: str) -> bool:
        """Whether it is an object with test cases."""
        paths = key_paths(head)
        return ("testCases",) in paths and bool(paths & (_IN_CASES | {("testPassed",)}))

    def read(self, open_file: OpenFile, options: ImportOptions) -> Imported:
        """Read a file.

        Raises
        ------
        FeedbackMalformedError
            If it is not of deepeval, or says of a test case what its metrics don't show.
        """
        with open_file() as stream:
            top = JsonObject(read_document(stream))
        if not (top.has("testCases") or top.has("conversationalTestCases")):
            raise malformed("", "no test cases, so it isn't a test run of deepeval")
        cases = [case for kind in _CASES for case in top.objects(kind)]
        repeated = _repeated(cases)
        model = top.object("hyperparameters").value.get("model")
        run = EvaluationRun(
            tool=NAME,
            suite=top.text("identifier"),
            model=model if isinstance(model, str) else None,
            outcome="failed" if top.whole("testFailed") else "passed" if top.whole("testPassed") else None,
            extra=top.rest(_TOP),
        )
        return Imported(run, tuple(_metrics(top, cases)), counted(_samples(cases, repeated)))


def _repeated(cases: Sequence[JsonObject]) -> frozenset[str]:
    """Names that stand for several metrics of one case: a score by such a name is nobody's."""
    found: set[str] = set()
    for case in cases:
        names = Counter(each.text("name") for each in case.objects("metricsData"))
        found |= {name for name, count in names.items() if name is not None and count > 1}
    return frozenset(found)


def _metrics(top: JsonObject, cases: Sequence[JsonObject]) -> Iterator[Metric]:
    good, bad = top.whole("testPassed") or 0, top.whole("testFailed") or 0
    if good + bad:
        yield Metric(name=PASSED, value=good / (good + bad), n=good + bad, higher_is_better=True)
    for each in top.objects("metricsScores"):
        name = each.text("metric")
        if not name:
            raise malformed(each.at("metric"), "a metric without a name")
        at = each.at("scores")
        values = [finite(v, f"{at}/{n}") for n, v in enumerate(each.array("scores")) if v is not None]
        metric = mean(name, [value for value in values if value is not None])
        if metric is not None:
            yield metric


def _samples(cases: Sequence[JsonObject], repeated: Collection[str]) -> Iterator[Sample]:
    repeats = Repeats()
    for case in cases:
        measured = list(case.objects("metricsData"))
        passed = _verdict(case, measured)
        ref = _reference(case)
        judged = {} if passed is None else {PASSED: float(passed)}
        sample = Sample(
            pointer=case.place,
            sample_id=repeats.name(_identity(case, ref)),
            selector=Selector(ref=ref),
            passed=passed,
            scores={**judged, **_scores(measured, repeated)},
            evidence=cut(_answer(case)) if passed is False else None,
        )
        yield from with_faults(sample, _faults(case, measured) if passed is False else [])


def _verdict(case: JsonObject, measured: Sequence[JsonObject]) -> bool | None:
    passed = case.flag("success")
    wrong = next(
        (each for each in measured if each.flag("success") is False and not each.flag("flaky")), None
    )
    if passed and wrong is not None:
        raise malformed(case.place, "passed, and yet a metric failed", wrong.text("name"))
    return passed


def _faults(case: JsonObject, measured: Sequence[JsonObject]) -> Iterator[Fault]:
    wrong = [each for each in measured if each.flag("success") is False or each.has("error")]
    # What was measured says more than what could not be.
    for each in sorted(wrong, key=lambda each: each.has("error")):
        broken = each.text("error")
        yield Fault(ERROR if broken else failed(each.text("name")), each.place, broken or each.text("reason"))
    if not wrong:
        yield Fault(FAILED, case.place, None)


def _reference(case: JsonObject) -> str | None:
    ref = reference_in(*(case.object(key) for key in ("metadata", "additionalMetadata")))
    name = case.text("name")
    if ref is None and name:
        try:
            read_reference(name)
        except MalformedReferenceError:
            return None
        return name
    return ref


def _identity(case: JsonObject, ref: str | None) -> str:
    if ref:
        return without_commit(ref)
    name = case.text("name")
    if name and not _UNNAMED.fullmatch(name):
        return name
    return by_content(case.value.get("input") or case.value.get("turns"))


def _scores(measured: Sequence[JsonObject], repeated: Collection[str]) -> Mapping[str, float]:
    scores: dict[str, float] = {}
    for each in measured:
        name, score = each.text("name"), each.number("score", nan_is_none=True)
        if name and score is not None and name not in repeated and name != PASSED:
            scores[name] = score
    return scores


def _answer(case: JsonObject) -> str | None:
    return case.text("actualOutput") or (to_json(case.value["turns"]) if case.has("turns") else None)
