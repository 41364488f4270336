"""`dsvc diff`."""

from __future__ import annotations

import sys

import click

from dsvc.cli.diff_html import page
from dsvc.cli.diff_text import diff_fields, write_diff, write_name_status, write_stat
from dsvc.cli.i18n import _
from dsvc.cli.paths import tree_paths
from dsvc.cli.revisions import split_words
from dsvc.cli.session import Session
from dsvc.cli.verb import PathWord, after_dashes, complete_words, verb
from dsvc.model.errors import UsageError


def sides(revisions: list[str]) -> tuple[str | None, str | None]:
    """Return old and new side of the words given: ``A..B`` is ``A B``; ``A...B`` stays as it is."""
    if len(revisions) == 1 and ".." in revisions[0] and "..." not in revisions[0]:
        old, _dots, new = revisions[0].partition("..")
        return old or "HEAD", new or "HEAD"
    if any(".." in revision for revision in revisions) and len(revisions) > 1:
        raise UsageError(_("a range and another revision were both given"))
    return (revisions[0] if revisions else None), (revisions[1] if len(revisions) > 1 else None)


@verb("diff", splits=True)
@click.argument("words", nargs=-1, metavar="[REV [REV]] [-- PATH…]", shell_complete=complete_words)
@click.option("--staged", "--cached", is_flag=True, help=_("what is staged, against HEAD or REV"))
@click.option("--stat", is_flag=True, help=_("only how much changed in each file"))
@click.option("--name-status", is_flag=True, help=_("only a letter and the path of each file"))
@click.option(
    "--html", metavar="FILE", type=PathWord(), help=_("write a page to FILE that any browser shows")
)
@click.option("--exit-code", is_flag=True, help=_("exit with 1 if there are differences"))
def command(
    session: Session,
    words: tuple[str, ...],
    staged: bool,
    stat: bool,
    name_status: bool,
    html: str | None,
    exit_code: bool,
) -> int:
    """Compare versions."""
    repo = session.repository()
    revisions, paths = split_words(session, words, after_dashes(), at_most=2)
    old, new = sides(revisions)
    with session.progress() as progress:
        result = repo.diff(old, new, paths=tree_paths(paths, repo.root), staged=staged, progress=progress)
    session.output.json(diff_fields(result))
    if html is not None:
        text = "".join(page(repo, result))
        if html == "-" and not session.as_json:
            sys.stdout.write(text)
        else:
            with open(html, "w", encoding="utf-8", errors="backslashreplace") as stream:
                stream.write(text)
            session.output.line(_("wrote {file}").format(file=html))
    elif not session.as_json:
        with session.paged():
            if stat:
                write_stat(session, repo, result)
            elif name_status:
                write_name_status(session, result)
            else:
                write_diff(session, repo, result)
    return 1 if exit_code and result.changes else 0
