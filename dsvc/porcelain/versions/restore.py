"""restore: bring paths back, in the tree or in the staged state; what is overwritten is stored first."""

from __future__ import annotations

from collections.abc import Sequence

from dsvc.model.errors import NotFoundError, UsageError
from dsvc.model.ids import NodeId
from dsvc.model.manifest import Entry
from dsvc.model.paths import display_path, is_within
from dsvc.porcelain.state.staging import Staged
from dsvc.porcelain.state.values import CheckoutResult
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tree.mirror import Mirror
from dsvc.porcelain.tree.outcome import tree_outcome
from dsvc.porcelain.tree.safekeeping import keep_files
from dsvc.porcelain.tree.status import scan_tree
from dsvc.porcelain.tree.tree_scan import Progress
from dsvc.porcelain.tree.tree_update import Transition, TreeUpdate, Updated
from dsvc.porcelain.versions.checkout import refusal, require

_MANY = 500
"""From this many paths on walking the manifest is quicker than looking each up."""


def restore(
    repo: Workspace,
    paths: Sequence[bytes],
    *,
    staged: bool = False,
    source: str | None = None,
    progress: Progress | None = None,
) -> CheckoutResult:
    """Bring paths back from the staged state, or from `source`.

    Parameters
    ----------
    staged : bool
        Restore the staged state instead (from HEAD, or `source`); the working tree stays.
    source : str or None
        A revision.

    Raises
    ------
    NotFoundError
        If a path is neither in the source nor tracked.
    """
    if not paths:
        raise UsageError("restore needs a path", hint="dsvc restore . restores everything")
    if staged:
        return unstage(repo, paths, source or "HEAD", verb="restore")
    return bring_paths(
        repo, paths, source or "STAGED", stage=False, force=True, verb="restore", progress=progress
    )


def _select(
    repo: Workspace, staged: Staged, paths: Sequence[bytes], source: str
) -> dict[bytes, Entry | None]:
    """Entries of a source under paths; tracked paths that the source lacks map to None."""
    manifest = repo.manifest(staged.root) if source == "STAGED" else repo.manifest_of(source)
    tracked = repo.manifest(staged.root)
    wanted: dict[bytes, Entry | None] = {}
    for path in paths:
        before = len(wanted)
        if manifest.root != tracked.root:
            wanted.update((e.path, None) for e in tracked.entries(path) if e.path not in wanted)
        wanted.update((e.path, e) for e in manifest.entries(path))
        if len(wanted) == before and path and not any(is_within(p, [path]) for p in wanted):
            raise NotFoundError(
                f"{display_path(path)} is neither in {source} nor tracked",
                details={"path": display_path(path)},
            )
    return wanted


def unstage(repo: Workspace, paths: Sequence[bytes], source: str, *, verb: str) -> CheckoutResult:
    """Set the staged entries of paths to those of a revision; the working tree stays."""
    with repo.changing():
        head = repo.history.refs.head()
        staged = repo.staged(head)
        wanted = _select(repo, staged, paths, source)
        root = repo.manifest(staged.root).update(sorted(wanted.items()))
        repo.store.publish()
        mirror = Mirror(repo, staged.root)
        operation = repo.record(
            verb, arguments=["--staged", *map(display_path, paths)], before=staged.root, after=root
        )
        repo.staging.save(Staged(staged.base_commit, staged.base_root, root))
        mirror.follow(root)
        return tree_outcome(head, operation, Updated(unchanged=len(wanted)))


def bring_paths(
    repo: Workspace,
    paths: Sequence[bytes],
    source: str,
    *,
    stage: bool,
    force: bool,
    verb: str = "checkout",
    progress: Progress | None = None,
) -> CheckoutResult:
    """Write paths of a source into the working tree.

    Parameters
    ----------
    stage : bool
        Stage what is written too.
    force : bool
        Overwrite uncommitted work; it's stored first.

    Raises
    ------
    WouldOverwriteError
        If uncommitted work would be lost, and `force` is not set.
    """
    with repo.changing():
        head = repo.history.refs.head()
        staged = repo.staged(head)
        transitions = _path_transitions(repo, staged, paths, source, stage)
        update = TreeUpdate(repo, transitions, progress=progress, mirror=stage or source == "STAGED")
        obstacles = update.obstacles()
        if obstacles and not force:
            raise refusal(obstacles)
        discarded, saved = keep_files(repo, [*(o.path for o in obstacles), *update.settled])
        root = staged.root
        if stage:
            root = repo.manifest(root).update([(t.path, t.new) for t in update.transitions])
            repo.store.publish()
        held = root
        if not stage and source != "STAGED":
            held = repo.manifest(root).update([(t.path, t.new) for t in update.transitions])
            repo.store.publish()
        mirror = Mirror(repo, staged.root)
        operation = repo.record(
            verb,
            arguments=[source, *map(display_path, paths[:20])],
            before=staged.root,
            after=root,
            discarded=discarded,
            tree=True if held == root else (staged.root, held),
        )
        done = update.apply()
        if stage:
            repo.staging.save(Staged(staged.base_commit, staged.base_root, root))
        touched = {t.path for t in update.transitions}
        _follow(repo, mirror, root, touched, mirrored=stage or source == "STAGED")
        return tree_outcome(head, operation, done, saved=saved)


def _follow(repo: Workspace, mirror: Mirror, root: NodeId, touched: set[bytes], *, mirrored: bool) -> None:
    if mirrored:
        mirror.follow(root, written=touched)
    else:
        manifest = repo.manifest(root)
        mirror.follow(root, unknown=[p for p in touched if manifest.get(p) is not None])


def _path_transitions(
    repo: Workspace, staged: Staged, paths: Sequence[bytes], source: str, stage: bool
) -> list[Transition]:
    tracked = repo.manifest(staged.root)
    if source == "STAGED":
        require(tracked, paths, "the staged state")
        scope = [p for p in paths if p == b"" or tracked.get(p) is not None or next(tracked.entries(p), None)]
        found = scan_tree(repo, staged, scope, untracked="no", locked=True)
        differing = {*(p for p, _, _ in found.changed), *found.missing}
        if len(differing) > _MANY:
            entries = {e.path: e for p in scope for e in tracked.entries(p) if e.path in differing}
        else:
            entries = {p: e for p in differing if (e := tracked.get(p)) is not None}
        return [Transition(p, e, e) for p, e in entries.items()]
    wanted = _select(repo, staged, paths, source)
    sparse = repo.sparse
    return [
        Transition(path, tracked.get(path), entry) for path, entry in wanted.items() if sparse.includes(path)
    ]
