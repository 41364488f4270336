"""stash: put staged and unstaged changes away, and bring them back.

``refs/dsvc/stash`` names the newest stash: a commit of what the working tree held, whose parents are HEAD's
commit, a commit of what was staged, and the stash before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from dsvc.diff.manifest_diff import diff_manifests
from dsvc.fs.beneath import Beneath
from dsvc.history.commit_codec import Commit
from dsvc.history.history import Prepared
from dsvc.history.ref_name import HEADS
from dsvc.history.refs import Head, RefChange
from dsvc.model.errors import NotFoundError, UsageError
from dsvc.model.ids import CommitId, NodeId
from dsvc.model.manifest import Entry
from dsvc.model.run_record import RunId
from dsvc.porcelain.runs.verb_runs import record_made
from dsvc.porcelain.state.staging import Staged
from dsvc.porcelain.state.values import LogEntry, MergeOutcome
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tree import merge_state
from dsvc.porcelain.tree.merge_state import MergeState
from dsvc.porcelain.tree.mirror import Mirror
from dsvc.porcelain.tree.safekeeping import store_file
from dsvc.porcelain.tree.status import scan_tree
from dsvc.porcelain.tree.tree_look import Transition
from dsvc.porcelain.tree.tree_update import TreeUpdate
from dsvc.porcelain.versions.checkout import SwitchPlan, refusal
from dsvc.porcelain.versions.join import (
    checked_update,
    found_in_place,
    leave_conflicts,
    refuse_second,
)
from dsvc.porcelain.versions.three_way import Names, merge_roots

REF: Final = "refs/dsvc/stash"
STAGED: Final = "Dsvc-Stash-Staged"
"""Trailer of a stash: manifest of what was staged, in hex."""


class _Stash(NamedTuple):
    """A stash taken apart."""

    commit: Commit
    base: NodeId
    staged: NodeId
    before: CommitId | None


def push(repo: Workspace, message: str | None = None) -> CommitId | None:
    """Put away what is staged, and changes of tracked files; the tree is as HEAD then.

    Untracked files stay.

    Returns
    -------
    CommitId or None
        The stash; None where there was nothing to put away.

    Raises
    ------
    UsageError
        If there is no commit yet.
    WouldOverwriteError
        If a merge is in progress, or an untracked file stands where a removed one goes.
    """
    with repo.changing():
        head = repo.history.refs.head()
        state = merge_state.current(repo)
        if head.commit is None:
            raise UsageError("there is no commit yet to go back to", hint="dsvc commit makes one")
        if state is not None:
            raise merge_state.in_progress(state.verb)
        staged = repo.staged(head)
        held = _worktree(repo, staged)
        if held == staged.root == staged.base_root:
            return None
        update = _back_to_head(repo, staged, held)
        before = repo.history.refs.get(REF)
        index, made = _commits(repo, head, staged, held, message, before)
        repo.store.publish()
        mirror = Mirror(repo, staged.root)
        # The stash first: a kill then leaves changes twice, never nowhere.
        repo.record(
            "stash",
            arguments=[] if message is None else [message],
            changes=[RefChange(REF, before, made.id)],
            objects=[*index.objects, *made.objects],
            before=staged.root,
            after=staged.base_root,
            tree=(held, staged.base_root),
        )
        update.apply()
        repo.staging.save(Staged(staged.base_commit, staged.base_root, staged.base_root))
        mirror.follow(staged.base_root, written={t.path for t in update.transitions})
        return made.id


def _back_to_head(repo: Workspace, staged: Staged, held: NodeId) -> TreeUpdate:
    sparse = repo.sparse
    changes = diff_manifests(repo.manifest(held), repo.manifest(staged.base_root))
    update = TreeUpdate(repo, [Transition(c.path, c.old, c.new) for c in changes if sparse.includes(c.path)])
    obstacles = update.obstacles()
    if obstacles:
        raise refusal(obstacles)
    return update


def _worktree(repo: Workspace, staged: Staged) -> NodeId:
    """Store what tracked files hold now; returns the manifest of it."""
    found = scan_tree(repo, staged, [], untracked="no", locked=True)
    tracked = repo.manifest(staged.root)
    changes: dict[bytes, Entry | None] = dict.fromkeys(found.missing)
    with Beneath(repo.root) as tree:
        for path, _, _ in found.changed:
            changes[path] = store_file(repo.store, tree, path, tracked.get(path))
    return tracked.update(sorted(changes.items())) if changes else staged.root


def _commits(
    repo: Workspace, head: Head, staged: Staged, held: NodeId, message: str | None, before: CommitId | None
) -> tuple[Prepared, Prepared]:
    """Prepare the commit of what was staged, and the stash itself."""
    assert head.commit is not None
    commit = repo.history.read_commit(head.commit)
    place = head.branch.removeprefix(HEADS) if head.branch else "(no branch)"
    at = f"{place}: {head.commit[:8]} {(commit.message.splitlines() or [''])[0]}"
    title = f"On {place}: {message}" if message else f"WIP on {at}"
    who = repo.signature()

    def prepare(root: NodeId, text: str, parents: list[CommitId]) -> Prepared:
        files, size = repo.manifest(root).totals()
        return repo.history.commit(
            parents=parents,
            manifest=root,
            files=files,
            bytes=size,
            message=text,
            author=who,
            committer=who,
            trailers=[(STAGED, staged.root.hex())],
        )

    index = prepare(staged.root, f"index on {at}", [head.commit])
    chain = [head.commit, index.id, *([] if before is None else [before])]
    return index, prepare(held, title, chain)


def _read(repo: Workspace, id_: CommitId) -> _Stash:
    commit = repo.history.read_commit(id_)
    staged = dict(commit.trailers).get(STAGED)
    if len(commit.parents) not in (2, 3) or staged is None:
        raise NotFoundError(f"{id_[:12]} is no stash", details={"commit": str(id_)})
    base = repo.history.read_commit(commit.parents[0]).manifest
    before = commit.parents[2] if len(commit.parents) == 3 else None
    return _Stash(commit, base, NodeId.parse(staged), before)


def _newest(repo: Workspace) -> _Stash:
    newest = repo.history.refs.get(REF)
    if newest is None:
        raise NotFoundError("there is no stash", hint="dsvc stash puts changes away")
    return _read(repo, newest)


def pop(repo: Workspace) -> MergeOutcome:
    """Bring the newest stash back by a three-way merge; with conflicts the stash is kept.

    What was staged then is staged again; where that doesn't merge, all that the stash brings is staged.

    Raises
    ------
    NotFoundError
        If there is no stash.
    WouldOverwriteError
        If uncommitted work is in the way, or a merge is in progress; nothing was changed.
    """
    with repo.changing():
        head = repo.history.refs.head()
        staged = repo.staged(head)
        stash = _newest(repo)
        refuse_second(repo, "stash pop", stash.commit.id, staged)
        names = Names("HEAD", "stash base", "stash")
        merged = merge_roots(repo, stash.base, staged.base_root, stash.commit.manifest, names)
        plan = SwitchPlan(repo, staged, merged.root, force=False, patterns=None)
        update = checked_update(repo, staged, plan, merged.conflicts)
        repo.store.publish()
        runs = record_made(repo, "stash pop", merged.made)
        if merged.conflicts:
            state = MergeState(
                verb="stash pop",
                theirs=str(stash.commit.id),
                message=stash.commit.message,
                before=bytes(staged.root),
                conflicts=merged.conflicts,
                after=bytes(plan.staged_root),
                base=bytes(stash.base),
                runs=[bytes(run) for run in runs],
            )
            leave_conflicts(repo, staged, state, update, Mirror(repo, staged.root), [])
            found = [merge_state.summary(c) for c in merged.conflicts]
            return MergeOutcome(commit=None, conflicts=found)
        after = _staged_again(repo, staged, stash, plan.staged_root)
        _take_over(repo, staged, stash, plan.staged_root, after, update, runs)
        return MergeOutcome(commit=stash.commit.id, conflicts=[])


def _staged_again(repo: Workspace, staged: Staged, stash: _Stash, tree: NodeId) -> NodeId:
    """What is staged after a pop: what was staged then, merged into what is staged now."""
    merged = merge_roots(repo, stash.base, staged.base_root, stash.staged, Names())
    if merged.conflicts:
        return tree
    after = repo.staging.carry(staged.base_root, merged.root, staged.root)
    repo.store.publish()
    return after


def _take_over(
    repo: Workspace,
    staged: Staged,
    stash: _Stash,
    tree: NodeId,
    after: NodeId,
    update: TreeUpdate,
    runs: Sequence[RunId],
) -> None:
    mirror = Mirror(repo, staged.root)
    discarded = found_in_place(repo, update)
    update.apply()
    repo.record(
        "stash pop",
        discarded=discarded,
        changes=[RefChange(REF, stash.commit.id, stash.before)],
        before=staged.root,
        after=after,
        tree=(staged.root, tree),
        runs=runs,
    )
    repo.staging.save(Staged(staged.base_commit, staged.base_root, after))
    unstaged = {c.path for c in diff_manifests(repo.manifest(after), repo.manifest(tree))}
    now = repo.manifest(after)
    mirror.follow(
        after,
        written={t.path for t in update.transitions} - unstaged,
        unknown=[path for path in unstaged if now.get(path) is not None],
    )


def _chain(repo: Workspace) -> Iterator[Commit]:
    at = repo.history.refs.get(REF)
    while at is not None:
        stash = _read(repo, at)
        yield stash.commit
        at = stash.before


def entries(repo: Workspace) -> list[LogEntry]:
    """List stashes, newest first."""
    return [
        LogEntry(commit=commit, refs=(f"stash@{{{number}}}",)) for number, commit in enumerate(_chain(repo))
    ]


def drop(repo: Workspace) -> CommitId:
    """Forget the newest stash; returns its commit, which `undo` brings back.

    Raises
    ------
    NotFoundError
        If there is none.
    """
    with repo.changing():
        stash = _newest(repo)
        repo.record("stash drop", changes=[RefChange(REF, stash.commit.id, stash.before)])
        return stash.commit.id
