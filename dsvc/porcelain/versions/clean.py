"""clean: remove what is untracked and not ignored; it's stored first."""

from __future__ import annotations

from collections.abc import Sequence

from dsvc.fs.beneath import Beneath
from dsvc.history.refs import Head
from dsvc.model.manifest import MODE_DIRECTORY, Entry
from dsvc.model.paths import display_path
from dsvc.porcelain.state.staging import Staged
from dsvc.porcelain.state.values import CheckoutResult, Skipped
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tree.file_entry import folder_entry
from dsvc.porcelain.tree.mirror import Mirror
from dsvc.porcelain.tree.outcome import tree_outcome
from dsvc.porcelain.tree.safekeeping import store_file
from dsvc.porcelain.tree.status import scan_tree
from dsvc.porcelain.tree.tree_look import Transition
from dsvc.porcelain.tree.tree_scan import Findings
from dsvc.porcelain.tree.tree_update import TreeUpdate
from dsvc.store.manifest_tree import EMPTY_ROOT


def clean(
    repo: Workspace, paths: Sequence[bytes] = (), *, dry_run: bool = False
) -> tuple[list[bytes], CheckoutResult | None]:
    """Remove untracked files and empty folders, and folders that become empty.

    Ignored files, tracked files, nested repositories and what can't be stored stay.

    Parameters
    ----------
    paths : sequence of bytes
        Only these, and what is below them; none is the whole tree.
    dry_run : bool
        Only list.

    Returns
    -------
    removed : list of bytes
        What went, or would; folders end with ``/``.
    result : CheckoutResult or None
        None where nothing was removed.

    Raises
    ------
    NotFoundError
        If a path is neither there nor tracked.
    """
    with repo.changing():
        head = repo.history.refs.head()
        staged = repo.staged(head)
        found = scan_tree(repo, staged, paths, untracked="all", locked=True)
        if dry_run or not (found.untracked or found.empty):
            return sorted([*found.untracked, *(f + b"/" for f in found.empty)]), None
        return _remove(repo, head, staged, _kept(repo, found), paths)


def _remove(
    repo: Workspace, head: Head, staged: Staged, kept: dict[bytes, Entry], paths: Sequence[bytes]
) -> tuple[list[bytes], CheckoutResult]:
    """Remove what was stored, unless it changed meanwhile."""
    discarded = repo.manifest(EMPTY_ROOT).update(sorted(kept.items()))
    repo.store.publish()
    update = TreeUpdate(repo, [Transition(path, entry, None) for path, entry in kept.items()], mirror=False)
    changed = {o.path for o in update.obstacles()}
    update.transitions = [t for t in update.transitions if t.path not in changed]
    mirror = Mirror(repo, staged.root)
    operation = repo.record(
        "clean",
        arguments=[display_path(p) or "." for p in paths],
        before=staged.root,
        after=staged.root,
        discarded=discarded,
        tree=True,
    )
    done = update.apply()
    mirror.follow(staged.root)
    gone = [t.path for t in update.transitions]
    removed = sorted(path + b"/" if kept[path].mode == MODE_DIRECTORY else path for path in gone)
    skipped = [Skipped(path, "it changed meanwhile") for path in sorted(changed)]
    return removed, tree_outcome(head, operation, done, saved=len(gone), skipped=skipped)


def _kept(repo: Workspace, found: Findings) -> dict[bytes, Entry]:
    """Store what goes, and say what it is."""
    kept = {folder: folder_entry(folder) for folder in found.empty}
    with Beneath(repo.root) as tree:
        for path in found.untracked:
            entry = store_file(repo.store, tree, path)
            if entry is not None:
                kept[path] = entry
    return kept
