"""Comparing two row indexes: which rows were added, removed, changed, and in which cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from dsvc.model.errors import NotFoundError, UsageError
from dsvc.table.index.row_index import RowIndex, is_called_id, key_hashes, row_hashes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]
    Numbers = NDArray[np.int64]
    Flags = NDArray[np.bool_]

RENAME_SHARE: Final = 0.9
"""Share of the rows on both sides whose cells must agree for a column to count as renamed."""


class DuplicateKeyError(UsageError):
    """A key is given twice in one table."""

    code = "duplicate-key"


class NoSuchColumnError(NotFoundError):
    """A key names a column that a table doesn't have."""

    code = "no-such-column"


@dataclass(frozen=True, slots=True)
class RowComparison:
    """What two versions of a table differ in, by row numbers; all arrays ascend by the new side's rows.

    Attributes
    ----------
    removed : ndarray of int64
        Rows of the old version.
    added : ndarray of int64
        Rows of the new version.
    old_changed, new_changed : ndarray of int64, shape (n,)
        The same row in the old and in the new version.
    cells : dict of str to ndarray of bool, shape (n,)
        By column (named as on the new side, removed ones as on the old): in which changed rows it differs.
    renamed : dict of str to str
        Old names of columns to new ones.
    unchanged : int
        Number of rows that are the same.
    """

    removed: Numbers
    added: Numbers
    old_changed: Numbers
    new_changed: Numbers
    cells: dict[str, Flags]
    renamed: dict[str, str]
    unchanged: int


def compare_rows(old: RowIndex, new: RowIndex, key: Sequence[str]) -> RowComparison:
    """Compare two versions; the cost follows the pieces that differ, unless the columns do.

    Parameters
    ----------
    key : sequence of str
        Key columns, named as on the new side; empty: rows are a multiset.

    Raises
    ------
    NoSuchColumnError
        If a table lacks a key column.
    DuplicateKeyError
        If a key is given twice; `details` has the ``rows`` and the ``side``.
    """
    renamed = renamed_columns(old, new, key)
    _check_key(old, new, key, renamed)
    if set(old.names) == set(new.names):
        old_pieces, new_pieces = piece_differences(old.pieces["id"], new.pieces["id"])
    else:
        old_pieces, new_pieces = np.arange(len(old.pieces)), np.arange(len(new.pieces))
    old_rows, new_rows = old.rows_of(old_pieces), new.rows_of(new_pieces)
    old_cells = {renamed.get(name, name): cells for name, cells in old.cells(old_pieces).items()}
    new_cells = new.cells(new_pieces)
    return compare_cells(key, renamed, new.rows, Rows(old_rows, old_cells), Rows(new_rows, new_cells))


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of a version: their numbers, ascending, and hashes of their cells by column."""

    numbers: Numbers
    cells: dict[str, Hashes]

    def hashes(self) -> Hashes:
        """Hash whole rows."""
        return row_hashes(self.cells, len(self.numbers))

    def key(self, names: Sequence[str]) -> Hashes:
        """Hash the key of each row; a table without rows need not have the columns."""
        nothing = np.zeros(len(self.numbers), np.uint64)
        return key_hashes({name: self.cells.get(name, nothing) for name in names}, names)


def compare_cells(
    key: Sequence[str], renamed: dict[str, str], total: int, old: Rows, new: Rows
) -> RowComparison:
    """Compare some rows, whose columns are named as on the new side; all others are the same.

    Parameters
    ----------
    renamed : dict of str to str
        Old names of columns to new ones, for the result.
    total : int
        Number of rows of the new version.
    """
    if key:
        return _by_key(key, renamed, total, old, new)
    before, after = old.hashes(), new.hashes()
    removed, added = old.numbers[_only_here(before, after)], new.numbers[_only_here(after, before)]
    none = np.zeros(0, np.int64)
    return RowComparison(removed, added, none, none, {}, renamed, total - len(added))


def _by_key(key: Sequence[str], renamed: dict[str, str], total: int, old: Rows, new: Rows) -> RowComparison:
    at_old, at_new = match_keys(old.key(key), new.key(key))
    gone, come = np.ones(len(old.numbers), bool), np.ones(len(new.numbers), bool)
    gone[at_old] = False
    come[at_new] = False
    differs = old.hashes()[at_old] != new.hashes()[at_new]
    at_old, at_new = at_old[differs], at_new[differs]
    cells: dict[str, Flags] = {}
    for name in dict.fromkeys([*new.cells, *old.cells]):
        ours = old.cells[name][at_old] if name in old.cells else np.zeros(len(at_old), np.uint64)
        theirs = new.cells[name][at_new] if name in new.cells else np.zeros(len(at_new), np.uint64)
        changed = ours != theirs
        if changed.any():
            cells[name] = changed
    added = new.numbers[come]
    return RowComparison(
        old.numbers[gone],
        added,
        old.numbers[at_old],
        new.numbers[at_new],
        cells,
        renamed,
        total - len(added) - len(at_new),
    )


def match_keys(old: Hashes, new: Hashes) -> tuple[Numbers, Numbers]:
    """Places of equal keys, ascending on the new side; keys come once on each side."""
    if not len(old) or not len(new):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    order, order_new = np.argsort(old), np.argsort(new)
    ordered, wanted = old[order], new[order_new]
    # What is looked up in order is looked up in memory that is at hand.
    at = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
    found = np.full(len(new), -1, np.int64)
    equal = ordered[at] == wanted
    found[order_new[equal]] = order[at[equal]]
    places = np.flatnonzero(found >= 0)
    return found[places], places


def _only_here(here: Hashes, there: Hashes) -> Numbers:
    """Places whose hash comes more often here than there: the later ones, ascending."""
    order = np.argsort(here, kind="stable")
    ordered = here[order]
    first = np.searchsorted(ordered, ordered, side="left")
    occurrence = np.arange(len(ordered)) - first
    other = np.sort(there)
    count = np.searchsorted(other, ordered, side="right") - np.searchsorted(other, ordered, side="left")
    return np.sort(order[occurrence >= count])


def piece_differences(old: Hashes, new: Hashes) -> tuple[Numbers, Numbers]:
    """Pieces that are not on both sides equally often."""
    ids, place = np.unique(np.concatenate((old, new)), return_inverse=True)
    here, there = place[: len(old)], place[len(old) :]
    count = np.bincount(here, minlength=len(ids)) - np.bincount(there, minlength=len(ids))
    return np.flatnonzero(count[here]), np.flatnonzero(count[there])


# Keys


def duplicate_rows(index: RowIndex, key: Sequence[str]) -> Numbers:
    """Rows whose key comes more than once, ascending; empty where the key is unique."""
    if any(column.unique for column in index.columns if column.name in key):
        return np.zeros(0, np.int64)
    hashes = key_hashes(index.cells(names=key), key)
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    same = ordered[1:] == ordered[:-1]
    repeated = np.concatenate((same, [False])) | np.concatenate(([False], same)) if len(ordered) else same
    return np.sort(order[repeated])


def _check_key(old: RowIndex, new: RowIndex, key: Sequence[str], renamed: Mapping[str, str]) -> None:
    back = {to: name for name, to in renamed.items()}
    old_key = [back.get(name, name) for name in key]
    for side, index, names in (("old", old, old_key), ("new", new, list(key))):
        if not index.rows:
            continue
        missing = [name for name in names if index.column(name) is None]
        if missing:
            raise NoSuchColumnError(
                f"the {side} version has no column {missing[0]!r}",
                hint=f"its columns are {', '.join(index.names[:20])}",
                details={"column": missing[0], "side": side},
            )
        repeated = duplicate_rows(index, names) if names else ()
        if len(repeated):
            raise DuplicateKeyError(
                f"in the {side} version {len(repeated)} rows share their key {', '.join(names)}",
                hint="name columns that together are unique: --key A,B",
                details={"side": side, "rows": [int(row) for row in repeated[:20]]},
            )


def guess_key(old: RowIndex, new: RowIndex) -> tuple[str, ...]:
    """Column that is unique and complete in both versions, one that is called an id first; or none."""
    sides = [side for side in (new, old) if side.rows]
    if not sides:
        return ()
    places = [
        {c.name: place for place, c in enumerate(side.columns) if c.unique and c.complete} for side in sides
    ]
    found = [name for name in places[0] if all(name in side for side in places)]
    if not found:
        return ()
    # The same for both directions, whatever the order of columns on either side.
    order = {name: (not is_called_id(name), sum(side[name] for side in places), name) for name in found}
    return (min(found, key=order.__getitem__),)


# Renames


def renamed_columns(old: RowIndex, new: RowIndex, key: Sequence[str]) -> dict[str, str]:
    """Old names of columns to new ones, where the values say that they are the same column.

    Parameters
    ----------
    key : sequence of str
        Key columns, named as on the new side; may be empty.
    """
    gone = [name for name in old.names if name not in new.names]
    come = [name for name in new.names if name not in old.names]
    if not gone or not come or not old.rows or not new.rows:
        return {}
    pairs = _common_rows(old, new, [name for name in key if name in old.names and name in new.names], key)
    if pairs is None:
        return _same_values(old, new, gone, come)
    old_rows, new_rows = pairs
    before = {name: cells[old_rows] for name, cells in old.cells(names=gone).items()}
    after = {name: cells[new_rows] for name, cells in new.cells(names=come).items()}
    shares = sorted(
        ((_share(before[a], after[b]), -gone.index(a), -come.index(b), a, b) for a in gone for b in come),
        reverse=True,
    )
    found: dict[str, str] = {}
    for share, _, _, a, b in shares:
        if share >= RENAME_SHARE and a not in found and b not in found.values():
            found[a] = b
    return found


def _share(before: Hashes, after: Hashes) -> float:
    """Share of the rows with equal cells, among those where a cell is not null."""
    filled = (before != 0) | (after != 0)
    return float(np.mean(before[filled] == after[filled])) if filled.any() else 0.0


def _common_rows(
    old: RowIndex, new: RowIndex, common: Sequence[str], key: Sequence[str]
) -> tuple[Numbers, Numbers] | None:
    """Rows of equal key on both sides; None where there is no key in common."""
    if not key or len(common) < len(key):
        return None
    at_old, at_new = match_keys(key_hashes(old.cells(names=key), key), key_hashes(new.cells(names=key), key))
    return (at_old, at_new) if len(at_old) else None


def _same_values(old: RowIndex, new: RowIndex, gone: Sequence[str], come: Sequence[str]) -> dict[str, str]:
    """Without a key: columns whose values are the same, as often, whatever the order of rows."""
    if old.rows != new.rows:
        return {}
    before = {name: np.sort(cells) for name, cells in old.cells(names=gone).items()}
    after = {name: np.sort(cells) for name, cells in new.cells(names=come).items()}
    found: dict[str, str] = {}
    for a in gone:
        for b in come:
            if b not in found.values() and before[a].any() and np.array_equal(before[a], after[b]):
                found[a] = b
                break
    return found
