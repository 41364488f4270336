"""`dsvc rerun`."""

from __future__ import annotations

import sys

import click

from dsvc.cli.arguments.paths import tree_path
from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import PathWord, verb
from dsvc.cli.language.i18n import _, ngettext
from dsvc.cli.runs.carrying import carrier
from dsvc.cli.runs.stale_text import digest_field
from dsvc.cli.writing.names import path_fields, show_line
from dsvc.model.errors import UsageError
from dsvc.porcelain.runs.rerun import Carrier, NotRerun, RerunResult
from dsvc.porcelain.runs.run_comparison import OutputDifference, Sameness

_SHOWN = 20


def rerun_fields(result: RerunResult) -> dict[str, object]:
    """Return what came of a run that was done again as JSON."""
    return {
        "run": result.run.hex(),
        "identical": result.identical,
        "by": None if result.by is None else result.by.value,
        "differences": [_difference_fields(each) for each in result.differences],
        "of": result.of.hex(),
        "name": result.name,
    }


def _difference_fields(difference: OutputDifference) -> dict[str, object]:
    return {
        **path_fields(difference.path),
        "expected": digest_field(difference.expected),
        "found": digest_field(difference.found),
        "rows_added": difference.rows_added,
        "rows_removed": difference.rows_removed,
    }


def _show_difference(session: Session, difference: OutputDifference) -> str:
    name = session.name(difference.path)
    if difference.found is None:
        return _("{path}: not made this time").format(path=name)
    if difference.expected is None:
        return _("{path}: made this time only").format(path=name)
    if difference.rows_added is None or difference.rows_removed is None:
        return _("{path}: other bytes").format(path=name)
    return _("{path}: rows {added} {removed}").format(
        path=name, added=f"+{difference.rows_added:,}", removed=f"-{difference.rows_removed:,}"
    )


def _report(session: Session, result: RerunResult) -> None:
    output = session.output
    output.json(rerun_fields(result))
    name, old = show_line(result.name), output.style(result.of.short(), "id")
    again = result.run != result.of
    new = output.style(result.run.short(), "id")
    if result.by is Sameness.BYTES:
        told = _("it made the same, byte for byte")
    elif result.by is Sameness.ROWS:
        told = _("it made the same rows, not the same bytes")
    else:
        told = _("what it makes is different")
    if again:
        output.line(
            _("recorded {name} {old} again as {new}: {told}").format(name=name, old=old, new=new, told=told)
        )
    else:
        output.line(_("{name} {old}: {told}").format(name=name, old=old, told=told))
    for difference in result.differences[:_SHOWN]:
        output.line("  " + _show_difference(session, difference))
    more = len(result.differences) - _SHOWN
    if more > 0:
        output.line("  " + ngettext("{n} more file", "{n} more files", more))


@verb(
    "rerun",
    _(
        "RUN is a run's id, the beginning of one, or its name. Its command is carried out on the inputs as "
        "they are now, and recorded as a new run. With --check it is carried out in a scratch folder on what "
        "was recorded, and what it makes is compared: exit 0 if that is the same, byte for byte or row for "
        "row, else 1. With --stale the runs are done again whose outputs are behind their inputs or code, in "
        "order; a TARGET limits that to what it comes from."
    ),
)
@click.argument("words", nargs=-1, metavar="[RUN | TARGET…]", type=PathWord())
@click.option("--check", is_flag=True, help=_("only see whether it makes the same, in a scratch folder"))
@click.option("--stale", is_flag=True, help=_("do again what is behind its inputs"))
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help=_("end a command after this time"),
)
def command(session: Session, words: tuple[str, ...], check: bool, stale: bool, timeout: float | None) -> int:
    """Do a recorded run again."""
    if check and stale:
        raise UsageError(_("--check and --stale don't go together"))
    if not stale and len(words) != 1:
        raise UsageError(
            _("rerun takes one run, or --stale"), hint=_("dsvc status and dsvc log --json name runs")
        )
    repo = session.repository()
    how = carrier(session, timeout)
    if stale:
        return _rerun_stale(session, how, words)
    result = repo.rerun(words[0], how, check=check)
    _report(session, result)
    return 1 if check and not result.identical else 0


def _rerun_stale(session: Session, how: Carrier, words: tuple[str, ...]) -> int:
    repo = session.repository()
    done = left = 0
    for result in repo.rerun_stale(how, [tree_path(word, repo.root) for word in words]):
        if isinstance(result, NotRerun):
            left += 1
            _report_left(session, result)
        else:
            done += 1
            _report(session, result)
        sys.stdout.flush()
    if not done and not left:
        session.output.line(_("nothing is behind its inputs"))
    return 1 if left else 0


def _report_left(session: Session, result: NotRerun) -> None:
    session.output.json(
        {
            "run": None,
            "identical": None,
            "by": None,
            "differences": [],
            "of": result.run.hex(),
            "name": result.name,
            "reason": result.reason,
        }
    )
    session.output.warning(
        _("{name} is behind its inputs and was not done again: {reason}").format(
            name=show_line(result.name), reason=show_line(result.reason)
        )
    )
