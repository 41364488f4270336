"""status: HEAD, the staged state and the working tree, side by side."""

from __future__ import annotations

from collections.abc import Sequence

from dsvc.diff.manifest_diff import detect_renames, diff_manifests
from dsvc.fs import cache_files, locks
from dsvc.history.ref_name import HEADS
from dsvc.model.errors import DsvcError
from dsvc.model.ids import CommitId
from dsvc.porcelain.state.pending_runs import pending_runs
from dsvc.porcelain.state.staging import Staged
from dsvc.porcelain.state.values import PathChange, PendingRun, Skipped, Status
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tree import merge_state
from dsvc.porcelain.tree.stat_cache import State
from dsvc.porcelain.tree.tree_scan import Findings, Progress, TreeScan


def scan_tree(
    repo: Workspace,
    staged: Staged,
    paths: Sequence[bytes],
    *,
    untracked: str = "normal",
    locked: bool = False,
    progress: Progress | None = None,
) -> Findings:
    """Compare the working tree with the staged manifest; saves the stat cache if the lock is free.

    Parameters
    ----------
    locked : bool
        Whether the caller holds the work lock.
    """
    if locked:
        return _scan(repo, staged, paths, untracked, save=True, progress=progress)
    if not cache_files.writable(repo.layout.cache):
        return _scan(repo, staged, paths, untracked, save=False, progress=progress)
    try:
        with locks.try_hold(repo.layout.lock("work")) as free:
            return _scan(repo, staged, paths, untracked, save=free, progress=progress)
    except DsvcError as error:
        if error.code != "storage":
            raise
    return _scan(repo, staged, paths, untracked, save=False, progress=progress)


def _scan(
    repo: Workspace,
    staged: Staged,
    paths: Sequence[bytes],
    untracked: str,
    *,
    save: bool,
    progress: Progress | None,
) -> Findings:
    scan = TreeScan(
        layout=repo.layout,
        root=repo.root,
        store=repo.store,
        manifest=repo.manifest(staged.root),
        sparse=repo.sparse,
        stage=False,
        save=save,
        progress=progress,
    )
    scan.settings.descend_untracked = untracked == "all"
    try:
        found = scan.run(list(paths) or [b""])
        scan.finish()
    finally:
        scan.abandon()
    if save and scan.settings.shards is not None and not paths:
        _save_rebuilt(scan, found)
    return found


def _save_rebuilt(scan: TreeScan, found: Findings) -> None:
    """Keep the shards that had to be rebuilt, so that the next scan needn't."""
    try:
        scan.save_rebuilt()
        if found.cache_complete:
            scan.cache.save_state(scan.state)
    except DsvcError:
        return


def status(
    repo: Workspace, paths: Sequence[bytes], *, untracked: str = "normal", progress: Progress | None = None
) -> Status:
    """Tell what is staged, unstaged, untracked and in conflict.

    Parameters
    ----------
    paths : sequence of bytes
        Limit to these; none is the whole tree.
    untracked : str
        ``normal`` names untracked folders as a whole (with a trailing ``/``), ``all`` every file, ``no``
        none.

    Raises
    ------
    NotFoundError
        If a path is neither there nor tracked.
    """
    head = repo.history.refs.head()
    staged = repo.staged(head)
    state = merge_state.current(repo)
    found = scan_tree(repo, staged, paths, untracked=untracked, progress=progress)
    conflicted = {c.path for c in state.conflicts} if state else set()
    unstaged = [PathChange(p, "modified") for p, _, _ in found.changed if p not in conflicted]
    unstaged += [PathChange(p, "removed") for p in found.missing if p not in conflicted]
    new = [PathChange(p, "untracked") for p in found.untracked]
    new += [PathChange(p + b"/", "untracked") for p in [*found.untracked_folders, *found.empty]]
    return Status(
        branch=None if head.branch is None else head.branch.removeprefix(HEADS),
        head=head.commit,
        staged=[c for c in _staged_changes(repo, staged, paths) if c.path not in conflicted],
        unstaged=sorted(unstaged),
        untracked=[] if untracked == "no" else sorted(new),
        conflicts=[merge_state.summary(c) for c in state.conflicts] if state else [],
        skipped=[Skipped(*s) for s in sorted(found.skipped)],
        operation=state.verb if state else None,
        sparse=repo.sparse.patterns,
        pending_runs=_pending(repo, head.commit),
    )


def _pending(repo: Workspace, head: CommitId | None) -> list[PendingRun]:
    """Runs that wait for a commit; one that HEAD has already, as after a checkout, waits no more."""
    waiting = pending_runs(repo.layout)
    if not waiting:
        return []
    from dsvc.lineage.run_tree import RunTree
    from dsvc.porcelain.state.commit_lineage import lineage_of

    known = lineage_of(repo, head)
    runs = [RunTree(repo.store, id_) for id_ in waiting if not known.has_run(id_)]
    runs.sort(key=lambda tree: (tree.run.started_at, tree.id))
    return [PendingRun(tree.id, tree.run.name) for tree in runs]


def _staged_changes(repo: Workspace, staged: Staged, paths: Sequence[bytes]) -> list[PathChange]:
    changes = diff_manifests(
        repo.manifest(staged.base_root), repo.manifest(staged.root), [p for p in paths if p]
    )
    return [PathChange(c.path, c.kind.value, c.old_path) for c in detect_renames(list(changes))]


__all__ = ["State", "scan_tree", "status"]
