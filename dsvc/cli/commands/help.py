"""`dsvc help`."""

from __future__ import annotations

import click

from dsvc.cli.frame.session import Session
from dsvc.cli.frame.usage import no_such_verb
from dsvc.cli.frame.verb import verb
from dsvc.cli.frame.verbs import VERBS


@verb("help")
@click.argument("name", required=False, metavar="[VERB]", type=click.STRING)
def command(session: Session, name: str | None) -> None:
    """Show help for a verb, or the overview."""
    context = click.get_current_context()
    root = context.find_root()
    group = root.command
    assert isinstance(group, click.Group)
    if name is None:
        text = group.get_help(root)
    else:
        found = group.get_command(root, name)
        if found is None:
            raise no_such_verb(name, VERBS)
        text = found.get_help(click.Context(found, info_name=name, parent=root, **found.context_settings))
    session.output.answer(text)
    session.output.json({"help": text})
