"""`dsvc ls`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dsvc.cli.arguments.paths import Target, parse_target
from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import PathWord, verb
from dsvc.cli.language.i18n import _
from dsvc.cli.versions.diff_text import kind_of
from dsvc.cli.writing.names import path_fields, show_name
from dsvc.cli.writing.sizes import show_bytes

if TYPE_CHECKING:
    from dsvc.porcelain.lineage.catalogue import Found
    from dsvc.porcelain.state.values import Listing


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


def found_fields(found: Found) -> dict[str, object]:
    """Return what lineage knows of a file as JSON."""
    return {
        "sources": list(found.sources),
        "licences": list(found.licences),
        "grade": found.grade.value,
        "stage": found.stage.value,
        "rights": found.rights.value,
    }


@verb(
    "ls",
    _(
        "Without REV: the files of HEAD. Of another version: REV: or REV:PATH. With --source, --licence, "
        "--supply-type, --grade or --stage: of all files below, those for which all of this holds."
    ),
)
@click.argument("target", required=False, metavar="[REV:PATH]", type=PathWord())
@click.option("-r", "--recursive", is_flag=True, help=_("all files below, not only one level"))
@click.option("--source", metavar="ID", help=_("files that descend from this source"))
@click.option("--licence", "--license", metavar="EXPR", help=_("from a source of this licence"))
@click.option("--supply-type", metavar="TYPE", help=_("from a source that is public, industry, internet …"))
@click.option("--grade", metavar="GRADE", help=_("files of this grade: general, important or core"))
@click.option("--stage", metavar="STAGE", help=_("files that are sourced, produced, annotated, reviewed, …"))
def command(session: Session, target: str | None, recursive: bool, **filters: str | None) -> None:
    """List the files of any version."""
    repo = session.repository()
    wanted = parse_target(target, repo.root) if target is not None else Target("HEAD", b"")
    if any(value is not None for value in filters.values()):
        _list_found(session, repo.find(wanted.revision, wanted.path, **filters))
        return
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


def _list_found(session: Session, files: list[Found]) -> None:
    from dsvc.cli.lineage.lineage_words import show_found
    from dsvc.porcelain.state.values import Listing

    output = session.output
    with session.paged():
        for found in files:
            entry = found.entry
            item = Listing(path=entry.path, entry=entry, files=1, size=entry.size)
            output.json({**listing_fields(item), **found_fields(found)})
            if not session.as_json:
                output.answer(f"{show_bytes(entry.size):>10}  {show_name(entry.path)}  {show_found(found)}")
