"""Processes side by side: begun at the same moment, or stopped before a write while others go on."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from dsvc.fs.failpoints import Plan
from dsvc.model.errors import ConcurrentChangeError, LockedError
from dsvc.testing.faults import BrokenPromiseError, Outcome, begin_in_child, run_in_child, tried
from dsvc.testing.image import Image

FORK = multiprocessing.get_context("fork")
Command = Callable[[str], object]
"""A verb on the repository in a folder, which waits for no lock."""


def _be_process(job: Callable[[], Any], start: Any, pipe: Any) -> None:
    try:
        start.wait(30)
        pipe.send((job(), None))
    except BaseException:
        pipe.send((None, traceback.format_exc()))


def together(jobs: Sequence[Callable[[], Any]]) -> list[Any]:
    """Run jobs in processes that begin at the same moment; returns what each returned."""
    start = FORK.Barrier(len(jobs))
    running = []
    for job in jobs:
        mine, theirs = FORK.Pipe()
        process = FORK.Process(target=_be_process, args=(job, start, theirs))
        process.start()
        theirs.close()
        running.append((process, mine))
    results, traces = [], []
    for process, pipe in running:
        result, trace = pipe.recv()
        process.join()
        results.append(result)
        traces += [] if trace is None else [trace]
    assert not traces, "\n".join(traces)
    return results


class Stopped:
    """A command in a child, stopped before some of its writes until it's let go on.

    Parameters
    ----------
    command : callable
        What the child does.
    at : int
        Number of the operation of the write seam; 0 stops it nowhere.
    every : int
        If given, it is stopped again after so many operations, each time.

    Attributes
    ----------
    waits : bool
        Whether it stands there; else it has come to its end.
    """

    def __init__(self, command: Callable[[], object], at: int, every: int = 0) -> None:
        self._said, say = os.pipe()
        go_on, self._let_go = os.pipe()
        own = 0

        def stop(number: int, _name: str, _path: str) -> None:
            here = number == at or (every and number > at and (number - at) % every == 0)
            if here and os.getpid() == own:
                os.write(say, b".")
                if not os.read(go_on, 1):
                    os.kill(own, signal.SIGKILL)

        def stopped() -> None:
            nonlocal own
            own = os.getpid()
            os.close(self._said)
            os.close(self._let_go)
            command()

        self._wait = begin_in_child(stopped, Plan(observer=stop))
        os.close(say)
        os.close(go_on)
        self.waits = bool(os.read(self._said, 1))

    def next(self) -> bool:
        """Let it go on to the next place; returns whether it stands there."""
        os.write(self._let_go, b".")
        self.waits = bool(os.read(self._said, 1))
        return self.waits

    def end(self) -> Outcome:
        """Let it go on, and wait for its end."""
        while self.waits:
            self.next()
        os.close(self._let_go)
        os.close(self._said)
        return self._wait()


def interleaved(
    image: Image, root: str, one: tuple[Command, int], two: tuple[Command, int], check: Callable[[str], None]
) -> None:
    """Begin `one` up to a write, then `two` up to another, end `one`, then `two`; look at what came of it.

    A command that is told of the other is run again, and has to succeed.

    Raises
    ------
    BrokenPromiseError
        If a command fails otherwise, or again, or as `check` says.
    """
    image.lay_out(root)
    begun: list[Stopped] = []
    try:
        for command, at in (one, two):
            begun.append(Stopped(lambda command=command: command(root), at))
    finally:
        outcomes = [each.end() for each in begun]
    for (command, _), outcome in zip((one, two), outcomes, strict=True):
        if isinstance(outcome.error, LockedError | ConcurrentChangeError):
            outcome = run_in_child(lambda command=command: command(root))
        if outcome.error is not None or outcome.killed:
            raise BrokenPromiseError(f"stopped at {one[1]} and {two[1]}: {outcome.error!r}")
    check(root)
    tried("interleavings")
    shutil.rmtree(root)


def some(numbers: int, count: int | None) -> Iterator[int]:
    """Numbers from 1 on, all or about so many, the last one too."""
    step = 1 if count is None else -(-numbers // count)
    yield from range(numbers, 0, -step)


__all__ = ["FORK", "Command", "Stopped", "interleaved", "some", "together"]
