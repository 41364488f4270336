"""A defect as an HTML page with a chart, that needs nothing else and runs nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from dsvc.cli.feedback.cause_text import (
    mark_text,
    names_of,
    other_lines,
    report_lines,
    show_number,
    show_p,
)
from dsvc.cli.feedback.defect_drawing import stages_of
from dsvc.cli.feedback.defect_text import statuses
from dsvc.cli.language.i18n import _, ngettext
from dsvc.cli.writing.html_page import PAGE_END, escape, page_begin
from dsvc.cli.writing.names import show_name

if TYPE_CHECKING:
    from dsvc.model.defect import Cause
    from dsvc.porcelain.feedback.defect_view import DefectView

_STYLE: Final = """
ol.way { list-style: none; padding: 0; margin: 1em 0; }
ol.way li { border-left: 3px solid var(--line); padding: .2em 0 .6em 1em; margin: 0; }
ol.way li.reached { border-left-color: #2e9e4f; } ol.way li:not(.reached) { color: var(--quiet); }
ol.way b { display: inline-block; min-width: 7em; } ol.way span { display: block; overflow-wrap: anywhere; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr.cause th { background: var(--del); } th[scope=row] { font-weight: normal; overflow-wrap: anywhere; }
svg { display: block; width: 12em; height: 1.2em; } .quiet { display: block; }
svg .all { fill: var(--line); } svg .bad { fill: #c8442f; } svg .mean { stroke: currentColor; }
@media print { body { max-width: none; margin: 0; } tr { break-inside: avoid; } }
"""


def page(view: DefectView, limit: int | None = None) -> Iterator[str]:
    """Yield the pieces of the page.

    Parameters
    ----------
    limit : int or None
        How many candidates; None: all.
    """
    state = view.head.state
    title = _("Defect {id}: {symptom} in {path}").format(
        id=state.id, symptom=state.symptom, path=show_name(state.path)
    )
    yield page_begin(title, _STYLE)
    yield f'<p>{escape(state.severity.value)} · {escape(statuses()[state.status])}</p>\n<ol class="way">'
    for stage in stages_of(view):
        kind = ' class="reached"' if stage.reached else ""
        lines = "".join(f"<span>{escape(line)}</span>" for line in stage.lines)
        yield f"<li{kind}><b>{escape(stage.name)}</b>{lines}</li>\n"
    yield "</ol>\n"
    if view.report is not None:
        yield "<ul>"
        for line in report_lines(view.report, None):
            yield f"<li>{escape(line.strip())}</li>"
        yield "</ul>\n"
        yield from _table(view, limit)
    if view.others is not None:
        items = [f"<li>{escape(line)}</li>" for line in other_lines(view.others)]
        if items:
            yield f"<h2>{escape(_('not flagged yet'))}</h2>\n<ul>{''.join(items)}</ul>\n"
    for error in view.unknown:
        yield f"<p>{escape(_('not known: {reason}').format(reason=_(error.message)))}</p>\n"
    yield PAGE_END


def _table(view: DefectView, limit: int | None) -> Iterator[str]:
    report = view.report
    assert report is not None
    shown = report.causes[:limit]
    if not shown:
        return
    yield f"<h2>{escape(_('causes'))}</h2>\n<table><thead><tr>"
    for head in (_("cause"), _("bad/all"), _("lift [95%]"), _("p (Holm)"), _("bad share"), ""):
        yield f'<th scope="col">{escape(head)}</th>'
    yield "</tr></thead><tbody>\n"
    mean = report.flagged / report.evaluated if report.evaluated else 0.0
    for cause in shown:
        yield _row(cause, view, mean)
    yield "</tbody></table>\n"
    left = len(report.causes) - len(shown)
    if left:
        text = ngettext("… and {n} more candidate (--limit)", "… and {n} more candidates (--limit)", left)
        yield f'<p class="quiet">{escape(text)}</p>\n'


def _row(cause: Cause, view: DefectView, mean: float) -> str:
    name, *more = names_of(cause, view.run_names)
    others = f'<span class="quiet">= {escape(_(", ").join(more))}</span>' if more else ""
    lift = f"{show_number(cause.lift)} [{show_number(cause.lift_low)}, {show_number(cause.lift_high)}]"
    cells = (f"{cause.bad}/{cause.total}", lift, show_p(cause))
    kind = ' class="cause"' if cause.is_cause else ""
    return (
        f'<tr{kind}><th scope="row">{escape(name)}{others}</th>'
        + "".join(f'<td class="number">{escape(cell)}</td>' for cell in cells)
        + f"<td>{_bar(cause.bad / cause.total, mean)}</td>"
        f"<td>{escape(mark_text(cause, view.run_names))}</td></tr>\n"
    )


def _bar(share: float, mean: float) -> str:
    """Draw a share of 1 as a bar, with a line where the share of all rows is."""
    label = escape(_("{percent}% of its rows are bad").format(percent=f"{share * 100:.1f}"))
    return (
        f'<svg viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label="{label}">'
        '<rect class="all" width="100" height="10"/>'
        f'<rect class="bad" width="{share * 100:.2f}" height="10"/>'
        f'<line class="mean" x1="{mean * 100:.2f}" x2="{mean * 100:.2f}" y1="0" y2="10"/></svg>'
    )


__all__ = ["page"]
