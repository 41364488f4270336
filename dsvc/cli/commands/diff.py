"""`dsvc diff`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from dsvc.cli.arguments.named_values import key_columns
from dsvc.cli.arguments.paths import tree_paths
from dsvc.cli.arguments.revisions import split_words
from dsvc.cli.frame.named_files import write_bytes, write_page
from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import PathWord, after_dashes, complete_words, verb
from dsvc.cli.language.i18n import _
from dsvc.cli.tables.table_view import TableView
from dsvc.cli.versions.diff_html import page
from dsvc.cli.versions.diff_text import Parts, diff_fields, write_diff, write_name_status, write_stat
from dsvc.model.errors import UsageError

if TYPE_CHECKING:
    from dsvc.porcelain.feedback.evaluation_pair import EvaluationPair
    from dsvc.porcelain.state.values import DiffResult

ROW_LIMIT = 50


def sides(revisions: list[str]) -> tuple[str | None, str | None]:
    """Return old and new side of the words given: ``A..B`` is ``A B``; ``A...B`` stays as it is.

    Raises
    ------
    UsageError
        If a range and another revision are among them.
    """
    if len(revisions) == 1 and ".." in revisions[0] and "..." not in revisions[0]:
        old, _dots, new = revisions[0].partition("..")
        return old or "HEAD", new or "HEAD"
    if any(".." in revision for revision in revisions) and len(revisions) > 1:
        raise UsageError(_("a range and another revision were both given"))
    return (revisions[0] if revisions else None), (revisions[1] if len(revisions) > 1 else None)


def _check(
    session: Session, patch: bool, output: str | None, html: str | None, stats: bool, schema: bool
) -> None:
    """Refuse options that don't go together."""
    if output is not None and not patch:
        raise UsageError(_("-o names the file for --patch"))
    if patch and html is not None:
        raise UsageError(_("--patch and --html are two different outputs"))
    if patch and session.as_json and output in (None, "-"):
        raise UsageError(_("with --json, --patch needs -o FILE"))
    if stats and not schema:
        raise UsageError(_("--stats goes with --schema"))


def _show(
    session: Session,
    result: DiffResult,
    tables: TableView | None,
    parts: Parts,
    *,
    stat: bool,
    name_status: bool,
    metrics: Sequence[EvaluationPair],
) -> None:
    repo = session.repository()
    with session.paged():
        if stat:
            write_stat(session, repo, result, tables)
        elif name_status:
            write_name_status(session, result)
        else:
            write_diff(session, repo, result, tables, parts)
        if metrics and not name_status:
            from dsvc.cli.feedback.metric_text import pair_lines

            for line in pair_lines(session.output, metrics):
                session.output.answer(line)


def _fields(
    result: DiffResult, tables: TableView, metrics: Sequence[EvaluationPair], *, stats: bool
) -> dict[str, object]:
    """Return a difference as JSON, with metrics where both versions were evaluated by one suite."""
    fields = diff_fields(result, tables, stats=stats)
    if metrics:
        from dsvc.cli.feedback.metric_text import pair_fields

        fields["metrics"] = pair_fields(metrics)
    return fields


@verb(
    "diff",
    _("Tables are compared by row and cell: Parquet, Arrow, CSV, TSV, JSON lines and JSON arrays."),
    splits=True,
)
@click.argument("words", nargs=-1, metavar="[REV [REV]] [-- PATH…]", shell_complete=complete_words)
@click.option("--staged", "--cached", is_flag=True, help=_("what is staged, against HEAD or REV"))
@click.option("--stat", is_flag=True, help=_("only how much changed in each file"))
@click.option("--name-status", is_flag=True, help=_("only a letter and the path of each file"))
@click.option("--rows", is_flag=True, help=_("of tables only the rows that changed"))
@click.option("--schema", is_flag=True, help=_("of tables only the columns that changed; no lines of texts"))
@click.option("--stats", is_flag=True, help=_("with --schema: statistics of columns that moved"))
@click.option("--text", is_flag=True, help=_("show tables that are text by line, as git does"))
@click.option("--key", multiple=True, metavar="COL[,COL]", help=_("columns that tell a table's rows apart"))
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=ROW_LIMIT,
    metavar="N",
    help=_("at most N changed rows a file, 50 by default; 0: all"),
)
@click.option(
    "--html", metavar="FILE", type=PathWord(), help=_("write a page to FILE that any browser shows")
)
@click.option("--patch", "-p", is_flag=True, help=_("write a patch that dsvc apply takes, tables included"))
@click.option("-o", "--output", metavar="FILE", type=PathWord(), help=_("with --patch: the file to write"))
@click.option("--exit-code", is_flag=True, help=_("exit with 1 if there are differences"))
def command(
    session: Session,
    words: tuple[str, ...],
    staged: bool,
    stat: bool,
    name_status: bool,
    rows: bool,
    schema: bool,
    stats: bool,
    text: bool,
    key: tuple[str, ...],
    limit: int,
    html: str | None,
    patch: bool,
    output: str | None,
    exit_code: bool,
) -> int:
    """Compare versions."""
    _check(session, patch, output, html, stats, schema)
    repo = session.repository()
    revisions, paths = split_words(session.repository(), words, after_dashes(), at_most=2)
    old, new = sides(revisions)
    with session.progress() as progress:
        result = repo.diff(old, new, paths=tree_paths(paths, repo.root), staged=staged, progress=progress)
    counts_only = stat and html is None and not session.as_json
    tables = TableView(session, result, key=key_columns(key), limit=0 if counts_only else limit or None)
    parts = Parts(rows=rows or not schema, schema=schema or not rows, stats=stats)
    by_row = None if text else tables
    if patch:
        write_bytes(session, output, repo.diff_patch(result, key=key_columns(key)))
    metrics = [] if patch else repo.metric_table(result.source, result.target)
    if session.as_json:
        session.output.json(_fields(result, tables, metrics, stats=stats))
    if html is not None:
        write_page(session, html, page(repo, result, by_row))
    elif not session.as_json and not patch:
        _show(session, result, by_row, parts, stat=stat, name_status=name_status, metrics=metrics)
    return 1 if tables.errors or (exit_code and result.changes) else 0
