"""`dsvc cat`."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

import click

from dsvc.cli.arguments.paths import row_target
from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import PathWord, verb
from dsvc.cli.language.i18n import _
from dsvc.cli.terminal.output import encode_json
from dsvc.cli.writing.names import path_fields
from dsvc.model.errors import UsageError

if TYPE_CHECKING:
    from dsvc.porcelain.tables.row_target import RowTarget

BLOCK_BYTES = 1 << 20


@verb(
    "cat",
    _(
        "TARGET is [REV:]PATH[#ROW]; without REV it is HEAD. After REV: the path is that from the root. "
        "A row of a table, #COLUMN=VALUE or #@N, is written as JSON on one line."
    ),
)
@click.argument("target", metavar="TARGET", type=PathWord())
def command(session: Session, target: str) -> None:
    """Write a file of any version to standard output."""
    repo = session.repository()
    wanted = row_target(target, repo.root)
    if not wanted.path:
        raise UsageError(
            _("this is a folder"), hint=_("list it with: dsvc ls {target}").format(target=target)
        )
    if wanted.row is not None:
        _row(session, wanted)
        return
    with repo.open_file(wanted.path, wanted.revision) as stream:
        if session.as_json:
            _as_json(session, wanted.path, stream.read())
            return
        sys.stdout.flush()
        shutil.copyfileobj(stream, sys.stdout.buffer, BLOCK_BYTES)
        sys.stdout.buffer.flush()


def _row(session: Session, target: RowTarget) -> None:
    from dsvc.diff.cell_json import json_row

    found = session.repository().find_row(target)
    row = json_row(found.values())
    session.output.json({**path_fields(found.entry.path), "position": found.position, "row": row})
    session.output.answer(encode_json(row))


def _as_json(session: Session, path: bytes, data: bytes) -> None:
    from base64 import b64encode

    fields: dict[str, object] = {**path_fields(path), "size": len(data)}
    try:
        fields["text"] = data.decode("utf-8")
    except UnicodeDecodeError:
        fields["content_b64"] = b64encode(data).decode("ascii")
    session.output.json(fields)
