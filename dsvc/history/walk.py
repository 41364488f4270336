"""Walks over the commit graph: iterative, linear, children before parents whatever the dates say."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator, Sequence
from itertools import islice

from dsvc.history.commit_codec import Commit
from dsvc.history.merge_base import ReadCommit
from dsvc.model.errors import CorruptDataError
from dsvc.model.ids import CommitId


def ancestors(read_commit: ReadCommit, starts: Collection[CommitId]) -> set[CommitId]:
    """Collect `starts` and all of their ancestors."""
    seen = set(starts)
    pending = list(starts)
    while pending:
        for parent in read_commit(pending.pop()).parents:
            if parent not in seen:
                seen.add(parent)
                pending.append(parent)
    return seen


def log(
    read_commit: ReadCommit,
    starts: Sequence[CommitId],
    *,
    limit: int | None = None,
    exclude: Collection[CommitId] = (),
) -> Iterator[Commit]:
    """Yield commits newest first, each child before its parents; among several the later date comes first.

    A plain line of commits is read as it is asked for. Where histories run beside each other, the rest is
    read once before the next commit is known.

    Parameters
    ----------
    read_commit : callable
        Reads a commit.
    starts : sequence of CommitId
        Where to begin.
    limit : int or None
        Number of commits to yield.
    exclude : collection of CommitId
        These and their ancestors are left out, as in ``A..B``.

    Raises
    ------
    CorruptDataError
        If a commit is its own ancestor, which no true id allows.
    """
    return islice(_log(read_commit, starts, exclude), limit)


def _log(
    read_commit: ReadCommit, starts: Sequence[CommitId], exclude: Collection[CommitId]
) -> Iterator[Commit]:
    hidden = ancestors(read_commit, exclude)
    frontier = [start for start in dict.fromkeys(starts) if start not in hidden]
    passed: set[CommitId] = set()
    while len(frontier) == 1:
        # The only commit that is left to show has no unseen child: all the rest are its ancestors.
        commit = read_commit(frontier[0])
        passed.add(commit.id)
        yield commit
        frontier = [parent for parent in dict.fromkeys(commit.parents) if parent not in hidden]
        if not passed.isdisjoint(frontier):
            raise _cycle()
    if frontier:
        yield from _sorted(read_commit, frontier, hidden)


def _sorted(read_commit: ReadCommit, starts: list[CommitId], hidden: set[CommitId]) -> Iterator[Commit]:
    dates: dict[CommitId, int] = {}
    children = dict.fromkeys(starts, 0)
    pending = list(starts)
    while pending:
        commit = read_commit(pending.pop())
        dates[commit.id] = commit.committer.seconds
        for parent in dict.fromkeys(commit.parents):
            if parent in hidden:
                continue
            if parent not in children:
                children[parent] = 0
                pending.append(parent)
            children[parent] += 1
    # Equal dates come out in the order in which they became ready.
    ready = [(-dates[start], at, start) for at, start in enumerate(starts) if not children[start]]
    heapq.heapify(ready)
    made, shown = len(ready), 0
    while ready:
        commit = read_commit(heapq.heappop(ready)[2])
        shown += 1
        yield commit
        for parent in dict.fromkeys(commit.parents):
            if parent in hidden:
                continue
            children[parent] -= 1
            if not children[parent]:
                made += 1
                heapq.heappush(ready, (-dates[parent], made, parent))
    if shown != len(children):
        raise _cycle()


def _cycle() -> CorruptDataError:
    return CorruptDataError("the history has a commit that is its own ancestor", hint="run dsvc fsck")
