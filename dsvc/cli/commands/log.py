"""`dsvc log`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from dsvc.cli.commits import RefNames, commit_summary_fields, full_lines, one_line
from dsvc.cli.i18n import _
from dsvc.cli.log_graph import Graph
from dsvc.cli.paths import tree_paths
from dsvc.cli.revisions import split_words
from dsvc.cli.session import Session
from dsvc.cli.verb import after_dashes, complete_words, verb

if TYPE_CHECKING:
    from dsvc.porcelain.values import LogEntry


def _texts(session: Session, entries: Iterable[LogEntry], *, oneline: bool) -> Iterator[list[str]]:
    """Yield the lines of each commit."""
    output = session.output
    names = RefNames(session.repository())
    for entry in entries:
        shown = names.show(output, entry.commit, entry.refs)
        if oneline:
            yield [one_line(output, entry.commit, shown)]
        else:
            yield list(full_lines(output, entry.commit, shown))


def _write(session: Session, entries: Iterable[LogEntry], *, oneline: bool) -> None:
    number = 0
    for number, lines in enumerate(_texts(session, entries, oneline=oneline), 1):
        if number > 1 and not oneline:
            session.output.answer()
        for line in lines:
            session.output.answer(line)
    if not number:
        session.output.line(_("no commits"))


def _draw(session: Session, entries: Iterable[LogEntry], *, oneline: bool) -> None:
    """Write the commits with their lines of descent beside them."""
    output = session.output
    graph = Graph()
    listed = list(entries)
    shown = {entry.commit.id for entry in listed}
    for entry, text in zip(listed, _texts(session, listed, oneline=oneline), strict=True):
        parents = [parent for parent in entry.commit.parents if parent in shown]
        above, star, below = graph.rows(entry.commit.id, parents)
        for row in above:
            output.answer(row)
        output.answer(f"{star} {text[0]}")
        rest = text[1:] if oneline else [*text[1:], ""]
        for line in rest:
            margin = below.pop(0) if below else graph.margin()
            output.answer(f"{margin:{len(star)}} {line}".rstrip())
        for row in below:
            output.answer(row)


@verb("log", splits=True)
@click.argument("words", nargs=-1, metavar="[REV] [-- PATH…]", shell_complete=complete_words)
@click.option(
    "-n", "--limit", "--max-count", type=click.IntRange(min=0), metavar="N", help=_("at most N commits")
)
@click.option("--oneline", is_flag=True, help=_("one line a commit"))
@click.option("--graph", is_flag=True, help=_("draw the lines of descent"))
@click.option("--all", "everything", is_flag=True, help=_("from all branches and tags"))
def command(
    session: Session, words: tuple[str, ...], limit: int | None, oneline: bool, graph: bool, everything: bool
) -> None:
    """Show the history."""
    repo = session.repository()
    revisions, paths = split_words(session, words, after_dashes(), at_most=1)
    entries = repo.log(
        revisions[0] if revisions else None,
        limit=limit,
        paths=tree_paths(paths, repo.root),
        all=everything,
    )
    with session.paged():
        if session.as_json:
            for entry in entries:
                session.output.json(commit_summary_fields(entry.commit, entry.refs, entry.runs))
        elif graph:
            _draw(session, entries, oneline=oneline)
        else:
            _write(session, entries, oneline=oneline)
