"""A repair that was applied, as JSON and for people: its steps, its proof, what comes next."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dsvc.cli.frame.session import Session
from dsvc.cli.language.i18n import _, ngettext
from dsvc.cli.repair.proof_text import proof_fields, proof_lines
from dsvc.cli.repair.repair_text import step_names, step_reasons
from dsvc.cli.versions.commits import trailer_fields
from dsvc.cli.writing.names import show_line

if TYPE_CHECKING:
    from dsvc.porcelain.repair.repair_apply import RepairApplied
    from dsvc.porcelain.repair.repair_carrying import StepDone


# JSON


def applied_fields(done: RepairApplied) -> dict[str, object]:
    """Return a repair that was applied as JSON."""
    return {
        "repair": done.state.id,
        "defect": done.state.plan.defect,
        "status": done.state.status.value,
        "commit": str(done.commit),
        "branch": done.branch or None,
        "new": done.is_new,
        "proof": proof_fields(done.proof),
        "trailers": trailer_fields(done.trailers),
        "steps": [_step_fields(step) for step in done.steps],
        "rows_recomputed": done.rows_recomputed,
        "verdict": done.verdict,
        "warnings": list(done.warnings),
    }


def _step_fields(done: StepDone) -> dict[str, object]:
    return {
        "kind": done.step.kind.value,
        "name": done.step.name,
        "outcome": done.outcome.value,
        "run": None if done.run is None else done.run.hex(),
        "of": done.step.run,
        "rows": done.rows,
        "whole": done.whole,
        "because": done.because or None,
        "earlier": done.earlier,
    }


# Text


def show_step(session: Session, done: StepDone) -> None:
    """Say that a step is done."""
    what = step_names()[done.step.kind].format(name=show_line(done.step.name))
    if done.whole:
        what = _("all of {name}").format(name=show_line(done.step.name))
    outcome = {
        "made": _(", ").join(session.name(path) for path in done.step.outputs),
        "same": _("it made the same as before"),
        "skipped": _("left out, since what it reads came out as it was"),
    }[done.outcome.value]
    if done.earlier:
        outcome = _("done before: {what}").format(what=outcome)
    line = f"{done.number + 1}  {what}  {outcome}"
    if done.rows:
        line += f"  ({ngettext('{n} row', '{n} rows', done.rows)})"
    session.output.line(line)
    because = done.step.because
    why = show_line(done.because) if because is None else step_reasons()[because]
    if done.whole and why:
        session.output.line("   " + _("on all rows: {why}").format(why=why))
    sys.stdout.flush()


def show_applied(session: Session, done: RepairApplied) -> None:
    """Show the proof of a repair, its commit, and what comes next."""
    output = session.output
    output.json(applied_fields(done))
    if session.as_json:
        return
    if not done.is_new:
        output.line(_("it was applied before"))
    output.line()
    for line in proof_lines(session, done.proof):
        output.line(line)
    output.line()
    commit = output.style(done.commit[:8], "id")
    if done.branch:
        output.line(
            _("committed {commit} on branch {branch}").format(commit=commit, branch=show_line(done.branch))
        )
    else:
        output.line(_("committed {commit}").format(commit=commit))
    for warning in done.warnings:
        output.warning(show_line(warning))
    for line in _next(done):
        output.line(line)


def _next(done: RepairApplied) -> Sequence[str]:
    """What remains to be done."""
    if not done.branch or done.state.status.value != "applied":
        return ()
    return (
        _("next: dsvc merge {branch}").format(branch=show_line(done.branch)),
        _("then evaluate again, dsvc feedback import FILE, and dsvc repair verify {id} --feedback ID").format(
            id=done.state.id
        ),
    )
