"""`dsvc log`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

import click

from dsvc.cli.arguments.paths import tree_paths
from dsvc.cli.arguments.revisions import split_words
from dsvc.cli.feedback.feedback_mark_text import mark_fields, mark_lines
from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import after_dashes, complete_words, verb
from dsvc.cli.language.i18n import _
from dsvc.cli.versions.commits import RefNames, commit_summary_fields, full_lines, one_line, signature_fields
from dsvc.cli.versions.log_graph import Graph

if TYPE_CHECKING:
    from dsvc.porcelain.feedback.feedback_marks import FeedbackMark
    from dsvc.porcelain.policy.signed_commits import SignatureReader
    from dsvc.porcelain.state.values import LogEntry

    Marks = Mapping[str, tuple[FeedbackMark, ...]]


class _Look(NamedTuple):
    """How commits are shown."""

    oneline: bool
    signatures: SignatureReader | None
    marks: Marks


def _texts(
    session: Session, entries: Iterable[LogEntry], look: _Look, *, graph: bool = False
) -> Iterator[list[str]]:
    """Yield the lines of each commit; in a graph also who evaluated it, and what it repairs."""
    output = session.output
    names = RefNames(session.repository())
    for entry in entries:
        shown = names.show(output, entry.commit, entry.refs)
        marks = mark_lines(output, entry.commit, look.marks.get(entry.commit.id)) if graph else []
        if look.oneline:
            yield [one_line(output, entry.commit, shown), *marks]
        else:
            signature = None if look.signatures is None else look.signatures.read(entry.commit)
            first, *rest = full_lines(output, entry.commit, shown, signature)
            yield [first, *marks, *rest]


def _write(session: Session, entries: Iterable[LogEntry], look: _Look) -> None:
    number = 0
    for number, lines in enumerate(_texts(session, entries, look), 1):
        if number > 1 and not look.oneline:
            session.output.answer()
        for line in lines:
            session.output.answer(line)
    if not number:
        session.output.line(_("no commits"))


def _draw(session: Session, entries: Iterable[LogEntry], look: _Look) -> None:
    """Write the commits with their lines of descent beside them."""
    output = session.output
    graph = Graph()
    listed = list(entries)
    shown = {entry.commit.id for entry in listed}
    for entry, text in zip(listed, _texts(session, listed, look, graph=True), strict=True):
        parents = [parent for parent in entry.commit.parents if parent in shown]
        above, star, below = graph.rows(entry.commit.id, parents)
        for row in above:
            output.answer(row)
        output.answer(f"{star} {text[0]}")
        rest = text[1:] if look.oneline else [*text[1:], ""]
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
@click.option("--show-signature", "signatures", is_flag=True, help=_("check and show who signed"))
def command(
    session: Session,
    words: tuple[str, ...],
    limit: int | None,
    oneline: bool,
    graph: bool,
    everything: bool,
    signatures: bool,
) -> None:
    """Show the history."""
    from dsvc.porcelain.feedback.feedback_marks import feedback_marks

    repo = session.repository()
    revisions, paths = split_words(session.repository(), words, after_dashes(), at_most=1)
    entries = repo.log(
        revisions[0] if revisions else None,
        limit=limit,
        paths=tree_paths(paths, repo.root),
        all=everything,
    )
    marks: Marks = feedback_marks(repo) if graph or session.as_json else {}
    look = _Look(oneline, _reader(session) if signatures else None, marks)
    with session.paged():
        if session.as_json:
            for entry in entries:
                session.output.json(_fields(entry, look))
        elif graph:
            _draw(session, entries, look)
        else:
            _write(session, entries, look)


def _reader(session: Session) -> SignatureReader:
    from dsvc.porcelain.policy.signed_commits import SignatureReader

    return SignatureReader(session.repository())


def _fields(entry: LogEntry, look: _Look) -> dict[str, object]:
    fields = commit_summary_fields(entry.commit, entry.refs, entry.runs)
    fields |= mark_fields(entry.commit, look.marks.get(entry.commit.id))
    if look.signatures is not None:
        fields["signature"] = signature_fields(look.signatures.read(entry.commit))
    return fields
