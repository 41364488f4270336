"""The way of a defect as a drawing: evaluation, rows, cause, repair, proof, closing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from dsvc.cli.feedback.cause_text import first_rows, names_of, show_number
from dsvc.cli.language.i18n import _, ngettext
from dsvc.cli.writing.names import show_line, show_name
from dsvc.cli.writing.sizes import pad, shorten, width
from dsvc.model.defect import DefectStatus, DefectVerb
from dsvc.porcelain.records.repair_chain import RepairStatus

if TYPE_CHECKING:
    from dsvc.cli.terminal.output import Output
    from dsvc.model.feedback import Metric
    from dsvc.porcelain.feedback.defect_view import DefectView
    from dsvc.porcelain.records.feedback_chain import FeedbackHead
    from dsvc.porcelain.records.repair_chain import RepairState

_METRICS: Final = 3
_CAUSES: Final = 3


class Stage(NamedTuple):
    """A stage of the way: its name, whether it was reached, its lines."""

    name: str
    reached: bool
    lines: Sequence[str]


def drawing_lines(output: Output, view: DefectView, cells: int) -> Iterator[str]:
    """Yield the lines of the drawing, no wider than the terminal; without colours in ASCII."""
    stages = list(stages_of(view))
    column = max(width(stage.name) for stage in stages)
    done, open_, line = ("●", "○", "│") if output.color else ("*", "o", "|")
    for number, stage in enumerate(stages):
        last = number == len(stages) - 1
        sign = output.style(done, "green") if stage.reached else output.style(open_, "dim")
        first, *rest = stage.lines or [""]
        room = max(cells - column - 5, 20)
        name = pad(stage.name, column)
        text = shorten(first, room)
        yield f"{sign} {output.style(name, 'bold')}  {text if stage.reached else output.style(text, 'dim')}"
        for each in rest:
            yield f"{' ' if last else line} {' ' * column}  {shorten(each, room)}"


def stages_of(view: DefectView) -> Iterator[Stage]:
    """Yield the stages of a defect's way, those that are still to come too."""
    evaluations = [_evaluation(each) for each in view.evaluations]
    yield Stage(_("evaluation"), bool(evaluations), evaluations or [_("can't be read")])
    yield Stage(_("rows"), True, list(_rows(view)))
    yield _cause(view)
    live = [each for each in view.repairs if each.status is not RepairStatus.RETURNED]
    latest = live[-1] if live else view.repairs[-1] if view.repairs else None
    repairs = [_repair(each) for each in view.repairs]
    yield Stage(_("repair"), bool(repairs), repairs or [_("none is planned")])
    yield _proof(latest)
    yield _closing(view)


def metric_words(metric: Metric) -> str:
    """Return a metric with its value, and over how many samples it is."""
    unit = metric.unit or ""
    samples = "" if metric.n is None else f" (n {metric.n})"
    return show_line(f"{metric.name} {metric.value:.4g}{unit}{samples}")


def _evaluation(head: FeedbackHead) -> str:
    record = head.record
    metrics = _(", ").join(metric_words(metric) for metric in record.metrics[:_METRICS])
    who = show_line(_(", ").join(filter(None, [record.suite, record.model])))
    return "  ".join(filter(None, [head.id, who, metrics]))


def _rows(view: DefectView) -> Iterator[str]:
    state, report = view.head.state, view.report
    if report is None:
        count = sum(each.count for each in state.rows)
        yield ngettext("{n} row of {path}", "{n} rows of {path}", count, path=show_name(state.path))
        return
    text = ngettext("{n} row of {path}", "{n} rows of {path}", report.flagged, path=show_name(report.path))
    yield text + _(" at {commit}").format(commit=report.commit[:12])
    if view.others is not None and report.flagged:
        yield first_rows(view.others.flagged)


def _cause(view: DefectView) -> Stage:
    report = view.report
    if report is None:
        return Stage(_("cause"), False, [_("can't be worked out")])
    lines = []
    for cause in report.top[:_CAUSES]:
        lift = _("{bad} of {total} rows, {lift} times the share of all").format(
            bad=cause.bad, total=cause.total, lift=show_number(cause.lift)
        )
        lines += [_(" = ").join(names_of(cause, view.run_names)[:3]), lift]
    if not lines:
        return Stage(_("cause"), False, [_("too few rows") if report.too_few else _("none stands out")])
    return Stage(_("cause"), True, lines)


def repair_statuses() -> dict[RepairStatus, str]:
    """Return how far repairs are, in words."""
    return {
        RepairStatus.PLANNED: _("planned"),
        RepairStatus.APPLYING: _("being applied"),
        RepairStatus.APPLIED: _("applied"),
        RepairStatus.VERIFIED: _("verified"),
        RepairStatus.RETURNED: _("sent back"),
    }


def _repair(state: RepairState) -> str:
    plan = state.plan
    rows = ngettext("{n} row", "{n} rows", plan.rows_affected)
    what = f"{plan.action.kind.value} {show_name(plan.path)}"
    return "  ".join([state.id, repair_statuses()[state.status], f"{what}{_(', ')}{rows}"])


def _proof(state: RepairState | None) -> Stage:
    name = _("proof")
    if state is None or state.proof is None:
        return Stage(name, False, [_("there is none yet")])
    proof = state.proof
    text = _("changed as planned: {flagged} flagged, {selected} selected, {consequent} consequent").format(
        flagged=proof.flagged_changed, selected=proof.selected_changed, consequent=proof.consequent_changed
    )
    lines = [text, _("others: {n}, unproved: {m}").format(n=proof.others_changed, m=len(proof.unproved))]
    return Stage(name, True, lines)


def _closing(view: DefectView) -> Stage:
    state = view.head.state
    name = _("closing")
    if state.status is DefectStatus.REJECTED:
        return Stage(name, True, [_("rejected")])
    last = next(
        (
            step.operation
            for step in reversed(state.history)
            if step.operation.verb in (DefectVerb.VERIFY, DefectVerb.RETURN)
        ),
        None,
    )
    if last is None:
        return Stage(name, False, [_("no later evaluation agrees yet")])
    verified = state.status is DefectStatus.VERIFIED
    again = last.verb is DefectVerb.VERIFY
    word = _("verified") if verified else _("open again, verified before") if again else _("not verified")
    by = view.closing.id if view.closing is not None else last.feedback or ""
    moves = [
        f"{metric} {_value(before)} -> {_value(after)}"
        for metric, (before, after) in sorted(last.metrics.items())
    ]
    return Stage(name, verified, ["  ".join(filter(None, [word, by])), *map(show_line, moves)])


def _value(value: float | None) -> str:
    return "?" if value is None else f"{value:.4g}"


__all__ = ["Stage", "drawing_lines", "metric_words", "repair_statuses", "stages_of"]
