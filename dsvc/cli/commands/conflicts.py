"""`dsvc conflicts`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dsvc.cli.arguments.paths import tree_path
from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import PathWord, verb
from dsvc.cli.language.i18n import _
from dsvc.cli.versions.changes import show_conflict
from dsvc.cli.versions.diff_text import kind_of
from dsvc.cli.writing.names import path_fields
from dsvc.cli.writing.sizes import show_bytes

if TYPE_CHECKING:
    from dsvc.model.manifest import Entry
    from dsvc.porcelain.state.values import ConflictDetail
    from dsvc.porcelain.tables.table_merge import ConflictRow


def side_fields(entry: Entry | None) -> dict[str, object] | None:
    """Return one side of a conflict as JSON; None where it has no such path."""
    if entry is None:
        return None
    return {
        "size": entry.size,
        "mode": f"{entry.mode:06o}",
        "kind": kind_of(entry),
        "blake3": entry.digest.hex(),
        "xxh3": entry.xxh3.hex(),
    }


def _row_fields(row: ConflictRow) -> dict[str, object]:
    from dsvc.diff.cell_json import json_row

    return {
        "key": json_row(row.key),
        "kind": row.kind,
        "columns": list(row.columns),
        "base": json_row(row.base),
        "ours": json_row(row.ours),
        "theirs": json_row(row.theirs),
    }


def _write_rows(session: Session, conflict: ConflictDetail, rows: list[ConflictRow], limit: int) -> None:
    """Write the cells of each row that are in conflict, under its key."""
    from dsvc.cli.writing.cell_text import show_column, show_short

    output = session.output
    what = show_conflict(conflict.kind, len(rows))
    output.answer(output.style(f"{session.name(conflict.path)} ({what})", "red"))
    for row in rows[: limit or None]:
        key = " ".join(f"{show_column(name)}={show_short(value)}" for name, value in row.key.items())
        output.answer(f"  {key} ({_(row.kind)})")
        for name in row.columns:
            output.answer(f"    {show_column(name)}:")
            for word, side in ((_("base"), row.base), (_("ours"), row.ours), (_("theirs"), row.theirs)):
                output.answer(
                    f"      {word}: {_('not there') if side is None else show_short(side.get(name))}"
                )
    if limit and len(rows) > limit:
        output.answer(
            "  " + _("… and {n} more (dsvc conflicts --limit 0 shows all)").format(n=len(rows) - limit)
        )


def _write(session: Session, conflict: ConflictDetail, rows: list[ConflictRow], limit: int) -> None:
    output = session.output
    output.json(
        {
            **path_fields(conflict.path),
            "kind": conflict.kind,
            "rows": None if conflict.table is None else len(conflict.table.rows),
            "base": side_fields(conflict.base),
            "ours": side_fields(conflict.ours),
            "theirs": side_fields(conflict.theirs),
            "key": None if conflict.table is None else list(conflict.table.key),
            "row_conflicts": [_row_fields(row) for row in rows],
        }
    )
    if rows:
        _write_rows(session, conflict, rows, limit)
        return
    what = show_conflict(conflict.kind, None)
    output.answer(output.style(f"{session.name(conflict.path)} ({what})", "red"))
    for word, entry in (
        (_("base"), conflict.base),
        (_("ours"), conflict.ours),
        (_("theirs"), conflict.theirs),
    ):
        what = _("not there") if entry is None else f"{show_bytes(entry.size)}  {entry.digest.hex()[:12]}"
        output.answer(f"  {word}: {what}")


@verb("conflicts")
@click.argument("path", required=False, metavar="[PATH]", type=PathWord())
@click.option(
    "--limit", metavar="N", type=click.IntRange(min=0), default=50, help=_("rows shown of a table (0: all)")
)
def command(session: Session, path: str | None, limit: int) -> None:
    """Show what a merge could not decide."""
    repo = session.repository()
    found = repo.conflicts(None if path is None else tree_path(path, repo.root))
    for conflict in found:
        rows = [] if conflict.table is None else repo.conflict_rows(conflict.path)
        _write(session, conflict, rows, limit)
    if found:
        hint = _("settle each: dsvc resolve PATH --ours, --theirs or --with FILE; then: dsvc commit")
        if any(conflict.table is not None for conflict in found):
            hint = _(
                "settle all rows: dsvc resolve PATH --ours or --theirs, or one: dsvc resolve "
                "'PATH#COLUMN=VALUE' --theirs; then: dsvc commit"
            )
        session.advise("next", hint)
    else:
        session.output.line(_("no conflicts"))
