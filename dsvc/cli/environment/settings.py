"""What the environment says: the only place that reads it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO

_NO = {"", "0", "false", "no", "off"}


def is_terminal(stream: IO[str] | None) -> bool:
    """Whether `stream` is a terminal; a closed or missing one is not."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


@dataclass(slots=True)
class Settings:
    """The options that every verb has, and the environment beneath them.

    Attributes
    ----------
    as_json, quiet, pager : bool
        Options of the command line.
    color, progress : bool or None
        Options of the command line; None where neither ``--x`` nor ``--no-x`` was given.
    """

    as_json: bool = False
    quiet: bool = False
    pager: bool = True
    color: bool | None = None
    progress: bool | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def variable(self, name: str) -> str | None:
        """Return an environment variable, None where it is unset or empty."""
        return self.environ.get(name) or None

    def flag(self, name: str) -> bool:
        """Whether an environment variable is set, and not to ``0``, ``false``, ``no`` or ``off``."""
        return self.environ.get(name, "").lower() not in _NO

    @property
    def dumb_terminal(self) -> bool:
        """Whether the terminal knows no colours and no cursor."""
        return self.environ.get("TERM", "") in {"", "dumb", "unknown"}

    def wants_color(self, stream: IO[str] | None, configured: str | None = None) -> bool:
        """Decide about colours on `stream`: option, ``NO_COLOR``, ``FORCE_COLOR``, config, terminal.

        Parameters
        ----------
        configured : str or None
            ``color.ui`` of the config: ``auto``, ``always`` or ``never``.
        """
        if self.color is not None:
            return self.color
        if self.variable("NO_COLOR"):
            return False
        if self.flag("FORCE_COLOR"):
            return True
        if configured in {"always", "never"}:
            return configured == "always"
        return is_terminal(stream) and not self.dumb_terminal

    def wants_progress(self) -> bool:
        """Whether progress is shown: asked for, or standard error is a terminal and nobody objects."""
        if self.progress is not None:
            return self.progress
        return not self.quiet and is_terminal(sys.stderr) and not self.dumb_terminal

    def wants_pager(self) -> bool:
        """Whether long output goes through a pager."""
        return self.pager and not self.as_json and is_terminal(sys.stdout) and not self.dumb_terminal
