"""`dsvc log`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from dsvc.cli.commits import commit_summary_fields, full_lines, one_line
from dsvc.cli.i18n import _
from dsvc.cli.log_graph import Graph
from dsvc.cli.paths import tree_paths
from dsvc.cli.revisions import split_words
from dsvc.cli.session import Session
from dsvc.cli.verb import after_dashes, complete_words, verb

if TYPE_CHECKING:
    from dsvc.porcelain.values import LogEntry


def _write(session: Session, entries: Iterable[LogEntry], *, oneline: bool) -> None:
    output = session.output
    for number, entry in enumerate(entries):
        if session.as_json:
            output.json(commit_summary_fields(entry.commit, entry.refs))
        elif oneline:
            output.answer(one_line(output, entry.commit, entry.refs))
        else:
            if number:
                output.answer()
            for line in full_lines(output, entry.commit, entry.refs):
                output.answer(line)


def _draw(session: Session, entries: Iterable[LogEntry], *, oneline: bool) -> None:
    """Write the commits with their lines of descent beside them."""
    output = session.output
    graph = Graph()
    listed = list(entries)
    shown = {entry.commit.id for entry in listed}
    for entry in listed:
        parents = [parent for parent in entry.commit.parents if parent in shown]
        above, star, between = graph.rows(entry.commit.id, parents)
        for row in above:
            output.answer(row)
        text = (
            [one_line(output, entry.commit, entry.refs)]
            if oneline
            else [*full_lines(output, entry.commit, entry.refs), ""]
        )
        output.answer(f"{star} {text[0]}")
        cells = len(star)
        margins = [*between, *[graph.margin()] * len(text)]
        rest = text[1:] if not oneline else []
        for line in rest:
            output.answer(f"{margins.pop(0):{cells}} {line}".rstrip())
        for row in between[len(rest) :]:
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
        revisions[0] if revisions else ("HEAD" if not everything else None),
        limit=limit,
        paths=tree_paths(paths, repo.root),
        all=everything,
    )
    with session.paged():
        if graph and not session.as_json:
            _draw(session, entries, oneline=oneline)
        else:
            _write(session, entries, oneline=oneline)
