"""Children: asked without waiting, ended while they work, and those that can't be made."""

from __future__ import annotations

import os
import pickle
import select
from collections.abc import Callable

import pytest

from dsvc.fs.child_process import Bounds, Child, Done, Ended

BOUNDS = Bounds(1 << 30)


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
