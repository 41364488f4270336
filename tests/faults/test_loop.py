"""Evaluations, defects, repairs, releases: killed or failing at any write, all refs moved or none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dsvc.testing.checker import check
from dsvc.testing.faults import ERRORS, KILLS, Fault, run_in_child
from tests.loop_scenarios import COMMANDS, words
from tests.loop_world import make as make_world
from tests.slim import in_slim_process

MOVES_SEVERAL_REFS = {
    "feedback-import": KILLS[0],
    "defect-join": ERRORS[0],
    "repair-verify": KILLS[0],
    "release-create": ERRORS[3],
}
"""The verbs that move several refs, and what each meets in every run of the tests, about when refs move."""


@pytest.mark.parametrize("name", MOVES_SEVERAL_REFS)
@in_slim_process
def test_f1_f7_faults_where_refs_move(fast_path: Path, name: str) -> None:
    world = make_world(name, fast_path / "world")
    step = max(1, world.operations // 5)
    assert world.loop(fast_path, MOVES_SEVERAL_REFS[name], step=step, first=world.operations - step)


@pytest.mark.parametrize(
    ("name", "pieces", "step"),
    [pytest.param(name, False, 25, id=name) for name in COMMANDS]
    + [pytest.param(name, True, 1, id=f"{name}-pieces", marks=pytest.mark.soak) for name in COMMANDS],
)
@in_slim_process
def test_f1_killed_at_every_operation(fast_path: Path, name: str, pieces: bool, step: int) -> None:
    """What kills leave, in every run of the tests at some operations; with pieces also inside of writes."""
    assert make_world(name, fast_path / "world").walk(fast_path, pieces=pieces, step=step)


@pytest.mark.soak
@pytest.mark.parametrize("fault", ERRORS, ids=str)
@pytest.mark.parametrize("name", COMMANDS)
@in_slim_process
def test_f7_faults_at_every_operation(fast_path: Path, name: str, fault: Fault) -> None:
    assert make_world(name, fast_path / "world").loop(fast_path, fault, step=1, first=1)


@pytest.mark.parametrize(
    "name",
    [each if each == "feedback-import" else pytest.param(each, marks=pytest.mark.soak) for each in COMMANDS],
)
@in_slim_process
def test_f29_two_at_once(fast_path: Path, name: str) -> None:
    """Two processes do the same: together they come to what one comes to, and the other one says why not."""
    world = make_world(name, fast_path / "world")
    root = str(fast_path / "both")
    world.image.lay_out(root)
    pids = []
    for _ in range(2):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                outcome = run_in_child(lambda: world.run(root))
                code = 0 if outcome.error is None else 3
            finally:
                os._exit(code)
        pids.append(pid)
    codes = sorted(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids)
    assert codes in ([0, 0], [0, 3])
    if name != "release-announce":
        assert words(root) == world.after
    check(root, world.expected)
