"""Evaluations as JSON and for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Final

from dsvc.cli.frame.session import Session
from dsvc.cli.language.i18n import _, ngettext
from dsvc.cli.writing.names import path_fields, show_digest, show_line
from dsvc.cli.writing.plain_table import column_lines
from dsvc.cli.writing.sizes import shorten
from dsvc.model.feedback import Support

if TYPE_CHECKING:
    from dsvc.model.feedback import FeedbackRecord, Metric, Observation, Selector, Unresolved
    from dsvc.porcelain.feedback.feedback_import import FeedbackImport
    from dsvc.porcelain.records.feedback_chain import FeedbackHead

SHOWN: Final = 20
"""Observations that are listed for people unless more are asked for."""


def metric_fields(metric: Metric) -> dict[str, object]:
    """Return a metric as JSON."""
    return {
        "name": metric.name,
        "value": metric.value,
        "n": metric.n,
        "unit": metric.unit,
        "stderr": metric.stderr,
        "higher_is_better": metric.higher_is_better,
        "task": metric.task,
        "slice": metric.slice,
        "support": metric.support.value,
    }


def _selector_fields(selector: Selector) -> dict[str, object]:
    names = ("position", "where", "row_hash", "doc", "column", "ref")
    fields: dict[str, object] = {} if selector.path is None else dict(path_fields(selector.path))
    if selector.row is not None:
        fields["row"] = dict(selector.row)
    return fields | {name: value for name in names if (value := getattr(selector, name)) is not None}


def unresolved_fields(each: Unresolved) -> dict[str, object]:
    """Return what could not be found as JSON."""
    return {
        "pointer": each.pointer,
        "reason": each.reason,
        "selector": _selector_fields(each.selector),
        "symptom": each.symptom,
        "severity": None if each.severity is None else each.severity.value,
    }


def observation_fields(each: Observation) -> dict[str, object]:
    """Return an observation as JSON."""
    return {
        "pointer": each.pointer,
        **path_fields(each.path),
        "digest": show_digest(each.digest),
        "folder": each.folder,
        "symptom": each.symptom,
        "severity": each.severity.value,
        "positions": list(each.positions),
        "keys": [dict(key) for key in each.keys],
        "row_hashes": [show_digest(digest) for digest in each.row_hashes],
        "selector": _selector_fields(each.selector),
        "scores": dict(each.scores),
        "task": each.task,
        "slice": each.slice,
        "explanation": each.explanation,
        "evidence": each.evidence,
    }


def record_fields(head: FeedbackHead) -> dict[str, object]:
    """Return an evaluation as JSON, without its observations."""
    record, run = head.record, head.record.run
    return {
        "feedback": head.id,
        "commit": str(head.commit),
        "suite": record.suite,
        "model": record.model,
        "format": record.importer,
        "kind": None if run.kind is None else run.kind.value,
        "subject": {
            "target": record.subject.target,
            "commit": record.subject.commit,
            "manifest": record.subject.manifest,
            **path_fields(record.subject.path),
            "digest": show_digest(record.subject.digest),
            "folder": record.subject.folder,
        },
        "evidence": {"name": record.evidence, "digest": show_digest(record.evidence_digest)},
        "tool": {"name": run.tool, "version": run.tool_version, "run": run.run_id, "created": run.created},
        "seed": run.seed,
        "split": run.split,
        "eval_set": run.eval_set,
        "metrics": [metric_fields(each) for each in record.metrics],
        "evaluated": [
            {**path_fields(each.path), "rows": each.count, "all": each.rows is None}
            for each in record.evaluated
        ],
        "outcome": record.outcome,
        "samples": record.samples,
        "passed": record.passed,
        "observations": record.observations,
        "resolved_rows": record.resolved_rows,
        "imported_at": record.imported_at,
        "by": record.by,
    }


def import_fields(done: FeedbackImport) -> dict[str, object]:
    """Return the outcome of an import as JSON."""
    record = done.record
    return {
        "feedback": done.feedback,
        "commit": str(done.commit),
        "observations": record.observations,
        "resolved_rows": record.resolved_rows,
        "unresolved": [unresolved_fields(each) for each in done.unresolved],
        "defects": list(done.defects),
        "opened": list(done.opened),
        "extended": list(done.extended),
        "reopened": list(done.reopened),
        "below": done.below,
        "known": done.known,
        "samples": record.samples,
        "passed": record.passed,
        "outcome": record.outcome,
        "metrics": [metric_fields(each) for each in record.metrics],
        "evidence": show_digest(record.evidence_digest),
        "subject_commit": record.subject.commit,
        "warnings": [done.warning] if done.warning else [],
    }


def report_import(session: Session, done: FeedbackImport) -> None:
    """Say what came of an import."""
    output, record = session.output, done.record
    output.json(import_fields(done))
    if done.known:
        output.line(_("known already: feedback {id}; nothing was changed").format(id=done.feedback))
        return
    output.line(
        _("feedback {id}: {suite} on {commit}").format(
            id=done.feedback, suite=show_line(record.suite), commit=record.subject.commit[:12]
        )
    )
    for line in metric_lines(record):
        output.line("  " + line)
    observations = ngettext("{n} observation", "{n} observations", record.observations)
    rows = ngettext("{n} row", "{n} rows", record.resolved_rows)
    output.line(_("{observations} on {rows}").format(observations=observations, rows=rows))
    for each in done.opened:
        output.line(_("opened defect {id}").format(id=each))
    for each in done.reopened:
        output.warning(_("defect {id} is open again: this version has its rows as they were").format(id=each))
    for each in done.extended:
        output.line(_("added rows to defect {id}").format(id=each))
    if done.below:
        output.line(
            ngettext(
                "{n} group of observations is too mild to open a defect",
                "{n} groups of observations are too mild to open a defect",
                done.below,
            )
        )
    if done.unresolved:
        count = ngettext("{n} was not found", "{n} were not found", len(done.unresolved))
        output.warning(count)
        for line in _unresolved_lines(done.unresolved):
            output.line("  " + line)
    if done.warning:
        output.warning(done.warning)


def _unresolved_lines(many: Iterable[Unresolved], limit: int | None = SHOWN) -> Iterator[str]:
    found = list(islice(many, None if limit is None else limit + 1))
    for each in found[:limit]:
        text = _("{place}: {reason}").format(place=each.pointer, reason=each.reason)
        yield show_line(shorten(text, 200))
    if limit is not None and len(found) > limit:
        yield _("… and more")


def metric_lines(record: FeedbackRecord) -> list[str]:
    """Write the metrics as a table."""
    rows = []
    for each in record.metrics:
        place = _(", ").join(show_line(shorten(word, 40)) for word in (each.task, each.slice) if word)
        unit = f" {show_line(each.unit)}" if each.unit else ""
        support = "" if each.support is Support.RECOMPUTED else _("unsupported")
        count = "" if each.n is None else f"n={each.n}"
        rows.append([show_line(shorten(each.name, 60)), f"{each.value:.6g}{unit}", count, place, support])
    return list(column_lines(rows))


def list_feedback(session: Session, heads: list[FeedbackHead]) -> None:
    """List evaluations, one a line."""
    output = session.output
    if session.as_json:
        for head in heads:
            output.json({**record_fields(head), "unresolved": head.record.unresolved})
        return
    with session.paged():
        for head in heads:
            record = head.record
            first = next((f"{each.name} {each.value:.4g}" for each in record.metrics), "")
            observations = ngettext("{n} observation", "{n} observations", record.observations)
            words = [record.imported_at[:10], record.suite, record.model or "", first, observations]
            shown = "  ".join(show_line(shorten(word, 60)) for word in words if word)
            output.answer(f"{output.style(head.id, 'id')}  {record.subject.commit[:12]}  {shown}")
    if not heads:
        output.line(_("no feedback"))


def show_feedback(
    session: Session,
    head: FeedbackHead,
    found: Iterable[Observation],
    lost: Iterable[Unresolved],
    limit: int | None,
) -> None:
    """Show one evaluation."""
    output, record = session.output, head.record
    if session.as_json:
        output.json(
            {
                **record_fields(head),
                "unresolved": [unresolved_fields(each) for each in lost],
                "found": [observation_fields(each) for each in islice(found, limit)],
            }
        )
        return
    with session.paged():
        for line in _head_lines(head):
            output.answer(line)
        for line in metric_lines(record):
            output.answer("  " + line)
        listed = list(islice(found, None if limit is None else limit + 1))
        if listed:
            output.answer(output.style(_("observations"), "heading"))
        for each in listed[:limit]:
            output.answer("  " + _observation_line(each))
        if limit is not None and len(listed) > limit:
            output.answer("  " + _("… and more"))
        lines = list(_unresolved_lines(lost, limit))
        if lines:
            output.answer(output.style(_("not found"), "heading"))
        for line in lines:
            output.answer("  " + line)


def _head_lines(head: FeedbackHead) -> Iterator[str]:
    record = head.record
    yield _("feedback {id}: {suite} on {commit}").format(
        id=head.id, suite=show_line(record.suite), commit=record.subject.commit[:12]
    )
    path = record.subject.path.decode("utf-8", "surrogateescape")
    yield _("subject {path}, blake3:{digest}").format(
        path=show_line(path) or ".", digest=record.subject.digest.hex()
    )
    if record.model:
        yield _("model {name}").format(name=show_line(record.model))
    yield _("evidence {name}, {format}, blake3:{digest}").format(
        name=show_line(record.evidence), format=record.importer, digest=record.evidence_digest.hex()
    )
    yield _("imported {time} by {who}").format(time=record.imported_at, who=show_line(record.by))
    samples = ngettext("{n} sample", "{n} samples", record.samples)
    observations = ngettext("{n} observation", "{n} observations", record.observations)
    rows = ngettext("{n} row", "{n} rows", record.resolved_rows)
    yield _("{samples}, {observations} on {rows}").format(
        samples=samples, observations=observations, rows=rows
    )


def _observation_line(each: Observation) -> str:
    key = ""
    if each.keys:
        key = " #" + ",".join(f"{name}={value}" for name, value in each.keys[0].items())
    elif each.positions:
        key = f" #@{each.positions[0]}"
    more = f" +{len(each.positions) - 1}" if len(each.positions) > 1 else ""
    path = each.path.decode("utf-8", "surrogateescape") or "."
    words = [each.severity.value, each.symptom, shorten(f"{path}{key}", 100) + more, each.evidence or ""]
    return show_line(shorten("  ".join(word for word in words if word), 200))
