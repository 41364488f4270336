"""A repository before a verb on evaluations, defects, repairs or releases, and what the verb makes of it."""

from __future__ import annotations

import os
from pathlib import Path

from dsvc.model.errors import DsvcError
from dsvc.porcelain.repository import Repository
from dsvc.testing.checker import Expected, check, commit_contents, tree_state, unchanged
from dsvc.testing.faults import BrokenPromiseError, Fault, count_operations, points
from dsvc.testing.image import Image
from dsvc.testing.walk import walk
from tests.faultkit import look_at, open_in, repository
from tests.loop_scenarios import COMMANDS, words


class World:
    """One of `tests.loop_scenarios.COMMANDS`, carried out once in a folder."""

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

    def check(self, root: str) -> None:
        """Everything is as before the verb or as after it, and it can be run again."""
        if words(root) not in (self.before, self.after):
            raise BrokenPromiseError(f"half done: {words(root)}")
        check(root, self.expected, rerun=self.again)

    def walk(self, folder: Path, *, pieces: bool = False, step: int = 1) -> int:
        """Look at each state that a kill leaves, as `tests.faultkit.Scenario.walk` does."""
        return look_at(walk(self.image, str(folder), self.run, pieces=pieces), folder, self.check, step)

    def loop(self, folder: Path, fault: Fault, *, step: int, first: int) -> int:
        """Try the fault at every operation, or at some; returns at how many."""
        count = 0
        for root, outcome in points(self.image, str(folder), self.run, fault, step=step, first=first):
            self.check(root)
            count += outcome.fired
        return count


_made: dict[str, World] = {}


def make(name: str, folder: Path) -> World:
    """A world, prepared in a folder that is made for it; once in each process, since none is changed."""
    if name not in _made:
        _made[name] = World(name, folder)
    return _made[name]
