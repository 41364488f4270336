"""`dsvc merge`."""

from __future__ import annotations

import click

from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import complete_refs, verb
from dsvc.cli.language.i18n import _
from dsvc.cli.versions.results import report_checkout, report_merge
from dsvc.cli.writing.names import show_line
from dsvc.model.errors import UsageError


@verb("merge")
@click.argument("revision", required=False, metavar="REV", shell_complete=complete_refs)
@click.option("-m", "--message", metavar="MSG", help=_("the message of the commit"))
@click.option("--abort", is_flag=True, help=_("give up a merge with conflicts; all is as before it"))
@click.option("--no-verify", is_flag=True, help=_("skip the local gate; recorded in the commit"))
def command(
    session: Session, revision: str | None, message: str | None, abort: bool, no_verify: bool
) -> None:
    """Bring another branch into this one."""
    repo = session.repository()
    if abort:
        if revision is not None or message is not None:
            raise UsageError(_("--abort stands alone"))
        report_checkout(session, repo.merge_abort(), _("the merge is given up"))
        return
    if revision is None:
        raise UsageError(_("name what to merge"), hint=_("branches: dsvc branch"))
    with session.progress() as progress:
        outcome = repo.merge(revision, message=message, no_verify=no_verify, progress=progress)
    name = show_line(revision)
    commit = (outcome.commit or "")[:8]
    done = _("moved forward to {name}, {commit}") if outcome.fast_forward else _("merged {name} as {commit}")
    report_merge(
        session,
        outcome,
        done.format(name=name, commit=commit),
        _("settle each: dsvc resolve PATH --ours; then: dsvc commit; or: dsvc merge --abort"),
    )
