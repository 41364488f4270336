"""Detectors at work in child processes: one that crashes or hangs costs its own answer and nothing else.

A child (`dsvc.fs.child_process`) does jobs in order and sends each answer at once. Where it dies, or says
nothing for longer than the input is worth, the job at hand has no answer, and a new child goes on with the
next. Where this process can't be forked, jobs on what somebody else made are done in children that are
started, others in place.
"""

from __future__ import annotations

import pickle
import select
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NamedTuple

from dsvc.fs.child_process import Bounds, Child, Done, Ended, can_fork, can_start
from dsvc.model.detection import Detection, decode_detection, encode_detection
from dsvc.model.errors import DsvcError, MalformedInputError

SECONDS: Final = 60.0
BYTES_PER_SECOND: Final = 1 << 20
"""How long an input may take: `SECONDS`, and one for each so many bytes."""
MEMORY_BYTES: Final = 4 << 30
_MAX_ANSWER: Final = 16 << 20


class Job(NamedTuple):
    """Something for a detector to look at.

    Attributes
    ----------
    size : int
        Bytes, which say how long it may take.
    work : callable
        Looks, and gives the detection.
    apart : bool
        Whether it is never done in this process, where there can be children at all; to be picklable.
    """

    size: int
    work: Callable[[], Detection]
    apart: bool = False


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
    if can_fork():
        return _in_children(jobs, children, seconds, started=False)
    answers: list[Answer] = []
    apart = [job for job in jobs if job.apart and can_start()]
    found = iter(_in_children(apart, children, seconds, started=True) if apart else [])
    for job in jobs:
        answers.append(next(found) if job.apart and can_start() else _in_place(job.work))
    return answers


def _in_children(jobs: Sequence[Job], children: int, seconds: float, *, started: bool) -> list[Answer]:
    answers: list[Answer | None] = [None] * len(jobs)
    # Every n-th job each: files that lie side by side are of a size.
    waiting = [list(range(first, len(jobs), children)) for first in range(min(children, len(jobs)))]
    running: list[_Worker] = []
    try:
        for numbers in waiting:
            running.append(_Worker(jobs, numbers, seconds, started))
        while running:
            _step(running, answers)
            running = [_next(worker) for worker in running if worker.left]
    except (OSError, pickle.PicklingError, TypeError, AttributeError) as error:
        reason = f"no process could be started for it: {getattr(error, 'strerror', None) or error}"
        return [each or NoAnswer(reason) for each in answers]
    finally:
        for worker in running:
            worker.end()
    return [each or NoAnswer("it gave no answer") for each in answers]


def _in_place(work: Callable[[], Detection]) -> Answer:
    try:
        return work()
    except DsvcError as error:
        return NoAnswer(error.message)
    except Exception as error:
        return NoAnswer(f"it failed: {type(error).__name__}: {error}")


def _encoded(work: Callable[[], Detection]) -> bytes | NoAnswer:
    """Work in a child. What a detector made up is decoded as anything that came from elsewhere."""
    answer = _in_place(work)
    return answer if isinstance(answer, NoAnswer) else encode_detection(answer)


def _decoded(found: bytes | NoAnswer) -> Answer:
    if isinstance(found, NoAnswer):
        return found
    if len(found) > _MAX_ANSWER:
        return NoAnswer("its answer is malformed")
    try:
        return decode_detection(found)
    except MalformedInputError as error:
        return NoAnswer(error.message)


def _step(running: Sequence[_Worker], answers: list[Answer | None]) -> None:
    """Wait for the next news of any child."""
    wait = max(0.0, min(worker.deadline for worker in running) - time.monotonic())
    ready, _, _ = select.select([worker.fd for worker in running], [], [], wait)
    for worker in running:
        if worker.fd in ready:
            worker.receive(answers)
        elif time.monotonic() >= worker.deadline:
            worker.give_up(answers, "it took too long")


def _next(worker: _Worker) -> _Worker:
    """Return the worker, or where it ended before its work did one that goes on."""
    return worker if worker.alive else worker.successor()


class _Worker:
    """A process that does some of the jobs."""

    def __init__(self, jobs: Sequence[Job], numbers: Sequence[int], seconds: float, started: bool) -> None:
        self._jobs, self.left = jobs, list(numbers)
        self._seconds, self._started = seconds, started
        works = [partial(_encoded, jobs[number].work) for number in numbers]
        self._child = Child(works, Bounds(MEMORY_BYTES), started=started)
        self.fd = self._child.fd
        self.deadline = self._until()

    @property
    def alive(self) -> bool:
        return self._child.alive

    def successor(self) -> _Worker:
        """Start another with what is left."""
        return _Worker(self._jobs, self.left, self._seconds, self._started)

    def _until(self) -> float:
        size = self._jobs[self.left[0]].size if self.left else 0
        return time.monotonic() + self._seconds + size / BYTES_PER_SECOND

    def receive(self, answers: list[Answer | None]) -> None:
        """Take what the child sent; where it has ended, the job at hand has no answer."""
        found = self._child.answer()
        if isinstance(found, Done):
            answers[self.left.pop(0)] = _decoded(found.value)
            self.deadline = self._until()
            if not self.left:
                self.end()
        elif isinstance(found, Ended):
            answers[self.left.pop(0)] = NoAnswer(f"it crashed ({found.how})")
        else:
            self.give_up(answers, "it failed: MemoryError: ")

    def give_up(self, answers: list[Answer | None], reason: str) -> None:
        """Stop the child: the job at hand has no answer."""
        self.end()
        answers[self.left.pop(0)] = NoAnswer(reason)

    def end(self) -> None:
        """Stop the process, if it still runs."""
        self._child.end()
