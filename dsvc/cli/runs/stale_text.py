"""Files that are behind what they were made from, as JSON and for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsvc.cli.frame.session import Session
from dsvc.cli.language.i18n import _, ngettext
from dsvc.cli.writing.names import path_fields, show_digest, show_line

if TYPE_CHECKING:
    from dsvc.porcelain.runs.stale import Because, StaleFile

_SHOWN_REASONS = 3


def digest_field(digest: bytes | None) -> str | None:
    """Return a digest as JSON."""
    return None if digest is None else show_digest(digest)


def stale_fields(file: StaleFile) -> dict[str, object]:
    """Return a file that is behind as JSON."""
    return {
        **path_fields(file.path),
        "run": file.run.hex(),
        "name": file.name,
        "because": [
            {
                **path_fields(each.path),
                "recorded": digest_field(each.recorded),
                "now": digest_field(each.now),
                "cause": each.cause.value,
            }
            for each in file.because
        ],
    }


def show_stale(session: Session, file: StaleFile) -> str:
    """Return a line about a file that is behind."""
    reasons = [_reason(session, each) for each in file.because[:_SHOWN_REASONS]]
    more = len(file.because) - _SHOWN_REASONS
    if more > 0:
        reasons.append(ngettext("{n} more", "{n} more", more))
    return _("{path} ({run}): {reasons}").format(
        path=session.output.style(session.name(file.path), "red"),
        run=show_line(file.name),
        reasons=_(", ").join(reasons),
    )


def _reason(session: Session, because: Because) -> str:
    from dsvc.porcelain.runs.stale import Cause

    name = session.name(because.path)
    if because.cause is Cause.STALE:
        return _("{path} is behind itself").format(path=name)
    if because.recorded is None:
        return _("{path} is new").format(path=name)
    if because.now is None:
        return _("{path} is gone").format(path=name)
    if because.cause is Cause.CODE:
        return _("{path}, its code, changed").format(path=name)
    return _("{path} changed").format(path=name)
