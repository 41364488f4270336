"""`dsvc apply`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from dsvc.cli.frame.named_files import read_file
from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import PathWord, verb
from dsvc.cli.language.i18n import _, ngettext
from dsvc.cli.versions.changes import label
from dsvc.cli.writing.names import path_fields

if TYPE_CHECKING:
    from dsvc.porcelain.versions.apply import AppliedFile


def _fields(applied: AppliedFile) -> dict[str, object]:
    rows = applied.rows
    return {
        **path_fields(applied.path),
        "change": applied.change,
        "rows": None if rows is None else {"added": rows[0], "removed": rows[1], "changed": rows[2]},
        "exact": applied.exact,
    }


def _line(session: Session, applied: AppliedFile) -> str:
    text = f"{label(applied.change)}: {session.name(applied.path)}"
    if applied.rows is None:
        return text
    added, removed, changed = applied.rows
    counts = f"+{added:,} -{removed:,} ~{changed:,}"
    rows = ngettext("{n} row", "{n} rows", added + removed + changed)
    text = _("{file} ({rows}: {counts})").format(file=text, rows=rows, counts=counts)
    return text if applied.exact else _("{text}, by key").format(text=text)


@verb(
    "apply",
    _(
        "Takes what dsvc diff --patch and git diff write; a table that has changed since is changed by key. "
        "All of it applies, or nothing is written; dsvc undo takes it back."
    ),
)
@click.argument("file", metavar="FILE", type=PathWord())
@click.option("--check", is_flag=True, help=_("only say whether it applies"))
@click.option("-R", "--reverse", is_flag=True, help=_("take back what the patch changed"))
def command(session: Session, file: str, check: bool, reverse: bool) -> None:
    """Apply a patch."""
    repo = session.repository()
    patch = sys.stdin.buffer.read() if file == "-" else read_file(file)
    result = repo.apply(patch, check=check, reverse=reverse)
    output = session.output
    output.json(
        {"files": [_fields(applied) for applied in result.files], "checked": check, "undo": result.undo}
    )
    for applied in result.files:
        output.line(_line(session, applied))
    if check:
        output.line(_("the patch applies; nothing was written"))
    elif result.undo is None:
        output.line(_("nothing changed"))
