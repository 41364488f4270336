"""`dsvc op`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import verb
from dsvc.cli.language.i18n import _
from dsvc.cli.versions.commits import show_person
from dsvc.cli.writing.names import show_line
from dsvc.cli.writing.sizes import show_date

if TYPE_CHECKING:
    from dsvc.history.operations import Operation


def operation_fields(operation: Operation) -> dict[str, object]:
    """Return an operation as JSON."""
    return {
        "operation": operation.id,
        "verb": operation.verb,
        "arguments": list(operation.arguments),
        "date": operation.who.rfc3339(),
        "author": show_person(operation.who),
        "refs": [{"ref": ref, "old": old, "new": new} for ref, old, new in operation.refs],
        "head_before": operation.head_before,
        "head_after": operation.head_after,
        "discarded": operation.discarded,
        "undone": operation.undone,
        "note": operation.note,
    }


@verb("op")
@click.argument("action", type=click.Choice(["log"]), default="log", metavar="[log]")
@click.option("-n", "--limit", type=click.IntRange(min=0), metavar="N", help=_("at most N operations"))
def command(session: Session, action: str, limit: int | None) -> None:
    """Show the operations that undo can take back, newest first."""
    output = session.output
    with session.paged():
        for operation in session.repository().operations(limit):
            output.json(operation_fields(operation))
            if session.as_json:
                continue
            date = show_date(operation.who.seconds, operation.who.offset_minutes)
            words = show_line(shlex.join([operation.verb, *operation.arguments]))
            output.answer(f"{output.style((operation.id or '')[:8], 'id')} {date}  {words}")
