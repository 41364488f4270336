"""Facts and metrics of a run of lm-evaluation-harness, from its ``results_TIME.json``."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Final, NamedTuple

from dsvc.feedback.importers.importer import malformed
from dsvc.feedback.importers.json_document import Json, JsonObject, bounded_extra, finite, to_json
from dsvc.model.feedback import EvaluationRun, Metric

TOOL: Final = "lm-eval"
PLAIN_FILTER: Final = "none"
_STDERR: Final = "_stderr"
_NO_VALUE: Final = "N/A"
"""What the tool writes for a standard error, or a value, that there is not."""
_MEAN: Final = "mean"
_MEANS: Final = frozenset({"acc", "acc_norm", "acc_bytes", "acc_mutual_info", "exact_match", "em"})
"""Metrics that are means over samples where the task doesn't say how they are put together."""
_SEEDS: Final = ("random_seed", "numpy_seed", "torch_seed", "fewshot_seed")
_KNOWN: Final = frozenset(
    {
        "results",
        "groups",
        "group_subtasks",
        "configs",
        "n-samples",
        "higher_is_better",
        "lm_eval_version",
        "date",
    }
)


class Results(NamedTuple):
    """What a results file says.

    Attributes
    ----------
    run : EvaluationRun
    metrics : tuple of Metric
        Of every task and group.
    means : mapping of str to set of str
        For each task the metrics that are means over its samples; of others a sample's value is no part.
    """

    run: EvaluationRun
    metrics: tuple[Metric, ...]
    means: dict[str, frozenset[str]]


def metric_name(metric: str, filter_name: str) -> str:
    """Name a metric as the results file does, without the filter that is none."""
    return metric if filter_name == PLAIN_FILTER else f"{metric},{filter_name}"


def read_results(document: Json) -> Results:
    """Read a results file.

    Raises
    ------
    FeedbackMalformedError
        If it is none.
    """
    top = JsonObject(document)
    if not top.has("results", "configs"):
        raise malformed("", "no results of lm-evaluation-harness: results or configs are missing")
    metrics: list[Metric] = []
    without: list[Json] = []
    for task, found in top.object("results").entries():
        _read_task(top, task, found, metrics, without)
    extra = top.rest(_KNOWN)
    if without:
        extra |= bounded_extra({"without_value": without})
    return Results(_run(top, extra), tuple(metrics), _means(top))


def _read_task(
    top: JsonObject, task: str, found: JsonObject, metrics: list[Metric], without: list[Json]
) -> None:
    """Read the metrics of a task or group; their keys are the ones with a comma: ``acc,none``."""
    better = top.object("higher_is_better").object(task)
    samples = top.object("n-samples").object(task).whole("effective")
    for key in found.value:
        metric, comma, filter_name = key.rpartition(",")
        if not comma or metric.endswith(_STDERR):
            continue
        value = _number(found, key)
        name = metric_name(metric, filter_name)
        if value is None:
            without.append(f"{task}/{name}")
            continue
        metrics.append(
            Metric(
                name=name,
                value=value,
                n=samples,
                stderr=_number(found, f"{metric}{_STDERR},{filter_name}"),
                higher_is_better=better.flag(metric),
                task=task,
            )
        )


def _number(found: JsonObject, key: str) -> float | None:
    value = found.value.get(key)
    if value is None or value == _NO_VALUE:
        return None
    return finite(value, found.at(key), nan_is_none=True)


def _run(top: JsonObject, extra: dict[str, str]) -> EvaluationRun:
    config = top.object("config")
    tasks = sorted(top.object("configs").value)
    splits = {each.text("test_split") for _, each in top.object("configs").entries()}
    return EvaluationRun(
        tool=TOOL,
        tool_version=top.text("lm_eval_version") or "",
        created=_created(top),
        model=_model(top, config),
        suite=",".join(tasks) or None,
        seed=_seed(config),
        split=splits.pop() if len(splits) == 1 else None,
        extra=extra,
    )


def _model(top: JsonObject, config: JsonObject) -> str | None:
    """Name the model as its arguments do; without such the tool makes up a name, which says nothing."""
    name = top.text("model_name")
    arguments = config.value.get("model_args")
    stated = list(arguments.values()) if isinstance(arguments, dict) else [to_json(arguments)]
    if name and any(isinstance(each, str) and name in each for each in stated):
        return name
    return top.text("model_source") or config.text("model")


def _seed(config: JsonObject) -> str | None:
    """Write one number where all four seeds are the same, else each with its name."""
    seeds = {name: seed for name in _SEEDS if (seed := config.scalar(name)) is not None}
    if len(set(seeds.values())) == 1 and len(seeds) == len(_SEEDS):
        return next(iter(seeds.values()))
    return ",".join(f"{name}={seed}" for name, seed in seeds.items()) or None


def _created(top: JsonObject) -> str | None:
    seconds = top.number("date", nan_is_none=True)
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(math.floor(seconds), UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError) as error:
        raise malformed(top.at("date"), "not a time", seconds) from error


def _means(top: JsonObject) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for task, config in top.object("configs").entries():
        stated = {each.text("metric"): each.scalar("aggregation") for each in _metric_list(config)}
        assumed = {name for name in _MEANS if stated.get(name) is None}
        found[task] = frozenset(assumed | {name for name, how in stated.items() if name and how == _MEAN})
    return found


def _metric_list(config: JsonObject) -> list[JsonObject]:
    """Give the metrics of a task that say by a name how they are put together."""
    place = config.at("metric_list")
    found = config.array("metric_list")
    return [
        JsonObject(each, f"{place}/{at}")
        for at, each in enumerate(found)
        if isinstance(each, dict)
        and isinstance(each.get("metric"), str)
        and isinstance(each.get("aggregation"), str | None)
    ]
