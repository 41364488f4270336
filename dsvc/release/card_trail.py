"""Sections of a card on the way of the data: runs, rows left out, metrics, defects, the verdict, changes."""

from __future__ import annotations

import math
from typing import Final

from dsvc.model.feedback import Metric
from dsvc.model.paths import display_path
from dsvc.release.facts import ReleasedRun, ReleaseFacts
from dsvc.release.markdown import bullets, code, escape, number, table
from dsvc.release.verdict_facts import Verdict

Words = dict[str, str]
_NORMAL_95: Final = 1.959963984540054


def making(facts: ReleaseFacts, words: Words) -> list[str]:
    """List the runs."""
    if not facts.lineage.runs:
        return [words["none"]]
    keys = ("run", "step", "kind", "what", "kept", "dropped", "created")
    rows = [
        [
            code(run.id),
            escape(run.name),
            escape(run.kind),
            escape(_done(run)),
            number(run.rows.get("kept")),
            number(run.rows.get("dropped")),
            escape(run.ended_at),
        ]
        for run in facts.lineage.runs
    ]
    return [table([words[key] for key in keys], rows)]


def _done(run: ReleasedRun) -> str:
    text = run.manual or " ".join(run.command)
    settings = ", ".join(f"{name}={value}" for name, value in (*run.parameters.items(), *run.facts.items()))
    return f"{text} ({settings})" if settings else text


def drops(facts: ReleaseFacts, words: Words) -> list[str]:
    """List rows left out by run and reason, and count those of which nobody said why."""
    if not facts.drops.lines:
        return [words["none"]]
    headers = [words[key] for key in ("run", "step", "reason", "dropped")]
    rows = [
        [code(each.run), escape(each.name), escape(each.reason), str(each.rows)] for each in facts.drops.lines
    ]
    return [table(headers, rows), f"{words['unspecified']}: {facts.drops.unspecified} / {facts.drops.rows}"]


# Quality


def quality(facts: ReleaseFacts, words: Words) -> list[str]:
    """List evaluations with their metrics; one that measured nothing has a line too."""
    if not facts.evaluations:
        return [words["none"]]
    keys = ("evaluation", "suite", "model", "kind", "metric", "value", "n", "interval", "support")
    rows = []
    for each in facts.evaluations:
        about = [
            code(each.feedback),
            escape(each.suite),
            escape(each.model),
            escape(each.kind or ""),
        ]
        rows += [[*about, *_metric(metric)] for metric in each.metrics] or [
            [*about, escape(each.outcome or ""), "", "", "", ""]
        ]
    return [table([words.get(key, key) for key in keys], rows)]


def _metric(metric: Metric) -> list[str]:
    parts = [metric.name, metric.task or "", metric.slice or ""]
    unit = f" {escape(metric.unit)}" if metric.unit else ""
    return [
        escape(" / ".join(part for part in parts if part)),
        number(metric.value) + unit,
        number(metric.n),
        _interval(*_around(metric)),
        escape(metric.support),
    ]


def _around(metric: Metric) -> tuple[float | None, float | None]:
    """95% interval: from the standard error that is stated, else of a share of n by Wilson."""
    if metric.stderr is not None:
        return metric.value - _NORMAL_95 * metric.stderr, metric.value + _NORMAL_95 * metric.stderr
    is_share = metric.unit is None and metric.higher_is_better is True and 0 <= metric.value <= 1
    if not metric.n or not is_share or not _is_count(metric.value * metric.n):
        return None, None
    square = _NORMAL_95**2
    middle = (metric.value + square / (2 * metric.n)) / (1 + square / metric.n)
    inner = metric.value * (1 - metric.value) / metric.n + square / (4 * metric.n**2)
    half = _NORMAL_95 * math.sqrt(inner) / (1 + square / metric.n)
    return max(0.0, middle - half), min(1.0, middle + half)


def _is_count(value: float) -> bool:
    """Whether a share can be one of so many samples: a score between 0 and 1 mostly can't."""
    return abs(value - round(value)) < 1e-6 * max(1.0, value)


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{number(low)} … {number(high)}"


# Defects, verdict


def defects(facts: ReleaseFacts, words: Words) -> list[str]:
    """List defects that are open, waived, or closed since the release before."""
    if not facts.defects:
        return [words["none"]]
    keys = ("defect", "standing", "status", "severity", "file", "symptom", "rows", "waiver")
    rows = [
        [
            code(each.id),
            escape(each.standing),
            escape(each.status),
            escape(each.severity),
            escape(display_path(each.path)),
            escape(each.symptom),
            str(each.rows),
            escape(each.waiver or ""),
        ]
        for each in facts.defects
    ]
    return [table([words[key] for key in keys], rows)]


def verdict(facts: ReleaseFacts, words: Words) -> list[str]:
    """Say what the gate said, by which packs, what it found, and what was waived."""
    found = facts.verdict
    lines = [f"**{escape(found.outcome)}** · {escape(found.judged_at)}", words["no_advice"]]
    if found.packs:
        packs = (f"{escape(each.name)}: {code('blake3:' + each.digest)}" for each in found.packs)
        lines += [f"**{words['packs']}**", bullets(packs)]
    lines += [f"**{words['violations']}**", _violations(found, words)]
    lines += [f"**{words['waivers']}**", _waivers(found, words)]
    if found.policy_changes:
        changed = (
            f"{escape(each.what)}: {escape(each.before)} → {escape(each.after)}"
            for each in found.policy_changes
        )
        lines += [f"**{words['policy_changes']}**", bullets(changed)]
    return lines


def _violations(verdict: Verdict, words: Words) -> str:
    if not verdict.violations:
        return words["none"]
    keys = ("rule", "severity", "subject", "message", "outcome", "waiver")
    rows = [
        [
            escape(each.rule),
            escape(each.severity),
            escape(display_path(each.subject)),
            escape(each.message),
            escape(each.outcome),
            escape(each.waiver or ""),
        ]
        for each in verdict.violations
    ]
    return table([words[key] for key in keys], rows)


def _waivers(verdict: Verdict, words: Words) -> str:
    if not verdict.waivers:
        return words["none"]
    keys = ("waiver", "counts", "rule", "subject", "reason", "by", "until")
    rows = [
        [
            escape(each.id),
            f"{words['yes'] if each.counts else words['no']}: {escape(each.why)}",
            escape(each.rule or ""),
            escape(display_path(each.subject)),
            escape(each.reason or ""),
            escape(" ".join(part for part in (each.by, each.key) if part)),
            escape(each.until or ""),
        ]
        for each in verdict.waivers
    ]
    return table([words[key] for key in keys], rows)


# Since the release before


def changes(facts: ReleaseFacts, words: Words) -> list[str]:
    """List what changed of files and metrics since the release before."""
    since = facts.since
    if since is None:
        return [words["first"]]
    found = [f"{escape(since.release)}: {words['manifest']} {code(since.manifest)}"]
    if since.files:
        keys = ("file", "change", "added", "removed", "changed")
        rows = [
            [
                escape(display_path(each.path)),
                escape(each.change),
                number(each.rows_added),
                number(each.rows_removed),
                number(each.rows_changed),
            ]
            for each in since.files
        ]
        found.append(table([words[key] for key in keys], rows))
    if since.metrics:
        keys = ("suite", "metric", "before", "after", "difference")
        rows = [
            [
                escape(each.suite),
                escape(" / ".join(part for part in (each.name, each.task, each.slice) if part)),
                number(each.before),
                number(each.after),
                _interval(each.low, each.high),
            ]
            for each in since.metrics
        ]
        found.append(table([words[key] for key in keys], rows))
    return found
