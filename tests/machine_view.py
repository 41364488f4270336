"""What a user sees of the state machine's repository, and how that is compared with the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from dsvc.model.errors import DsvcError
from dsvc.model.ids import CommitId
from dsvc.model.manifest import MODE_DIRECTORY, MODE_EXECUTABLE, MODE_SYMLINK, Entry
from dsvc.porcelain.repository import Repository
from dsvc.store.materialize import read_content
from dsvc.testing.faults import BrokenPromiseError
from tests.plain_contents import Loose, brief
from tests.plain_repository import Commit, History, New, State, Tree, differing
from tests.porcelain.working import Work

STASH = "refs/dsvc/stash"
_OWN = ("refs/heads/", "refs/tags/", STASH)
"""Refs that the model knows one by one."""


class Seen(NamedTuple):
    """What a user sees of the repository."""

    branch: str | None
    detached: str | None
    refs: dict[str, str]
    staged: Tree
    tree: Tree
    operation: str | None
    conflicts: frozenset[bytes]


class View:
    """A repository, what the model says of its history, and what was done so far."""

    def __init__(self, folder: Path, known: History) -> None:
        self.work = Work(folder)
        self.history = known
        self.log: list[str] = []
        self.is_broken = False

    @property
    def repo(self) -> Repository:
        """The repository of this process."""
        return self.work.repo

    # What is there

    def see(self) -> Seen:
        """Everything, as another process sees it."""
        fresh = self.work.open()
        try:
            return self._look(fresh)
        except DsvcError as error:
            raise self.broken(f"it can't be read any more: {error.code}: {error}") from error
        finally:
            fresh.backend.forget()

    def _look(self, repo: Repository) -> Seen:
        head = repo.history.refs.head()
        status = repo.status(untracked="all")
        refs = {name: str(c) for name, c in repo.history.refs.list().items() if "/operations" not in name}
        # Of an annotated tag the commit that it leads to.
        refs |= {f"refs/tags/{each.name}": str(each.commit) for each in repo.tags()}
        return Seen(
            head.branch,
            str(head.commit) if head.branch is None and head.commit else None,
            refs,
            self._items(repo, repo.manifest(repo.staged(head).root).entries()),
            self.work.tree(),
            status.operation,
            frozenset(each.path for each in status.conflicts),
        )

    def _items(self, repo: Repository, entries: Any) -> Tree:
        return {entry.path: self.item(entry, repo) for entry in entries}

    def item(self, entry: Entry, repo: Repository | None = None) -> tuple[str, bytes]:
        """A stored file as a value of a tree."""
        kind = {MODE_DIRECTORY: "folder", MODE_EXECUTABLE: "exec", MODE_SYMLINK: "link"}.get(
            entry.mode, "file"
        )
        return kind, b"" if kind == "folder" else read_content((repo or self.repo).store, entry)

    def read_commit(self, id_: str) -> Commit:
        """A commit as it is stored."""
        found = self.repo.history.read_commit(CommitId(id_))
        tree = self._items(self.repo, self.repo.manifest(found.manifest).entries())
        return Commit(tuple(map(str, found.parents)), tree)

    # Comparing

    def bind(self, after: State, seen: Seen, free: Sequence[str] = ()) -> State | str:
        """The state with all that was left open filled in; a sentence where it is another one."""
        if seen.branch != after.branch:
            return f"HEAD is on {seen.branch}, not on {after.branch}"
        for name, then, now in (("staged", after.staged, seen.staged), ("tree", after.tree, seen.tree)):
            wrong = unlike(then, now)
            if wrong:
                return f"{name}: {self.compared(wrong, then, now)}"
        if (after.joining.verb if after.joining else None) != seen.operation:
            return f"in progress is {seen.operation}, not {after.joining and after.joining.verb}"
        joining = after.joining
        if joining is not None:
            may_be = joining.conflicts | (joining.vague or frozenset())
            if not joining.conflicts <= seen.conflicts <= may_be:
                return f"in conflict is {sorted(seen.conflicts)}, not {sorted(joining.conflicts)}"
            if joining.vague is not None:
                touched = frozenset(differing(joining.before, seen.staged))
                joining = replace(joining, touched=touched, conflicts=seen.conflicts, vague=None)
        found = self._bind_refs(after, seen, free)
        if isinstance(found, str):
            return found
        refs, detached = found
        return replace(
            after, refs=refs, detached=detached, staged=seen.staged, tree=seen.tree, joining=joining
        )

    @staticmethod
    def compared(wrong: set[bytes], then: Tree, now: Tree) -> str:
        """Name what is otherwise."""
        return ", ".join(
            f"{p.decode()} is {brief(p, now.get(p))}, not {brief(p, then.get(p))}" for p in sorted(wrong)
        )

    def _bind_refs(
        self, after: State, seen: Seen, free: Sequence[str]
    ) -> tuple[dict[str, str], str | None] | str:
        for name in after.refs.keys() | seen.refs.keys():
            then, now = after.refs.get(name), seen.refs.get(name)
            if name.startswith(tuple(free)) and (now is not None or not name.startswith(_OWN)):
                continue
            if not isinstance(then, New) and then != now:
                return f"{name} is at {now}, not at {then}"
        places = [(after.refs.get(name), value) for name, value in seen.refs.items()]
        for then, now in [*places, (after.detached, seen.detached)]:
            if isinstance(then, New):
                wrong = None if now is None else self._learn(then, now)
                if now is None or wrong:
                    return wrong or "a commit is missing"
        if not isinstance(after.detached, New) and after.detached != seen.detached:
            return f"HEAD is at {seen.detached}, not at {after.detached}"
        for name, id_ in seen.refs.items():
            if name.startswith("refs/heads/") and id_ not in self.history.commits:
                self.history.commits[id_] = self.read_commit(id_)
        return seen.refs, seen.detached

    def _learn(self, new: New, id_: str) -> str | None:
        """Take up a commit that a verb made; a sentence where it is another one."""
        made = self.read_commit(id_)
        if new.parents is not None and made.parents != new.parents:
            return f"the commit's parents are {made.parents}, not {new.parents}"
        wrong = unlike(new.tree, made.tree)
        if wrong:
            return f"in the commit {self.compared(wrong, new.tree, made.tree)}"
        if new.parents is not None:  # a stash is no version
            self.history.commits[id_] = made
        return None

    def bind_any(self, states: Sequence[State], seen: Seen, free: Sequence[str] = ()) -> State:
        """The first of some states that is what is there."""
        found = [self.bind(each, seen, free) for each in states]
        for each in found:
            if isinstance(each, State):
                return each
        raise self.broken(" / ".join(map(str, found)))

    def broken(self, what: str) -> BrokenPromiseError:
        """An error that says what came before."""
        self.is_broken = True
        return BrokenPromiseError(what + "\n  after: " + "\n    ".join(self.log[-30:]))


def fits(then: Any, now: Any) -> bool:
    """Whether a value is the expected one."""
    return then.accepts(now) if isinstance(then, Loose) else then == now


def unlike(then: Tree, now: Tree) -> set[bytes]:
    """Paths that are not as expected."""
    return {path for path in then.keys() | now.keys() if not fits(then.get(path), now.get(path))}
