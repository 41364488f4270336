"""`dsvc rm`."""

from __future__ import annotations

import click

from dsvc.cli.arguments.paths import tree_paths
from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import path_arguments, verb
from dsvc.cli.language.i18n import _, ngettext
from dsvc.cli.versions.results import checkout_fields, report_saved


@verb("rm")
@path_arguments(required=True)
@click.option("--cached", is_flag=True, help=_("only from the next commit; the files stay here"))
@click.option("-f", "--force", is_flag=True, help=_("also with uncommitted changes; undo brings them back"))
@click.option("-r", "--recursive", is_flag=True, help=_("folders with all that is in them"))
def command(session: Session, paths: tuple[str, ...], cached: bool, force: bool, recursive: bool) -> None:
    """Remove files."""
    repo = session.repository()
    result = repo.remove(tree_paths(paths, repo.root), cached=cached, force=force, recursive=recursive)
    session.output.json(checkout_fields(result))
    text = (
        _("no longer tracked, still here")
        if cached
        else ngettext(
            "{n} file removed, and staged as removed",
            "{n} files removed, and staged as removed",
            result.removed,
        )
    )
    session.output.line(text)
    report_saved(session, result)
