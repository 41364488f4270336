"""`dsvc normalize`."""

from __future__ import annotations

import click

from dsvc.cli.arguments.paths import tree_paths
from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import path_arguments, verb
from dsvc.cli.language.i18n import _
from dsvc.cli.versions.changes import list_normalized, list_skipped, normalized_fields, skipped_fields


@verb(
    "normalize",
    _(
        "Parquet files are written anew with pages that end where the values say so: a later version then "
        "shares with this one what is equal. Values, schema and metadata are proven equal first. CSV and "
        "JSONL need no rewriting."
    ),
)
@path_arguments(required=True)
@click.option("-n", "--dry-run", is_flag=True, help=_("only show what would be rewritten"))
def command(session: Session, paths: tuple[str, ...], dry_run: bool) -> None:
    """Rewrite Parquet files; the old ones are stored first, so that undo brings them back."""
    repo = session.repository()
    with session.progress() as progress:
        result = repo.normalize(tree_paths(paths, repo.root), dry_run=dry_run, progress=progress)
    output = session.output
    output.json(
        {
            "files": [normalized_fields(file) for file in result.files],
            "skipped": skipped_fields(result.skipped),
            "dry_run": dry_run,
            "undo": result.undo,
        }
    )
    list_normalized(session, result.files, dry_run=dry_run)
    if not result.files and not result.skipped:
        output.line(_("no Parquet files there"))
    list_skipped(session, result.skipped)
    if result.undo is not None:
        session.advise(
            "undo", _("the old bytes are kept until gc's grace is over; take it back with: dsvc undo")
        )
