"""`dsvc version`."""

from __future__ import annotations

import platform

from dsvc import __version__
from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import verb


@verb("version")
def command(session: Session) -> None:
    """Show the version."""
    from dsvc.store.layout import FORMAT_VERSION

    session.output.answer(f"dsvc {__version__}")
    session.output.json(
        {"version": __version__, "format": FORMAT_VERSION, "python": platform.python_version()}
    )
