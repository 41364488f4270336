"""`dsvc branch`."""

from __future__ import annotations

import click

from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import complete_refs, verb
from dsvc.cli.language.i18n import _
from dsvc.cli.writing.names import show_line
from dsvc.cli.writing.sizes import pad, width
from dsvc.model.errors import UsageError


def _list(session: Session) -> None:
    branches = session.repository().branches()
    cells = max((width(show_line(branch.name)) for branch in branches), default=0)
    output = session.output
    for branch in branches:
        output.json({"name": branch.name, "commit": branch.commit, "current": branch.current})
        mark = "*" if branch.current else " "
        name = output.style(pad(show_line(branch.name), cells), "ref" if branch.current else "bold")
        output.answer(f"{mark} {name} {output.style(branch.commit[:8], 'id')}")


def _delete(session: Session, names: tuple[str, ...], force: bool) -> None:
    if not names:
        raise UsageError(_("name the branch to delete"))
    for name in names:
        session.repository().delete_branch(name, force=force)
        session.output.line(_("deleted branch {name}; undo with: dsvc undo").format(name=show_line(name)))
    session.output.json({"deleted": list(names)})


def _rename(session: Session, names: tuple[str, ...]) -> None:
    repo = session.repository()
    if len(names) == 1:
        current = next((branch.name for branch in repo.branches() if branch.current), None)
        if current is None:
            raise UsageError(_("HEAD is on no branch; name the branch to rename: dsvc branch -m OLD NEW"))
        names = (current, *names)
    if len(names) != 2:
        raise UsageError(_("renaming takes two names: dsvc branch -m OLD NEW"))
    old, new = names
    repo.rename_branch(old, new)
    session.output.json({"old": old, "new": new})
    session.output.line(_("renamed branch {old} to {new}").format(old=show_line(old), new=show_line(new)))


@verb("branch")
@click.argument("names", nargs=-1, metavar="[NAME [REV]]", shell_complete=complete_refs)
@click.option("-d", "--delete", is_flag=True, help=_("delete the branches named"))
@click.option("-m", "--move", is_flag=True, help=_("rename: OLD NEW, or the current branch to NEW"))
@click.option(
    "-f", "--force", is_flag=True, help=_("move a branch that exists; delete one that is not merged")
)
def command(session: Session, names: tuple[str, ...], delete: bool, move: bool, force: bool) -> None:
    """List, make, rename or delete branches."""
    if delete and move:
        raise UsageError(_("-d and -m were both given"))
    if delete:
        _delete(session, names, force)
    elif move:
        _rename(session, names)
    elif not names:
        _list(session)
    elif len(names) > 2:
        raise UsageError(_("a branch takes a name and at most one revision"))
    else:
        made = session.repository().create_branch(names[0], names[1] if len(names) > 1 else None, force=force)
        session.output.json({"name": made.name, "commit": made.commit, "current": made.current})
        session.output.line(
            _("branch {name} is at {commit}").format(name=show_line(made.name), commit=made.commit[:8])
        )
        session.advise("next", _("move to it with: dsvc checkout {name}").format(name=show_line(made.name)))
