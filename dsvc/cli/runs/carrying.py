"""Recorded commands, carried out by a verb: where their output goes, and what is said before."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence

from dsvc.cli.environment.settings import is_terminal
from dsvc.cli.frame.session import Session
from dsvc.cli.language.i18n import _
from dsvc.cli.writing.names import show_line
from dsvc.porcelain.runs.rerun import Carrier


def carrier(session: Session, timeout: float | None) -> Carrier:
    """Say how recorded commands are carried out: with the environment and the streams of this verb.

    Parameters
    ----------
    timeout : float or None
        Seconds after which a command is ended; None: never.
    """
    sys.stdout.flush()
    return Carrier(
        environ=session.settings.environ,
        timeout=timeout,
        output=sys.stderr.fileno() if session.as_json else None,
        interactive=is_terminal(sys.stdin),
        announce=lambda words: _announce(session, words),
    )


def _announce(session: Session, words: Sequence[str]) -> None:
    """Say what is about to run: it was written by whoever recorded the run."""
    shown = words[0] if len(words) == 1 else shlex.join(words)
    session.output.line(_("running: {command}").format(command=show_line(shown)))
    sys.stdout.flush()
