"""Evaluations, defects, repairs, releases: killed or failing at any write, all refs moved or none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dsvc.model.errors import DsvcError
from dsvc.porcelain.repository import Repository
from dsvc.testing.checker import Expected, check, commit_contents, tree_state, unchanged
from dsvc.testing.faults import (
    ERRORS,
    KILLS,
    BrokenPromiseError,
    Fault,
    Image,
    count_operations,
    points,
    run_in_child,
)
from tests.faultkit import open_in, repository
from tests.loop_scenarios import COMMANDS, words
from tests.slim import in_slim_process


class World:
    """A repository before a verb, and what the verb makes of it."""

    def __init__(self, name: str, folder: Path) -> None:
        prepare, self._command, self._already = COMMANDS[name]
        before, after = str(folder / "before"), str(folder / "after")
        os.makedirs(before)
        prepare(before)
        self.image = Image(before)
        self.before = words(before)
        with repository(before) as repo:
            heads = list(repo.history.refs.list("refs/heads/").values())
            commits = {each.id: commit_contents(repo, each.id) for each in repo.history.log(heads)}
        self.operations = len(count_operations(self.image, str(folder), self.run))
        self.image.lay_out(after)
        self.run(after)
        self.after = words(after)
        assert self.after != self.before
        with repository(after) as repo:
            new = set(repo.history.refs.list("refs/heads/").values()) - set(heads)
            possible = [commit_contents(repo, each) for each in new]
        self.expected = Expected(
            commits=commits, possible=possible, files=unchanged(tree_state(before), tree_state(after))
        )

    def run(self, root: str) -> None:
        """Run the verb as a process of its own would."""
        self._command(open_in(root))

    def again(self, repo: Repository) -> None:
        """Run it again, unless it is done: afterwards everything is as if nothing had been in its way."""
        root = repo.root
        if words(root) != self.after:
            self.run(root)
        elif self._already:
            try:
                self.run(root)
            except DsvcError as error:
                if error.code not in self._already:
                    raise
        if words(root) != self.after:
            raise BrokenPromiseError(f"run again, it comes to {words(root)}, not to {self.after}")

    def loop(self, folder: Path, fault: Fault, *, step: int, first: int) -> int:
        count = 0
        tried = points(self.image, str(folder), self.run, fault, step=step, first=first)
        for root, outcome in tried:
            if words(root) not in (self.before, self.after):
                raise BrokenPromiseError(f"half done: {words(root)}")
            check(root, self.expected, rerun=self.again)
            count += outcome.fired
        return count


MOVES_SEVERAL_REFS = {
    "feedback-import": KILLS[0],
    "defect-join": ERRORS[0],
    "repair-verify": KILLS[0],
    "release-create": ERRORS[3],
}
"""The verbs that move several refs, and what each meets in every run of the tests, about when refs move."""


@pytest.mark.parametrize("name", MOVES_SEVERAL_REFS)
@in_slim_process
def test_faults_where_refs_move(fast_path: Path, name: str) -> None:
    world = World(name, fast_path / "world")
    step = max(1, world.operations // 5)
    assert world.loop(fast_path, MOVES_SEVERAL_REFS[name], step=step, first=world.operations - step)


@pytest.mark.soak
@pytest.mark.parametrize("fault", KILLS + ERRORS, ids=str)
@pytest.mark.parametrize("name", COMMANDS)
@in_slim_process
def test_faults_at_every_operation(fast_path: Path, name: str, fault: Fault) -> None:
    assert World(name, fast_path / "world").loop(fast_path, fault, step=1, first=1)


@pytest.mark.parametrize(
    "name",
    [each if each == "feedback-import" else pytest.param(each, marks=pytest.mark.soak) for each in COMMANDS],
)
@in_slim_process
def test_two_at_once(fast_path: Path, name: str) -> None:
    """Two processes do the same: together they come to what one comes to, and the other one says why not."""
    world = World(name, fast_path / "world")
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
