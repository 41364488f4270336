"""Facts and metrics of an Inspect log: what stands in it besides the samples."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from dsvc.feedback.importers.importer import malformed
from dsvc.feedback.importers.json_document import Json, JsonObject, bounded_extra
from dsvc.model.feedback import EvaluationRun, Metric

TOOL: Final = "inspect"
ACCURACY: Final = "accuracy"
_MEANS: Final = (ACCURACY, "mean")
_STDERR: Final = "stderr"
_MEAN_REDUCERS: Final = (None, "mean")
_OF_RUN: Final = frozenset(
    {"task", "model", "created", "run_id", "packages", "dataset", "config", "scorers", "metrics", "sandbox"}
)
_OF_LOG: Final = frozenset({"eval", "results", "reductions", "samples", "plan", "stats", "version"})
_UTC: Final = re.compile(r"\+00:?00$")

ScoreKey = tuple[str, str]
"""Scorer, and the name of the score: that of the scorer, or of a part of its value."""


class Header(NamedTuple):
    """What a log says of the whole.

    Attributes
    ----------
    run : EvaluationRun
    metrics : tuple of Metric
        Named ``SCORE/METRIC``.
    means : mapping of (str, str) to tuple of str
        For each score the metrics that are the mean of its values over the samples.
    judged : set of (str, str)
        Scores that say whether an answer is right: those with an accuracy.
    epochs : int
        How often each sample was tried.
    """

    run: EvaluationRun
    metrics: tuple[Metric, ...]
    means: Mapping[ScoreKey, tuple[str, ...]]
    judged: frozenset[ScoreKey]
    epochs: int


def read_header(document: Json, place: str = "") -> Header:
    """Read a log as far as it isn't samples.

    Raises
    ------
    FeedbackMalformedError
        If it is no log of Inspect, or of a version that is not read.
    """
    top = JsonObject(document, place)
    if not top.has("version", "eval"):
        raise malformed(place, "no log of Inspect: version or eval is missing")
    if top.whole("version") != 2:
        raise malformed(
            top.at("version"), "a version of Inspect's logs that is not read", top.value["version"]
        )
    about = top.object("eval")
    scores = list(top.object("results").objects("scores"))
    metrics: list[Metric] = []
    means: dict[ScoreKey, tuple[str, ...]] = {}
    without: list[Json] = []
    for score in scores:
        found, of_means = _read_score(score, about.text("task"), without)
        metrics += found
        means[_key(score)] = means.get(_key(score), ()) + of_means
    extra = top.rest(_OF_LOG) | {f"eval.{key}": each for key, each in about.rest(_OF_RUN).items()}
    if without:
        extra |= bounded_extra({"without_value": without})
    return Header(
        _run(top, about, extra),
        tuple(metrics),
        means,
        frozenset(_key(score) for score in scores if ACCURACY in score.object("metrics").value),
        about.object("config").whole("epochs") or 1,
    )


def _key(score: JsonObject) -> ScoreKey:
    name = score.text("name")
    if not name:
        raise malformed(score.at("name"), "a score without a name")
    return score.text("scorer") or name, name


def _read_score(
    score: JsonObject, task: str | None, without: list[Json]
) -> tuple[list[Metric], tuple[str, ...]]:
    """Read the metrics of a score; the standard error goes with the mean that it is one of."""
    reducer = score.text("reducer")
    found = score.object("metrics")
    has_mean = any(name in found.value for name in _MEANS)
    metrics: list[Metric] = []
    means: list[str] = []
    for key, each in found.entries():
        if key == _STDERR and has_mean:
            continue
        name = f"{_key(score)[1]}/{key}" + ("" if reducer in _MEAN_REDUCERS else f"@{reducer}")
        value = each.number("value", nan_is_none=True)
        if value is None:
            without.append(name)
            continue
        of_samples = key in _MEANS
        if of_samples and reducer in _MEAN_REDUCERS and not each.object("params").value:
            means.append(name)
        metrics.append(
            Metric(
                name=name,
                value=value,
                n=score.whole("scored_samples"),
                stderr=found.object(_STDERR).number("value", nan_is_none=True) if of_samples else None,
                higher_is_better=True if key == ACCURACY else None,
                task=task,
            )
        )
    return metrics, tuple(means)


def _run(top: JsonObject, about: JsonObject, extra: dict[str, str]) -> EvaluationRun:
    created = about.text("created")
    return EvaluationRun(
        tool=TOOL,
        tool_version=about.object("packages").text("inspect_ai") or "",
        run_id=about.text("run_id"),
        created=_UTC.sub("Z", created) if created else None,
        model=about.text("model"),
        suite=about.text("task"),
        seed=top.object("plan").object("config").scalar("seed"),
        extra=extra,
    )
