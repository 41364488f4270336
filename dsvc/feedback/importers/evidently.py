"""evidently: what ``Snapshot.json()`` gives (0.7 and newer).

======================= ======================================================================================
row                     none: evidently speaks of a column, or of the table as a whole
passed                  status of a test: ``SUCCESS``; null where it was skipped
symptom                 ``failed-`` and the kind of metric, ``error`` where the test broke
severity                P3 where a test that isn't critical gave a warning
metrics                 each number of each metric, named as evidently names the metric
======================= ======================================================================================
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dsvc.feedback.importers.importer import Imported, ImportOptions, OpenFile, counted, malformed
from dsvc.feedback.importers.json_document import Json, JsonObject, finite, read_document, to_json
from dsvc.feedback.importers.peek import key_paths
from dsvc.feedback.importers.tool_fields import ERROR, Repeats, cut, failed
from dsvc.model.feedback import DefectSeverity, EvaluationRun, Metric, Sample, Selector

NAME: Final = "evidently"
_PASSED: Final[dict[str, bool | None]] = {
    "SUCCESS": True,
    "WARNING": False,
    "FAIL": False,
    "ERROR": False,
    "SKIPPED": None,
}
_MAX_PARTS: Final = 200
"""Numbers of one metric: a count for each value of a column can be as many as its rows."""


class Evidently:
    """Reader of snapshots that evidently wrote."""

    name = NAME

    def recognises(self, head: bytes, file_name: str) -> bool:
        """Whether it is an object with metrics that have a name and a configuration."""
        paths = key_paths(head)
        of_metrics = {("metrics", "*", "metric_name"), ("metrics", "*", "config")} <= paths
        of_tests = {("tests", "*", "metric_config"), ("tests", "*", "test_config")} <= paths
        return of_metrics or of_tests

    def read(self, open_file: OpenFile, options: ImportOptions) -> Imported:
        """Read a file.

        Raises
        ------
        FeedbackMalformedError
            If it is not of evidently, or a test has an unknown status.
        """
        with open_file() as stream:
            top = JsonObject(read_document(stream))
        if not (top.has("metrics") and top.has("tests")):
            raise malformed("", "no metrics and tests, so it isn't a snapshot of evidently")
        values: dict[str, Json] = {}
        metrics: list[Metric] = []
        left_out: list[Json] = []
        for each in top.objects("metrics"):
            name = each.text("metric_name")
            if not name:
                raise malformed(each.at("metric_name"), "a metric without a name")
            values[each.text("id") or name] = each.value.get("value")
            found = list(_numbers(each.value.get("value"), name, each.at("value")))
            if len(found) > _MAX_PARTS:
                left_out.append(name)
            metrics += found[:_MAX_PARTS]
        statuses = {_status(each) for each in top.objects("tests")}
        extra = top.rest({"metrics", "tests"})
        if left_out:
            extra["metrics-cut"] = to_json(left_out)
        outcome = "failed" if statuses & {"FAIL", "ERROR"} else "passed" if "SUCCESS" in statuses else None
        run = EvaluationRun(tool=NAME, outcome=outcome, extra=extra)
        return Imported(run, _named_apart(metrics), counted(_samples(top, values)))


def _numbers(value: Json, name: str, place: str) -> Iterator[Metric]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _numbers(each, f"{name}/{key}", f"{place}/{key}")
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        number = finite(value, place, nan_is_none=True)
        if number is not None:
            yield Metric(name=name, value=number)


def _named_apart(metrics: list[Metric]) -> tuple[Metric, ...]:
    """A report may hold one metric twice, with other tests; equal values are one metric."""
    found: dict[str, Metric] = {}
    repeats = Repeats()
    for each in metrics:
        name = repeats.name(each.name)
        if each.name not in found or found[each.name].value != each.value:
            found[name] = Metric(name=name, value=each.value)
    return tuple(found.values())


def _status(test: JsonObject) -> str:
    status = test.text("status")
    if status not in _PASSED:
        raise malformed(test.at("status"), f"none of {', '.join(_PASSED)}", status)
    return status


def _samples(top: JsonObject, values: dict[str, Json]) -> Iterator[Sample]:
    repeats = Repeats()
    for test in top.objects("tests"):
        status = _status(test)
        passed = _PASSED[status]
        metric = test.object("metric_config")
        params = metric.object("params")
        column = params.value.get("column")
        kind = (params.text("type") or "").rpartition(":")[2]
        value = values.get(metric.text("metric_id") or "")
        yield Sample(
            pointer=test.place,
            sample_id=repeats.name(test.text("name") or test.text("id") or ""),
            selector=Selector(column=column if isinstance(column, str) else None),
            passed=passed,
            symptom=_symptom(status, kind) if passed is False else None,
            severity=DefectSeverity.P3 if status == "WARNING" else None,
            explanation=None if passed else cut(test.text("description")),
            evidence=None if passed or value is None else cut(to_json(value)),
        )


def _symptom(status: str, kind: str) -> str:
    # "MissingValueCount" is three words.
    words = "".join(f" {sign}" if sign.isupper() else sign for sign in kind)
    return ERROR if status == "ERROR" else failed(words)
