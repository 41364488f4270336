"""`dsvc ls`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dsvc.cli.diff_text import kind_of
from dsvc.cli.i18n import _
from dsvc.cli.names import path_fields, show_name
from dsvc.cli.paths import Target, parse_target
from dsvc.cli.session import Session
from dsvc.cli.sizes import show_bytes
from dsvc.cli.verb import PathWord, verb

if TYPE_CHECKING:
    from dsvc.porcelain.values import Listing


def listing_fields(item: Listing) -> dict[str, object]:
    """Return a line of the listing as JSON."""
    entry = item.entry
    fields: dict[str, object] = {
        **path_fields(item.path),
        "size": item.size,
        "xxh3": None if entry is None else entry.xxh3.hex(),
        "kind": kind_of(entry),
        "rows": None if entry is None else entry.rows,
        "blake3": None if entry is None else entry.digest.hex(),
        "mode": None if entry is None else f"{entry.mode:06o}",
    }
    if entry is None:
        fields["files"] = item.files
    return fields


@verb("ls", _("Without REV: the files of HEAD. Of another version: REV: or REV:PATH."))
@click.argument("target", required=False, metavar="[REV:PATH]", type=PathWord())
@click.option("-r", "--recursive", is_flag=True, help=_("all files below, not only one level"))
def command(session: Session, target: str | None, recursive: bool) -> None:
    """List the files of any version."""
    repo = session.repository()
    wanted = parse_target(target, repo.root) if target is not None else Target("HEAD", b"")
    output = session.output
    with session.paged():
        for item in repo.ls(wanted.revision, wanted.path, recursive=recursive):
            output.json(listing_fields(item))
            if session.as_json:
                continue
            name = show_name(item.path)
            if item.entry is None:
                name = output.style(name.removesuffix("/") + "/", "blue")
            output.answer(f"{show_bytes(item.size):>10}  {name}")
