"""Failpoints: count, kill, fail or shorten the n-th operation of the write seam.

Only tests arm them. An armed plan sees every operation of `dsvc.fs.files` in order, as (name, path), and
answers with what shall happen instead. Unarmed, a check costs one attribute load.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum


class Action(Enum):
    """What happens at the chosen operation."""

    COUNT = "count"
    KILL = "kill"
    EIO = "eio"
    ENOSPC = "enospc"
    EDQUOT = "edquot"
    SHORT_WRITE = "short-write"
    TORN_WRITE = "torn-write"
    MEMORY = "memory"


_ERRORS = {Action.EIO: errno.EIO, Action.ENOSPC: errno.ENOSPC, Action.EDQUOT: errno.EDQUOT}


@dataclass(slots=True)
class Plan:
    """A fault at the n-th operation (1-based); `persistent` repeats it at every later one.

    Attributes
    ----------
    seen : list of (str, str)
        Operations so far, as (name, path).
    observer : callable or None
        Called before each operation with its number, name and path: pause points and recorders.
    """

    action: Action = Action.COUNT
    at: int = 0
    persistent: bool = False
    observer: Callable[[int, str, str], None] | None = None
    seen: list[tuple[str, str]] = field(default_factory=list)
    fired: int = 0

    def hit(self, name: str, path: str) -> Action:
        """Count an operation and act, or raise what was chosen; returns what a write has to do itself."""
        self.seen.append((name, path))
        number = len(self.seen)
        if self.observer is not None:
            self.observer(number, name, path)
        if self.action is Action.COUNT or not (
            number == self.at or (self.persistent and number > self.at > 0)
        ):
            return Action.COUNT
        self.fired += 1
        if self.action is Action.KILL:  # pragma: no cover  what is measured ends with the process
            os.kill(os.getpid(), signal.SIGKILL)
        if self.action in _ERRORS:
            code = _ERRORS[self.action]
            raise OSError(code, os.strerror(code), path)
        if self.action is Action.MEMORY:
            raise MemoryError(f"failpoint at operation {number}")
        return self.action


plan: Plan | None = None


def shown(path: str | bytes) -> str:
    """Make the name of an operation's file readable."""
    return path if isinstance(path, str) else os.fsencode(path).decode("utf-8", "replace")


def hit(name: str, path: str | bytes) -> Action:
    """Tell the armed plan, if there is one, that an operation is about to be done; see `Plan.hit`."""
    return Action.COUNT if plan is None else plan.hit(name, shown(path))


@contextmanager
def armed(new: Plan) -> Iterator[Plan]:
    """Arm `new` in this process (and in what it forks) for the length of the block."""
    global plan  # noqa: PLW0603  one process, one seam
    before, plan = plan, new
    try:
        yield new
    finally:
        plan = before
