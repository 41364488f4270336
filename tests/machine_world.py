"""The world of the state machine: a repository, the model of it, and verbs carried out on both, with crashes.

A rule says what a verb comes to (`Expected`); `World.do` carries it out, sometimes in a child that is killed
or fails at one of its writes, and compares all that a user sees with the model.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from dsvc.fs.failpoints import Plan
from dsvc.model.errors import DsvcError
from dsvc.porcelain.repository import Repository
from dsvc.testing.checker import check_caches, leftovers
from dsvc.testing.faults import Fault, run_in_child, tried
from tests.machine_view import Seen, View, fits, unlike
from tests.plain_contents import brief
from tests.plain_repository import Expected, History, State, Tree, differing

Call = Callable[[Repository], object]


class Done(NamedTuple):
    """An operation that can be undone."""

    id: str
    before: State
    after: State
    undone: Done | None = None
    """What it took back, where it is an undo itself."""


class World(View):
    """A repository in a folder, and what the model says of it."""

    def __init__(self, folder: Path, known: History, state: State) -> None:
        super().__init__(folder, known)
        self.state = state
        self.done: list[Done] = []
        self.fault: tuple[Fault, int] | None = None
        self.taken_back: Done | None = None
        """The undo that was made last."""

    @property
    def head(self) -> Tree:
        """What HEAD's commit holds, by the model."""
        return self.history.tree(self.state.commit)

    # Files outside the tree

    def evidence(self, kind: str) -> str:
        """A file that speaks for a source."""
        path = f"{self.work.folder}-{kind}"
        with open(path, "w") as file:
            file.write("CC-BY-4.0\n")
        return path

    def result(self, lines: str) -> str:
        """A file of an evaluation."""
        path = f"{self.work.folder}-{len(self.log)}.jsonl"
        with open(path, "w") as file:
            file.write(lines)
        return path

    # Doing

    def do(
        self,
        what: str,
        expected: Expected,
        call: Call,
        *,
        again: bool = True,
        already: Sequence[str] = (),
        free: Sequence[str] = (),
    ) -> bool:
        """Carry a verb out, and hold what is there then against the model.

        Parameters
        ----------
        again : bool
            Whether the verb may be run again where its refs have moved before it was interrupted.
        already : sequence of str
            Codes of errors that say that it was done.
        free : sequence of str
            Beginnings of refs that it may move.

        Returns
        -------
        bool
            Whether it was carried out.
        """
        tried("machine steps")
        self.log.append(what)
        last = self._newest()
        if self.fault is not None:
            fault, self.fault = self.fault, None
            self.log[-1] += f"  with {fault[0].action.value} at {fault[1]}"
            if self._with_fault(fault, expected, call, again, free):
                return True
            done = self._run(expected, call, free, already, begun=True)
            self.done.clear()
            return done
        before = self.state
        done = self._run(expected, call, free)
        if done:
            self._remember(before, last)
        return done

    def _run(
        self,
        expected: Expected,
        call: Call,
        free: Sequence[str],
        already: Sequence[str] = (),
        *,
        begun: bool = False,
    ) -> bool:
        """Carry it out here; `begun`: a fault interrupted it before."""
        code = None
        try:
            call(self.repo)
        except DsvcError as raised:
            code, said = raised.code, raised
            self.log[-1] += f"  -> {code}"
        seen = self.see()
        between = [replace(self.state, staged=seen.staged, tree=seen.tree)] if begun else [self.state]
        refusable = code is not None and (code in expected.codes or "*" in expected.codes)
        if code is None or (begun and expected.after and code in already):
            if not expected.after:
                wrong = self.compared(unlike(self.state.staged, seen.staged), self.state.staged, seen.staged)
                wrong += " | " + self.compared(unlike(self.state.tree, seen.tree), self.state.tree, seen.tree)
                raise self.broken(
                    f"done, and not refused as {sorted(expected.codes)}: {seen.operation} {wrong}"
                )
            self.state = self.bind_any([*expected.after, *(between if refusable else ())], seen, free)
            return not refusable
        if not refusable:
            raise self.broken(f"refused: {code}: {said}") from said
        if not expected.after:
            between = [self.state]
        # Where it was begun, each path is in one of its states, which was checked.
        self.state = self.bind_any([*between, *(expected.after if begun else ())], seen, free)
        return False

    def _with_fault(
        self, fault: tuple[Fault, int], expected: Expected, call: Call, again: bool, free: Sequence[str]
    ) -> bool:
        """Run it in a child with a fault; returns whether it is done then."""
        kind, at = fault
        outcome = run_in_child(
            lambda: call(self.work.open()), Plan(action=kind.action, at=at, persistent=kind.persistent)
        )
        tried(kind.kind, int(outcome.fired))
        self.repo.backend.forget()
        self.work.reopen()
        seen = self.see()
        possible = [self.state, *expected.after]
        if not any(self._refs_are(each, seen, free) for each in possible):
            raise self.broken(f"a fault leaves refs {seen.refs} and HEAD on {seen.branch} {seen.detached}")
        self._check_between(possible, seen)
        moved = not self._refs_are(self.state, seen, free)
        if moved and not again:
            self._adopt(expected, seen, free)
            return True
        # What was only half written is the verb's own, which is run again.
        return False

    def _refs_are(self, state: State, seen: Seen, free: Sequence[str]) -> bool:
        return seen.branch == state.branch and not isinstance(self._bind_refs(state, seen, free), str)

    def _check_between(self, possible: Sequence[State], seen: Seen) -> None:
        """Staged is what was or will be; of the tree each path is."""
        if all(unlike(each.staged, seen.staged) for each in possible):
            wrong = unlike(self.state.staged, seen.staged)
            raise self.broken(
                f"a fault leaves staged: {self.compared(wrong, self.state.staged, seen.staged)}"
            )
        for path in set().union(seen.tree, *(each.tree for each in possible)):
            allowed = [each.tree.get(path) for each in possible]
            found = seen.tree.get(path)
            if found == ("folder", b"") or any(fits(each, found) for each in allowed):
                continue
            raise self.broken(f"a fault leaves {path.decode()} as {brief(path, found)}")

    def _adopt(self, expected: Expected, seen: Seen, free: Sequence[str]) -> None:
        """Go on from a verb whose refs have moved, and that must not be run twice."""
        for each in expected.after:
            bound = self._bind_refs(each, seen, free)
            if seen.branch == each.branch and not isinstance(bound, str):
                joining = each.joining if seen.operation else None
                self.state = replace(
                    each,
                    refs=bound[0],
                    detached=bound[1],
                    staged=seen.staged,
                    tree=seen.tree,
                    joining=joining,
                )
                self.done.clear()
                return

    # What must hold

    def check_status(self) -> None:
        """Status tells what differs between HEAD, the staged state and the tree."""
        status, state = self.repo.status(untracked="all"), self.state
        in_conflict = state.joining.conflicts if state.joining else frozenset()
        unstaged = {p for p in differing(state.staged, state.tree) if p in state.staged and state.holds(p)}
        for name, found, then in (
            ("staged", status.staged, differing(self.head, state.staged)),
            ("unstaged", status.unstaged, unstaged),
            ("untracked", status.untracked, state.tree.keys() - state.staged.keys()),
        ):
            told = {p for each in found for p in (each.path, each.old_path) if p is not None}
            # What is in conflict is listed as that.
            if told - in_conflict != then - in_conflict:
                raise self.broken(f"status calls {sorted(told)} {name}, not {sorted(then)}")

    def check_end(self) -> None:
        """The whole history reads back; checks, collection and cleared caches change nothing."""
        self.bind_any([self.state], self.see())
        check_caches(str(self.work.folder))
        self.work.reopen()
        self.repo.gc(grace_seconds=0)
        found = self.repo.fsck(read_data=True)
        # This process goes on, and may have files of its own.
        left = [path for path in leftovers(str(self.work.folder)) if f"-{os.getpid()}-" not in path]
        if left or not found.ok:
            raise self.broken(f"gc leaves {left}, fsck finds {found.defects}")
        for id_ in self.reachable():
            if self.read_commit(id_) != self.history.commits[id_]:
                raise self.broken(f"commit {id_} reads back otherwise")
        self.bind_any([self.state], self.see())

    def reachable(self) -> set[str]:
        """Commits that a branch or HEAD leads to."""
        tips = [c for n, c in self.state.refs.items() if n.startswith("refs/heads/")]
        return set().union(*(self.history.ancestors(tip) for tip in [*tips, self.state.commit]))

    # Operations

    def _newest(self) -> str | None:
        return next((str(each.id) for each in self.repo.history.operations), None)

    def _remember(self, before: State, last: str | None) -> None:
        """Keep what can be undone; each change has to be an operation."""
        made = []
        for each in self.repo.history.operations:
            if str(each.id) == last:
                break
            made.append(str(each.id))
        if not made and before != self.state and before.sparse == self.state.sparse:
            raise self.broken("it changed something, and is no operation")
        if len(made) > 1:
            self.done.clear()
        elif made:
            self.done.append(Done(made[0], before, self.state))

    def undone(self, last: Done, before: State, count: int) -> None:
        """Take an operation from those that can be undone; right after it, its undo can be undone itself."""
        made = self.done[-1] if len(self.done) > count else None
        if self.done:
            del self.done[count - 1 :]
            if last.undone is not None:
                self.done.append(last.undone)
            self.taken_back = None if made is None else Done(made.id, before, self.state, last)
