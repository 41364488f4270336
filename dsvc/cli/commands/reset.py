"""`dsvc reset`."""

from __future__ import annotations

import click

from dsvc.cli.arguments.paths import tree_paths
from dsvc.cli.arguments.revisions import split_words
from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import after_dashes, complete_words, verb
from dsvc.cli.language.i18n import _
from dsvc.cli.versions.results import report_checkout
from dsvc.cli.writing.names import show_line
from dsvc.model.errors import UsageError


@verb("reset", splits=True)
@click.argument("words", nargs=-1, metavar="[REV] [-- PATH…]", shell_complete=complete_words)
@click.option("--soft", is_flag=True, help=_("move the branch only"))
@click.option("--mixed", is_flag=True, help=_("move the branch and unstage (as without an option)"))
@click.option("--hard", is_flag=True, help=_("the working tree too; undo brings back what it overwrites"))
def command(session: Session, words: tuple[str, ...], soft: bool, mixed: bool, hard: bool) -> None:
    """Move the branch to another commit, or unstage paths."""
    from dsvc.porcelain.state.values import ResetMode

    if soft + mixed + hard > 1:
        raise UsageError(_("choose one of --soft, --mixed and --hard"))
    repo = session.repository()
    revisions, paths = split_words(session.repository(), words, after_dashes(), at_most=1)
    if paths and (soft or hard):
        raise UsageError(
            _("--soft and --hard take no paths"),
            hint=_("to bring files back: dsvc restore --source REV PATH"),
        )
    mode = ResetMode.SOFT if soft else ResetMode.HARD if hard else ResetMode.MIXED
    result = repo.reset(revisions[0] if revisions else "HEAD", mode, tree_paths(paths, repo.root))
    if paths:
        headline = _("unstaged")
    else:
        name = result.branch or _("detached HEAD")
        headline = _("{name} has no commit yet").format(name=show_line(name))
        if result.head is not None:
            headline = _("{name} is now at {commit}").format(name=show_line(name), commit=result.head[:8])
    report_checkout(session, result, headline)
