"""Faults at every operation of a command: forked children die or fail, the parent looks at what is left.

A scenario is an image of a repository in memory, a command, and what the command makes of it. For n = 1, 2,
… the image is laid out, the command runs in a child with a fault at its n-th write, and `checker.check`
looks at the result, until the command runs through.
"""

from __future__ import annotations

import functools
import gc
import os
import pickle
import shutil
import signal
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from dsvc.fs.failpoints import Action, Plan, armed
from dsvc.model.errors import DsvcError
from dsvc.testing.image import Image

MAX_POINTS: Final = 20_000

tally: Counter[str] = Counter()
"""What was tried in this process, by kind; ``lost`` counts broken promises."""


def tried(kind: str, count: int = 1) -> None:
    """Count faults: ``kill points``, ``disk errors``, ``cuts``, ``flips``, ``hostile cases``."""
    tally[kind] += count


class BrokenPromiseError(AssertionError):
    """A repository is not what a fault may leave; each is counted as lost."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        tried("lost")


class Outcome(NamedTuple):
    """How a child ended.

    Attributes
    ----------
    fired : bool
        Whether the fault came up; a killed child didn't tell, but was.
    killed : bool
        Whether a signal ended it.
    error : BaseException or None
        What the command raised.
    operations : list of str
        Names of the operations of the write seam; none where it was killed.
    """

    fired: bool
    killed: bool
    error: BaseException | None
    operations: list[str]


def run_in_child(command: Callable[[], object], plan: Plan | None = None) -> Outcome:
    """Run a command in a forked child with a plan armed; the parent's state stays as it is.

    Raises
    ------
    RuntimeError
        If the command failed with anything but a `DsvcError` or a `MemoryError`: a bug, with its trace.
    """
    return begin_in_child(command, plan)()


def begin_in_child(command: Callable[[], object], plan: Plan | None = None) -> Callable[[], Outcome]:
    """Begin what `run_in_child` runs; what is returned waits for the end of it."""
    read_fd, write_fd = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read_fd)
        _be_child(command, plan, write_fd)
    os.close(write_fd)
    return functools.partial(_outcome, pid, read_fd)


def _outcome(pid: int, read_fd: int) -> Outcome:
    with open(read_fd, "rb") as pipe:
        data = pipe.read()
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        if os.WTERMSIG(status) != signal.SIGKILL:
            raise RuntimeError(f"the child died of signal {os.WTERMSIG(status)}")
        return Outcome(True, True, None, [])
    fired, error, trace, operations = pickle.loads(data)  # noqa: S301  bytes of our own child
    if trace:
        raise RuntimeError(f"an error that is not typed:\n{trace}")
    return Outcome(fired, False, error, operations)


def _be_child(command: Callable[[], object], plan: Plan | None, write_fd: int) -> None:
    """Run the command and tell how it went; never returns."""
    status, error, trace = 1, None, ""
    plan = plan or Plan()
    gc.disable()
    try:
        try:
            with armed(plan):
                command()
        except (DsvcError, MemoryError) as raised:
            error = _portable(raised)
        except BaseException:
            trace = traceback.format_exc()
        _write_all(write_fd, pickle.dumps((plan.fired > 0, error, trace, [name for name, _ in plan.seen])))
        status = 0
    finally:
        os._exit(status)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _portable(error: BaseException) -> BaseException:
    """An error as the parent gets it: typed, without what doesn't travel."""
    error.__cause__ = error.__context__ = None
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301  a round trip of our own bytes
    except Exception:
        return DsvcError(f"{type(error).__name__}: {error}")
    return error


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A kind of fault; `persistent` repeats it at every later operation."""

    action: Action
    persistent: bool = False

    @property
    def kills(self) -> bool:
        """Whether the process ends by it."""
        return self.action in (Action.KILL, Action.TORN_WRITE)

    @property
    def of_writes(self) -> bool:
        """Whether it only comes up at writes."""
        return self.action in (Action.TORN_WRITE, Action.SHORT_WRITE)

    @property
    def kind(self) -> str:
        """Its name in the tally."""
        return "kill points" if self.kills else "disk errors"


KILLS: Final = (Fault(action=Action.KILL), Fault(action=Action.TORN_WRITE))
ERRORS: Final = (
    Fault(action=Action.EIO),
    Fault(action=Action.EIO, persistent=True),
    Fault(action=Action.ENOSPC),
    Fault(action=Action.ENOSPC, persistent=True),
    Fault(action=Action.SHORT_WRITE),
    Fault(action=Action.SHORT_WRITE, persistent=True),
    Fault(action=Action.MEMORY),
)


def count_operations(image: Image, folder: str, command: Callable[[str], object]) -> list[str]:
    """Names of the operations of a command that runs through, in order."""
    root = os.path.join(folder, "count")
    image.lay_out(root)
    outcome = run_in_child(lambda: command(root))
    shutil.rmtree(root)
    if outcome.error is not None:
        raise outcome.error
    return outcome.operations


def points(
    image: Image,
    folder: str,
    command: Callable[[str], object],
    fault: Fault,
    *,
    step: int = 1,
    first: int = 1,
    ends: bool = False,
) -> Iterator[tuple[str, Outcome]]:
    """Lay the image out and run the command with the fault at its n-th operation, for every n that there is.

    Yields (root, outcome), also for the last run, in which nothing fired; a root is removed afterwards.
    Faults of writes are tried at the writes, a persistent short write once, since it's at every write.

    Parameters
    ----------
    step, first : int
        Which operations are taken.
    ends : bool
        Whether the first and the last operation are taken besides.
    """
    names = count_operations(image, folder, command)
    writes = {number for number, name in enumerate(names, 1) if name == "write"}
    wanted = {min(writes)} if fault.persistent and writes else writes
    also = {1, len(names)} if ends else set()
    for at in sorted({*range(first, MAX_POINTS, step), *also}):
        if fault.of_writes and at <= len(names) and at not in wanted:
            continue
        root = os.path.join(folder, f"{at}")
        image.lay_out(root)
        plan = Plan(action=fault.action, at=at, persistent=fault.persistent)
        outcome = run_in_child(functools.partial(command, root), plan)
        # A fault in a forked worker shows as an error alone.
        came_up = outcome.fired or outcome.error is not None
        tried(fault.kind, int(came_up))
        yield root, outcome
        shutil.rmtree(root)
        if not came_up:
            return
    raise RuntimeError(f"the command never ran through in {MAX_POINTS} operations")
