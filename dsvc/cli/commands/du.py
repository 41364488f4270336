"""`dsvc du`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import verb
from dsvc.cli.language.i18n import _, ngettext
from dsvc.cli.writing.sizes import pad, show_bytes, width

if TYPE_CHECKING:
    from dsvc.porcelain.care.usage import Usage


def _saving(text: str, ratio: float) -> str:
    """Return what was saved, after a comma; nothing where it is not worth a word."""
    return _(", ") + text.format(ratio=ratio) if ratio >= 1.05 else ""


def _rows(usage: Usage) -> list[tuple[str, int, str]]:
    """Return label, bytes and note of each line."""
    files = ngettext("{n} file", "{n} files", usage.head_files)
    commits = ngettext("{n} commit", "{n} commits", usage.commits)
    packs = ngettext("{n} pack", "{n} packs", usage.packs)
    chunks = ngettext("{n} chunk", "{n} chunks", usage.chunks)
    shared = _saving(_("{ratio:.1f}× less by sharing"), usage.dedup_ratio)
    packed = _saving(_("{ratio:.1f}× less by compression"), usage.compression_ratio)
    rows = [
        (_("current version"), usage.head_bytes, files),
        (_("all versions in full"), usage.history_bytes, commits),
        (_("distinct content"), usage.unique_bytes, chunks + shared),
        (_("stored on disk"), usage.stored_bytes, packs + packed),
    ]
    if usage.trash_bytes:
        rows.append((_("in the trash"), usage.trash_bytes, _("deleted by gc after the grace")))
    return rows


@verb("du")
def command(session: Session) -> None:
    """Show how much the repository takes."""
    usage = session.repository().usage()
    output = session.output
    output.json(dataclasses.asdict(usage))
    rows = _rows(usage)
    cells = max(width(label) for label, _size, _note in rows)
    for label, size, note in rows:
        output.answer(f"{pad(label, cells)}  {show_bytes(size):>10}  {note}")
    if usage.erased:
        output.answer(
            ngettext("{n} chunk was erased on purpose", "{n} chunks were erased on purpose", usage.erased)
        )
