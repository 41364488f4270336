"""Best common ancestors, by walking both sides at once; dates only choose the order of the walk."""

from __future__ import annotations

import heapq
from collections.abc import Callable

from dsvc.history.commit_codec import Commit
from dsvc.model.ids import CommitId

ReadCommit = Callable[[CommitId], Commit]

_LEFT, _RIGHT, _STALE = 1, 2, 4
_BOTH = _LEFT | _RIGHT


class _Painter:
    """Colours ancestors; the newest unfinished commit is taken first."""

    def __init__(self, read_commit: ReadCommit) -> None:
        self._read = read_commit
        self._facts: dict[CommitId, tuple[int, tuple[CommitId, ...]]] = {}
        self.colours: dict[CommitId, int] = {}
        self._heap: list[tuple[int, CommitId]] = []
        self._queued: set[CommitId] = set()
        self._fresh = 0

    def parents(self, commit: CommitId) -> tuple[CommitId, ...]:
        return self._fact(commit)[1]

    def _fact(self, commit: CommitId) -> tuple[int, tuple[CommitId, ...]]:
        if commit not in self._facts:
            found = self._read(commit)
            self._facts[commit] = (found.committer.seconds, found.parents)
        return self._facts[commit]

    def paint(self, commit: CommitId, colour: int) -> None:
        before = self.colours.get(commit, 0)
        after = before | colour
        if after == before:
            return
        self.colours[commit] = after
        if commit in self._queued:
            self._fresh += (not after & _STALE) - (not before & _STALE)
            return
        self._queued.add(commit)
        self._fresh += not after & _STALE
        heapq.heappush(self._heap, (-self._fact(commit)[0], commit))

    def pop(self) -> CommitId | None:
        """Next commit, or None when only ancestors of common ancestors are left."""
        if not self._fresh:
            return None
        commit = heapq.heappop(self._heap)[1]
        self._queued.discard(commit)
        self._fresh -= not self.colours[commit] & _STALE
        return commit


def merge_bases(read_commit: ReadCommit, a: CommitId, b: CommitId) -> list[CommitId]:
    """Find every best common ancestor of `a` and `b`: one that is no ancestor of another one.

    Right whatever the dates are, iterative, and each commit is read once; where a plain history parts late,
    little more than the two sides is read.

    Parameters
    ----------
    read_commit : callable
        Reads a commit.
    a, b : CommitId
        May be equal.

    Returns
    -------
    list of CommitId
        Newest first; empty for unrelated histories, several after a criss-cross merge.
    """
    painter = _Painter(read_commit)
    painter.paint(a, _LEFT)
    painter.paint(b, _RIGHT)
    candidates: dict[CommitId, None] = {}
    while (commit := painter.pop()) is not None:
        colour = painter.colours[commit]
        if colour & _BOTH == _BOTH and not colour & _STALE:
            candidates[commit] = None
        passed_on = colour | _STALE if colour & _BOTH == _BOTH else colour
        for parent in painter.parents(commit):
            painter.paint(parent, passed_on)
    best = [commit for commit in candidates if not painter.colours[commit] & _STALE]
    return _independent(painter, best)


def _independent(painter: _Painter, candidates: list[CommitId]) -> list[CommitId]:
    """Drop candidates that are ancestors of others; dates may have hidden that so far."""
    if len(candidates) < 2:
        return candidates
    left = set(candidates)
    seen: set[CommitId] = set()
    pending = [parent for commit in candidates for parent in painter.parents(commit)]
    while pending and len(left) > 1:
        commit = pending.pop()
        if commit in seen:
            continue
        seen.add(commit)
        left.discard(commit)
        pending.extend(painter.parents(commit))
    return [commit for commit in candidates if commit in left]


def is_ancestor(read_commit: ReadCommit, a: CommitId, b: CommitId) -> bool:
    """Whether `a` is `b` or one of its ancestors."""
    return a == b or merge_bases(read_commit, a, b) == [a]
