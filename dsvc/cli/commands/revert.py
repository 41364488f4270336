"""`dsvc revert`."""

from __future__ import annotations

import click

from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import complete_refs, verb
from dsvc.cli.language.i18n import _
from dsvc.cli.versions.results import report_merge


@verb("revert")
@click.argument("revision", metavar="REV", shell_complete=complete_refs)
@click.option("--no-verify", is_flag=True, help=_("skip the local gate; recorded in the commit"))
def command(session: Session, revision: str, no_verify: bool) -> None:
    """Commit the opposite of an earlier commit."""
    outcome = session.repository().revert(revision, no_verify=no_verify)
    report_merge(
        session,
        outcome,
        _("reverted as {commit}").format(commit=(outcome.commit or "")[:8]),
        _("settle each: dsvc resolve PATH --ours; then: dsvc commit; or: dsvc merge --abort"),
    )
