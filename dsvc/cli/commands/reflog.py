"""`dsvc reflog`."""

from __future__ import annotations

import click

from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import complete_refs, verb
from dsvc.cli.language.i18n import _
from dsvc.cli.versions.commits import show_person
from dsvc.cli.writing.names import show_line


@verb("reflog")
@click.argument("ref", default="HEAD", metavar="[REF]", shell_complete=complete_refs)
@click.option("-n", "--limit", type=click.IntRange(min=0), metavar="N", help=_("at most N entries"))
def command(session: Session, ref: str, limit: int | None) -> None:
    """Show where HEAD or a branch was before."""
    output = session.output
    entries = session.repository().reflog(ref)
    with session.paged():
        for number, entry in enumerate(entries[:limit]):
            name = f"{ref}@{{{number}}}"
            output.json(
                {
                    "ref": name,
                    "old": entry.old,
                    "new": entry.new,
                    "author": show_person(entry.who),
                    "date": entry.who.rfc3339(),
                    "message": entry.message,
                }
            )
            commit = output.style((entry.new or "-" * 8)[:8], "id")
            output.answer(f"{commit} {show_line(name)}: {show_line(entry.message)}")
