"""`dsvc add`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dsvc.cli.arguments.paths import tree_paths
from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import PathWord, verb
from dsvc.cli.language.i18n import _, ngettext
from dsvc.cli.versions.changes import (
    count_changes,
    list_changes,
    list_normalized,
    list_skipped,
    normalized_fields,
    skipped_fields,
)
from dsvc.cli.writing.sizes import show_bytes
from dsvc.model.errors import UsageError

if TYPE_CHECKING:
    from dsvc.porcelain.state.values import AddResult


def add_fields(result: AddResult) -> dict[str, object]:
    """Return the outcome as JSON."""
    return {
        "added": result.added,
        "modified": result.modified,
        "removed": result.removed,
        "unchanged": result.unchanged,
        "skipped": skipped_fields(result.skipped),
        "bytes": result.bytes,
        "new_bytes": result.new_bytes,
        "stored_bytes": result.stored_bytes,
        "warnings": list(result.warnings),
        "normalized": [normalized_fields(file) for file in result.normalized],
    }


def report(session: Session, result: AddResult, *, dry_run: bool) -> None:
    """Say what was staged and what was not."""
    output = session.output
    output.json(add_fields(result))
    list_normalized(session, result.normalized)
    if dry_run:
        list_changes(session, result.paths)
    counts = {"added": result.added, "modified": result.modified, "removed": result.removed}
    changed = sum(counts.values())
    if changed:
        verb_text = _("would stage {files}: {words}") if dry_run else _("staged {files}: {words}")
        output.line(
            verb_text.format(files=ngettext("{n} file", "{n} files", changed), words=count_changes(counts))
        )
        if not dry_run:
            output.line(
                _("{size} of data, {new} new, {stored} stored").format(
                    size=show_bytes(result.bytes),
                    new=show_bytes(result.new_bytes),
                    stored=show_bytes(result.stored_bytes),
                )
            )
    else:
        output.line(_("nothing changed"))
    for warning in result.warnings:
        output.warning(_(warning))
    list_skipped(session, result.skipped)
    if changed and not dry_run:
        session.advise("next", _('record them with: dsvc commit -m "MESSAGE"'))


@verb("add")
@click.argument("paths", nargs=-1, metavar="PATH…", type=PathWord())
@click.option("-A", "--all", "everything", is_flag=True, help=_("the whole working tree"))
@click.option("-n", "--dry-run", is_flag=True, help=_("only show what would be staged"))
@click.option("-f", "--force", is_flag=True, help=_("also what .dsvcignore leaves out"))
def command(session: Session, paths: tuple[str, ...], everything: bool, dry_run: bool, force: bool) -> None:
    """Store and stage what changed."""
    if not paths and not everything:
        raise UsageError(
            _("nothing to add was named"), hint=_("for everything below this folder: dsvc add .")
        )
    repo = session.repository()
    wanted = tree_paths(paths, repo.root)
    with session.progress() as progress:
        result = repo.add(wanted, all=everything, dry_run=dry_run, force=force, progress=progress)
    report(session, result, dry_run=dry_run)
