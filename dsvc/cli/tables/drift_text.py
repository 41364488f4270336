"""Statistics of columns that moved, for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from dsvc.cli.language.i18n import N_, _
from dsvc.cli.terminal.output import Output
from dsvc.cli.writing.cell_text import show_column, show_short

if TYPE_CHECKING:
    from dsvc.diff.statistics import ColumnDrift, ColumnStatistics

_MEASURES = (
    ("null_share", N_("nulls")),
    ("distinct", N_("distinct")),
    ("minimum", N_("min")),
    ("maximum", N_("max")),
    ("mean", N_("mean")),
)


def drift_lines(output: Output, drifts: Sequence[ColumnDrift]) -> Iterator[str]:
    """Yield lines for the columns whose statistics moved."""
    moved = [drift for drift in drifts if drift.moved]
    if not moved:
        yield output.style(_("no statistics moved"), "dim")
    for drift in moved:
        head = _("statistics of {column}").format(column=show_column(drift.name))
        if drift.psi is not None:
            head = _("{head}, drift (PSI) {psi:.3f}").format(head=head, psi=drift.psi)
        yield output.style(head, "bold")
        for attribute, word in _MEASURES:
            old, new = _show(drift.before, attribute), _show(drift.after, attribute)
            if old != new:
                removed = output.style(f"[-{old}-]", "removed") if old else ""
                added = output.style(f"{{+{new}+}}", "added") if new else ""
                yield f"  {_(word)} {removed}{added}"
        old, new = _top(drift.before), _top(drift.after)
        if old != new:
            word = "  " + _("most frequent") + " "
            if old:
                yield word + output.style(f"[-{old}-]", "removed")
            if new:
                yield word + output.style(f"{{+{new}+}}", "added")


def _show(side: ColumnStatistics | None, attribute: str) -> str:
    if side is None:
        return ""
    value = getattr(side, attribute)
    if attribute == "null_share":
        return f"{value:.2%}"
    if attribute == "distinct":
        return f"{value:,}"
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else show_short(value, 40)


def _top(side: ColumnStatistics | None) -> str:
    if side is None or not side.top:
        return ""
    return ", ".join(f"{show_short(value, 20)} {count:,}" for value, count in side.top)
