"""Where rows of one version stand in another, found by the pieces they share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dsvc.diff.row_compare import RowComparison, match_keys
from dsvc.table.index.row_index import RowIndex, key_hashes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]


def locate(old: RowIndex, new: RowIndex, rows: Numbers, key: Sequence[str]) -> Numbers:
    """Find rows of one version in another.

    A row in a piece that both have is found by its place in the piece; only the others are looked up by their
    key, among the pieces that the new version doesn't share.

    Parameters
    ----------
    rows : ndarray of int64, shape (n,)
        Rows of `old`.

    Returns
    -------
    ndarray of int64, shape (n,)
        Rows of `new`, -1 where it has none of that key.
    """
    found = np.full(len(rows), -1, np.int64)
    if not len(rows) or not new.rows:
        return found
    pieces = np.searchsorted(old.starts, rows, side="right") - 1
    order = np.argsort(new.pieces["id"], kind="stable")
    ids = new.pieces["id"][order]
    at = np.minimum(np.searchsorted(ids, old.pieces["id"][pieces]), len(ids) - 1)
    shared = ids[at] == old.pieces["id"][pieces]
    found[shared] = new.starts[order[at[shared]]] + rows[shared] - old.starts[pieces[shared]]
    rest = np.flatnonzero(~shared)
    if len(rest):
        others = np.flatnonzero(~np.isin(new.pieces["id"], old.pieces["id"]))
        wanted = key_hashes(old.cells_at(rows[rest], key), key)
        there = key_hashes(new.cells(others, key), key)
        at_wanted, at_there = match_keys(wanted, there)
        found[rest[at_wanted]] = new.rows_of(others)[at_there]
    return found


def insertion_points(
    ours: RowIndex,
    theirs: RowIndex,
    a: RowComparison,
    b: RowComparison,
    rows: Numbers,
    key: Sequence[str],
) -> Numbers:
    """Row of ours before which each row that theirs added is to be put; ``ours.rows`` is the end.

    It follows the row that it follows in theirs. What ours added at the same place stays in front, so that
    two appends come one after the other. Where ours removed the row in front, the one before that counts.

    Parameters
    ----------
    a, b : RowComparison
        Base against ours and against theirs.
    rows : ndarray of int64, shape (n,)
        Rows of theirs, ascending.
    """
    if not len(rows):
        return np.zeros(0, np.int64)
    # Runs of added rows share the row in front of the first of them.
    added = b.added
    number = np.searchsorted(added, rows)
    run_starts = np.flatnonzero(np.concatenate(([True], np.diff(added) != 1)))
    run = np.searchsorted(run_starts, number, side="right") - 1
    front = added[run_starts[run]] - 1
    anchors, place = np.unique(front, return_inverse=True)
    located = _anchored(ours, theirs, anchors, key)
    before = located + 1
    # What ours added right behind the anchor comes first.
    if len(a.added):
        before = _run_end(a.added, before)
    points: Numbers = before[place]
    return points


def _anchored(ours: RowIndex, theirs: RowIndex, anchors: Numbers, key: Sequence[str]) -> Numbers:
    """Rows of ours at which anchors of theirs stand; -1 is the front."""
    found = np.full(len(anchors), -1, np.int64)
    at = anchors.copy()
    open_ = np.flatnonzero(at >= 0)
    while len(open_):
        places = locate(theirs, ours, at[open_], key)
        found[open_] = places
        at[open_] -= 1
        open_ = open_[(places < 0) & (at[open_] >= 0)]
    return found


def _run_end(added: Numbers, rows: Numbers) -> Numbers:
    """First row behind the run of added rows that each row is in; rows outside of runs stay."""
    starts = np.flatnonzero(np.concatenate(([True], np.diff(added) != 1)))
    ends = np.append(added[starts[1:] - 1], added[-1]) + 1
    run = np.searchsorted(added[starts], rows, side="right") - 1
    inside = (run >= 0) & (rows < ends[np.maximum(run, 0)])
    return np.where(inside, ends[np.maximum(run, 0)], rows)
