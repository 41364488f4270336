"""The table ``eval_results_table.json`` of MLflow: a line for each sample, columns ``METRIC/score``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from math import isnan
from typing import Final

from dsvc.feedback.importers.importer import Imported, counted, malformed
from dsvc.feedback.importers.json_document import Json, JsonObject, finite, to_json
from dsvc.feedback.importers.tool_fields import cut, failed, mean, reference_in, without_commit
from dsvc.model.feedback import EvaluationRun, Sample, Selector

_COLUMNS: Final = re.compile(rb'\s*\{\s*"columns"\s*:\s*\[(?:[^"\[\]]|"(?:[^"\\]|\\.)*")*')
_SCORE: Final = re.compile(rb'\\?/(?:score|value)"')
_SUFFIXES: Final = ("/score", "/value")
_WHY: Final = ("/justification", "/rationale")
_WORDS: Final[dict[Json, float]] = {"yes": 1.0, "no": 0.0}


def looks_like_table(head: bytes) -> bool:
    """Whether it is a table in pandas' orientation ``split``, with a column of scores."""
    found = _COLUMNS.match(head.removeprefix(b"\xef\xbb\xbf"))
    return found is not None and _SCORE.search(found[0]) is not None


def read_table(top: JsonObject) -> Imported:
    """Read a table.

    Raises
    ------
    FeedbackMalformedError
        If it is none: columns without names, rows of other lengths, scores that are no numbers.
    """
    columns = [_name(each, f"{top.at('columns')}/{n}") for n, each in enumerate(top.array("columns"))]
    if len(set(columns)) < len(columns):
        raise malformed(top.at("columns"), "a column that is there twice")
    at = top.at("data")
    rows = [_row(each, columns, f"{at}/{n}") for n, each in enumerate(top.array("data"))]
    scored = {name: _metric_name(name) for name in columns if name.endswith(_SUFFIXES)}
    if len(set(scored.values())) < len(scored):
        raise malformed(top.at("columns"), "two columns of scores of one metric")
    verdicts = frozenset(name for name in scored if _judges([row.value[name] for row in rows]))
    scores = [{metric: _score(row, name) for name, metric in scored.items()} for row in rows]
    metrics = (
        mean(metric, [value for each in scores if (value := each[metric]) is not None])
        for metric in scored.values()
    )
    extra = {**top.rest({"columns", "data", "index"}), "columns": to_json(list(columns))}
    return Imported(
        EvaluationRun(tool="mlflow", extra=extra),
        tuple(metric for metric in metrics if metric is not None),
        counted(_samples(rows, scored, verdicts, scores)),
    )


def _name(value: Json, place: str) -> str:
    if not isinstance(value, str) or not value:
        raise malformed(place, "no name of a column", value)
    return value


def _metric_name(column: str) -> str:
    return next(column.removesuffix(suffix) for suffix in _SUFFIXES if column.endswith(suffix))


def _row(value: Json, columns: Sequence[str], place: str) -> JsonObject:
    if not isinstance(value, list) or len(value) != len(columns):
        raise malformed(place, f"not an array of {len(columns)} values")
    return JsonObject(dict(zip(columns, value, strict=True)), place)


def _judges(values: Sequence[Json]) -> bool:
    """Whether a column holds verdicts: truth values, yes and no, or nothing but 0 and 1."""
    known = [each for each in values if each is not None and not (isinstance(each, float) and isnan(each))]
    words = (isinstance(each, str) and each.lower() in _WORDS for each in known)
    numbers = (isinstance(each, (bool, int, float)) and each in (0, 1) for each in known)
    return bool(known) and (all(words) or all(numbers))


def _score(row: JsonObject, column: str) -> float | None:
    value = row.value[column]
    if value is None:
        return None
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        return _WORDS.get(value.lower())
    return finite(value, row.at(column), nan_is_none=True)


def _samples(
    rows: Sequence[JsonObject],
    scored: Mapping[str, str],
    verdicts: frozenset[str],
    scores: Sequence[Mapping[str, float | None]],
) -> Iterator[Sample]:
    for row, found in zip(rows, scores, strict=True):
        ref = reference_in(row)
        judged = [name for name in scored if name in verdicts and found[scored[name]] is not None]
        wrong = next((name for name in judged if not found[scored[name]]), None)
        said = {key: row.value[key] for key in ("outputs", "predictions") if row.has(key)}
        yield Sample(
            pointer=row.place,
            sample_id=without_commit(ref) if ref else "",
            selector=Selector(ref=ref),
            passed=None if not judged else wrong is None,
            scores={metric: value for metric, value in found.items() if value is not None},
            symptom=None if wrong is None else failed(scored[wrong]),
            explanation=None if wrong is None else cut(_why(row, scored[wrong])),
            evidence=cut(to_json(said)) if said and wrong is not None else None,
        )


def _why(row: JsonObject, metric: str) -> str | None:
    for suffix in _WHY:
        told = row.value.get(metric + suffix)
        if isinstance(told, str):
            return told
    return None
