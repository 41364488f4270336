"""`dsvc impact`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dsvc.cli.arguments.lineage_targets import TARGETS, lineage_target
from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import PathWord, verb
from dsvc.cli.language.i18n import _, ngettext
from dsvc.cli.writing.sizes import pad, width

if TYPE_CHECKING:
    from dsvc.porcelain.lineage.lineage_impact import ImpactResult


@verb("impact", TARGETS)
@click.argument("target", metavar="TARGET", type=PathWord())
@click.option("--all", "everywhere", is_flag=True, help=_("in all branches and tags, not at one version"))
def command(session: Session, target: str, everywhere: bool) -> None:
    """Say what came of something."""
    from dsvc.cli.lineage.lineage_json import impact_fields

    repo = session.repository()
    result = repo.impact(lineage_target(target, repo.root), everywhere=everywhere)
    session.output.json(impact_fields(target, result))
    if not session.as_json:
        with session.paged():
            _write(session, result)


def _write(session: Session, result: ImpactResult) -> None:
    from dsvc.cli.lineage.lineage_words import show_artifact
    from dsvc.cli.writing.names import show_line

    output = session.output
    names = [show_artifact(each.artifact) for each in result.artifacts]
    cells = max(map(width, names), default=0)
    for name, each in zip(names, result.artifacts, strict=True):
        if each.rows is None:
            rows = ""
        elif each.folder:
            rows = ngettext("{n} file", "{n} files", each.rows)
        else:
            rows = ngettext("{n} row", "{n} rows", each.rows)
        if each.granularity.value == "artifact" and each.rows is not None:
            rows += _(", for which rows is not known")
        output.answer(f"{pad(name, cells)}  {rows}".rstrip())
    artifacts = ngettext("{n} artifact", "{n} artifacts", len(result.artifacts))
    rows = ngettext("{n} row", "{n} rows", result.rows)
    output.answer(_("reached: {artifacts}, {rows}").format(artifacts=artifacts, rows=rows))
    if result.releases:
        releases = _(", ").join(map(show_line, result.releases))
        output.answer(_("releases that have it or what came of it: {names}").format(names=releases))
    for drop in result.dropped or ():
        text = _("{name}, row {row}: left out by run {run}: {reason}").format(
            name=show_artifact(drop.artifact), row=drop.row, run=drop.run.short(), reason=drop.reason
        )
        if drop.survivor is not None:
            text = _("{dropped}; row {row} stands for it").format(dropped=text, row=drop.survivor)
        output.answer(text)
