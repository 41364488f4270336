"""A defect for people: its way, its causes, and what nobody flagged yet."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

from dsvc.cli.feedback.cause_text import cause_lines, other_lines, report_lines
from dsvc.cli.feedback.defect_drawing import drawing_lines
from dsvc.cli.language.i18n import _
from dsvc.cli.writing.names import show_line
from dsvc.cli.writing.sizes import shorten

if TYPE_CHECKING:
    from dsvc.cli.frame.session import Session
    from dsvc.porcelain.feedback.defect_view import DefectView

CAUSES: Final = 10
"""Candidates that are listed unless more are asked for."""
_WIDEST: Final = 120


def show_view(session: Session, view: DefectView, limit: int | None = CAUSES) -> None:
    """Write the drawing, the causes, and rows that are not flagged.

    Parameters
    ----------
    limit : int or None
        How many candidates; None: all.
    """
    output = session.output
    cells = max(min(shutil.get_terminal_size().columns, _WIDEST), 40)
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
    for error in view.unknown:
        output.warning(_("not known: {reason}").format(reason=show_line(_(error.message))))
