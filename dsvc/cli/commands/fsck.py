"""`dsvc fsck`."""

from __future__ import annotations

import click

from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import verb
from dsvc.cli.language.i18n import _, ngettext
from dsvc.cli.writing.names import show_line
from dsvc.cli.writing.sizes import show_bytes


@verb("fsck")
@click.option("--read-data", is_flag=True, help=_("read every stored byte, not only the structure"))
@click.option("--repair", is_flag=True, help=_("bring back what another copy or the working tree still has"))
def command(session: Session, read_data: bool, repair: bool) -> int:
    """Check the repository."""
    repo = session.repository()
    with session.progress() as progress:
        result = repo.fsck(read_data=read_data, repair=repair, progress=progress)
    output = session.output
    output.json(
        {
            "ok": result.ok,
            "objects": result.objects,
            "bytes": result.bytes,
            "defects": [
                {"id": defect.id, "object": defect.object, "message": defect.message}
                for defect in result.defects
            ],
            "leftovers": list(result.leftovers),
            "erased": result.erased,
            "repaired": None if result.repaired is None else result.repaired.healed,
            "last_whole": [{"ref": ref, "commit": id_} for ref, id_ in result.last_whole.items()],
        }
    )
    objects = ngettext("{n} object", "{n} objects", result.objects)
    output.line(_("checked {objects}, {size}").format(objects=objects, size=show_bytes(result.bytes)))
    if result.repaired is not None and result.repaired.healed:
        output.line(ngettext("{n} object healed", "{n} objects healed", result.repaired.healed))
    for defect in result.defects:
        output.answer(
            f"{output.style(str(defect.id), 'error')} {show_line(defect.object)}: {show_line(defect.message)}"
        )
    for ref, id_ in result.last_whole.items():
        name = show_line(ref.removeprefix("refs/heads/"))
        output.line(_("the last whole commit of {name} is {commit}").format(name=name, commit=id_))
    if result.erased:
        output.line(
            ngettext("{n} chunk was erased on purpose", "{n} chunks were erased on purpose", result.erased)
        )
    if result.ok:
        output.line(_("no defects"))
        if not read_data:
            session.advise(
                "fsck", _("the stored bytes were not read; to read them all: dsvc fsck --read-data")
            )
    else:
        output.line(ngettext("{n} defect", "{n} defects", len(result.defects)))
        if not repair:
            session.advise("fsck", _("what another copy still has is brought back by: dsvc fsck --repair"))
    return result.exit_code
