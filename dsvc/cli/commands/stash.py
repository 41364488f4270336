"""`dsvc stash`."""

from __future__ import annotations

import click

from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import verb
from dsvc.cli.language.i18n import _
from dsvc.cli.versions.commits import commit_summary_fields
from dsvc.cli.versions.results import report_merge
from dsvc.cli.writing.names import show_line
from dsvc.model.errors import UsageError

ACTIONS = ("push", "pop", "list", "drop")


def _push(session: Session, message: str | None) -> None:
    commit = session.repository().stash(message)
    session.output.json({"commit": commit})
    if commit is None:
        session.output.line(_("nothing to put aside: there are no uncommitted changes"))
    else:
        session.output.line(_("put aside as {commit}").format(commit=commit[:8]))
        session.advise("next", _("take it back with: dsvc stash pop"))


def _list(session: Session) -> None:
    for number, entry in enumerate(session.repository().stash_list()):
        name = f"stash@{{{number}}}"
        session.output.json({"stash": name, **commit_summary_fields(entry.commit, entry.refs)})
        message = (entry.commit.message.strip().splitlines() or [""])[0]
        session.output.answer(f"{name}: {show_line(message)}")


@verb(
    "stash",
    _("push puts changes aside, pop takes the newest back, list shows all, drop forgets the newest."),
)
@click.argument("action", type=click.Choice(ACTIONS), default="push", metavar="[push|pop|list|drop]")
@click.option("-m", "--message", metavar="MSG", help=_("a message for push"))
def command(session: Session, action: str, message: str | None) -> None:
    """Put uncommitted work aside, and take it back."""
    if message is not None and action != "push":
        raise UsageError(_("a message goes with push only"))
    if action == "push":
        _push(session, message)
    elif action == "list":
        _list(session)
    elif action == "drop":
        dropped = session.repository().stash_drop()
        session.output.json({"commit": dropped})
        session.output.line(_("forgot {commit}; undo with: dsvc undo").format(commit=dropped[:8]))
    else:
        report_merge(
            session,
            session.repository().stash_pop(),
            _("took the newest stash back"),
            _("settle each: dsvc resolve PATH --ours or --theirs; the stash is kept"),
        )
