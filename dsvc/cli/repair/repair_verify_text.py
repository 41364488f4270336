"""What a later evaluation says of a repair, as JSON and for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsvc.cli.feedback.metric_text import change_lines, change_of_metric_fields
from dsvc.cli.frame.session import Session
from dsvc.cli.language.i18n import _
from dsvc.cli.writing.names import show_line
from dsvc.porcelain.repair.repair_verify import VerifyStatus

if TYPE_CHECKING:
    from dsvc.porcelain.repair.repair_verify import VerifyResult


def verify_fields(result: VerifyResult) -> dict[str, object]:
    """Return a verdict as JSON."""
    of_defect = set(result.of_defect)
    return {
        "status": result.status.value,
        "repair": result.repair,
        "defect": result.defect,
        "feedback": result.feedback,
        "before": result.before,
        "metrics": [
            {**change_of_metric_fields(each), "of_defect": each.label in of_defect} for each in result.metrics
        ],
        "comparable": result.comparable,
        "reasons": list(result.reasons),
        "regressions": list(result.regressions),
        "tolerance": result.tolerance,
        "missing": list(result.missing),
        "accepted": result.accepted,
        "recorded": result.recorded,
    }


def show_verified(session: Session, result: VerifyResult) -> None:
    """Show the metrics before and after, and what follows from them."""
    output = session.output
    output.json(verify_fields(result))
    if session.as_json:
        return
    output.answer(
        _("feedback {before} before, {after} after").format(before=result.before, after=result.feedback)
    )
    for line in change_lines(output, result.metrics, result.of_defect):
        output.answer(line)
    if result.of_defect:
        output.answer(_("* what the defect is about"))
    for label in result.missing:
        output.answer(_("not measured any more: {metric}").format(metric=show_line(label)))
    output.answer()
    output.answer(output.style(_verdict(result), "bold"))
    for reason in result.reasons:
        output.answer("  " + show_line(reason))
    if result.accepted is not None:
        output.answer(
            "  " + _("accepted without an interval: {reason}").format(reason=show_line(result.accepted))
        )
    if result.status is VerifyStatus.UNDECIDED:
        output.hint(_("--accept-point REASON accepts a better value without an interval; it is recorded"))
    elif result.status is VerifyStatus.RETURNED:
        output.hint(_("plan another repair: dsvc repair plan {defect}").format(defect=result.defect))


def _verdict(result: VerifyResult) -> str:
    words = {
        VerifyStatus.VERIFIED: _("verified: defect {defect} is closed by repair {repair}"),
        VerifyStatus.RETURNED: _("not verified: repair {repair} is sent back, defect {defect} is open"),
        VerifyStatus.NOT_COMPARABLE: _(
            "not comparable: defect {defect} and repair {repair} stay as they are"
        ),
        VerifyStatus.UNDECIDED: _("undecided: defect {defect} and repair {repair} stay as they are"),
    }
    return words[result.status].format(defect=result.defect, repair=result.repair)
