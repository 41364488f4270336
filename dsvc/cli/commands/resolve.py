"""`dsvc resolve`."""

from __future__ import annotations

import click

from dsvc.cli.i18n import _, ngettext
from dsvc.cli.names import path_fields
from dsvc.cli.paths import tree_path
from dsvc.cli.session import Session
from dsvc.cli.verb import PathWord, verb
from dsvc.model.errors import UsageError
from dsvc.porcelain.row_target import split_row


@verb("resolve")
@click.argument("path", metavar="PATH[#ROW]", type=PathWord())
@click.option("--ours", is_flag=True, help=_("take what this branch has"))
@click.option("--theirs", is_flag=True, help=_("take what the other side has"))
@click.option(
    "--with",
    "file",
    metavar="FILE",
    type=PathWord(),
    help=_("take the content of FILE; PATH itself is allowed"),
)
@click.option(
    "--column", "columns", metavar="NAME", multiple=True, help=_("only this column of a table's rows")
)
def command(
    session: Session, path: str, ours: bool, theirs: bool, file: str | None, columns: tuple[str, ...]
) -> None:
    """Settle a conflict; of a table, or of one row (PATH#id=42), the conflicting cells only."""
    if ours + theirs + (file is not None) != 1:
        raise UsageError(_("choose one of --ours, --theirs and --with FILE"))
    repo = session.repository()
    # A file may have '#' in its name; a row can't be in conflict where the whole name is.
    wanted = tree_path(path, repo.root)
    row = None
    if "#" in path and not repo.conflicts(wanted):
        place, row = split_row(path)
        wanted = tree_path(place, repo.root)
    side = "ours" if ours else "theirs" if theirs else None
    repo.resolve(wanted, side=side, file=file, row=row, columns=columns)
    left = len(repo.conflicts())
    session.output.json({**path_fields(wanted), "side": side or "file", "conflicts_left": left})
    session.output.line(_("settled {path}").format(path=session.name(wanted)))
    if left:
        session.output.line(
            ngettext("{n} conflict is left to settle", "{n} conflicts are left to settle", left)
        )
    else:
        session.advise("next", _('all conflicts are settled; finish with: dsvc commit -m "MESSAGE"'))
