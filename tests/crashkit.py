"""Scripts of commands whose writes are recorded, and what must hold for each state that a crash may leave."""

from __future__ import annotations

import os
import pickle
import random
import shutil
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsvc.model.errors import DsvcError
from dsvc.model.ids import CommitId, NodeId
from dsvc.model.manifest import MODE_DIRECTORY
from dsvc.porcelain.repository import Repository
from dsvc.store.manifest_tree import EMPTY_ROOT
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
from dsvc.testing.crash_states import Disk, Order, Tree, fingerprint, lay_out
from dsvc.testing.faults import BrokenPromiseError, Image, tried
from dsvc.testing.lineage_checker import Provenance, provenance
from dsvc.testing.write_log import Step, begin, recorded
from tests.faultkit import commit_all, repository

_REFUSALS = {1, 2, 13, 14, 15, 16, 20, 21, 22, 23}
"""Exit codes of a command that has nothing to do, or refuses to; damage and locks are none of them."""
Edit = Callable[[str], None]
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


@dataclass(frozen=True)
class Recording:
    """A script that ran: the steps up to its last command, those of that, and what was seen on both sides."""

    before: Sequence[Step]
    last: Sequence[Step]
    seen: Sequence[Seen]
    refused: bool
    ran: Verb


def record(
    image: Image | None,
    folder: Path,
    script: Sequence[tuple[Edit | None, Verb]],
    look: Callable[[str], Any] = Seen.of,
) -> Recording:
    """Run a script in a process of its own, as its commands would, and record its writes.

    `image` is what is there before, None for nothing. Each command comes after an edit by the user.
    """
    root, copy = str(folder / "recorded"), str(folder / "seen")
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(reader)
            with open(writer, "wb") as pipe:
                pickle.dump(_play(image, root, copy, script, look), pipe)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writer)
    with open(reader, "rb") as pipe:
        data = pipe.read()
    _, status = os.waitpid(pid, 0)
    assert status == 0, "the script can't be recorded"
    shutil.rmtree(root)
    steps, start, seen, refused = pickle.loads(data)
    return Recording(steps[:start], steps[start:], seen, refused, script[-1][1])


def _play(
    image: Image | None,
    root: str,
    copy: str,
    script: Sequence[tuple[Edit | None, Verb]],
    look: Callable[[str], Any],
) -> tuple[list[Step], int, list[Seen], bool]:
    if image is None:
        os.mkdir(root)
    else:
        image.lay_out(root)
    log = begin(root)
    seen = []
    start, refused = 0, False
    for edit, command in script:
        if edit is not None:
            edit(root)
        log.settle()
        seen.append(_on_copy(root, copy, look))
        start = len(log.steps)
        with recorded(log):
            refused = False
            try:
                command(root)
            except DsvcError as error:
                refused = True
                if error.exit_code not in _REFUSALS:
                    raise
    seen.append(_on_copy(root, copy, look))
    return log.steps, start, seen, refused


def _on_copy(root: str, copy: str, look: Callable[[str], Any]) -> Any:
    """What is seen on a copy: to look leaves caches."""
    Image(root).lay_out(copy)
    try:
        return look(copy)
    finally:
        shutil.rmtree(copy)


class Crashes:
    """Tries the states that crashes in the last command of a recorded script may leave.

    `thorough` looks at each state in every way; else fsck and caches, gc, or going on are tried.
    `also` is told the folder and whether the command had returned, and checks more.
    """

    def __init__(
        self,
        recording: Recording,
        folder: Path,
        *,
        order: Order,
        seed: str,
        thorough: bool = False,
        also: Callable[[str, bool], None] | None = None,
    ) -> None:
        self._recording = recording
        self._root = str(folder / "state")
        self._order = order
        self._rng = random.Random(seed)
        self._thorough = thorough
        self._also = also

    def states(self, cap: int, *, flushes: bool = True) -> list[tuple[Tree, bool]]:
        """About `cap` states, none twice, over all moments; each with whether the command had returned."""
        disk = Disk(self._order, flushes=flushes)
        for step in self._recording.before:
            disk.take(step)
        found: dict[tuple[int, bool], tuple[Tree, bool]] = {}
        steps = self._recording.last
        share = cap * 1.5 / (len(steps) + 1)
        for number in range(len(steps) + 1):
            returned = number == len(steps)
            limit = max(4, cap // 5) if returned else int(share) + (self._rng.random() < share % 1)
            for tree in disk.states(self._rng, limit):
                found.setdefault((fingerprint(tree), returned), (tree, returned))
            if not returned:
                disk.take(steps[number])
        states = list(found.values())
        rest = [each for each in states if not each[1]]
        ends = [each for each in states if each[1]]
        return ends + self._rng.sample(rest, max(0, min(cap - len(ends), len(rest))))

    def run(self, cap: int, *, flushes: bool = True) -> int:
        """Check about `cap` states; returns how many."""
        chosen = self.states(cap, flushes=flushes)
        for tree, returned in chosen:
            lay_out(tree, self._root)
            try:
                self._check(returned)
            except BrokenPromiseError as error:
                error.add_note(f"returned: {returned}, state: {self._differences(tree)}")
                raise
            tried("disk states")
        return len(chosen)

    def _differences(self, tree: Tree) -> list[str]:
        """What a state has other than the folder at the end, for whoever looks for the cause."""
        disk = Disk(self._order)
        for step in (*self._recording.before, *self._recording.last):
            disk.take(step)
        end = next(disk.states(self._rng))
        paths = sorted(
            p for p in tree.keys() | end.keys() if tree.get(p) != end.get(p) or (p in tree) != (p in end)
        )
        return [f"{p}: {tree.get(p, 'absent')!r:.200} / {end.get(p, 'absent')!r:.200}" for p in paths]

    def _check(self, returned: bool) -> None:
        before, after = self._recording.seen[-2:]
        self._check_files(before, after)
        if (
            not before.exists
            and not returned
            and not os.path.exists(os.path.join(self._root, ".dsvc/config"))
        ):
            self._go_on()
            return
        commits = {**before.commits, **(after.commits if returned else {})}
        expected = Expected(
            commits=commits,
            possible=[] if returned else list(after.commits.values()),
            provenance=(after.provenance,) if returned else (before.provenance, after.provenance),
        )
        with repository(self._root) as repo:
            self._check_refs(repo, before, after, returned)
            self._check_dirty(repo, before, after)
            check_history(repo, expected)
        if self._also is not None:
            self._also(self._root, returned)
        way = self._rng.randrange(4)
        if way in (0, 3) or self._thorough:
            with repository(self._root) as repo:
                check_fsck(repo)
        if way == 0 or self._thorough:
            check_caches(self._root)
        if way == 1 or self._thorough:
            with repository(self._root) as repo:
                check_nothing_left(repo)
                check_history(repo, expected)
        if way == 2 or self._thorough:
            self._go_on()
            with repository(self._root) as repo:
                if any(commit_contents(repo, commit) != commits[commit] for commit in commits):
                    raise BrokenPromiseError("after going on an acknowledged commit has other content")

    def _check_files(self, before: Seen, after: Seen) -> None:
        """What no command of the script wrote or removed is as it was."""
        touched = {
            path
            for one, other in zip(self._recording.seen, self._recording.seen[1:], strict=False)
            for path in one.files.keys() | other.files.keys()
            if one.files.get(path) != other.files.get(path)
        }
        found = tree_state(self._root)
        for path, state in before.files.items():
            if path not in touched and after.files.get(path) == state and found.get(path) != state:
                raise BrokenPromiseError(f"the user's file {path!r} is {found.get(path)}")
        for path in found.keys() - before.files.keys() - after.files.keys() - touched:
            if found[path] != (MODE_DIRECTORY, b""):
                raise BrokenPromiseError(f"nobody made {path!r}")

    def _check_refs(self, repo: Repository, before: Seen, after: Seen, returned: bool) -> None:
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
        if not returned and after.head != before.head and head.commit == after.head[1]:
            # Where HEAD moves, what is staged follows.
            known.add(bytes(repo.head_root(head)))
        if staged not in known:
            raise BrokenPromiseError(
                "what is staged is neither what was before nor what is after the command"
            )

    def _check_dirty(self, repo: Repository, before: Seen, after: Seen) -> None:
        """What was nowhere but in the tree is there still, or an operation keeps it."""
        now = tree_state(self._root)
        gone = {
            state[1]
            for path, state in _only_in_tree(before).items()
            if after.files.get(path) != state and now.get(path) != state
        }
        if gone and not gone <= _kept(repo):
            raise BrokenPromiseError(
                f"work is nowhere any more: {[each[:40] for each in gone - _kept(repo)]}"
            )

    def _go_on(self) -> None:
        """The command again, and a commit: no step by hand is needed for either."""
        for command in (self._recording.ran, _commit_what_there_is):
            try:
                command(self._root)
            except DsvcError as error:
                if error.exit_code not in _REFUSALS:
                    raise BrokenPromiseError(f"after it: {error.code}: {error}") from error


def _commit_what_there_is(root: str) -> object:
    with repository(root) as repo:
        return commit_all(repo, "after the crash")


def _only_in_tree(seen: Seen) -> dict[bytes, FileState]:
    """Files with content that no commit has."""
    committed = {data for contents in seen.commits.values() for data in contents.values()}
    return {path: state for path, state in seen.files.items() if state[1] and state[1] not in committed}


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


def _content(repo: Repository, entry: Any) -> bytes:
    from dsvc.store.materialize import read_content

    return read_content(repo.store, entry)
