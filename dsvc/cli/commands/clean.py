"""`dsvc clean`."""

from __future__ import annotations

import click

from dsvc.cli.arguments.paths import tree_paths
from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import path_arguments, verb
from dsvc.cli.language.i18n import _
from dsvc.cli.versions.results import report_saved
from dsvc.cli.writing.names import path_fields


@verb("clean")
@path_arguments(label="[PATH]…")
@click.option("-n", "--dry-run", is_flag=True, help=_("only show what would be removed"))
def command(session: Session, paths: tuple[str, ...], dry_run: bool) -> None:
    """Remove untracked files; they are stored first, so that undo brings them back."""
    repo = session.repository()
    removed, result = repo.clean(tree_paths(paths, repo.root), dry_run=dry_run)
    output = session.output
    output.json(
        {
            "paths": [path_fields(path) for path in removed],
            "removed": 0 if dry_run else len(removed),
            "dry_run": dry_run,
            "undo": result.undo if result else None,
        }
    )
    word = _("would remove {path}") if dry_run else _("removed {path}")
    for path in removed:
        output.line(word.format(path=session.name(path)))
    if not removed:
        output.line(_("nothing to clean"))
    if result is not None:
        report_saved(session, result)
