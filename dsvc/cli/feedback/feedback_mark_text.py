"""Marks of the history: which evaluations looked at a commit, and which repair it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from dsvc.cli.language.i18n import _, ngettext
from dsvc.cli.writing.names import show_line
from dsvc.porcelain.feedback.feedback_marks import REPAIR_TRAILER

if TYPE_CHECKING:
    from dsvc.cli.terminal.output import Output
    from dsvc.history.commit_codec import Commit
    from dsvc.porcelain.feedback.feedback_marks import FeedbackMark

_METRICS: Final = 2
_SIGN: Final = "◆"


def _repair(commit: Commit) -> str | None:
    return next((value for key, value in commit.trailers if key == REPAIR_TRAILER), None)


def mark_lines(output: Output, commit: Commit, marks: Sequence[FeedbackMark] | None) -> list[str]:
    """Return a line for each evaluation of a commit, and one if it is a repair."""
    lines = []
    repair = _repair(commit)
    if repair is not None:
        lines.append(_("repair {id}").format(id=show_line(repair)))
    for mark in marks or ():
        metrics = [show_line(f"{each.name} {each.value:.4g}") for each in mark.record.metrics[:_METRICS]]
        words = [*metrics, ngettext("{n} defect", "{n} defects", mark.defects)]
        text = _("feedback {id} {words}").format(id=mark.id, words=_(", ").join(words))
        lines.append(text)
    return [f"{output.style(_SIGN, 'tag')} {line}" for line in lines]


def mark_fields(commit: Commit, marks: Sequence[FeedbackMark] | None) -> dict[str, object]:
    """Return the same as JSON."""
    return {
        "feedback": [
            {
                "feedback": mark.id,
                "suite": mark.record.suite,
                "model": mark.record.model,
                "metrics": [{"name": each.name, "value": each.value} for each in mark.record.metrics],
                "defects": mark.defects,
            }
            for mark in marks or ()
        ],
        "repair": _repair(commit),
    }


__all__ = ["mark_fields", "mark_lines"]
