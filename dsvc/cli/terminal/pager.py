"""A pager for long output on a terminal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from shutil import which
from typing import Final

from dsvc.cli.environment.settings import Settings

# A config comes with a repository, so nothing that stands in it is run but one of these, without arguments.
PAGERS: Final = frozenset({"bat", "batcat", "cat", "less", "moar", "more", "most", "ov"})


def pager_command(settings: Settings, configured: str | None) -> str | None:
    """Choose the pager: ``DSVC_PAGER``, ``core.pager``, ``PAGER``, else less; None for none.

    ``cat`` and the empty command mean none, as in git. The environment may hold any command; ``core.pager``
    counts only where it is the name of a known pager.
    """
    known = configured if configured in PAGERS else None
    for command in (settings.environ.get("DSVC_PAGER"), known, settings.environ.get("PAGER")):
        if command is not None:
            return None if command.strip() in {"", "cat"} else command
    return "less" if which("less") else None


@contextmanager
def through_pager(command: str, settings: Settings) -> Iterator[None]:
    """Run `command` and let standard output flow into it until the block ends.

    Leaving the pager early is no error: what was not read is not written.
    """
    environment = {"LESS": "FRX", "LV": "-c", **settings.environ}
    sys.stdout.flush()
    try:
        process = subprocess.Popen(command, shell=True, stdin=subprocess.PIPE, env=environment)  # noqa: S602
    except OSError:
        yield
        return
    assert process.stdin is not None
    saved, terminal = sys.stdout, os.dup(1)
    # An interrupt belongs to the pager; here it only ends the writing.
    try:
        os.dup2(process.stdin.fileno(), 1)
        process.stdin.close()
        try:
            yield
            saved.flush()
        except (BrokenPipeError, KeyboardInterrupt):
            pass
    finally:
        with suppress(OSError, ValueError):
            saved.flush()
        os.dup2(terminal, 1)
        os.close(terminal)
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            process.wait()
        finally:
            signal.signal(signal.SIGINT, before)
