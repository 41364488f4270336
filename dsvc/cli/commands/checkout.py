"""`dsvc checkout`."""

from __future__ import annotations

import click

from dsvc.cli.arguments.paths import tree_paths
from dsvc.cli.arguments.revisions import is_path, is_revision, split_words
from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import after_dashes, complete_words, verb
from dsvc.cli.language.i18n import _
from dsvc.cli.versions.results import report_checkout
from dsvc.cli.writing.names import show_line
from dsvc.model.errors import UsageError


def split(session: Session, words: tuple[str, ...]) -> tuple[str | None, list[str]]:
    """Tell the revision from the paths; a single word that is both is the revision, as in git."""
    after = after_dashes()
    if len(words) == 1 and not after:
        (word,) = words
        if after is not None or is_revision(session.repository(), word) or not is_path(word):
            return word, []
    revisions, paths = split_words(session.repository(), words, after, at_most=1)
    return (revisions[0] if revisions else None), paths


def _headline(branch: str | None, head: str | None, new: bool) -> str:
    if branch is not None:
        text = _("on the new branch {branch}") if new else _("on branch {branch}")
        return text.format(branch=show_line(branch))
    return _("HEAD is at {commit}, on no branch").format(commit=(head or "")[:8])


@verb("checkout", splits=True, greedy=["--sparse"])
@click.argument("words", nargs=-1, metavar="[REV] [--] [PATH…]", shell_complete=complete_words)
@click.option(
    "-b", "new_branch", metavar="NEW", help=_("make the branch NEW at REV, or at HEAD, and move to it")
)
@click.option("-f", "--force", is_flag=True, help=_("overwrite uncommitted work; undo brings it back"))
@click.option(
    "--sparse",
    multiple=True,
    metavar="PATTERN…",
    help=_("have only matching paths here, until --sparse '*'; takes all words that follow"),
)
def command(
    session: Session, words: tuple[str, ...], new_branch: str | None, force: bool, sparse: tuple[str, ...]
) -> None:
    """Move the working tree to another version."""
    repo = session.repository()
    revision, paths = split(session, words)
    if not (revision or paths or new_branch or sparse):
        raise UsageError(
            _("nothing to check out was named"),
            hint=_("a version: dsvc checkout REV; a file: dsvc checkout -- PATH"),
        )
    if new_branch and paths:
        raise UsageError(_("-b makes a branch; it takes no paths"))
    with session.progress() as progress:
        result = repo.checkout(
            revision,
            tree_paths(paths, repo.root),
            new_branch=new_branch,
            force=force,
            sparse=list(sparse) if sparse else None,
            progress=progress,
        )
    headline = None if paths else _headline(result.branch, result.head, new_branch is not None)
    report_checkout(session, result, headline)
    if result.branch is None and not paths:
        session.advise("detachedHead", _("to commit from here, make a branch: dsvc checkout -b NAME"))
