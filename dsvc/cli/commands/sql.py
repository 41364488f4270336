"""`dsvc sql`."""

from __future__ import annotations

import os
import sys
from itertools import islice
from typing import TYPE_CHECKING, Final

import click

from dsvc.cli.environment.settings import is_terminal
from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import PathWord, verb
from dsvc.cli.language.i18n import _, ngettext
from dsvc.cli.writing.names import path_fields, show_name
from dsvc.model.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS: Final = ("table", "csv", "json", "jsonl", "parquet")
SHOWN_ROWS: Final = 1000
"""Rows of a table for people; more is for programs."""
_ANY_WIDTH: Final = 1 << 20


@verb(
    "sql",
    _(
        "A version of a table is dsvc('REV:PATH'), where REV may be WORKTREE or STAGED; a path of HEAD "
        "stands in quotes. Paths are those from the root. The query can read nothing else, and changes "
        "nothing."
    ),
)
@click.argument("query", metavar="QUERY")
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    help=_("how the result is written; without it a table, or what the name of FILE says"),
)
@click.option("-o", "--output", "file", metavar="FILE", type=PathWord(), help=_("write the result to FILE"))
def command(session: Session, query: str, format_: str | None, file: str | None) -> None:
    """Ask a question of any versions of tables."""
    from dsvc.porcelain.tables.sql import open_query

    chosen = _chosen(session, format_, file)
    repo = session.repository()
    with open_query(repo, query) as reader:
        if file is not None:
            _to_file(session, reader, chosen, file)
        elif session.as_json:
            _as_json(session, reader)
        elif chosen == "table":
            _as_table(session, reader)
        else:
            from dsvc.porcelain.tables.sql_output import QueryFormat, write_rows

            sys.stdout.flush()
            write_rows(reader, QueryFormat(chosen), sys.stdout.buffer.write)
            sys.stdout.buffer.flush()


def _chosen(session: Session, format_: str | None, file: str | None) -> str:
    """Format of the result, from the options."""
    if file is not None:
        suffix = os.path.splitext(file)[1][1:].lower()
        chosen = format_ or ("jsonl" if suffix == "ndjson" else suffix)
        if chosen not in FORMATS or chosen == "table":
            raise UsageError(
                _("'{file}' says no format that a result is written in").format(file=file),
                hint=_("name one: {formats}").format(formats=", ".join(f"--format {f}" for f in FORMATS[1:])),
            )
        return chosen
    if format_ is not None and session.as_json:
        raise UsageError(
            _("--json is a format of its own; --format goes with it only where there is -o FILE")
        )
    if format_ == "parquet" and is_terminal(sys.stdout):
        raise UsageError(_("Parquet is not for a terminal"), hint=_("write it to a file with -o FILE"))
    return format_ or "table"


def column_fields(schema: pa.Schema) -> list[dict[str, str]]:
    """Return the columns of a result as JSON."""
    return [{"name": field.name, "type": str(field.type)} for field in schema]


def _as_json(session: Session, reader: pa.RecordBatchReader) -> None:
    from dsvc.porcelain.tables.sql_output import json_rows

    rows = [row for batch in reader for row in json_rows(batch)]
    session.output.json({"columns": column_fields(reader.schema), "rows": rows, "row_count": len(rows)})


def _to_file(session: Session, reader: pa.RecordBatchReader, format_: str, file: str) -> None:
    from dsvc.porcelain.state.output_file import Output, write_output
    from dsvc.porcelain.tables.sql_output import QueryFormat, write_rows

    counts = []

    def fill(stream: Output) -> None:
        counts.append(write_rows(reader, QueryFormat(format_), stream.write))

    write_output(session.repository(), file, fill)
    name = os.fsencode(file)
    session.output.json(
        {"columns": column_fields(reader.schema), "row_count": counts[0], **path_fields(name, "output")}
    )
    session.output.line(
        _("wrote {count} to {file}").format(
            count=ngettext("{n} row", "{n} rows", counts[0]), file=show_name(name)
        )
    )


def _as_table(session: Session, reader: pa.RecordBatchReader) -> None:
    """Show a table; cells stand on one line, and what can't harm a terminal is all that reaches it."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from dsvc.cli.writing.cell_text import show_cell, show_column
    from dsvc.porcelain.tables.sql_output import row_values

    batches = iter(reader)
    rows = (row for batch in batches for row in row_values(batch))
    shown = list(islice(rows, SHOWN_ROWS))
    rest = sum(1 for _row in rows)
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for field in reader.schema:
        table.add_column(
            Text(show_column(field.name)),
            justify="right" if _is_number(field.type) else "left",
            overflow="fold",
        )
    for row in shown:
        table.add_row(
            *(Text("null", style="dim") if value is None else Text(show_cell(value)) for value in row)
        )
    with session.paged():
        terminal = is_terminal(sys.stdout)
        console = Console(
            file=sys.stdout,
            width=None if terminal else _ANY_WIDTH,
            color_system="standard" if session.output.color else None,
            force_terminal=session.output.color,
            highlight=False,
            soft_wrap=not terminal,
        )
        console.print(table)
        total = len(shown) + rest
        session.output.line(ngettext("{n} row", "{n} rows", total))
        if rest:
            session.output.hint(
                _("only the first {shown} are shown; -o FILE writes all of them").format(shown=SHOWN_ROWS)
            )


def _is_number(type_: pa.DataType) -> bool:
    from pyarrow import types

    return bool(types.is_integer(type_) or types.is_floating(type_) or types.is_decimal(type_))
