"""`dsvc mv`."""

from __future__ import annotations

import click

from dsvc.cli.arguments.paths import tree_path
from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import PathWord, verb
from dsvc.cli.language.i18n import _
from dsvc.cli.writing.names import path_fields


@verb("mv")
@click.argument("source", metavar="A", type=PathWord())
@click.argument("target", metavar="B", type=PathWord())
def command(session: Session, source: str, target: str) -> None:
    """Move or rename a file or folder; into B where B is a folder."""
    repo = session.repository()
    old, new = tree_path(source, repo.root), tree_path(target, repo.root)
    new = repo.move(old, new)
    session.output.json({**path_fields(old, "old_path"), **path_fields(new)})
    session.output.line(
        _("moved {old} → {new}, and staged it").format(old=session.name(old), new=session.name(new))
    )
