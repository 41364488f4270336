"""Children: asked without waiting, bounded, ended while they work, and those that can't be made."""

from __future__ import annotations

import functools
import gc
import mmap
import operator
import os
import pickle
import resource
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dsvc.fs import child_process
from dsvc.fs.child_process import Bounds, Child, Done, Ended, Failed, can_fork, can_start, inside
from dsvc.model.errors import StorageError

BOUNDS = Bounds(1 << 30)


def answers(*works: Callable[[], object], bounds: Bounds = BOUNDS, started: bool = False) -> list[Any]:
    """All that a child says, its end left out."""
    child = Child(works, bounds, started=started)
    found: list[Any] = []
    while child.alive:
        found.append(child.answer(60))
    assert found.pop() == Ended(0)
    return found


def wait_for_nothing() -> None:
    select.select([], [], [])


def test_a_child_that_has_no_answer_yet_is_asked_again() -> None:
    child = Child([int, wait_for_nothing], BOUNDS)
    assert child.answer(60) == Done(0)
    assert child.answer(0) is None
    before = child.alive
    child.end()
    assert (before, child.alive) == (True, False)
    child.end()


def test_work_that_can_not_be_sent_leaves_nothing_open() -> None:
    works: list[Callable[[], object]] = [lambda: 1]
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises((pickle.PicklingError, AttributeError)):
        Child(works, BOUNDS, started=True)
    assert len(os.listdir("/proc/self/fd")) == before
    child = Child(works, BOUNDS)  # forked, it needn't be sent
    assert child.answer(60) == Done(1)
    assert child.answer(60) == Ended(0)
    assert not child.alive
    assert len(os.listdir("/proc/self/fd")) == before


def test_where_children_can_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    thread = threading.Thread(target=go_on.wait)
    others = threading.active_count() - 1
    assert (can_start(), can_fork()) == (True, not others)
    thread.start()
    try:
        assert (can_start(), can_fork()) == (True, False)
    finally:
        go_on.set()
        thread.join()
    monkeypatch.setattr(sys, "executable", "")
    assert (can_start(), can_fork()) == (False, False)
    monkeypatch.undo()
    monkeypatch.delattr(os, "memfd_create")
    assert (can_start(), can_fork()) == (False, False)


def test_answers_come_in_order_whatever_their_size() -> None:
    """Each begins on a page of its own; arrays in it come as they are, and where a processor likes them."""
    sizes = (0, 1, 63, 64, 65, 5000, mmap.PAGESIZE * 3)
    arrays = [[bytearray([n % 251]) * n, bytearray(b"x") * 7, bytearray(range(200))] for n in sizes]
    works = [lambda made=made: [pickle.PickleBuffer(each) for each in made] for made in arrays]
    found = answers(*works, lambda: "字")
    assert [[bytes(part) for part in each.value] for each in found[:-1]] == arrays
    assert found[-1] == Done("字")
    numpy = pytest.importorskip("numpy")
    whole = numpy.arange(1000, dtype="<u8")
    for back, first in zip(answers(lambda: (whole, b"1", whole[:3])), (0,), strict=True):
        assert first == 0
        assert (back.value[0] == whole).all()
        assert (back.value[2] == whole[:3]).all()
        assert back.value[0].ctypes.data % 64 == back.value[2].ctypes.data % 64 == 0


def test_errors_that_work_may_raise_are_answers() -> None:
    def refused() -> None:
        try:
            raise OSError("can't be sent", lambda: 0)
        except OSError as error:
            raise StorageError("no", hint="do", details={"a": "b"}) from error

    found = answers(refused, lambda: bytearray(1 << 40), lambda: "goes on")
    assert isinstance(found[0], Failed)
    assert isinstance(found[0].error, StorageError)
    assert (found[0].error.message, found[0].error.__cause__) == ("no", None)
    assert isinstance(found[1].error, MemoryError)
    assert found[2] == Done("goes on")


@pytest.mark.parametrize(
    ("work", "how"),
    [
        (lambda: 1 // 0, "status 1"),
        (lambda: os._exit(7), "status 7"),
        (lambda: os.kill(os.getpid(), signal.SIGTERM), "SIGTERM"),
    ],
)
def test_a_child_that_breaks_says_how_it_ended(work: Callable[[], object], how: str) -> None:
    """Whatever its parent does about signals."""
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        child = Child([lambda: "first", work, lambda: "never"], BOUNDS)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert child.answer(60) == Done("first")
    end = child.answer(60)
    assert isinstance(end, Ended)
    assert end.how == how
    assert not child.alive


def test_a_child_stands_apart(capfd: pytest.CaptureFixture[str]) -> None:
    def facts() -> tuple[object, ...]:
        os.write(1, b"printed")
        os.write(2, b"printed")
        os.kill(os.getpid(), signal.SIGINT)  # Ctrl-C is for the parent, which ends it
        return inside(), os.getsid(0) == os.getpid(), os.read(0, 1), gc.isenabled()

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it's ignored anyway
    try:
        (found,) = answers(facts)
    finally:
        signal.signal(signal.SIGINT, before)
    assert found == Done((True, True, b"", False))
    assert not inside()
    assert capfd.readouterr() == ("", "")


def limits() -> tuple[int, ...]:
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()
    space = resource.getrlimit(resource.RLIMIT_AS)[0] - int(pages[0]) * mmap.PAGESIZE
    return (
        space,
        *resource.getrlimit(resource.RLIMIT_CPU),
        resource.getrlimit(resource.RLIMIT_CORE)[0],
    )


def test_what_a_child_may_take() -> None:
    none = resource.RLIM_INFINITY
    before = resource.getrlimit(resource.RLIMIT_CPU)
    assert before == (none, none), "the test itself is not limited"
    (found,) = answers(limits, bounds=Bounds(1 << 30, 100))
    space, soft, hard, core = found.value
    assert (1 << 30) - (1 << 26) < space <= 1 << 30
    assert (soft, hard, core) == (100, 102, 0)
    (found,) = answers(limits, bounds=Bounds(1 << 30))
    assert found.value[1:] == (none, none, 0)

    def inner() -> list[Any]:
        resource.setrlimit(resource.RLIMIT_CPU, (50, 60))
        most = resource.getrlimit(resource.RLIMIT_CORE)[1]
        resource.setrlimit(resource.RLIMIT_CORE, (most, most))
        return [answers(limits, bounds=Bounds(1 << 34, seconds))[0].value for seconds in (40, 55)]

    (found,) = answers(inner, bounds=Bounds(1 << 30, 200))
    assert [each[1:] for each in found.value] == [(40, 60, 0), (50, 60, 0)], "never more than there was"
    assert all(each[0] <= 1 << 30 for each in found.value)
    (found,) = answers(lambda: bytearray(1 << 29), bounds=Bounds(1 << 28))
    assert isinstance(found.error, MemoryError)


def runs(pid: int) -> bool:
    """Whether a process still does something, waited for or not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2][:1]
    except FileNotFoundError:
        return False
    return state not in (b"Z", b"X")


@pytest.mark.parametrize("ended", [True, False])
def test_what_a_child_started_goes_with_it(ended: bool) -> None:
    def start() -> int:
        return subprocess.Popen(["sleep", "600"]).pid

    child = Child([start, wait_for_nothing] if ended else [start], BOUNDS)
    answer = child.answer(60)
    assert isinstance(answer, Done)
    assert runs(answer.value) or not ended
    child.end() if ended else child.answer(60)
    for _ in range(2000):
        if not runs(answer.value):
            break
        time.sleep(0.005)
    assert not runs(answer.value)


def test_a_child_that_is_started_does_the_same() -> None:
    refused = functools.partial(pickle.loads, pickle.dumps(StorageError("no")))
    add = functools.partial(operator.add, 1, 2)
    works: list[Callable[[], object]] = [add, refused, child_process.inside, os.getpid, os.getpgrp]
    found = [each.value for each in answers(*works, started=True)]
    assert (found[0], found[2], found[3]) == (3, True, found[4])
    assert isinstance(found[1], StorageError)


def test_threads_of_a_child_take_no_addresses_that_they_do_not_use() -> None:
    """Each would set 64 MiB aside for what it allocates, and the bound counts addresses."""

    def addresses() -> int:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * mmap.PAGESIZE

    def grown() -> int:
        threading.stack_size(1 << 20)
        before = addresses()
        allocated = threading.Barrier(13)
        go_on = threading.Event()

        def allocate() -> None:
            kept = bytes(1000)
            allocated.wait()
            go_on.wait()
            del kept

        threads = [threading.Thread(target=allocate) for _ in range(12)]
        for thread in threads:
            thread.start()
        allocated.wait()
        more = addresses() - before
        go_on.set()
        for thread in threads:
            thread.join()
        return more

    (found,) = answers(grown, bounds=Bounds(1 << 34))
    assert found.value < 300 << 20
