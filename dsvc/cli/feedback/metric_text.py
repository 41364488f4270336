"""Metrics before and after, as JSON and as a table."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from dsvc.cli.language.i18n import _
from dsvc.cli.terminal.output import Output, Style
from dsvc.cli.writing.names import show_line
from dsvc.cli.writing.plain_table import column_lines
from dsvc.cli.writing.sizes import shorten

if TYPE_CHECKING:
    from dsvc.model.metric_change import MetricChange
    from dsvc.porcelain.feedback.evaluation_pair import EvaluationPair

_NAME_WIDTH = 48


def change_of_metric_fields(change: MetricChange) -> dict[str, object]:
    """Return a metric before and after as JSON."""
    return {
        "name": change.name,
        "task": change.task,
        "slice": change.slice,
        "before": change.before,
        "after": change.after,
        "difference": change.difference,
        "low": change.low,
        "high": change.high,
        "method": change.method,
        "p_value": change.p_value,
        "pairs": change.pairs,
        "higher_is_better": change.higher_is_better,
        "improved": change.improved,
        "regressed": change.regressed,
    }


def pair_fields(pairs: Sequence[EvaluationPair]) -> list[dict[str, object]]:
    """Return the metrics of two versions as JSON, each with its suite and evaluations."""
    return [
        {
            "suite": pair.after.record.suite,
            "feedback": [pair.before.id, pair.after.id],
            "comparable": pair.comparable,
            **change_of_metric_fields(change),
        }
        for pair in pairs
        for change in pair.changes
    ]


def pair_lines(output: Output, pairs: Sequence[EvaluationPair]) -> Iterator[str]:
    """Write the metrics of two versions, a table for each suite."""
    for pair in pairs:
        head = _("metrics of {suite}, feedback {old} and {new}").format(
            suite=show_line(pair.after.record.suite), old=pair.before.id, new=pair.after.id
        )
        yield output.style(head, "bold")
        for reason in pair.reasons:
            yield "  " + _("can't be compared: {reason}").format(reason=show_line(reason))
        for line in change_lines(output, pair.changes):
            yield "  " + line


def change_lines(
    output: Output, changes: Sequence[MetricChange], marked: Collection[str] = ()
) -> Iterator[str]:
    """Write metrics before and after, one a line.

    Parameters
    ----------
    marked : collection of str
        Labels of those that a star stands before.
    """
    if not changes:
        return
    head: tuple[str, ...] = (
        "",
        _("metric"),
        _("before"),
        _("after"),
        _("difference"),
        _("95% interval"),
        _("method"),
        "",
    )
    rows = [_row(change, change.label in marked) for change in changes]
    styles: list[Style | None] = ["heading"]
    styles += ["added" if each.improved else "removed" if each.regressed else None for each in changes]
    if not marked:
        # Without stars no column for them.
        head, rows = head[1:], [row[1:] for row in rows]
    left = {head.index(_("metric")), head.index(_("method")), len(head) - 1}
    lines = column_lines([head, *rows], right=set(range(len(head))) - left)
    for line, style in zip(lines, styles, strict=True):
        yield line if style is None else output.style(line, style)


def _row(change: MetricChange, marked: bool) -> tuple[str, ...]:
    interval = _("none")
    if change.low is not None and change.high is not None:
        interval = f"{change.low:+.4f} … {change.high:+.4f}"
    verdict = _("better") if change.improved else ""
    verdict = _("worse") if change.regressed else verdict
    return (
        "*" if marked else "",
        show_line(shorten(change.label, _NAME_WIDTH)),
        f"{change.before:.6g}",
        f"{change.after:.6g}",
        f"{change.difference:+.4g}",
        interval,
        _methods(change),
        verdict,
    )


def _methods(change: MetricChange) -> str:
    words = {
        "mcnemar": _("McNemar, {n} pairs"),
        "paired-t": _("paired t, {n} pairs"),
        "newcombe": _("Newcombe"),
        "stderr": _("standard errors"),
    }
    return words.get(change.method, "").format(n=change.pairs)
