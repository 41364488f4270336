"""`dsvc restore`."""

from __future__ import annotations

import click

from dsvc.cli.arguments.paths import tree_paths
from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import complete_refs, path_arguments, verb
from dsvc.cli.language.i18n import _
from dsvc.cli.versions.results import report_checkout


@verb("restore")
@path_arguments(required=True)
@click.option("-S", "--staged", is_flag=True, help=_("unstage: what is staged becomes as in HEAD or REV"))
@click.option("-s", "--source", metavar="REV", shell_complete=complete_refs, help=_("as they were in REV"))
def command(session: Session, paths: tuple[str, ...], staged: bool, source: str | None) -> None:
    """Bring files back."""
    repo = session.repository()
    with session.progress() as progress:
        result = repo.restore(tree_paths(paths, repo.root), staged=staged, source=source, progress=progress)
    report_checkout(session, result)
