"""`dsvc archive`."""

from __future__ import annotations

import os

import click

from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import PathWord, complete_refs, verb
from dsvc.cli.language.i18n import _, ngettext
from dsvc.cli.writing.names import path_fields, show_name


@verb("archive", _("The name says the kind: .tar, .tar.gz, .tar.zst or .zip."))
@click.argument("revision", metavar="REV", shell_complete=complete_refs)
@click.option(
    "-o", "--output", "file", required=True, metavar="FILE", type=PathWord(), help=_("the file to write")
)
@click.option("--internal", is_flag=True, help=_("it stays in your own house: don't ask licences"))
def command(session: Session, revision: str, file: str, internal: bool) -> None:
    """Write a version into a file."""
    count = session.repository().archive(revision, file, internal=internal)
    name = os.fsencode(file)
    session.output.json({**path_fields(name), "files": count})
    session.output.line(
        _("wrote {count} to {file}").format(
            count=ngettext("{n} file", "{n} files", count), file=show_name(name)
        )
    )
