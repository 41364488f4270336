"""Hooks of one's own: where the person at this machine has noted which may run."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

from dsvc.cli.environment.settings import Settings

if TYPE_CHECKING:
    from dsvc.porcelain.state.user_hooks import UserHooks


def user_hooks(settings: Settings) -> UserHooks:
    """Give what runs hooks of one's own."""
    from dsvc.porcelain.state.user_hooks import UserHooks

    home, state = settings.variable("HOME"), settings.variable("XDG_STATE_HOME")
    if state is None and home is not None:
        state = os.path.join(home, ".local", "state")
    notes = None if state is None else os.path.join(os.path.abspath(state), "dsvc", "hooks.json")
    return UserHooks(settings.environ, notes, _show)


def _show(data: bytes) -> None:
    """Pass on what a hook prints: for people, since standard output may be read by a program."""
    with contextlib.suppress(OSError):
        sys.stderr.flush()
        sys.stderr.buffer.write(data)
        sys.stderr.buffer.flush()
