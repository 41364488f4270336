"""What a file was before somebody changed it by hand: the version that dsvc knows."""

from __future__ import annotations

from dsvc.lineage.run_tree import RunTree
from dsvc.model.errors import NotFoundError
from dsvc.model.manifest import Entry
from dsvc.model.paths import display_path
from dsvc.porcelain.state.pending_runs import pending_runs
from dsvc.porcelain.state.workspace import Workspace


def earlier_version(repo: Workspace, now: Entry) -> Entry:
    """Find what stood at a path before: the newest output of a pending run, what is staged, what HEAD has.

    Parameters
    ----------
    now : Entry
        What stands there; versions equal to it are passed over where another is known.

    Raises
    ------
    NotFoundError
        If no version is known.
    """
    known = [*_made(repo, now.path)]
    staged = repo.staged()
    for root in (staged.root, staged.base_root):
        entry = repo.manifest(root).get(now.path)
        if entry is not None:
            known.append(entry)
    if not known:
        name = display_path(now.path)
        raise NotFoundError(
            f"no earlier version of {name} is known, so it can't be what it was made from",
            hint="leave it out of -i, or name what it was made from",
            details={"path": name},
        )
    return next((entry for entry in known if entry.digest != now.digest), now)


def _made(repo: Workspace, path: bytes) -> list[Entry]:
    """Versions of a path that pending runs made, newest first."""
    trees = sorted(
        (RunTree(repo.store, id_) for id_ in pending_runs(repo.layout)),
        key=lambda tree: tree.run.ended_at,
        reverse=True,
    )
    return [entry for tree in trees for entry in tree.files_made() if entry.path == path]
