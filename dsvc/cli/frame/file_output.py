"""Files that a verb writes because its options name them; ``-`` is standard output."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from dsvc.cli.language.i18n import _
from dsvc.cli.writing.names import show_name

if TYPE_CHECKING:
    from dsvc.cli.frame.session import Session


def write_bytes(session: Session, file: str | None, parts: Iterable[bytes]) -> None:
    """Write bytes into a file that was named, else to standard output."""
    if file is None or file == "-":
        sys.stdout.flush()
        for part in parts:
            sys.stdout.buffer.write(part)
        sys.stdout.buffer.flush()
        return
    with open(file, "wb") as stream:
        stream.writelines(parts)
    session.output.line(_("wrote {file}").format(file=show_name(os.fsencode(file))))


def write_page(session: Session, file: str, parts: Iterable[str]) -> None:
    """Write an HTML page; with ``--json`` nothing but JSON goes to standard output."""
    if file != "-" or not session.as_json:
        write_bytes(session, file, ["".join(parts).encode("utf-8", "backslashreplace")])
