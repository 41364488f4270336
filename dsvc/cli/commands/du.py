"""`dsvc du`."""

from __future__ import annotations

import dataclasses

from dsvc.cli.session import Session
from dsvc.cli.sizes import show_bytes
from dsvc.cli.verb import verb


@verb("du")
def command(session: Session) -> None:
    """Show how much the repository takes."""
    usage = session.repository().usage()
    fields = dataclasses.asdict(usage)
    session.output.json(fields)
    for key, value in fields.items():
        session.output.answer(f"{key}: {show_bytes(value) if key.endswith('bytes') else value}")
