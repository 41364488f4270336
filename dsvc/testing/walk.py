"""Every state of the disk that a kill of a command leaves, from one run of the command.

SIGKILL changes nothing on a disk: a command that is stopped before its n-th operation shows what is left of
one killed there. What is looked at is a copy, with inode numbers and times of its own, as of a folder that
was moved; `dsvc.testing.faults.points` really kills, anew for each n. One run for all n is many times
cheaper, and of states with equal bytes one is looked at.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from dsvc.fs.failpoints import Action, Plan
from dsvc.testing.faults import begin_in_child
from dsvc.testing.image import Image

MAX_STATES: Final = 50_000


class Left(NamedTuple):
    """What a kill before an operation leaves.

    Attributes
    ----------
    operation : int
        Number of the operation, from 1; one more than there are for what the command leaves in the end.
    image : Image or None
        The folder; None where its bytes are those of an earlier operation.
    first : int
        Number of the earliest operation that leaves the same bytes.
    """

    operation: int
    image: Image | None
    first: int


def walk(image: Image, folder: str, command: Callable[[str], object], *, pieces: bool = False) -> list[Left]:
    """Run a command once, stopped before each of its operations.

    Parameters
    ----------
    image : Image
        What the command finds.
    folder : str
        Where it's laid out.
    command : callable
        Gets the root of what was laid out.
    pieces : bool
        Whether each write is done half by half, which shows torn writes too.

    Returns
    -------
    list of Left
        One for each operation, and one for the end.

    Raises
    ------
    DsvcError, MemoryError
        If the command fails.
    RuntimeError
        If it fails otherwise, or never ends.
    """
    root = os.path.join(folder, "walk")
    image.lay_out(root)
    said, say = os.pipe()
    go_on, let_go = os.pipe()
    own = os.getpid()

    def stop(_number: int, _name: str, _path: str) -> None:
        # Not in workers: what they have done shows where the command itself stops next.
        if os.getppid() == own:
            os.write(say, b".")
            if not os.read(go_on, 1):
                os.kill(os.getpid(), signal.SIGKILL)

    def stopped() -> None:
        os.close(said)
        os.close(let_go)
        command(root)

    action = Action.SHORT_WRITE if pieces else Action.COUNT
    wait = begin_in_child(stopped, Plan(action=action, at=1, persistent=True, observer=stop))
    os.close(say)
    os.close(go_on)
    try:
        found = list(_states(root, said, let_go))
    finally:
        os.close(said)
        os.close(let_go)
        outcome = wait()
        shutil.rmtree(root, ignore_errors=True)
    if outcome.error is not None:
        raise outcome.error
    # Only now: gc leaves alone what belongs to a process that lives.
    return found


def _states(root: str, said: int, let_go: int) -> Iterator[Left]:
    seen: dict[object, int] = {}
    left = None
    for number in range(1, MAX_STATES):
        ended = not os.read(said, 1)
        left = Image(root, left)
        first = seen.setdefault(left.key(), number)
        yield Left(number, left if first == number else None, first)
        if ended:
            return
        os.write(let_go, b".")
    raise RuntimeError(f"the command never ended in {MAX_STATES} operations")
