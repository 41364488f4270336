"""What revisions stand for beside commits: the words for what is not committed, and where a history ends."""

from __future__ import annotations

from typing import Final

from dsvc.model.ids import CommitId
from dsvc.porcelain.state.workspace import Workspace

STAGED: Final = "STAGED"
WORKTREE: Final = "WORKTREE"
UNCOMMITTED: Final = (STAGED, WORKTREE)
_CHAINS: Final = "refs/dsvc/"


def commit_of(repo: Workspace, rev: str | None) -> CommitId | None:
    """Commit of a revision; HEAD's of None, and of what is not committed, where there is one.

    Raises
    ------
    NotFoundError
        If there is no such revision.
    """
    if rev in (None, "HEAD", *UNCOMMITTED):
        return repo.history.refs.head().commit
    return repo.history.revisions.resolve(str(rev))


def newest_commits(repo: Workspace) -> list[CommitId]:
    """Commits that HEAD, branches and tags lead to, in order; chains of records are no versions."""
    head = repo.history.refs.head().commit
    refs = repo.history.refs.list()
    tips = {tip for name, tip in refs.items() if not name.startswith(_CHAINS)}
    return sorted({repo.history.peel(tip) for tip in tips | ({head} if head is not None else set())})
