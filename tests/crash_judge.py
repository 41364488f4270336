"""What must hold for a repository where a command was cut off, told from what it showed before and after."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dsvc.model.errors import DsvcError
from dsvc.model.ids import CommitId, NodeId
from dsvc.model.manifest import MODE_DIRECTORY, Entry
from dsvc.porcelain.repository import Repository
from dsvc.store.manifest_tree import EMPTY_ROOT
from dsvc.store.materialize import read_content
from dsvc.testing.checker import (
    Expected,
    FileState,
    check_caches,
    check_fsck,
    check_history,
    check_nothing_left,
    commit_contents,
    tree_state,
)
from dsvc.testing.faults import BrokenPromiseError
from dsvc.testing.lineage_checker import Provenance, provenance
from tests.faultkit import commit_all, repository

REFUSALS = {1, 2, 13, 14, 15, 16, 20, 21, 22, 23}
"""Exit codes of a command that has nothing to do, or refuses to; damage and locks are none of them."""
Verb = Callable[[str], object]
"""A command, given the folder: as a process of its own runs it."""


@dataclass(frozen=True)
class Seen:
    """What a repository shows; nothing where there is none yet."""

    exists: bool
    refs: Mapping[str, CommitId]
    head: tuple[str | None, CommitId | None]
    staged: bytes
    commits: Mapping[CommitId, Mapping[bytes, bytes]]
    files: Mapping[bytes, FileState]
    provenance: Provenance

    @classmethod
    def of(cls, root: str) -> Seen:
        if not os.path.exists(os.path.join(root, ".dsvc/config")):
            nothing = Provenance(frozenset(), frozenset(), frozenset())
            return cls(False, {}, ("refs/heads/main", None), bytes(EMPTY_ROOT), {}, tree_state(root), nothing)
        with repository(root) as repo:
            refs = {name: tip for kind in ("heads", "tags") for name, tip in _refs(repo, kind)}
            head = repo.history.refs.head()
            tips = [tip for name, tip in refs.items() if name.startswith("refs/heads/")]
            commits = {each.id: commit_contents(repo, each.id) for each in repo.history.log(tips)}
            return cls(
                exists=True,
                refs=refs,
                head=(head.branch, head.commit),
                staged=bytes(repo.staged(head).root),
                commits=commits,
                files=tree_state(root),
                provenance=provenance(repo, head.commit),
            )


def _refs(repo: Repository, kind: str) -> Iterable[tuple[str, CommitId]]:
    return repo.history.refs.list(f"refs/{kind}/").items()


class Judge:
    """Looks at folders in which the last of some commands was cut off, or returned.

    At each one what was acknowledged is read, and refs, staged state, provenance and files are as before or
    as after. Besides, by turns, fsck and caches, gc, or going on are tried.

    Parameters
    ----------
    seen : sequence of Seen
        What was seen before the first command and after each; the last two are those around the last one.
    ran : callable
        The last command.
    seed : str
        Chooses what is tried besides.
    besides : int
        At one of how many states something is tried besides; 0 for everything at each.
    also : callable or None
        Is told the folder and whether the command had returned, and checks more.
    """

    def __init__(
        self,
        seen: Sequence[Seen],
        ran: Verb,
        *,
        seed: str,
        besides: int = 1,
        also: Callable[[str, bool], None] | None = None,
    ) -> None:
        self._before, self._after = seen[-2:]
        self._ran = ran
        self._rng = random.Random(seed)
        self._besides = besides
        self._also = also
        self._touched = {
            path
            for one, other in itertools.pairwise(seen)
            for path in one.files.keys() | other.files.keys()
            if one.files.get(path) != other.files.get(path)
        }
        self._work = _only_in_tree(self._before)

    def look(self, root: str, returned: bool) -> None:
        """Check one folder, which is used up by it.

        Raises
        ------
        BrokenPromiseError
            If a promise is broken.
        """
        before, after = self._before, self._after
        found = tree_state(root)
        self._check_files(found)
        if not before.exists and not returned and not os.path.exists(os.path.join(root, ".dsvc/config")):
            self._go_on(root)
            return
        commits = {**before.commits, **(after.commits if returned else {})}
        expected = Expected(
            commits=commits,
            possible=[] if returned else list(after.commits.values()),
            provenance=(after.provenance,) if returned else (before.provenance, after.provenance),
        )
        with repository(root) as repo:
            self._check_refs(repo, returned)
            self._check_dirty(repo, found)
            check_history(repo, expected)
        if self._also is not None:
            self._also(root, returned)
        self._try_besides(root, expected)

    def _try_besides(self, root: str, expected: Expected) -> None:
        thorough = self._besides == 0
        if not thorough and self._rng.randrange(self._besides):
            return
        way = self._rng.randrange(4)
        if way in (0, 3) or thorough:
            with repository(root) as repo:
                check_fsck(repo)
        if way == 0 or thorough:
            check_caches(root)
        if way == 1 or thorough:
            with repository(root) as repo:
                check_nothing_left(repo)
                check_history(repo, expected)
        if way == 2 or thorough:
            self._go_on(root)
            commits = expected.commits
            with repository(root) as repo:
                if any(commit_contents(repo, commit) != commits[commit] for commit in commits):
                    raise BrokenPromiseError("after going on an acknowledged commit has other content")

    def _check_files(self, found: Mapping[bytes, FileState]) -> None:
        """What no command of the script wrote or removed is as it was."""
        before, after = self._before.files, self._after.files
        for path, state in before.items():
            if path not in self._touched and after.get(path) == state and found.get(path) != state:
                raise BrokenPromiseError(f"the user's file {path!r} is {found.get(path)}")
        for path in found.keys() - before.keys() - after.keys() - self._touched:
            if found[path] != (MODE_DIRECTORY, b""):
                raise BrokenPromiseError(f"nobody made {path!r}")

    def _check_refs(self, repo: Repository, returned: bool) -> None:
        before, after = self._before, self._after
        refs = {name: tip for kind in ("heads", "tags") for name, tip in _refs(repo, kind)}
        head = repo.history.refs.head()
        staged = bytes(repo.staged(head).root)
        allowed = [after] if returned else [before, after]
        for name in refs.keys() | before.refs.keys() | after.refs.keys():
            if refs.get(name) not in [each.refs.get(name) for each in allowed]:
                raise BrokenPromiseError(f"{name} is at {refs.get(name)}")
        if (head.branch, head.commit) not in [each.head for each in allowed]:
            raise BrokenPromiseError(f"HEAD is {head}")
        known = {each.staged for each in allowed}
        moved = not returned and after.head != before.head and head.commit == after.head[1]
        if moved:
            # Where HEAD moves, what is staged follows.
            known.add(bytes(repo.head_root(head)))
        if staged not in known and not (moved and self._followed(repo, head.commit)):
            raise BrokenPromiseError(
                "what is staged is neither what was before nor what is after the command"
            )

    def _followed(self, repo: Repository, now: CommitId | None) -> bool:
        """Whether what was staged over the commit before is now staged over this one, and nothing else."""
        base, onto = (
            {} if commit is None else _entries(repo, repo.history.read_commit(commit).manifest)
            for commit in (self._before.head[1], now)
        )
        was = _entries(repo, NodeId(self._before.staged))
        changed = {path for path in base.keys() | was.keys() if base.get(path) != was.get(path)}
        wanted = {**onto, **{path: was[path] for path in changed & was.keys()}}
        for path in changed - was.keys():
            wanted.pop(path, None)
        return _entries(repo, repo.staged().root) == wanted

    def _check_dirty(self, repo: Repository, now: Mapping[bytes, FileState]) -> None:
        """What was nowhere but in the tree is there still, or an operation keeps it."""
        gone = {
            state[1]
            for path, state in self._work.items()
            if self._after.files.get(path) != state and now.get(path) != state
        }
        if gone and not gone <= _kept(repo):
            raise BrokenPromiseError(
                f"work is nowhere any more: {[each[:40] for each in gone - _kept(repo)]}"
            )

    def _go_on(self, root: str) -> None:
        """The command again, and a commit: no step by hand is needed for either."""
        for command in (self._ran, _commit_what_there_is):
            try:
                command(root)
            except DsvcError as error:
                if error.exit_code not in REFUSALS:
                    raise BrokenPromiseError(f"after it: {error.code}: {error}") from error


def _commit_what_there_is(root: str) -> object:
    with repository(root) as repo:
        return commit_all(repo, "after the crash")


def _only_in_tree(seen: Seen) -> dict[bytes, FileState]:
    """Files with content that no commit has."""
    committed = {data for contents in seen.commits.values() for data in contents.values()}
    return {path: state for path, state in seen.files.items() if state[1] and state[1] not in committed}


def _entries(repo: Repository, root: NodeId) -> dict[bytes, Entry]:
    return {entry.path: entry for entry in repo.manifest(root).entries()}


def _kept(repo: Repository) -> set[bytes]:
    """Content that operations keep: what they discarded, and what was staged."""
    found: set[bytes] = set()
    roots: set[Any] = {repo.staged(repo.history.refs.head()).root}
    for operation in repo.operations():
        kept = (operation.discarded, operation.staged_before, operation.staged_after)
        roots |= {NodeId.parse(each) for each in kept if each is not None}
    stash = repo.history.refs.get("refs/dsvc/stash")
    if stash is not None:
        roots.add(repo.history.read_commit(stash).manifest)
    for root in roots - {EMPTY_ROOT}:
        manifest = repo.manifest(root)
        found |= {_content(repo, entry) for entry in manifest.entries() if entry.mode != MODE_DIRECTORY}
    return found


def _content(repo: Repository, entry: Entry) -> bytes:
    return read_content(repo.store, entry)
