"""Detectors at work in child processes: one that crashes or hangs costs its own answer and nothing else.

A child does jobs in order and sends each answer at once. Where it dies, or says nothing for longer than the
input is worth, the job at hand has no answer, and a new child goes on with the next. Children are forked, as
in `dsvc.table.guard`; where that can't be done safely (threads, systems other than Linux) jobs are done in
place. A child has a session of its own and nowhere to print to: what it starts goes when it goes, and what it
kills is itself.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import select
import signal
import struct
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, NoReturn

from dsvc.model.detection import Detection, decode_detection, encode_detection
from dsvc.model.errors import DsvcError, MalformedInputError

SECONDS: Final = 60.0
BYTES_PER_SECOND: Final = 1 << 20
"""How long an input may take: `SECONDS`, and one for each so many bytes."""
MEMORY_BYTES: Final = 4 << 30
_HEAD: Final = struct.Struct("<IBI")
_ANSWER, _ERROR = 1, 2
_MAX_MESSAGE: Final = 16 << 20


class Job(NamedTuple):
    """Something for a detector to look at.

    Attributes
    ----------
    size : int
        Bytes, which say how long it may take.
    work : callable
        Looks, and gives the detection.
    """

    size: int
    work: Callable[[], Detection]


class NoAnswer(NamedTuple):
    """That a detector gave no answer, and why."""

    reason: str


Answer = Detection | NoAnswer


def run_jobs(jobs: Sequence[Job], *, children: int = 2, seconds: float = SECONDS) -> list[Answer]:
    """Do jobs, side by side; each has an answer or the reason why there is none.

    Parameters
    ----------
    children : int
        How many processes at most.
    seconds : float
        How long a job may take, besides a second for each `BYTES_PER_SECOND`.
    """
    if threading.active_count() > 1 or not hasattr(os, "memfd_create"):
        return [_in_place(job) for job in jobs]
    answers: list[Answer | None] = [None] * len(jobs)
    # Every n-th job each: files that lie side by side are of a size.
    waiting = [list(range(first, len(jobs), children)) for first in range(min(children, len(jobs)))]
    running: list[_Child] = []
    try:
        running = [_Child(jobs, numbers, seconds) for numbers in waiting]
        while running:
            _step(running, answers)
            running = [_next(child, jobs, seconds) for child in running if not child.finished]
    except OSError as error:
        reason = f"no process could be started for it: {error.strerror}"
        return [each or NoAnswer(reason) for each in answers]
    finally:
        for child in running:
            child.end()
    return [each or NoAnswer("it gave no answer") for each in answers]


def _in_place(job: Job) -> Answer:
    try:
        return job.work()
    except DsvcError as error:
        return NoAnswer(error.message)
    except Exception as error:
        return NoAnswer(f"it failed: {type(error).__name__}: {error}")


def _step(running: Sequence[_Child], answers: list[Answer | None]) -> None:
    """Wait for the next news of any child."""
    wait = max(0.0, min(child.deadline for child in running) - time.monotonic())
    ready, _, _ = select.select([child.fd for child in running], [], [], wait)
    for child in running:
        if child.fd in ready:
            child.receive(answers)
        elif time.monotonic() >= child.deadline:
            child.give_up(answers, "it took too long")


def _next(child: _Child, jobs: Sequence[Job], seconds: float) -> _Child:
    """Return the child, or where it ended before its work did one that goes on."""
    return child if child.alive else _Child(jobs, child.left, seconds)


class _Child:
    """A process that does some of the jobs."""

    def __init__(self, jobs: Sequence[Job], numbers: Sequence[int], seconds: float) -> None:
        self._jobs, self.left = jobs, list(numbers)
        self._seconds = seconds
        self._buffer = bytearray()
        self.fd, write = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self.fd)
            _work(jobs, numbers, write)
        os.close(write)
        self.deadline = self._until()

    @property
    def alive(self) -> bool:
        return self._pid != 0

    @property
    def finished(self) -> bool:
        return not self.left

    def _until(self) -> float:
        size = self._jobs[self.left[0]].size if self.left else 0
        return time.monotonic() + self._seconds + size / BYTES_PER_SECOND

    def receive(self, answers: list[Answer | None]) -> None:
        """Take what the child sent; where it has ended, the job at hand has no answer."""
        data = os.read(self.fd, 1 << 16)
        if not data:
            self._lost(answers)
            return
        self._buffer += data
        while self.left and len(self._buffer) >= _HEAD.size:
            number, kind, length = _HEAD.unpack_from(self._buffer)
            if number != self.left[0] or length > _MAX_MESSAGE:
                self.give_up(answers, "its answer is malformed")
                return
            if len(self._buffer) < _HEAD.size + length:
                break
            body = bytes(self._buffer[_HEAD.size : _HEAD.size + length])
            del self._buffer[: _HEAD.size + length]
            answers[number] = _parsed(kind, body)
            self.left.pop(0)
            self.deadline = self._until()
        if not self.left:
            self.end()

    def give_up(self, answers: list[Answer | None], reason: str) -> None:
        """Stop the child: the job at hand has no answer."""
        self.end()
        if self.left:
            answers[self.left.pop(0)] = NoAnswer(reason)

    def _lost(self, answers: list[Answer | None]) -> None:
        os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOWAIT)
        self._kill_session()
        _, status = os.waitpid(self._pid, 0)
        self._pid = 0
        os.close(self.fd)
        code = os.waitstatus_to_exitcode(status)
        how = signal.Signals(-code).name if code < 0 else f"status {code}"
        if self.left:
            answers[self.left.pop(0)] = NoAnswer(f"it crashed ({how})")

    def end(self) -> None:
        """Stop the process, if it still runs."""
        if self._pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            self._kill_session()
            os.waitpid(self._pid, 0)
            os.close(self.fd)
            self._pid = 0

    def _kill_session(self) -> None:
        """Stop what the process has started and left behind."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)


def _parsed(kind: int, body: bytes) -> Answer:
    if kind == _ANSWER:
        try:
            return decode_detection(body)
        except MalformedInputError as error:
            return NoAnswer(error.message)
    return NoAnswer(body.decode("utf-8", "replace"))


def _work(jobs: Sequence[Job], numbers: Sequence[int], fd: int) -> NoReturn:
    """Work in the child; never returns into the parent's code."""
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os.setsid()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for standard in range(3):
            os.dup2(nowhere, standard)
        gc.disable()  # a pass over the parent's objects unshares their pages
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        with open("/proc/self/statm", "rb") as stream:
            held = int(stream.read().split()[0]) * resource.getpagesize()
        wanted = held + MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (wanted if hard < 0 else min(wanted, hard), hard))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for number in numbers:
            answer = _in_place(jobs[number])
            is_error = isinstance(answer, NoAnswer)
            body = answer.reason.encode() if isinstance(answer, NoAnswer) else encode_detection(answer)
            message = _HEAD.pack(number, _ERROR if is_error else _ANSWER, len(body)) + body
            while message:
                message = message[os.write(fd, message) :]
        status = 0
    finally:
        os._exit(status)
