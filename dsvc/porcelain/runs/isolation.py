"""Programs that carry a command out without network and within limits: ``unshare`` and ``prlimit``."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from typing import ClassVar, Final

from dsvc.model.errors import PolicyIncompleteError
from dsvc.porcelain.state.program import find_program

MOST_BYTES: Final = 64 << 30
"""Of one file that a command writes, and of its memory."""
CPU_SECONDS: Final = 3600
_OPEN_FILES: Final = 4096
_WAYS: Final = (("--map-current-user", "--net"), ("--map-root-user", "--net"))
_PROBE_SECONDS: Final = 10


class NotIsolatedError(PolicyIncompleteError):
    """A command can't be kept from the network here, so it isn't run."""

    code: ClassVar[str] = "not-isolated"


def isolating_words(environ: Mapping[str, str], *, network: bool = False) -> tuple[str, ...]:
    """Give the words that go before a command so that it has neither network nor more than its share.

    Parameters
    ----------
    environ : mapping of str to str
        Its ``PATH`` is searched.
    network : bool
        Leave the network; limits only.

    Raises
    ------
    NotIsolatedError
        If the system has no such programs, or its kernel lets nobody do that.
    """
    limits = find_program("prlimit", environ)
    if limits is None:
        raise _refused("prlimit is not installed")
    words = (
        limits,
        f"--cpu={CPU_SECONDS}",
        f"--fsize={MOST_BYTES}",
        f"--as={MOST_BYTES}",
        f"--nofile={_OPEN_FILES}",
        "--core=0",
        "--",
    )
    if network:
        return words
    program = find_program("unshare", environ)
    if program is None:
        raise _refused("unshare is not installed")
    for way in _WAYS:
        if _works([program, *way, "--", limits, "--version"], environ):
            return (program, *way, "--", *words)
    raise _refused("the kernel lets no user make a network of their own")


def _works(words: list[str], environ: Mapping[str, str]) -> bool:
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=dict(environ),
            timeout=_PROBE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _refused(why: str) -> NotIsolatedError:
    return NotIsolatedError(
        f"recorded commands can't be kept from the network here: {why}",
        hint="--allow-network runs them all the same, where you trust them",
    )
