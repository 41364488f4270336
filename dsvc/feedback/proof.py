"""Rows of two versions of a table held against a plan: which are gone, which are new, and which should be.

Versions are compared by content, as multisets of rows: of rows that are equal, those of the plan go first.
Nothing is taken from what made the new version.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from xxhash import xxh3_64_intdigest

from dsvc.table.index.row_index import RowIndex, row_hashes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]
    Hashes = NDArray[np.uint64]
    Flags = NDArray[np.bool_]

MAX_LISTED: Final = 100
"""Rows that a proof names of an artifact."""
_NONE = np.zeros(0, np.int64)


class Compared(NamedTuple):
    """What differs between two versions.

    Attributes
    ----------
    gone : ndarray of int64
        Rows before that have no equal now, ascending: they changed, or were taken out.
    came : ndarray of int64
        Rows now that had no equal before, ascending.
    """

    gone: Numbers
    came: Numbers


class FileRecords:
    """Files of a folder as records: path within it and content are what makes two the same.

    Parameters
    ----------
    members : sequence of (bytes, bytes)
        Path and digest of each.
    """

    def __init__(self, members: Sequence[tuple[bytes, bytes]]) -> None:
        hashes = [xxh3_64_intdigest(path + b"\0" + digest) for path, digest in members]
        self.hashes = np.array(hashes, np.uint64)


Records = RowIndex | FileRecords


def count_of(records: Records) -> int:
    """Number of records."""
    return len(records.hashes) if isinstance(records, FileRecords) else records.rows


def hashes_at(records: Records, rows: Numbers) -> Hashes:
    """Hashes of some records as wholes."""
    if isinstance(records, FileRecords):
        return records.hashes[rows]
    return row_hashes(records.cells_at(rows), len(rows))


def compare(before: Records, after: Records, planned: Numbers) -> Compared:
    """Compare two versions of a table or a folder.

    Parameters
    ----------
    planned : ndarray of int64
        Rows before that may go, ascending.
    """
    if isinstance(before, FileRecords) or isinstance(after, FileRecords):
        every = [hashes_at(each, np.arange(count_of(each), dtype=np.int64)) for each in (before, after)]
        return Compared(*unmatched(every[0], every[1], np.isin(np.arange(len(every[0])), planned)))
    quick = _compare(before, after, planned, by_piece=True)
    if not np.setdiff1d(quick.gone, planned).size:
        return quick
    # Pieces are the same in several places where rows repeat; then only all rows tell.
    return _compare(before, after, planned, by_piece=False)


def _compare(before: RowIndex, after: RowIndex, planned: Numbers, *, by_piece: bool) -> Compared:
    ours = np.arange(len(before.pieces), dtype=np.int64)
    theirs = np.arange(len(after.pieces), dtype=np.int64)
    if by_piece:
        pieces = np.searchsorted(before.starts, planned, side="right") - 1
        with_planned: Flags = np.isin(ours, pieces)
        ours, theirs = unmatched(_piece_hashes(before), _piece_hashes(after), with_planned)
    rows_before, rows_after = before.rows_of(ours), after.rows_of(theirs)
    hashes = [
        row_hashes(index.cells(pieces), len(rows))
        for index, pieces, rows in ((before, ours, rows_before), (after, theirs, rows_after))
    ]
    gone, came = unmatched(hashes[0], hashes[1], np.isin(rows_before, planned))
    return Compared(rows_before[gone], rows_after[came])


def _piece_hashes(index: RowIndex) -> Hashes:
    ids: Hashes = index.pieces["id"].astype(np.uint64)
    return np.bitwise_xor(ids, index.pieces["rows"].astype(np.uint64))


def unmatched(before: Hashes, after: Hashes, first: Flags) -> tuple[Numbers, Numbers]:
    """Places on both sides that have no equal on the other one, the first with the first.

    Parameters
    ----------
    first : ndarray of bool, shape (len(before),)
        Which of those before are left over first, where some that are equal are.
    """
    order_before = np.lexsort((~first, before))
    order_after = np.argsort(after, kind="stable")
    left = _surplus(before[order_before], after[order_after])
    more = _surplus(after[order_after][::-1], before[order_before])
    return np.sort(order_before[left]), np.sort(order_after[::-1][more])


def _surplus(mine: Hashes, others: Hashes) -> Numbers:
    """Places among sorted hashes, the first of equal ones, that are more than the others (ascending) have."""
    if not len(mine):
        return _NONE
    starts = np.concatenate(([0], np.flatnonzero(mine[1:] != mine[:-1]) + 1))
    counts = np.diff(np.append(starts, len(mine)))
    values = mine[starts]
    have = np.searchsorted(others, values, side="right") - np.searchsorted(others, values, side="left")
    place = np.arange(len(mine)) - np.repeat(starts, counts)
    return np.flatnonzero(place < np.repeat(counts - have, counts))


class Sets(NamedTuple):
    """Rows of a plan, ascending, each in one of the sets."""

    flagged: Numbers = _NONE
    selected: Numbers = _NONE
    consequent: Numbers = _NONE

    @property
    def all(self) -> Numbers:
        """All of them, ascending."""
        return np.sort(np.concatenate(self))


class Held(NamedTuple):
    """Rows that are gone, held against the plan.

    Attributes
    ----------
    flagged, selected, consequent : int
        How many of each set.
    others : ndarray of int64
        The rows of none.
    further : int
        Of the consequent ones those that the plan could not name.
    """

    flagged: int
    selected: int
    consequent: int
    others: Numbers
    further: int = 0


def held(gone: Numbers, sets: Sets, reached: Numbers = _NONE) -> Held:
    """Hold rows that are gone against a plan; rows that were reached from rows of it are consequent."""
    flagged, selected, consequent = (len(np.intersect1d(gone, each)) for each in sets)
    others = np.setdiff1d(gone, sets.all)
    further = len(np.intersect1d(others, reached))
    return Held(flagged, selected, consequent + further, np.setdiff1d(others, reached), further)
