"""Scenarios for faults: small repositories in memory, commands, and what each makes of its repository."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dsvc.model.errors import DsvcError
from dsvc.model.ids import CommitId
from dsvc.model.manifest import MODE_DIRECTORY
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.state.values import Author
from dsvc.testing.checker import (
    Expected,
    FileState,
    check,
    commit_contents,
    opened,
    tree_state,
    unchanged,
)
from dsvc.testing.faults import BrokenPromiseError, Fault, points, tried
from dsvc.testing.image import Bench, Image
from dsvc.testing.lineage_checker import Provenance, provenance
from dsvc.testing.walk import Left, walk

AUTHOR = Author("Ada", "ada@example.org")
Command = Callable[[Repository], object]


def write(root: str | Path, files: dict[bytes, bytes]) -> None:
    for path, data in files.items():
        full = os.path.join(os.fsencode(str(root)), path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb") as file:
            file.write(data)


def commit_all(repo: Repository, message: str) -> CommitId:
    repo.add(all=True)
    return repo.commit(message).commit


def open_in(root: str) -> Repository:
    return Repository.open(root, author=AUTHOR, lock_timeout=5.0, vouches=lambda *_: True)


@contextmanager
def repository(root: str) -> Iterator[Repository]:
    repo = open_in(root)
    try:
        yield repo
    finally:
        repo.close()


def state(repo: Repository) -> tuple[Any, ...]:
    """What tells that a command is done: HEAD, staged state, files, runs and sources."""
    head = repo.history.refs.head()
    known = provenance(repo, head.commit)
    return head.branch, repo.head_root(head), repo.staged(head).root, tree_state(repo.root), known


@dataclass(kw_only=True)
class Scenario:
    """A repository before a command, and what the command makes of it."""

    command: Command
    image: Image
    commits: dict[CommitId, dict[bytes, bytes]]
    possible: list[dict[bytes, bytes]] = field(default_factory=list)
    before: dict[bytes, FileState]
    after: dict[bytes, FileState]
    end: tuple[Any, ...]
    provenance: tuple[Provenance, ...] = ()
    already: tuple[str, ...] = ()
    """Codes of errors that say that the command was done."""
    leaves_files: bool = False
    """Whether run again it may leave committed files of the version before, as untracked ones."""

    @classmethod
    def make(
        cls, folder: Path, prepare: Callable[[str], object], command: Command, already: tuple[str, ...] = ()
    ) -> Scenario:
        """Prepare a repository, run the command on a copy, and remember both."""
        first, second = str(folder / "before"), str(folder / "after")
        os.makedirs(first)
        prepare(first)
        image = Image(first)
        with repository(first) as repo:
            tips = list(repo.history.refs.list("refs/heads/").values())
            commits = {commit.id: commit_contents(repo, commit.id) for commit in repo.history.log(tips)}
            known = provenance(repo, repo.history.refs.head().commit)
        image.lay_out(second)
        with repository(second) as repo:
            command(repo)
            end = state(repo)
            head = repo.history.refs.head().commit
            possible = [] if head is None else [commit_contents(repo, head)]
        found = cls(
            command=command,
            image=image,
            commits=commits,
            possible=possible,
            before=tree_state(first),
            after=tree_state(second),
            end=end,
            provenance=(known, end[4]),
            already=already,
        )
        shutil.rmtree(first)
        shutil.rmtree(second)
        return found

    def run(self, root: str) -> None:
        """Run the command as a process of its own would."""
        self.command(open_in(root))

    def again(self, repo: Repository) -> None:
        """Run the command again; afterwards everything is as if it had never been interrupted."""
        repo = open_in(repo.root)
        try:
            self.command(repo)
        except DsvcError as error:
            if error.code not in self.already:
                raise
        with repository(repo.root) as fresh:
            self._compare_end(state(fresh))
        repo.backend.forget()

    def _compare_end(self, found: tuple[Any, ...]) -> None:
        if self.leaves_files:
            left = {
                path
                for path, now in found[3].items()
                if path not in self.end[3] and now in (self.before.get(path), (MODE_DIRECTORY, b""))
            }
            found = (*found[:3], {p: s for p, s in found[3].items() if p not in left}, found[4])
        for now, then in zip(found, self.end, strict=True):
            if now != then:
                raise BrokenPromiseError(f"run again, it comes to {now}, not to {then}")

    def expected(self) -> Expected:
        return Expected(
            commits=self.commits,
            possible=self.possible,
            files=unchanged(self.before, self.after),
            provenance=self.provenance,
        )

    def check(self, root: str) -> None:
        check(root, self.expected(), rerun=self.again)

    def walk(self, folder: Path, *, pieces: bool = False, step: int = 1) -> int:
        """Look at each state that a kill of the command leaves; returns at how many operations.

        Parameters
        ----------
        pieces : bool
            Whether writes are done half by half.
        step : int
            Of the states that differ, every how manieth is looked at; the others are not counted.
        """
        return look_at(walk(self.image, str(folder), self.run, pieces=pieces), folder, self.check, step)

    def loop(self, folder: Path, fault: Fault, *, step: int = 1, first: int = 1) -> int:
        """Try the fault at every operation, or at some and both ends; returns at how many."""
        count = 0
        ends = fault.kills and step > 1
        ran = points(self.image, str(folder), self.run, fault, step=step, first=first, ends=ends)
        for root, outcome in ran:
            if not outcome.fired:
                assert outcome.error is None
                with repository(root) as repo:
                    assert state(repo) == self.end
            self.check(root)
            count += outcome.fired
        return count


def look_at(found: Sequence[Left], folder: Path, check: Callable[[str], None], step: int = 1) -> int:
    """Check states that kills leave; returns how many operations left one of them.

    Parameters
    ----------
    step : int
        Of the states that differ, every how manieth is looked at; the others are not counted.
    """
    count, number, looked_at = 0, 0, False
    bench = Bench(str(folder / "looked-at"))
    for left in found:
        if left.image is not None:
            looked_at = number % step == 0
            number += 1
            if looked_at:
                bench.lay_out(left.image)
                check(bench.root)
        count += looked_at
    bench.close()
    # The last state is that of a command that ran through.
    tried("kill points", count - looked_at)
    return count


__all__ = ["AUTHOR", "Scenario", "commit_all", "look_at", "open_in", "opened", "repository", "state", "write"]
