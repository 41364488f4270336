"""`dsvc blame`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from dsvc.cli.arguments.named_values import key_columns
from dsvc.cli.arguments.paths import row_target
from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import PathWord, verb
from dsvc.cli.language.i18n import _
from dsvc.cli.versions.commits import show_person
from dsvc.cli.writing.cell_text import show_column, show_short
from dsvc.cli.writing.names import path_fields, show_line
from dsvc.cli.writing.plain_table import padded
from dsvc.cli.writing.sizes import show_date, width

if TYPE_CHECKING:
    from dsvc.history.commit_codec import Commit
    from dsvc.porcelain.lineage.blame import BlameResult

VALUE_WIDTH = 32
NAME_WIDTH = 24


def commit_fields(commit: Commit | None) -> dict[str, object]:
    """Return a commit as JSON, as `log` gives it; None: not committed."""
    if commit is None:
        return {"commit": None, "author": None, "date": None, "message": None, "uncommitted": True}
    return {
        "commit": commit.id,
        "author": show_person(commit.author),
        "date": commit.author.rfc3339(),
        "message": commit.message,
        "uncommitted": False,
    }


def blame_fields(target: str, result: BlameResult) -> dict[str, object]:
    """Return the outcome as JSON; runs and sources are those that the file or the row came by."""
    from dsvc.diff.cell_json import json_cell

    row = result.row
    fields: dict[str, object] = {
        "target": target.encode("utf-8", "replace").decode(),
        **path_fields(result.entry.path),
        "introduced": commit_fields(result.introduced),
        "changed": commit_fields(result.changed),
        "cells": {},
        "runs": [],
        "sources": [],
    }
    if result.trace is not None:
        from dsvc.cli.lineage.lineage_json import origin_fields

        fields |= origin_fields(result.trace)
    if row is None:
        fields["commits"] = [commit_fields(commit) for commit in result.commits]
        return fields
    fields["cells"] = {
        name: {**commit_fields(commit), "value": json_cell(row.values.get(name))}
        for name, commit in row.cells.items()
    }
    fields["position"] = row.position
    fields["key"] = {name: json_cell(row.values.get(name)) for name in row.key}
    fields["key_from"] = row.key_from.value
    return fields


def _commit_cells(commit: Commit | None) -> list[str]:
    """Return id, date, person and first line of the message."""
    if commit is None:
        return ["-" * 8, _("not committed yet"), "", ""]
    date = show_date(commit.author.seconds, commit.author.offset_minutes)
    lines = commit.message.strip().splitlines() or [""]
    return [commit.id[:8], date, show_line(commit.author.name), show_line(lines[0])]


def _columns(session: Session, rows: Sequence[Sequence[str]], ids: int) -> Iterator[str]:
    """Yield rows with their cells below each other; the cell `ids` is the id of a commit."""
    for cells in padded(rows):
        cells[ids] = session.output.style(cells[ids], "id")
        yield "  ".join(cell for cell in cells if cell).rstrip()


def _write_origin(session: Session, result: BlameResult) -> None:
    """Say through which runs it came, newest first, and from which sources."""
    if result.trace is None:
        return
    from dsvc.cli.lineage.lineage_words import show_source
    from dsvc.porcelain.lineage.lineage_trace import runs_of

    output = session.output
    rows = [
        [_("run"), id_.short(), run.started_at, show_line(run.name)] for id_, run in runs_of(result.trace)
    ]
    rows += [
        [_("source"), show_line(each.source.id), "", show_source(each.source)]
        for each in result.trace.sources
    ]
    if rows:
        output.answer()
    for line in _columns(session, rows, 1):
        output.answer(line)


def _write(session: Session, result: BlameResult) -> None:
    output = session.output
    head = [[_("added"), *_commit_cells(result.introduced)], [_("changed"), *_commit_cells(result.changed)]]
    if result.row is None:
        output.answer(output.style(session.name(result.entry.path), "heading"))
        for line in _columns(session, head, 1):
            output.answer(line)
        output.answer()
        for line in _columns(session, [_commit_cells(commit) for commit in result.commits], 0):
            output.answer(line)
        _write_origin(session, result)
        return
    row = result.row
    place = _("{path}, row {number}").format(path=session.name(result.entry.path), number=row.position)
    output.answer(output.style(place, "heading"))
    for line in _columns(session, head, 1):
        output.answer(line)
    output.answer()
    cells = [
        [
            show_short(name, NAME_WIDTH) if width(name) > NAME_WIDTH else show_column(name),
            show_short(row.values.get(name), VALUE_WIDTH),
            *_commit_cells(commit),
        ]
        for name, commit in row.cells.items()
    ]
    for line in _columns(session, cells, 2):
        output.answer(line)
    _write_origin(session, result)
    if not row.key:
        session.advise(
            "blameKey",
            _("no column tells rows apart, so a changed row counts as a new one; name one: --key COLUMN"),
        )


@verb(
    "blame",
    _(
        "TARGET is [REV:]PATH[#ROW]; REV may be STAGED or WORKTREE. A row is #COLUMN=VALUE, #A=1,B=2 by its "
        "key, or #@N by its place, from 0."
    ),
)
@click.argument("target", metavar="TARGET", type=PathWord())
@click.option("--key", multiple=True, metavar="COL[,COL]", help=_("columns that tell a table's rows apart"))
def command(session: Session, target: str, key: tuple[str, ...]) -> None:
    """Say who changed what last."""
    repo = session.repository()
    result = repo.blame(row_target(target, repo.root), key=key_columns(key))
    session.output.json(blame_fields(target, result))
    if not session.as_json:
        with session.paged():
            _write(session, result)
