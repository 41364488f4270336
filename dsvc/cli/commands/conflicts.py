"""`dsvc conflicts`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dsvc.cli.diff_text import kind_of
from dsvc.cli.i18n import _
from dsvc.cli.names import path_fields
from dsvc.cli.paths import tree_path
from dsvc.cli.session import Session
from dsvc.cli.sizes import show_bytes
from dsvc.cli.verb import PathWord, verb

if TYPE_CHECKING:
    from dsvc.model.manifest import Entry
    from dsvc.porcelain.values import ConflictDetail


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


def _write(session: Session, conflict: ConflictDetail) -> None:
    output = session.output
    output.json(
        {
            **path_fields(conflict.path),
            "kind": conflict.kind,
            "rows": None,
            "base": side_fields(conflict.base),
            "ours": side_fields(conflict.ours),
            "theirs": side_fields(conflict.theirs),
        }
    )
    output.answer(output.style(f"{session.name(conflict.path)} ({_(conflict.kind)})", "red"))
    for word, entry in (
        (_("base"), conflict.base),
        (_("ours"), conflict.ours),
        (_("theirs"), conflict.theirs),
    ):
        what = _("not there") if entry is None else f"{show_bytes(entry.size)}  {entry.digest.hex()[:12]}"
        output.answer(f"  {word}: {what}")


@verb("conflicts")
@click.argument("path", required=False, metavar="[PATH]", type=PathWord())
def command(session: Session, path: str | None) -> None:
    """Show what a merge could not decide."""
    repo = session.repository()
    found = repo.conflicts(None if path is None else tree_path(path, repo.root))
    for conflict in found:
        _write(session, conflict)
    if found:
        session.advise(
            "next", _("settle each: dsvc resolve PATH --ours, --theirs or --with FILE; then: dsvc commit")
        )
    else:
        session.output.line(_("no conflicts"))
