"""A program of somebody's own, run in a session of its own: it can't hang, flood or kill who started it.

What it prints is handed on while it runs, up to a limit; what it started and left behind ends with it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

OUTPUT_BYTES: Final = 1 << 20
_BLOCK: Final = 1 << 16
_TICK_MILLISECONDS: Final = 50


class Ended(NamedTuple):
    """How a program ended.

    Attributes
    ----------
    status : int or None
        Its exit status, that of a signal negative; None: it took too long.
    left_out : int
        Bytes of what it printed that were not handed on.
    """

    status: int | None
    left_out: int


def run_bounded(
    words: Sequence[str],
    *,
    folder: str,
    environ: Mapping[str, str],
    seconds: float,
    show: Callable[[bytes], object],
    output_bytes: int = OUTPUT_BYTES,
) -> Ended:
    """Run a program without input, until it ends or its time is over.

    Parameters
    ----------
    seconds : float
        How long it may take.
    show : callable
        Takes what it prints, both streams, piece by piece.
    output_bytes : int
        How much of that at most; the rest is read and dropped.

    Raises
    ------
    OSError
        If it can't be started.
    """
    process = subprocess.Popen(
        words,
        cwd=folder,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
        start_new_session=True,
    )
    assert process.stdout is not None
    output = _Output(process.stdout.fileno(), show, output_bytes)
    try:
        return Ended(_wait(process, output, time.monotonic() + seconds), output.left_out)
    finally:
        # Nothing that it started goes on behind the person's back.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


def _wait(process: subprocess.Popen[bytes], output: _Output, deadline: float) -> int | None:
    """Hand its output on until it ends; None once the time is over."""
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            return None
        if output.open:
            # Who it leaves behind may keep the pipe open: that it ended is asked now and then.
            output.take(min(_TICK_MILLISECONDS, left * 1000))
        else:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(left)
        status = process.poll()
        if status is not None:
            output.drain()
            return status


class _Output:
    """The reading end of what a program prints."""

    def __init__(self, fd: int, show: Callable[[bytes], object], most: int) -> None:
        self._fd, self._show, self._most = fd, show, most
        self._shown = 0
        self.left_out = 0
        self.open = True
        self._ready = select.poll()
        self._ready.register(fd, select.POLLIN)

    def take(self, milliseconds: float) -> bool:
        """Hand on what comes within a time; tells whether there was something."""
        if not self._ready.poll(milliseconds):
            return False
        data = os.read(self._fd, _BLOCK)
        if not data:
            self.open = False
            return False
        part = data[: self._most - self._shown]
        self._shown += len(part)
        self.left_out += len(data) - len(part)
        if part:
            self._show(part)
        return True

    def drain(self) -> None:
        """Hand on what it printed last: a pipe holds no more than its buffer."""
        for _ in range((1 << 20) // _BLOCK):
            if not (self.open and self.take(0)):
                return
