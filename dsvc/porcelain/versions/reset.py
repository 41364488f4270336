"""reset: move the branch; by mode also the staged state, and the working tree."""

from __future__ import annotations

from collections.abc import Sequence

from dsvc.diff.manifest_diff import diff_manifests
from dsvc.history.refs import Head, RefChange
from dsvc.model.errors import (
    CorruptDataError,
    MalformedInputError,
    MissingDataError,
    UsageError,
)
from dsvc.model.ids import CommitId, NodeId
from dsvc.porcelain.state.commit_lineage import return_runs
from dsvc.porcelain.state.staging import Staged
from dsvc.porcelain.state.values import CheckoutResult, ResetMode
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tree import merge_state
from dsvc.porcelain.tree.mirror import Mirror
from dsvc.porcelain.tree.outcome import tree_outcome
from dsvc.porcelain.tree.safekeeping import keep_files
from dsvc.porcelain.tree.tree_update import TreeUpdate, Updated
from dsvc.porcelain.versions.checkout import SwitchPlan
from dsvc.porcelain.versions.restore import unstage


def reset(repo: Workspace, rev: str, mode: ResetMode | None, paths: Sequence[bytes]) -> CheckoutResult:
    """Move HEAD's branch to a revision.

    Parameters
    ----------
    mode : ResetMode or None
        ``soft`` keeps staged state and tree, ``mixed`` (the default) resets the staged state, ``hard`` both;
        ``hard`` stores first what it overwrites.
    paths : sequence of bytes
        Reset the staged entries of these instead; the branch stays.

    Raises
    ------
    NotFoundError
        If the revision or a path isn't there.
    WouldOverwriteError
        If it is ``soft`` in the middle of a merge, or with conflicts open, as in git.
    """
    if paths:
        if mode not in (None, ResetMode.MIXED):
            raise UsageError(f"--{mode} takes no paths")
        return unstage(repo, paths, rev, verb="reset")
    mode = mode or ResetMode.MIXED
    with repo.changing():
        if mode is ResetMode.SOFT:
            _refuse_in_merge(merge_state.current(repo))
        head = repo.history.refs.head_as_is()
        commit, target = _goal(repo, head, rev)
        lost = mode is not ResetMode.SOFT and _is_lost(repo, head, target)
        staged = Staged(commit, target, target) if lost else repo.staged(head)
        after = staged.root if mode is ResetMode.SOFT else target
        update = _tree_update(repo, staged, target) if mode is ResetMode.HARD else None
        discarded, saved = (None, 0) if update is None else _kept(repo, update)
        mirror = Mirror(repo, staged.root)
        changes = []
        if head.branch is not None and commit is not None and commit != head.commit:
            changes = [RefChange(head.branch, head.commit, commit)]
        if not lost:
            return_runs(repo, head.commit, commit)
        operation = repo.record(
            "reset",
            arguments=[f"--{mode.value}", rev],
            changes=changes,
            head=commit if head.branch is None else None,
            before=staged.root,
            after=after,
            discarded=discarded,
            tree=update is not None,
            merge=None if mode is ResetMode.SOFT else merge_state.keep_open(repo),
            message=f"reset: moving to {rev}",
        )
        done = update.apply() if update is not None else Updated()
        repo.staging.save(Staged(commit, target, after))
        if mode is not ResetMode.SOFT:
            merge_state.clear(repo.layout, durable=repo.keeps_records)
        mirror.follow(after, written={t.path for t in update.transitions} if update else ())
        return tree_outcome(Head(branch=head.branch, commit=commit), operation, done, saved=saved)


def _goal(repo: Workspace, head: Head, rev: str) -> tuple[CommitId | None, NodeId]:
    """Commit and manifest to go to; a branch without a commit has none, and the empty one."""
    if head.commit is None and rev in ("HEAD", "@"):
        return None, repo.head_root(head)
    commit = repo.history.revisions.resolve(rev)
    return commit, repo.history.read_commit(commit).manifest


def _tree_update(repo: Workspace, staged: Staged, target: NodeId) -> TreeUpdate:
    return TreeUpdate(repo, SwitchPlan(repo, staged, target, force=True, patterns=None).transitions)


def _kept(repo: Workspace, update: TreeUpdate) -> tuple[NodeId | None, int]:
    """Store what is going to be overwritten, for `undo`."""
    return keep_files(repo, [*(o.path for o in update.obstacles()), *update.settled])


def _is_lost(repo: Workspace, head: Head, target: NodeId) -> bool:
    """Whether HEAD's commit or manifest can't be read: nothing is compared then, the way out is open."""
    try:
        old = repo.manifest(repo.head_root(head))
        for _ in diff_manifests(old, repo.manifest(target)):
            pass
    except (CorruptDataError, MalformedInputError, MissingDataError):
        repo.manifest(target).totals()  # where the target is what is broken, that is said
        return True
    return False


def _refuse_in_merge(state: merge_state.MergeState | None) -> None:
    """Refuse to move the branch under a merge: its commit would have another parent than what was merged."""
    if state is not None and (state.verb == "merge" or state.conflicts):
        raise merge_state.in_progress(state.verb)
