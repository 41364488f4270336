"""`dsvc trace`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dsvc.cli.arguments.lineage_targets import TARGETS, lineage_target
from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import PathWord, verb
from dsvc.cli.language.i18n import _

if TYPE_CHECKING:
    from dsvc.lineage.trace import Gap
    from dsvc.porcelain.lineage.lineage_trace import TracedStep, TraceResult


@verb("trace", TARGETS)
@click.argument("target", metavar="TARGET", type=PathWord())
def command(session: Session, target: str) -> None:
    """Say where something came from."""
    from dsvc.cli.lineage.lineage_json import trace_fields

    repo = session.repository()
    result = repo.trace(lineage_target(target, repo.root))
    session.output.json(trace_fields(target, result))
    if not session.as_json:
        with session.paged():
            _write(session, result)


def _write(session: Session, result: TraceResult) -> None:
    from dsvc.cli.lineage.lineage_words import show_artifact, show_rows, show_source
    from dsvc.cli.writing.names import show_line

    output = session.output
    sources = {each.source.id: each.source for each in result.sources}
    for traced in result.steps:
        step = traced.step
        name = output.style(show_artifact(step.artifact), "heading")
        output.answer("  ".join(filter(None, [name, show_rows(traced.positions, step.row_count)])))
        output.answer("  " + _how(session, traced))
        for id_ in step.sources:
            output.answer("  " + _("source {name}").format(name=f"{id_}: {show_source(sources[id_])}"))
        output.answer("  " + _("check: {command}").format(command=show_line(traced.check)))
    output.answer()
    for gap in result.gaps:
        output.answer(output.style(_gap(gap), "red"))
    if result.complete:
        output.answer(_("complete: every way back ends in a source that is in force"))
    else:
        output.answer(_("not complete"))


def _how(session: Session, traced: TracedStep) -> str:
    from dsvc.cli.lineage.lineage_words import show_artifact
    from dsvc.cli.runs.run_result import show_fate
    from dsvc.cli.writing.names import show_line

    step, run = traced.step, traced.run
    origins = _(", ").join(show_artifact(node) for node in step.origins[:6])
    if len(step.origins) > 6:
        origins += " …"
    if run is None or step.run is None:
        words = {
            "copied": _("the same bytes as {origins}").format(origins=origins),
            "attested": _("attested by a source"),
        }
        return words.get(step.how.value, _("nothing is known of where it came from"))
    id_ = session.output.style(step.run.short(), "id")
    text = _("made by run {name} {id} at {time}").format(
        name=show_line(run.name), id=id_, time=run.started_at
    )
    if origins:
        text = _("{made} from {origins}").format(made=text, origins=origins)
    fates = _(", ").join(dict.fromkeys(show_fate(fate.value) for fate in step.fates))
    return _("{made} ({fates})").format(made=text, fates=fates) if fates else text


def _gap(gap: Gap) -> str:
    from dsvc.cli.lineage.lineage_words import show_artifact, show_rows
    from dsvc.lineage.trace import GapReason

    name = show_artifact(gap.artifact)
    if gap.reason is GapReason.NOT_IN_FORCE:
        return _("{name}: source {source} is not in force").format(name=name, source=gap.source)
    if gap.reason is GapReason.NO_SOURCE:
        return _("{name} has no source").format(name=name)
    rows = show_rows((), gap.rows)
    if gap.reason is GapReason.ADDED:
        return _("{name}: {rows} that a run added have no source").format(name=name, rows=rows)
    return _("{name}: no source speaks for {rows}").format(name=name, rows=rows)
