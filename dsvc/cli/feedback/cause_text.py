"""Causes of a defect for people: a table with bars, and what is to be known to read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from dsvc.cli.language.i18n import N_, _, ngettext
from dsvc.cli.writing.names import show_line, show_name
from dsvc.cli.writing.sizes import pad, shorten, width
from dsvc.model.defect import CauseKind, Denominator
from dsvc.porcelain.feedback.cause_routes import RouteKind

if TYPE_CHECKING:
    from dsvc.cli.terminal.output import Output
    from dsvc.model.defect import Cause
    from dsvc.porcelain.feedback.cause_report import CauseReport
    from dsvc.porcelain.feedback.not_flagged import NotFlagged, OtherRows

BAR_CELLS: Final = 20
WIDE: Final = 96
NARROW: Final = 64
_DIGITS: Final = 12
_ALIASES: Final = 4
_ROWS: Final = 5
_PARTS: Final = "▏▎▍▌▋▊▉█"
_TELLING: Final = (
    CauseKind.ANNOTATOR,
    CauseKind.REVIEWER,
    CauseKind.RULES,
    CauseKind.BATCH,
    CauseKind.PARAM,
    CauseKind.SOURCE,
    CauseKind.COLUMN,
    CauseKind.RUN,
    CauseKind.ARTIFACT,
)
"""Kinds of causes, those first that say most to who has to do something about it."""
_REASONS: Final = (
    N_("no evaluated row is flagged"),
    N_("every evaluated row is flagged: there is nothing to compare them with"),
    N_("nothing is known that tells these rows apart: there is no candidate"),
    N_("none of the defect's rows is in the version that was evaluated last"),
)


def kind_word(kind: str) -> str:
    """Return what a kind of cause is called."""
    words = {
        CauseKind.SOURCE: _("source"),
        CauseKind.RUN: _("run"),
        CauseKind.ARTIFACT: _("artifact"),
        CauseKind.PARAM: _("parameter"),
        CauseKind.BATCH: _("batch"),
        CauseKind.ANNOTATOR: _("annotator"),
        CauseKind.REVIEWER: _("reviewer"),
        CauseKind.RULES: _("rules"),
        CauseKind.COLUMN: _("column"),
    }
    return words[CauseKind(kind)]


def cause_name(name: str, run_names: Mapping[str, str]) -> str:
    """Return ``KIND ID`` for people: a run by its name and the first digits of its id."""
    kind, _blank, id_ = name.partition(" ")
    if kind == CauseKind.RUN.value:
        id_ = " ".join(filter(None, [run_names.get(id_, ""), id_[:_DIGITS]]))
    return show_line(f"{kind_word(kind)} {id_}")


def names_of(cause: Cause, run_names: Mapping[str, str]) -> list[str]:
    """Return the names of a cause: its own, then others for exactly the same rows, the most telling first."""
    others = sorted(cause.aliases, key=lambda name: _TELLING.index(CauseKind(name.partition(" ")[0])))
    return [cause_name(name, run_names) for name in (f"{cause.kind.value} {cause.id}", *others)]


def show_number(value: float) -> str:
    """Return a lift with three digits that count."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def show_p(cause: Cause) -> str:
    """Return the corrected p-value; what is too small for a float by the order of the plain one."""
    if cause.p_adjusted >= 0.001:
        return f"{cause.p_adjusted:.3f}"
    return f"{cause.p_adjusted:.0e}" if cause.p_adjusted > 0 else f"<1e{int(cause.log10_p) + 3}"


def bar(share: float, cells: int, *, plain: bool) -> str:
    """Draw a share of 1 as a bar; plain: of ``#`` alone."""
    if plain:
        return "#" * max(round(share * cells), 1 if share > 0 else 0)
    eighths = max(round(share * cells * 8), 1 if share > 0 else 0)
    whole, rest = divmod(eighths, 8)
    return "█" * whole + (_PARTS[rest - 1] if rest else "")


def too_few_text(report: CauseReport) -> str:
    """Say why there is no answer."""
    reason = report.too_few or ""
    if reason in _REASONS:
        return _(reason)
    return _(
        "{flagged} flagged of {evaluated} evaluated rows are too few to rely on: a cause of a tenth of "
        "the rows, three times as bad as all, would be named in {n} of 100 cases"
    ).format(flagged=report.flagged, evaluated=report.evaluated, n=int(report.power * 100))


def mark_text(cause: Cause, run_names: Mapping[str, str]) -> str:
    """Say what a candidate is: a cause, explained by another one, or an association."""
    if cause.is_cause:
        return _("cause")
    if cause.explained_by is not None:
        return _("explained by {cause}").format(cause=cause_name(cause.explained_by, run_names))
    return ""


def cause_lines(
    output: Output, report: CauseReport, run_names: Mapping[str, str], cells: int, limit: int | None
) -> Iterator[str]:
    """Yield the table of causes.

    Parameters
    ----------
    cells : int
        Width of the terminal.
    limit : int or None
        How many candidates; None: all.
    """
    shown = report.causes if limit is None else report.causes[:limit]
    if not shown:
        return
    heads = [_("cause"), _("bad/all"), _("lift [95%]"), _("p (Holm)")]
    rows = [
        [
            names_of(cause, run_names)[0],
            f"{cause.bad}/{cause.total}",
            f"{show_number(cause.lift)} [{show_number(cause.lift_low)}, {show_number(cause.lift_high)}]",
            show_p(cause),
        ]
        for cause in shown
    ]
    widths = [max(width(row[column]) for row in [heads, *rows]) for column in range(4)]
    bars = BAR_CELLS if cells >= WIDE else BAR_CELLS // 2 if cells >= NARROW else 0
    room = max(cells - sum(widths[1:]) - 10 - (bars and bars + 2), 16)
    narrow = cells < NARROW
    widths[0] = min(widths[0], cells - 4 if narrow else room)
    yield output.style("  " + _row(heads, widths, narrow=narrow) + (_("  bad share") if bars else ""), "dim")
    for cause, row in zip(shown, rows, strict=True):
        row[0] = shorten(row[0], widths[0])
        text = _row(row, widths, narrow=narrow)
        if bars:
            text += "  " + bar(cause.bad / cause.total, bars, plain=not output.color)
        sign = output.style("* ", "removed") if cause.is_cause else "  "
        text = text.rstrip()
        yield sign + (output.style(text, "bold") if cause.is_cause else text)
        more = names_of(cause, run_names)[1:]
        if more:
            rest = _(", …") if len(more) > _ALIASES else ""
            yield shorten("    = " + _(", ").join(more[:_ALIASES]) + rest, cells)
        if cause.explained_by is not None:
            yield shorten("    " + mark_text(cause, run_names), cells)
    left = len(report.causes) - len(shown)
    if left:
        yield "  " + ngettext(
            "… and {n} more candidate (--limit)", "… and {n} more candidates (--limit)", left
        )


def _row(cells: list[str], widths: list[int], *, narrow: bool) -> str:
    name, bad, lift, p = cells
    if narrow:
        return f"{name}\n      {bad}  {lift}  {p}"
    right = " " * (widths[1] - width(bad)) + bad
    return f"{pad(name, widths[0])}  {right}  {pad(lift, widths[2])}  {pad(p, widths[3])}"


def report_lines(report: CauseReport, limit: int | None) -> Iterator[str]:
    """Yield what is to be known of a ranking: over which rows, what is missing, by which routes."""
    rows = _("{flagged} of {evaluated} evaluated rows are flagged").format(
        flagged=report.flagged, evaluated=report.evaluated
    )
    if report.denominator is Denominator.ASSUMED:
        rows += _(" (assumed: nothing says which rows were evaluated)")
    yield rows
    if report.lost:
        yield ngettext(
            "{n} row of the defect is in other versions only",
            "{n} rows of the defect are in other versions only",
            report.lost,
        )
    if report.too_few is not None:
        yield too_few_text(report)
    elif not report.top:
        yield _("no cause stands out; what is listed are associations")
    for name in report.left_out:
        yield _("{name} has so many values that not each was looked at").format(name=show_line(name))
    for each in report.unread:
        yield _("{path} could not be read: {reason}").format(
            path=show_name(each.path), reason=show_line(each.reason)
        )
    if report.separate:
        yield from _routes(report, limit)


def _routes(report: CauseReport, limit: int | None) -> Iterator[str]:
    if not report.routes:
        yield _("the rows are of an evaluation set, and nothing recorded leads from them to the data")
    else:
        yield _("the rows are of an evaluation set; what they share with the data:")
    words = {
        RouteKind.ARTIFACT: _("came from {id}"),
        RouteKind.SOURCE: _("source {id}"),
        RouteKind.ANNOTATOR: _("annotator {id}"),
        RouteKind.BATCH: _("batch {id}"),
        RouteKind.NEAR_DUPLICATE: _("near-duplicates by {id}"),
    }
    for route in report.routes if limit is None else report.routes[:limit]:
        name = words[route.kind].format(id=show_line(route.id))
        yield "  " + _("{name}: {flagged} flagged, {rows} rows of {path}").format(
            name=name, flagged=route.flagged, rows=route.rows, path=show_name(route.path)
        )
    if report.unsearched is not None:
        yield "  " + _("not all was looked for: {reason}").format(reason=show_line(report.unsearched))


def first_rows(rows: OtherRows, most: int = _ROWS) -> str:
    """Name the first rows, by key where there is one."""
    if rows.keys:
        named = [", ".join(f"{name}={value}" for name, value in key.items()) for key in rows.keys[:most]]
    else:
        named = [f"@{position}" for position in rows.positions[:most]]
    text = show_line(_("; ").join(named))
    return text + (" …" if rows.count > len(named) else "")


def other_lines(found: NotFlagged) -> Iterator[str]:
    """Yield what is not flagged yet and may be bad all the same."""
    for rows in found.same_cause:
        if rows.count:
            name = show_name(rows.path)
            text = ngettext("{n} row of {path}", "{n} rows of {path}", rows.count, path=name)
            yield text + _(": ") + first_rows(rows)
    if found.near is not None:
        columns = show_line(_(", ").join(found.columns))
        text = ngettext(
            "{n} near-duplicate of flagged rows by {columns}",
            "{n} near-duplicates of flagged rows by {columns}",
            found.near.count,
            columns=columns,
        )
        yield text + (_(": ") + first_rows(found.near) if found.near.count else "")
    if found.reason is not None:
        yield _("near-duplicates were not looked for to the end: {reason}").format(
            reason=show_line(found.reason)
        )
    if found.tables_left_out:
        yield ngettext(
            "{n} table was not looked through", "{n} tables were not looked through", found.tables_left_out
        )


__all__ = [
    "bar",
    "cause_lines",
    "cause_name",
    "first_rows",
    "kind_word",
    "mark_text",
    "names_of",
    "other_lines",
    "report_lines",
    "show_number",
    "show_p",
    "too_few_text",
]
