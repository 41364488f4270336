"""`dsvc cat`."""

from __future__ import annotations

import shutil
import sys

import click

from dsvc.cli.i18n import _
from dsvc.cli.paths import parse_target
from dsvc.cli.session import Session
from dsvc.cli.verb import PathWord, verb
from dsvc.model.errors import UsageError

BLOCK_BYTES = 1 << 20


@verb("cat", _("TARGET is [REV:]PATH; without REV it is HEAD. After REV: the path is that from the root."))
@click.argument("target", metavar="TARGET", type=PathWord())
def command(session: Session, target: str) -> None:
    """Write a file of any version to standard output."""
    repo = session.repository()
    wanted = parse_target(target, repo.root)
    if not wanted.path:
        raise UsageError(
            _("this is a folder"), hint=_("list it with: dsvc ls {target}").format(target=target)
        )
    with repo.open_file(wanted.path, wanted.revision) as stream:
        if session.as_json:
            _as_json(session, wanted.path, stream.read())
            return
        sys.stdout.flush()
        shutil.copyfileobj(stream, sys.stdout.buffer, BLOCK_BYTES)
        sys.stdout.buffer.flush()


def _as_json(session: Session, path: bytes, data: bytes) -> None:
    from base64 import b64encode

    from dsvc.cli.names import path_fields

    fields: dict[str, object] = {**path_fields(path), "size": len(data)}
    try:
        fields["text"] = data.decode("utf-8")
    except UnicodeDecodeError:
        fields["content_b64"] = b64encode(data).decode("ascii")
    session.output.json(fields)
