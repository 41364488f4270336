"""Settling rows in conflict for the other side, in a merged table that may have been edited since."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dsvc.diff.row_compare import match_keys
from dsvc.diff.row_diff import TableVersion
from dsvc.diff.row_merge import segments_of
from dsvc.diff.table_conflict import RowConflict
from dsvc.table.index.row_index import key_hashes
from dsvc.table.splice.splice_plan import CellEdit, Donor, Splice

_THEIRS = 1


def take_theirs(
    base: TableVersion,
    current: TableVersion,
    theirs: TableVersion,
    key: Sequence[str],
    chosen: Sequence[tuple[RowConflict, tuple[str, ...]]],
) -> Splice | None:
    """Plan a table in which some conflicts are as theirs has them.

    Parameters
    ----------
    base, theirs : TableVersion
        Versions that the conflicts were found in.
    current : TableVersion
        The merged table as it stands.
    key : sequence of str
        Key columns.
    chosen : sequence of (RowConflict, tuple of str)
        Conflicts, and which of their cells are taken.

    Returns
    -------
    Splice or None
        None where nothing changes.
    """
    places = _places(base, current, theirs, key, [conflict for conflict, _ in chosen])
    removed: list[int] = []
    added: list[int] = []
    cells: list[tuple[int, str, int]] = []
    for (conflict, columns), place in zip(chosen, places, strict=True):
        if conflict.kind == "modify/delete":
            removed.extend([place] if place >= 0 else [])
        elif conflict.kind == "delete/modify":
            added.extend([conflict.theirs] if place < 0 else [])
        elif place >= 0:
            cells.extend((place, name, conflict.theirs) for name in columns)
    if not (removed or added or cells):
        return None
    total = current.index.rows + len(current.index.malformed)
    gone = sorted(removed)
    ends = [total] * len(added)
    shift = np.searchsorted(np.array(gone, np.int64), np.array([place for place, _, _ in cells], np.int64))
    assert current.source is not None
    assert current.kind is not None
    assert theirs.source is not None
    assert theirs.kind is not None
    return Splice(
        donors=[Donor(current.source, current.kind), Donor(theirs.source, theirs.kind)],
        segments=segments_of(total, gone, ends, sorted(added)),
        edits=sorted(
            CellEdit(place - int(before), name, _THEIRS, row, name)
            for (place, name, row), before in zip(cells, shift, strict=True)
        ),
    )


def _places(
    base: TableVersion,
    current: TableVersion,
    theirs: TableVersion,
    key: Sequence[str],
    conflicts: Sequence[RowConflict],
) -> list[int]:
    """Record number that each conflict's row has in the current table, -1 where it isn't there."""
    hashes = np.zeros(len(conflicts), np.uint64)
    for version, records in (
        (theirs, [conflict.theirs for conflict in conflicts]),
        (base, [conflict.base if conflict.theirs < 0 else -1 for conflict in conflicts]),
    ):
        numbers = np.array(records, np.int64)
        here = np.flatnonzero(numbers >= 0)
        if len(here):
            rows = version.index.rows_at(numbers[here])
            hashes[here] = key_hashes(version.index.cells_at(rows, key), key)
    found = np.full(len(conflicts), -1, np.int64)
    if current.index.rows:
        at_current, at_conflict = match_keys(key_hashes(current.index.cells(names=key), key), hashes)
        found[at_conflict] = current.index.records(at_current)
    return [int(place) for place in found]
