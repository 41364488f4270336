"""`dsvc check`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from dsvc.cli.i18n import _, ngettext
from dsvc.cli.names import path_fields, show_line, show_name
from dsvc.cli.session import Session
from dsvc.cli.verb import complete_refs, verb
from dsvc.model.errors import UsageError

if TYPE_CHECKING:
    from dsvc.lineage.validation import Violation

_SHOWN: Final = 20


def _fields(violation: Violation) -> dict[str, object]:
    return {
        "rule": violation.rule,
        "severity": violation.severity.value,
        **path_fields(violation.subject, "subject"),
        "message": violation.message,
        "hint": violation.hint,
        "clause": violation.clause,
        "outcome": violation.outcome.value,
    }


def _show(session: Session, violations: tuple[Violation, ...]) -> None:
    """List violations by rule: what is about many paths is cut short."""
    from dsvc.lineage.validation import Outcome

    output = session.output
    rules = dict.fromkeys(violation.rule for violation in violations)
    for rule in rules:
        found = [violation for violation in violations if violation.rule == rule]
        for violation in found[:_SHOWN]:
            unknown = violation.outcome is Outcome.INCOMPLETE
            mark = " " + _("can't be told") if unknown else ""
            subject = show_name(violation.subject)
            label = output.style(rule, "warning" if unknown else "error")
            output.answer(f"{label}{mark} {subject}: {show_line(violation.message)}")
        if len(found) > _SHOWN:
            output.answer("  " + _("and {n} more").format(n=len(found) - _SHOWN))
    hints = dict.fromkeys(violation.hint for violation in violations if violation.hint)
    for hint in list(hints)[:3]:
        output.hint(show_line(hint))


@verb("check")
@click.argument("rev", required=False, metavar="[REV]", shell_complete=complete_refs)
@click.option("--staged", is_flag=True, help=_("judge what is staged, with the runs that wait for a commit"))
@click.option(
    "--stage",
    type=click.Choice(["commit", "push", "release"]),
    help=_("up to which gate; without: commit and push"),
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    help=_("how to write the answer"),
)
@click.option(
    "--gate",
    "as_gate",
    is_flag=True,
    help=_("exit as hooks and CI need it: 22 where lineage is broken, 21 where it can't be told"),
)
def command(
    session: Session, rev: str | None, staged: bool, stage: str | None, form: str, as_gate: bool
) -> int:
    """Judge a version."""
    if staged and rev is not None:
        raise UsageError(_("--staged judges what is staged, not a revision"))
    if form == "json":
        session.settings.as_json = True
    from dsvc.lineage.validation import Gate

    repo = session.repository()
    result = repo.check(rev, staged=staged, gate=None if stage is None else Gate(stage))
    output = session.output
    output.json(
        {
            "outcome": result.outcome.value,
            "policy": list(result.policy),
            "violations": [_fields(violation) for violation in result.violations],
        }
    )
    _show(session, result.violations)
    if result.violations:
        output.line(ngettext("{n} violation", "{n} violations", len(result.violations)))
    else:
        output.line(_("all data has a source, and its lineage is whole"))
    return result.gate_exit_code if as_gate else int(result.gate_exit_code != 0)
