"""run: stopped or out of space at any write, a run is recorded whole or not at all, and can be run again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dsvc.fs.failpoints import Action, Plan, armed
from dsvc.model.errors import DsvcError
from dsvc.model.run_record import RunKind
from dsvc.porcelain.runs.run_spec import RunSpec
from tests.porcelain.running import pending, table
from tests.porcelain.working import Work
from tests.slim import in_slim_process

SPEC = RunSpec(name="half", kind=RunKind.FILTER, inputs=[b"a.csv"], outputs=[b"b.csv"], keys={None: ("id",)})
COMMAND = ["head -n 5 a.csv > b.csv"]


def prepared(folder: Path) -> Work:
    work = Work(folder)
    work.commit("before", {b"a.csv": table({"id": n, "v": n * n} for n in range(9))})
    return work


def whole(work: Work) -> bool:
    """Whether the run is recorded; nothing may be half there."""
    assert work.reopen().fsck(read_data=True).defects == ()
    names = pending(work)
    logged = [operation.verb for operation in work.repo.history.operations]
    assert names in ([], ["half"])
    assert names or "run" not in logged
    for tree in work.repo.runs():
        assert tree.run.rows["kept"] == 4
        assert tree.part(b"maps/0-0")
    return bool(names)


def killed_at(work: Work, at: int) -> bool:
    child = os.fork()
    if child == 0:
        try:
            with armed(Plan(action=Action.KILL, at=at)):
                work.repo.run(SPEC, COMMAND, environ={"PATH": os.environ["PATH"]})
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
    return os.WIFSIGNALED(status)


@in_slim_process
def test_f1_killed_anywhere(fast_path: Path) -> None:
    at, killed = 1, True
    while killed:
        work = prepared(fast_path / str(at))
        killed = killed_at(work, at)
        whole(work)
        work.repo.gc(grace_seconds=0)
        work.repo.run(SPEC, COMMAND, environ={"PATH": os.environ["PATH"]})
        work.repo.add(all=True)
        work.repo.commit("after")
        assert work.reopen().show().runs
        assert work.repo.fsck(read_data=True).defects == ()
        assert os.listdir(work.folder / ".dsvc" / "work" / "held") == []
        at += 3
    assert at > 20


@pytest.mark.parametrize("persistent", [False, True])
@in_slim_process
def test_f7_out_of_space_anywhere(fast_path: Path, persistent: bool) -> None:
    at, failed = 2, True
    while failed:
        work = prepared(fast_path / str(at))
        failed = False
        with armed(Plan(action=Action.ENOSPC, at=at, persistent=persistent)) as plan:
            try:
                work.repo.run(SPEC, COMMAND, environ={"PATH": os.environ["PATH"]})
            except DsvcError:
                failed = True
        recorded = whole(work)
        assert recorded or failed
        failed = bool(plan.fired)
        at += 3
    assert at > 20
