"""checkout: move HEAD and the working tree, or bring paths of a revision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dsvc.diff.manifest_diff import diff_manifests
from dsvc.history.operations import Operation
from dsvc.history.ref_name import HEADS, branch_ref
from dsvc.history.refs import Head, RefChange
from dsvc.model.errors import NotFoundError, UsageError, WouldOverwriteError
from dsvc.model.ids import CommitId, NodeId
from dsvc.model.manifest import Entry
from dsvc.model.paths import display_path
from dsvc.porcelain.state import sparse
from dsvc.porcelain.state.staging import Staged
from dsvc.porcelain.state.values import CheckoutResult
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tree import merge_state
from dsvc.porcelain.tree.mirror import Mirror
from dsvc.porcelain.tree.outcome import tree_outcome
from dsvc.porcelain.tree.safekeeping import keep_files
from dsvc.porcelain.tree.status import scan_tree
from dsvc.porcelain.tree.tree_scan import Progress
from dsvc.porcelain.tree.tree_update import Obstacle, Transition, TreeUpdate
from dsvc.store.manifest_tree import EMPTY_ROOT, Manifest


def checkout(
    repo: Workspace,
    rev: str | None,
    paths: Sequence[bytes],
    *,
    new_branch: str | None = None,
    force: bool = False,
    sparse: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> CheckoutResult:
    """Move to a branch or commit; with `paths`, bring those from a revision (None: the staged state).

    Parameters
    ----------
    new_branch : str or None
        Make this branch at the revision (or HEAD) and move to it.
    force : bool
        Overwrite uncommitted work; it's stored first, `undo` brings it back.
    sparse : sequence of str or None
        New patterns of the working tree; ``*`` alone holds everything.

    Raises
    ------
    WouldOverwriteError
        If uncommitted work is in the way; nothing was changed.
    NotFoundError
        If the revision or a path isn't there.
    """
    if paths:
        if new_branch or sparse is not None:
            raise UsageError("paths don't go with -b or --sparse")
        from dsvc.porcelain.versions.restore import bring_paths

        return bring_paths(
            repo, paths, rev or "STAGED", stage=rev is not None, force=force, progress=progress
        )
    if rev is None and new_branch is None and sparse is None and not force:
        raise UsageError("checkout needs a revision, a path, -b or --sparse")
    with repo.changing():
        return _switch(repo, rev, new_branch, force, sparse, progress)


def target_head(
    repo: Workspace, rev: str | None, new_branch: str | None, head: Head
) -> tuple[str | CommitId | None, CommitId | None]:
    """Where HEAD goes: a full branch name or a commit, and the commit.

    Raises
    ------
    UsageError
        If the new branch exists already.
    """
    if rev is None or rev in ("HEAD", "@"):
        where: str | CommitId | None = head.branch if head.branch is not None else head.commit
        commit = head.commit
    else:
        ref = HEADS + rev
        named = repo.history.refs.get(ref) if _could_be_branch(rev) else None
        commit = named or repo.history.revisions.resolve(rev)
        where = ref if named is not None else commit
    if new_branch is not None:
        where = branch_ref(new_branch)
        if repo.history.refs.get(where) is not None:
            raise UsageError(f"the branch {new_branch} exists already", hint=f"dsvc checkout {new_branch}")
    return where, commit


def _could_be_branch(rev: str) -> bool:
    return not any(c in rev for c in "~^:{ ") and not rev.startswith(("-", "/", "."))


class _Move(NamedTuple):
    """Where HEAD goes."""

    name: str
    where: str | CommitId | None
    commit: CommitId | None
    changes: list[RefChange]


def _switch(
    repo: Workspace,
    rev: str | None,
    new_branch: str | None,
    force: bool,
    patterns: Sequence[str] | None,
    progress: Progress | None,
) -> CheckoutResult:
    head = repo.history.refs.head_as_is()
    where, commit = target_head(repo, rev, new_branch, head)
    staged = repo.staged(head)
    if commit != head.commit and merge_state.current(repo) is not None and not force:
        raise merge_state.in_progress("merge")
    target = EMPTY_ROOT if commit is None else repo.history.read_commit(commit).manifest
    plan = SwitchPlan(repo, staged, target, force=force, patterns=patterns)
    update = TreeUpdate(repo, plan.transitions, progress=progress)
    obstacles = plan.conflicts + update.obstacles()
    if obstacles and not force:
        raise refusal(obstacles)
    discarded, saved = keep_files(repo, [*(o.path for o in obstacles), *update.settled])
    # Staged work that is carried over is a manifest of its own; patterns are kept for `undo`.
    repo.store.publish()
    changes = [RefChange(str(where), None, commit)] if new_branch is not None and commit is not None else []
    move = _Move(rev or new_branch or "HEAD", where, commit, changes)
    mirror = Mirror(repo, staged.root)
    operation = None
    if discarded and patterns is not None:
        sparse.hold(repo.layout, repo.sparse, durable=True)
    if discarded:  # the log must reach what is overwritten before it is
        operation = _move_head(repo, head, move, plan, discarded, force=force)
    done = update.apply()
    if not discarded and (force or patterns is not None or changes or where not in (head.branch, None)):
        operation = _move_head(repo, head, move, plan, None, force=force)
    repo.staging.save(Staged(commit, target, plan.staged_root))
    if patterns is not None:
        sparse.save(repo.layout, patterns, durable=True)
    if force:
        merge_state.clear(repo.layout, durable=repo.keeps_records)
    mirror.follow(plan.staged_root, written={t.path for t in update.transitions})
    branch = str(where) if str(where).startswith(HEADS) else None
    return tree_outcome(Head(branch=branch, commit=commit), operation, done, saved=saved)


def _move_head(
    repo: Workspace, head: Head, move: _Move, plan: SwitchPlan, discarded: NodeId | None, *, force: bool
) -> Operation:
    """Move HEAD and log it: the commit point of a switch."""
    return repo.record(
        "checkout",
        arguments=[move.name],
        changes=move.changes,
        head=move.where,
        before=plan.staged_before,
        after=plan.staged_root,
        discarded=discarded,
        tree=True,
        merge=merge_state.keep_open(repo) if force else None,
        sparse=plan.kept_patterns,
        message=f"checkout: moving from {head.text} to {move.name}",
    )


def refusal(obstacles: Sequence[Obstacle]) -> WouldOverwriteError:
    """Name the uncommitted work that would be overwritten."""
    shown = "".join(f"\n  {display_path(o.path)}: {o.reason}" for o in obstacles[:20])
    more = f"\n  and {len(obstacles) - 20} more" if len(obstacles) > 20 else ""
    return WouldOverwriteError(
        f"this would overwrite uncommitted work:{shown}{more}",
        hint="commit it, dsvc stash puts it away, --force stores and overwrites it",
        details={"paths": [display_path(o.path) for o in obstacles]},
    )


class SwitchPlan:
    """Transitions of a switch, the staged manifest afterwards, and staged work in the way."""

    def __init__(
        self, repo: Workspace, staged: Staged, target: NodeId, *, force: bool, patterns: Sequence[str] | None
    ) -> None:
        self._repo = repo
        self.conflicts: list[Obstacle] = []
        self.staged_before = staged.root
        self._transitions: dict[bytes, Transition] = {}
        self._before = repo.sparse
        self._after = self._before if patterns is None else sparse.SparsePatterns(patterns)
        self._target = repo.manifest(target)
        if force:
            self.staged_root = target
            self._discard_everything(staged)
        else:
            self._keep_changes(staged)
            self.staged_root = repo.staging.carry(staged.base_root, staged.root, target)
        self.kept_patterns: tuple[str, str] | None = None
        if patterns is not None:
            self._follow_patterns(repo.manifest(self.staged_root))
            before, after = (sparse.keep(repo.store, each) for each in (self._before, self._after))
            self.kept_patterns = before, after

    @property
    def transitions(self) -> list[Transition]:
        """What shall happen to the working tree."""
        return list(self._transitions.values())

    def _set(self, path: bytes, old: Entry | None, new: Entry | None) -> None:
        if self._before.includes(path):
            self._transitions[path] = Transition(path, old, new)

    def _keep_changes(self, staged: Staged) -> None:
        manifest: Manifest | None = (
            None if staged.root == staged.base_root else self._repo.manifest(staged.root)
        )
        for change in diff_manifests(self._repo.manifest(staged.base_root), self._target):
            now = change.old if manifest is None else manifest.get(change.path)
            if now == change.new:
                continue
            if now != change.old:
                self.conflicts.append(Obstacle(change.path, "it has staged changes"))
                continue
            self._set(change.path, change.old, change.new)

    def _discard_everything(self, staged: Staged) -> None:
        for change in diff_manifests(self._repo.manifest(staged.root), self._target):
            self._set(change.path, change.old, change.new)
        found = scan_tree(self._repo, staged, [], untracked="no", locked=True)
        for path in [*(p for p, _, _ in found.changed), *found.missing]:
            if path not in self._transitions:
                entry = self._target.get(path)
                self._set(path, entry, entry)

    def _follow_patterns(self, staged: Manifest) -> None:
        for entry in staged.entries():
            was, is_now = self._before.includes(entry.path), self._after.includes(entry.path)
            if was and not is_now:
                old = self._transitions.pop(entry.path, Transition(entry.path, entry, None)).old
                self._transitions[entry.path] = Transition(entry.path, old, None)
            elif is_now and not was:
                self._transitions[entry.path] = Transition(entry.path, None, entry)


def require(manifest: Manifest, paths: Sequence[bytes], where: str) -> None:
    """Check that each path, or something below it, is in a manifest.

    Raises
    ------
    NotFoundError
        Naming the first that isn't.
    """
    for path in paths:
        if path and next(manifest.entries(path), None) is None:
            raise NotFoundError(
                f"{display_path(path)} is not in {where}", details={"path": display_path(path)}
            )
