"""Files that options name: read, and written, where ``-`` is standard output."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from dsvc.cli.language.i18n import _
from dsvc.cli.writing.names import show_name
from dsvc.model.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from dsvc.cli.frame.session import Session


def read_file(file: str, at_most: int | None = None, *, hint: str | None = None) -> bytes:
    """Read a file that was named.

    Parameters
    ----------
    at_most : int or None
        How many bytes it may have; None: any number.
    hint : str or None
        What to do where there is none.

    Raises
    ------
    NotFoundError
        If there is none.
    UsageError
        If it is longer.
    """
    name = show_name(os.fsencode(file))
    try:
        with open(file, "rb") as stream:
            data = stream.read() if at_most is None else stream.read(at_most + 1)
    except FileNotFoundError as error:
        raise NotFoundError(_("there is no file {name}").format(name=name), hint=hint) from error
    if at_most is not None and len(data) > at_most:
        raise UsageError(_("{path} is too long").format(path=name))
    return data


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
