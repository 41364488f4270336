"""MLflow: assessments, traces that hold assessments, and evaluation tables.

============================ =================================================================================
assessments                  ``Feedback.to_dictionary()``, as an array or one a line
traces                       ``Trace.to_json()``, one a line, alone, or in an array
``eval_results_table.json``  the table that ``mlflow.models.evaluate`` logs
============================ =================================================================================

======================= ======================================================================================
row                     ``dsvc_ref`` in an assessment's metadata, in the tags of its trace, with another
                        assessment of that trace; a column ``dsvc_ref`` of a table
passed                  truth values, ``yes`` and ``no``: yes is good, as MLflow's own judges have it; in a
                        table also columns of nothing but 0 and 1. Anything else isn't a verdict
symptom                 ``failed-`` and the name of the assessment
scores                  numbers, and verdicts as 1 and 0
metrics                 the mean of each score: the file states none
evidence                who assessed it (``HUMAN``, ``LLM_JUDGE``, ``CODE``) and the value
======================= ======================================================================================

Expectations, and assessments that others replaced, are counted in ``run.extra`` only.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from dsvc.feedback.importers.importer import Imported, ImportOptions, OpenFile, counted, malformed
from dsvc.feedback.importers.json_document import (
    Json,
    JsonObject,
    decode,
    finite,
    lines,
    read_document,
    to_json,
)
from dsvc.feedback.importers.mlflow_table import looks_like_table, read_table
from dsvc.feedback.importers.peek import key_paths
from dsvc.feedback.importers.tool_fields import cut, failed, reference_in, without_commit
from dsvc.model.feedback import EvaluationRun, Metric, Sample, Selector

NAME: Final = "mlflow"
_VERDICTS: Final = {"yes": True, "no": False}
_SOURCES: Final = frozenset({"HUMAN", "LLM_JUDGE", "AI_JUDGE", "CODE", "SOURCE_TYPE_UNSPECIFIED"})
_OBJECT_LINE: Final = re.compile(rb"\s*\{[^\n]*\}\s*\n\s*\{")

Objects = Callable[[], Iterator[JsonObject]]


class MlflowFeedback:
    """Reader of what MLflow knows of evaluations."""

    name = NAME

    def recognises(self, head: bytes, file_name: str) -> bool:
        """Whether the first value is an assessment, a trace, an array of these, or a table of scores."""
        paths = {path[1:] if path[0] == "*" else path for path in key_paths(head)}
        is_assessment = {("assessment_name",), ("source",)} <= paths
        is_trace = ("info", "trace_id") in paths and bool(
            paths & {("info", "trace_location"), ("info", "assessments"), ("data", "spans")}
        )
        return is_assessment or is_trace or looks_like_table(head)

    def read(self, open_file: OpenFile, options: ImportOptions) -> Imported:
        """Read a file; one of lines is read twice, since a later line may say which row a trace is of.

        Raises
        ------
        FeedbackMalformedError
            If it is not of MLflow; from `samples` too.
        """
        with open_file() as stream:
            head = stream.read(64 << 10)
        if looks_like_table(head):
            with open_file() as stream:
                return read_table(JsonObject(read_document(stream)))
        objects = _objects(open_file, head)
        survey = _Survey()
        for each in objects():
            survey.add(each)
        return Imported(survey.run(), tuple(survey.metrics()), counted(_samples(objects, survey.refs)))


def _objects(open_file: OpenFile, head: bytes) -> Objects:
    """Tell lines from one document; what is no document on its first line is one of many lines."""
    text = head.removeprefix(b"\xef\xbb\xbf")
    if text.lstrip()[:1] == b"{" and (_OBJECT_LINE.match(text) or b"\n" not in text.strip()):
        return lambda: _of_lines(open_file)
    with open_file() as stream:
        document = read_document(stream)
    found = document if isinstance(document, list) else [document]
    prefix = "/" if isinstance(document, list) else ""
    return lambda: (JsonObject(each, f"{prefix}{n if prefix else ''}") for n, each in enumerate(found))


def _of_lines(open_file: OpenFile) -> Iterator[JsonObject]:
    with open_file() as stream:
        for number, line in lines(stream):
            place = f"line {number}"
            yield JsonObject(decode(line, place), place)


def _assessments(each: JsonObject) -> Iterator[tuple[JsonObject, str | None]]:
    """Give assessments, with the reference of the trace that they are in."""
    if each.has("assessment_name"):
        yield each, None
    elif each.has("info"):
        info = each.object("info")
        ref = reference_in(info.object("tags"), info.object("trace_metadata"))
        for assessment in info.objects("assessments"):
            yield assessment, ref
    else:
        raise malformed(each.place, "neither an assessment nor a trace")


class _Survey:
    """What is known once all of a file was seen: metrics, and which row each trace is of."""

    def __init__(self) -> None:
        self.refs: dict[str, str] = {}
        self._sums: dict[str, tuple[float, int]] = {}
        self._counts: Counter[str] = Counter()
        self._created: str | None = None

    def add(self, each: JsonObject) -> None:
        """Look at an assessment or a trace."""
        for assessment, of_trace in _assessments(each):
            trace, ref = assessment.text("trace_id"), _own_reference(assessment, of_trace)
            if trace and ref and self.refs.setdefault(trace, ref) != ref:
                raise malformed(assessment.place, "its trace has another reference", ref)
            if why := _left_out(assessment):
                self._counts[why] += 1
                continue
            self._created = min(filter(None, (self._created, assessment.text("create_time"))), default=None)
            score = _score(assessment)
            if score is not None:
                name = _name(assessment)
                total, count = self._sums.get(name, (0.0, 0))
                self._sums[name] = (total + score, count + 1)

    def run(self) -> EvaluationRun:
        """Give what is known of the evaluation."""
        return EvaluationRun(
            tool=NAME, created=self._created, extra={key: str(n) for key, n in sorted(self._counts.items())}
        )

    def metrics(self) -> Iterator[Metric]:
        """Give the mean of each score."""
        for name, (total, count) in self._sums.items():
            yield Metric(name=name, value=total / count, n=count)


def _own_reference(assessment: JsonObject, of_trace: str | None) -> str | None:
    own = reference_in(assessment.object("metadata"))
    if own and of_trace and own != of_trace:
        raise malformed(assessment.place, "its trace has another reference", own)
    return own or of_trace


def _left_out(assessment: JsonObject) -> str | None:
    if assessment.flag("valid") is False:
        return "replaced"
    if not assessment.has("feedback"):
        if not (assessment.has("expectation") or assessment.has("issue")):
            raise malformed(assessment.place, "an assessment without feedback")
        return "expectations" if assessment.has("expectation") else "issues"
    return None


def _name(assessment: JsonObject) -> str:
    name = assessment.text("assessment_name")
    if not name:
        raise malformed(assessment.at("assessment_name"), "an assessment without a name")
    return name


def _verdict(value: Json) -> bool | None:
    if isinstance(value, str):
        return _VERDICTS.get(value.strip().lower())
    return value if isinstance(value, bool) else None


def _score(assessment: JsonObject) -> float | None:
    feedback = assessment.object("feedback")
    value = feedback.value.get("value")
    verdict = _verdict(value)
    if verdict is not None:
        return float(verdict)
    if isinstance(value, (int, float)):
        return finite(value, feedback.at("value"), nan_is_none=True)
    return None


def _samples(objects: Objects, refs: Mapping[str, str]) -> Iterator[Sample]:
    for each in objects():
        for assessment, of_trace in _assessments(each):
            if _left_out(assessment) is None:
                ref = _own_reference(assessment, of_trace) or refs.get(assessment.text("trace_id") or "")
                yield _sample(assessment, ref)


def _sample(assessment: JsonObject, ref: str | None) -> Sample:
    name, feedback, source = _name(assessment), assessment.object("feedback"), assessment.object("source")
    who = source.text("source_type") or ""
    if who not in _SOURCES:
        raise malformed(source.at("source_type"), f"none of {', '.join(sorted(_SOURCES))}", who)
    value, score = feedback.value.get("value"), _score(assessment)
    broken = feedback.value.get("error")
    passed = None if broken else _verdict(value)
    by = f"{who} {source.text('source_id') or ''}".strip()
    return Sample(
        pointer=assessment.place,
        # Traces are made anew by each evaluation; rows and those who judge them are not.
        sample_id=f"{without_commit(ref)}|{by}" if ref else "",
        selector=Selector(ref=ref),
        passed=passed,
        scores={} if score is None else {name: score},
        symptom=failed(name) if passed is False else None,
        explanation=cut(assessment.text("rationale") or _message(broken)),
        evidence=cut(f"{by}: {value if isinstance(value, str) else to_json(value)}"),
    )


def _message(error: Json) -> str | None:
    if not isinstance(error, dict):
        return error if isinstance(error, str) else None
    told = error.get("error_message") or error.get("error_code")
    return told if isinstance(told, str) else None
