"""`dsvc undo`."""

from __future__ import annotations

import click

from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import verb
from dsvc.cli.language.i18n import _, ngettext
from dsvc.cli.writing.names import show_line


@verb(
    "undo",
    _("OP is an id of: dsvc op log; without it, the newest operation that stands. An undo has an id too."),
)
@click.argument("operation", required=False, metavar="[OP]")
def command(session: Session, operation: str | None) -> None:
    """Take back an operation."""
    result = session.repository().undo(operation)
    output = session.output
    output.json(
        {
            "undone": result.undone,
            "verb": result.verb,
            "arguments": list(result.arguments),
            "operation": result.operation,
            "restored": result.restored,
        }
    )
    output.line(
        _("took back: {verb} ({id})").format(
            verb=show_line(result.verb), id=output.style(result.undone[:8], "id")
        )
    )
    if result.restored:
        output.line(ngettext("{n} file restored", "{n} files restored", result.restored))
    session.advise("undo", _("to take this back too: dsvc undo {id}").format(id=result.operation[:8]))
