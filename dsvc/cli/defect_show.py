"""`dsvc defect show`: the way of a defect, its causes, and what nobody flagged yet."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import click

from dsvc.cli.cause_text import cause_lines, other_lines, report_lines
from dsvc.cli.defect_drawing import drawing_lines
from dsvc.cli.defect_html import page
from dsvc.cli.defect_json import view_fields
from dsvc.cli.file_output import write_page
from dsvc.cli.i18n import _
from dsvc.cli.names import show_line, show_name
from dsvc.cli.sizes import shorten
from dsvc.cli.verb import PathWord
from dsvc.cli.verb_group import VerbGroup

if TYPE_CHECKING:
    from dsvc.cli.session import Session
    from dsvc.porcelain.defect_view import DefectView

CAUSES: Final = 10
"""Candidates that are listed unless more are asked for."""
_WIDEST: Final = 120


def add_show(group: VerbGroup) -> None:
    """Add the verb ``show`` to the verbs on defects."""
    group.verb(
        "show",
        _("show where a defect comes from, and how far its repair is"),
        _(
            "Counts the flagged rows against those that were evaluated, for everything that lineage knows of "
            "them: sources, runs and their parameters, artifacts, people, batches, values of columns."
        ),
    )(_show)


@click.argument("defect", metavar="DEFECT")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=CAUSES,
    show_default=True,
    metavar="N",
    help=_("list at most N candidate causes; 0: all"),
)
@click.option(
    "--html", metavar="FILE", type=PathWord(), help=_("write a page to FILE that any browser shows")
)
def _show(session: Session, defect: str, limit: int, html: str | None) -> None:
    from dsvc.porcelain.defect_view import defect_view

    with session.progress():
        view = defect_view(session.repository(), defect)
    most = limit or None
    session.output.json(view_fields(view, most))
    if html is not None:
        write_page(session, html, page(view, most))
        return
    with session.paged():
        show_view(session, view, most)


def show_view(session: Session, view: DefectView, limit: int | None = CAUSES) -> None:
    """Write the drawing, the causes, rows that are not flagged, and what was done.

    Parameters
    ----------
    limit : int or None
        How many candidates; None: all.
    """
    output = session.output
    cells = max(min(shutil.get_terminal_size().columns, _WIDEST), 40)
    state = view.head.state
    symptom = output.style(show_line(state.symptom), "bold")
    where = _("{symptom} in {path}").format(symptom=symptom, path=show_name(state.path))
    output.answer(f"{output.style(state.id, 'id')}  {where}  {state.severity.value}  {state.status.value}")
    output.answer()
    for line in drawing_lines(output, view, cells):
        output.answer(line)
    if view.report is not None:
        output.answer()
        for line in report_lines(view.report, limit):
            output.answer(line)
        if view.report.causes:
            output.answer()
        for line in cause_lines(output, view.report, view.run_names, cells, limit):
            output.answer(line)
    if view.others is not None:
        lines = list(other_lines(view.others))
        if lines:
            output.answer()
            output.answer(output.style(_("not flagged yet"), "heading"))
        for line in lines:
            output.answer("  " + shorten(line, cells - 2))
    output.answer()
    for line in _history(view):
        output.answer(shorten(line, cells))
    for error in view.unknown:
        output.warning(_("not known: {reason}").format(reason=show_line(error.message)))


def _history(view: DefectView) -> Iterator[str]:
    for step in view.head.state.history:
        done = step.operation
        words = [done.at, done.verb.value, done.by, done.reason or done.repair or done.feedback or ""]
        yield show_line("  ".join(filter(None, words)))
