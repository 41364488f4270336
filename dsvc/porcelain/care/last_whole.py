"""The last whole commit of a branch whose newest one can't be read: what can be gone back to."""

from __future__ import annotations

import os
from collections.abc import Iterator

from dsvc.model.errors import DsvcError
from dsvc.model.ids import CommitId
from dsvc.porcelain.state.workspace import Workspace
from dsvc.store.tree_check import TreeCheck

_MOST = 1000
"""So many moves of a branch are looked at."""


def last_whole(repo: Workspace) -> dict[str, CommitId]:
    """Find where branches that are broken could go back to.

    A commit is whole where it, its manifest and its lineage are there, with all that they name; the bytes of
    chunks aren't read.

    Returns
    -------
    dict of str to CommitId
        Full names of branches whose commit is missing or not whole, and ``HEAD`` where it stands on no
        branch, with the newest whole commit of the log; one that has none is left out.
    """
    known: dict[CommitId, bool] = {}
    found: dict[str, CommitId] = {}
    for ref in _logged(repo):
        try:
            tip = repo.history.refs.get(ref)
            moves = [entry.new for entry in repo.history.refs.reflog(ref, _MOST)]
        except DsvcError:
            continue
        if tip is not None and _is_whole(repo, tip, known):
            continue
        if tip is None and (not moves or moves[0] is None):
            continue  # it was deleted
        whole = next((id_ for id_ in moves if id_ is not None and _is_whole(repo, id_, known)), None)
        if whole is not None:
            found[ref] = whole
    return found


def _logged(repo: Workspace) -> Iterator[str]:
    """HEAD, where it stands on no branch, and branches that have a log, those too whose file is gone."""
    try:
        if repo.history.refs.head_as_is().branch is None:
            yield "HEAD"
    except DsvcError:
        pass
    logs = os.path.join(repo.layout.git, "logs")
    for folder, _, names in sorted(os.walk(os.path.join(logs, "refs", "heads"))):
        for name in sorted(names):
            yield os.path.relpath(os.path.join(folder, name), logs)


def _is_whole(repo: Workspace, id_: CommitId, known: dict[CommitId, bool]) -> bool:
    if id_ not in known:
        known[id_] = False
        try:
            commit = repo.history.verify_commit(id_)
        except DsvcError:
            return False
        check = TreeCheck(repo.store, read_data=False)
        check.check([bytes(root) for root in (commit.manifest, commit.lineage) if root is not None])
        known[id_] = not check.defects
    return known[id_]
