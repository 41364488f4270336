"""`dsvc gc`."""

from __future__ import annotations

import re

import click

from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import verb
from dsvc.cli.language.i18n import _, ngettext
from dsvc.cli.writing.sizes import show_bytes
from dsvc.model.errors import UsageError

_GRACE = re.compile(r"(\d{1,6})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def parse_grace(text: str) -> int:
    """Read a time such as ``14d``, ``12h`` or ``0s``, in seconds.

    Raises
    ------
    UsageError
        If it is anything else.
    """
    found = _GRACE.fullmatch(text.strip())
    if not found:
        raise UsageError(_("'{text}' is no time").format(text=text), hint=_("write 14d, 12h, 30m or 0s"))
    return int(found[1]) * _SECONDS[found[2]]


@verb("gc")
@click.option("--grace", metavar="TIME", help=_("age of trash before it is deleted: 14d, 12h, 0s (at once)"))
@click.option("-n", "--dry-run", is_flag=True, help=_("only show what would be done"))
@click.option("--undo", is_flag=True, help=_("bring back what is in the trash"))
def command(session: Session, grace: str | None, dry_run: bool, undo: bool) -> None:
    """Free what no version needs."""
    if undo and (grace is not None or dry_run):
        raise UsageError(_("--undo stands alone"))
    seconds = None if grace is None else parse_grace(grace)
    repo = session.repository()
    with session.progress() as progress:
        result = repo.gc(grace_seconds=seconds, dry_run=dry_run, undo=undo, progress=progress)
    output = session.output
    output.json(
        {
            "candidates": result.candidates,
            "bytes": result.bytes,
            "deleted": result.deleted,
            "trashed": result.trashed,
        }
    )
    if undo:
        output.line(_("what was in the trash is back"))
        return
    objects = ngettext(
        "{n} object is needed by no version", "{n} objects are needed by no version", result.candidates
    )
    output.line(_("{objects}: {size}").format(objects=objects, size=show_bytes(result.bytes)))
    if dry_run:
        return
    trashed = ngettext("{n} pack moved to the trash", "{n} packs moved to the trash", result.trashed)
    deleted = ngettext("{n} deleted", "{n} deleted", result.deleted)
    output.line(_("{trashed}, {deleted}").format(trashed=trashed, deleted=deleted))
    if result.trashed:
        session.advise("undo", _("to bring it back: dsvc gc --undo"))
