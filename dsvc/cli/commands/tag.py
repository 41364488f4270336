"""`dsvc tag`."""

from __future__ import annotations

import click

from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import complete_refs, verb
from dsvc.cli.language.i18n import _
from dsvc.cli.writing.names import show_line
from dsvc.cli.writing.sizes import pad, width
from dsvc.model.errors import UsageError


def _list(session: Session) -> None:
    tags = session.repository().tags()
    cells = max((width(show_line(tag.name)) for tag in tags), default=0)
    output = session.output
    for tag in tags:
        output.json({"name": tag.name, "commit": tag.commit, "message": tag.message})
        note = show_line((tag.message or "").strip().split("\n", 1)[0])
        name = output.style(pad(show_line(tag.name), cells), "tag")
        output.answer(f"{name} {output.style(tag.commit[:8], 'id')} {note}".rstrip())


@verb("tag")
@click.argument("names", nargs=-1, metavar="[NAME [REV]]", shell_complete=complete_refs)
@click.option("-d", "--delete", is_flag=True, help=_("delete the tags named"))
@click.option("-m", "--message", metavar="MSG", help=_("a message that stays with the tag"))
@click.option("-f", "--force", is_flag=True, help=_("move a tag that exists"))
def command(session: Session, names: tuple[str, ...], delete: bool, message: str | None, force: bool) -> None:
    """List, make or delete tags."""
    output = session.output
    if delete:
        if not names:
            raise UsageError(_("name the tag to delete"))
        for name in names:
            session.repository().delete_tag(name)
            output.line(_("deleted tag {name}; undo with: dsvc undo").format(name=show_line(name)))
        output.json({"deleted": list(names)})
    elif not names:
        _list(session)
    elif len(names) > 2:
        raise UsageError(_("a tag takes a name and at most one revision"))
    else:
        revision = names[1] if len(names) > 1 else None
        made = session.repository().create_tag(names[0], revision, message=message, force=force)
        output.json({"name": made.name, "commit": made.commit, "message": made.message})
        output.line(_("tag {name} is at {commit}").format(name=show_line(made.name), commit=made.commit[:8]))
