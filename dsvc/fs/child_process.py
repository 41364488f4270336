"""Work in a child process: what it may cost is bounded, and a crash is an answer like another.

What somebody else prepared is decoded here first. A child is forked, so that what it reads is the parent's
and nothing is loaded again. A process that runs threads of its own can't be forked safely; there a child can
be *started*: a Python of its own, which is sent the work as a pickle, loads what that needs, and costs about
half a second. Either has a session of its own and nowhere to print to: what it starts goes when it goes, and
what it kills is itself. Results come back through memory that both can see. Systems other than Linux have no
such children.
"""

from __future__ import annotations

import contextlib
import gc
import mmap
import os
import pickle
import resource
import select
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final, NamedTuple, NoReturn

from dsvc.model.errors import DsvcError

Work = Callable[[], Any]
_M_ARENA_MAX: Final = -8
_FRAME: Final = struct.Struct("<QQ")
_COUNT: Final = struct.Struct("<Q")
_START: Final = (
    "import pickle, sys\n"
    "sys.path += [path for path in pickle.load(sys.stdin.buffer) if path not in sys.path]\n"
    "from dsvc.fs.child_process import be_started\n"
    "be_started(*map(int, sys.argv[1:]))\n"
)


class _Here:
    """What this process is."""

    is_child: ClassVar[bool] = False


class Bounds(NamedTuple):
    """What a child may take.

    Attributes
    ----------
    memory : int
        Bytes of address space beyond what the process has when it begins.
    cpu_seconds : int or None
        Processor time.
    """

    memory: int
    cpu_seconds: int | None = None


class Done(NamedTuple):
    """A piece of work ended with a value."""

    value: Any


class Failed(NamedTuple):
    """A piece of work raised an error that it may raise, or ran out of memory."""

    error: DsvcError | MemoryError


class Ended(NamedTuple):
    """The child ended without an answer: by a signal (negative) or with a status."""

    code: int

    @property
    def how(self) -> str:
        """By which signal, or with which status."""
        return signal.Signals(-self.code).name if self.code < 0 else f"status {self.code}"


def can_fork() -> bool:
    """Whether this process can be forked safely, and a child can answer."""
    return threading.active_count() == 1 and can_start()


def can_start() -> bool:
    """Whether a child can be started, in a process with threads too."""
    return hasattr(os, "memfd_create") and bool(sys.executable)


def inside() -> bool:
    """Whether this process is such a child."""
    return _Here.is_child


class Child:
    """A process that does pieces of work in order, and sends each answer at once.

    Parameters
    ----------
    works : sequence of callable
        What is to be done. To be started rather than forked they must be picklable.
    bounds : Bounds
        What it may take for all of them together.
    started : bool
        Whether it is started rather than forked.

    Attributes
    ----------
    fd : int
        Readable when there is an answer.

    Raises
    ------
    OSError
        If there can be no further process.
    """

    def __init__(self, works: Sequence[Work], bounds: Bounds, *, started: bool = False) -> None:
        self.fd, answers = os.pipe()
        self._memory = os.memfd_create("dsvc-child")
        try:
            if started:
                self._pid, self._wait = _start(works, bounds, answers, self._memory)
            else:
                self._pid, self._wait = _fork(works, bounds, answers, self._memory)
        except BaseException:
            os.close(self.fd)
            os.close(self._memory)
            raise
        finally:
            os.close(answers)
        self._open = True

    @property
    def alive(self) -> bool:
        """Whether nobody has ended it, and it hasn't ended by itself as far as is known."""
        return self._open

    def answer(self, timeout: float | None = None) -> Done | Failed | Ended | None:
        """Wait for the next answer.

        Parameters
        ----------
        timeout : float or None
            Seconds to wait at most.

        Returns
        -------
        Done, Failed, Ended or None
            None: there was no answer in that time.
        """
        if not select.select([self.fd], [], [], timeout)[0]:
            return None
        # Shorter than what a pipe takes in one piece.
        frame = os.read(self.fd, _FRAME.size)
        if len(frame) < _FRAME.size:
            return Ended(self._ended())
        found: Done | Failed = _received(self._memory, *_FRAME.unpack(frame))
        return found

    def end(self) -> None:
        """Stop it, if it still runs."""
        if self._open:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            self._ended()

    def _ended(self) -> int:
        """Wait for its end, and stop what it has started and left behind."""
        os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOWAIT)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)
        self._open = False
        os.close(self.fd)
        os.close(self._memory)
        return self._wait()


_Process = tuple[int, Callable[[], int]]


def _fork(works: Sequence[Work], bounds: Bounds, answers: int, memory: int) -> _Process:
    pid = os.fork()
    if pid == 0:
        _serve(works, bounds, answers, memory)
    return pid, lambda: os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _start(works: Sequence[Work], bounds: Bounds, answers: int, memory: int) -> _Process:
    places = [path for path in sys.path if os.path.isabs(path)]
    tasks = b"".join(pickle.dumps(each, protocol=5) for each in (places, bounds, list(works)))
    # Isolated: neither the folder it starts in nor the environment adds code; these places come last.
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", _START, str(answers), str(memory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(answers, memory),
        start_new_session=True,
    )
    assert process.stdin is not None
    # One that ended early says so by its status.
    with contextlib.suppress(BrokenPipeError), process.stdin as stream:
        stream.write(tasks)
    return process.pid, process.wait


def be_started(answers: int, memory: int) -> NoReturn:
    """Do what is sent to a child that was started; never returns."""
    bounds: Bounds = pickle.load(sys.stdin.buffer)  # noqa: S301  bytes of our own parent
    data = sys.stdin.buffer.read()
    _serve(lambda: pickle.loads(data), bounds, answers, memory)  # noqa: S301  as above


def _serve(
    works: Sequence[Work] | Callable[[], Sequence[Work]], bounds: Bounds, answers: int, memory: int
) -> NoReturn:
    """Work in the child; never returns into the parent's code."""
    status = 1
    try:
        _Here.is_child = True
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _go_apart()
        gc.disable()  # a pass over the parent's objects unshares their pages
        _limit(bounds)
        for work in works() if callable(works) else works:
            found: Done | Failed
            try:
                found = Done(work())
            except (DsvcError, MemoryError) as error:
                # What led to it may hold what can't be sent.
                error.__cause__ = error.__context__ = None
                found = Failed(error)
            _send(found, answers, memory)
        status = 0
    finally:
        os._exit(status)


def _go_apart() -> None:
    """Have a session of one's own, and nowhere to print to."""
    if os.getsid(0) != os.getpid():
        os.setsid()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(nowhere, standard)


def _limit(bounds: Bounds) -> None:
    _share_arenas()
    with open("/proc/self/statm", "rb") as stream:
        held = int(stream.read().split()[0]) * mmap.PAGESIZE
    wanted = {resource.RLIMIT_AS: held + bounds.memory, resource.RLIMIT_CORE: 0}
    if bounds.cpu_seconds is not None:
        wanted[resource.RLIMIT_CPU] = bounds.cpu_seconds
    # Only ever lower: the caller may have set limits of its own.
    for which, value in wanted.items():
        soft, hard = resource.getrlimit(which)
        if which == resource.RLIMIT_CPU:
            hard = value + 2 if hard == resource.RLIM_INFINITY else hard
        known = value if soft == resource.RLIM_INFINITY else min(soft, value)
        resource.setrlimit(which, (known, hard))


def _share_arenas() -> None:
    """Let threads allocate from the same places.

    Else the C library sets up to 128 MiB of addresses aside for each thread, eight times as many as there are
    processors, and the bound of the child counts addresses: a small table came to gigabytes.
    """
    import ctypes

    with contextlib.suppress(AttributeError):  # a C library that knows no such thing
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)


def _send(found: Done | Failed, answers: int, memory: int) -> None:
    """Write an answer to shared memory: a pickle, and the arrays in it as they are; then say where it is."""
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(found, protocol=5, buffer_callback=buffers.append)
    parts = [memoryview(head), *(buffer.raw() for buffer in buffers)]
    sizes = [len(parts), *(part.nbytes for part in parts)]
    with os.fdopen(os.dup(memory), "wb") as stream:
        end = stream.seek(0, os.SEEK_END)
        # A view of it must begin with a page.
        begin = stream.seek(end + -end % mmap.ALLOCATIONGRANULARITY)
        stream.write(b"".join(map(_COUNT.pack, sizes)))
        for part in parts:
            # Arrays begin where a processor likes to read them.
            stream.write(bytes(-stream.tell() % 64))
            stream.write(part)
        length = stream.tell() - begin
    os.write(answers, _FRAME.pack(begin, length))


def _received(memory: int, begin: int, length: int) -> Any:
    data = memoryview(mmap.mmap(memory, length, offset=begin))
    sizes = [_COUNT.unpack_from(data, 8 + 8 * n)[0] for n in range(_COUNT.unpack_from(data)[0])]
    parts, at = [], 8 + 8 * len(sizes)
    for size in sizes:
        at += -at % 64
        parts.append(data[at : at + size])
        at += size
    return pickle.loads(parts[0], buffers=parts[1:])  # noqa: S301  bytes of our own child


__all__ = [
    "Bounds",
    "Child",
    "Done",
    "Ended",
    "Failed",
    "Work",
    "be_started",
    "can_fork",
    "can_start",
    "inside",
]
