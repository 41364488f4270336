"""`dsvc resolve`."""

from __future__ import annotations

import click

from dsvc.cli.arguments.paths import tree_path
from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import PathWord, verb
from dsvc.cli.language.i18n import _, ngettext
from dsvc.cli.writing.names import path_fields, show_line
from dsvc.model.errors import UsageError
from dsvc.porcelain.tables.row_target import RowName, split_row


def _report(session: Session, path: bytes, side: str | None, row: RowName | None) -> None:
    """Say what is settled, and what is left."""
    output = session.output
    open_conflicts = session.repository().conflicts()
    left = len(open_conflicts)
    rows_left = next((len(c.table.rows) for c in open_conflicts if c.path == path and c.table), 0)
    output.json(
        {
            **path_fields(path),
            "row": None if row is None else str(row),
            "side": side or "file",
            "rows_left": rows_left,
            "conflicts_left": left,
        }
    )
    name = session.name(path)
    if row is not None:
        name = _("{path}, row {row}").format(path=name, row=show_line(str(row)))
    output.line(_("settled {path}").format(path=name))
    if rows_left:
        rows = ngettext("{n} row", "{n} rows", rows_left)
        text = _("left to settle in {path}: {rows}").format(path=session.name(path), rows=rows)
        output.line(text)
    elif left:
        output.line(ngettext("{n} conflict is left to settle", "{n} conflicts are left to settle", left))
    else:
        session.advise("next", _('all conflicts are settled; finish with: dsvc commit -m "MESSAGE"'))


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
    _report(session, wanted, side, row)
