"""Row maps and accounts of a run of which a part was done again: what stays is renumbered, the rest put in.

Arrays only; nothing is read here. Positions of the old output are the yardstick: a new row stands where those
of its input row stood, else behind the outputs of the nearest earlier input row that has some.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dsvc.lineage.links import NO_LINKS, Links
from dsvc.lineage.row_account import RowAccount
from dsvc.model.run_record import Fates
from dsvc.porcelain.recompute.recompute_correspondence import NONE, Correspondence
from dsvc.table.index.index_splice import Replacement

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]
    Flags = NDArray[np.bool_]


class NotSplicedError(Exception):
    """Rows can't be replaced one by one here, and why; the run is done as a whole then."""


class InputChange(NamedTuple):
    """What is done with one input of a run.

    Attributes
    ----------
    correspondence : Correspondence
        Of its new version.
    touched : ndarray of int64
        Rows of the old version whose outputs go, ascending.
    fresh : ndarray of int64
        Rows of the new version that are computed, ascending; row i of the part is the i-th of them.
    """

    correspondence: Correspondence
    touched: Numbers
    fresh: Numbers


class Small(NamedTuple):
    """Links of the small run between one output and the inputs, by input; and the output's rows."""

    rows: int
    links: Mapping[int, Links]


class Placed(NamedTuple):
    """Where the rows of a small output go.

    Attributes
    ----------
    change : Replacement
        Rows of the old output that go, and rows of the small one that come.
    stands_for : ndarray of int64
        For each row that comes, in the same order, the old row that it replaces; -1: none.
    """

    change: Replacement
    stands_for: Numbers


def rows_that_go(rows: int, links: Mapping[int, Links], inputs: Mapping[int, InputChange]) -> Numbers:
    """Rows of an old output that were made of rows which are gone or computed again.

    Raises
    ------
    NotSplicedError
        If one was made of a row that stays, too.
    """
    goes, stays = np.zeros(rows, np.bool_), np.zeros(rows, np.bool_)
    for number, each in links.items():
        touched = _touched_links(each, inputs.get(number))
        goes[each.outputs[touched]] = True
        stays[each.outputs[~touched]] = True
    if (goes & stays).any():
        raise NotSplicedError("rows that it makes come from several input rows")
    return np.flatnonzero(goes)


def _touched_links(links: Links, change: InputChange | None) -> Flags:
    if change is None:
        return np.zeros(links.size, np.bool_)
    touched = np.zeros(change.correspondence.old_rows, np.bool_)
    touched[change.touched] = True
    return touched[links.inputs]


def place_rows(
    rows: int, old: Mapping[int, Links], small: Small, inputs: Sequence[InputChange | int]
) -> Placed:
    """Find where the rows of a small output go.

    Parameters
    ----------
    rows : int
        Rows of the old output.
    old : mapping of int to Links
        Its row maps, by input.
    small : Small
        What was computed; every row has a parent.
    inputs : sequence of InputChange or int
        What is done with each input; the number of its rows where nothing is.

    Raises
    ------
    NotSplicedError
        As `rows_that_go`.
    """
    changes = {n: each for n, each in enumerate(inputs) if isinstance(each, InputChange)}
    gone = rows_that_go(rows, old, changes)
    places = _Places(old, inputs, _first_parents(small, changes))
    before, order = places.before()
    return Placed(Replacement(gone, order, before), places.stands_for[order])


def relinked(
    old: Mapping[int, Links],
    small: Small,
    inputs: Sequence[InputChange | int],
    new_number: Numbers,
    at: Numbers,
) -> dict[int, Links]:
    """Row maps of the new output, by input.

    Parameters
    ----------
    old, small, inputs
        As those of `place_rows`.
    new_number : ndarray of int64
        New number of each old output row; -1 of one that goes.
    at : ndarray of int64
        New number of each row of the small output.
    """
    found: dict[int, Links] = {}
    for number, change in enumerate(inputs):
        links = old.get(number, NO_LINKS)
        outputs, rows = new_number[links.outputs], links.inputs
        stays = outputs >= 0
        if not stays.all():
            outputs, rows = outputs[stays], rows[stays]
        if isinstance(change, InputChange):
            rows = change.correspondence.new_of()[rows]
            fresh = small.links.get(number, NO_LINKS)
            outputs = np.concatenate((outputs, at[fresh.outputs]))
            rows = np.concatenate((rows, change.fresh[fresh.inputs]))
        if len(outputs):
            found[number] = _in_order(outputs, rows)
    return found


def _in_order(outputs: Numbers, rows: Numbers) -> Links:
    width = int(rows.max()) + 1
    if int(outputs.max()) >= (1 << 62) // width:
        order = np.lexsort((rows, outputs))
        return Links(outputs[order], rows[order])
    # Two runs that are in order each, which a stable sort only merges.
    both = np.sort(outputs * width + rows, kind="stable")
    return Links(both // width, both % width)


def new_numbers(rows: int, change: Replacement) -> Numbers:
    """New number of each old row, -1 of those that go."""
    numbers = np.ones(rows + 1, np.int64)
    numbers[change.touched] = 0
    np.add.at(numbers, change.before, 1)
    # What is put in before a row counts for that row already.
    result = np.cumsum(numbers[:rows]) - 1
    result[change.touched] = NONE
    return result


class _Parents(NamedTuple):
    """For each row of a small output its first parent: the input, the row of its new version."""

    inputs: Numbers
    rows: Numbers


def _first_parents(small: Small, changes: Mapping[int, InputChange]) -> _Parents:
    inputs, rows = np.full(small.rows, NONE, np.int64), np.full(small.rows, NONE, np.int64)
    for number in sorted(small.links, reverse=True):
        links = small.links[number]
        # Of several parents the first is written last.
        rows[links.outputs[::-1]] = changes[number].fresh[links.inputs[::-1]]
        inputs[links.outputs] = number
    return _Parents(inputs, rows)


class _Places:
    """Where rows of a small output stand among those of the old one."""

    def __init__(
        self, old: Mapping[int, Links], inputs: Sequence[InputChange | int], parents: _Parents
    ) -> None:
        self._old = old
        self._inputs = inputs
        self._parents = parents
        count = len(parents.rows)
        self.stands_for = np.full(count, NONE, np.int64)
        self._last = np.full(count, NONE, np.int64)
        """Position that a row stands at or behind."""
        self._behind = np.ones(count, np.bool_)
        for number, each in enumerate(inputs):
            if isinstance(each, InputChange):
                self._find_slots(number, each)
        self._anchor()

    def before(self) -> tuple[Numbers, Numbers]:
        """Old row before which each stands, and which rows these are, in order."""
        order = np.lexsort(
            (np.arange(len(self._last)), self._parents.rows, self._parents.inputs, self._behind, self._last)
        )
        return (self._last + self._behind)[order], order

    def _find_slots(self, number: int, change: InputChange) -> None:
        """Give rows the positions that outputs of the same input row had, one by one."""
        mine = np.flatnonzero(self._parents.inputs == number)
        if not len(mine) or number not in self._old:
            return
        mine = mine[np.argsort(self._parents.rows[mine], kind="stable")]
        rows = self._parents.rows[mine]
        before = change.correspondence.old_of[rows]
        slots = self._old[number].inverted()  # by old input row, then old output row
        first = np.searchsorted(slots.outputs, before, side="left")
        count = np.searchsorted(slots.outputs, before, side="right") - first
        has = (before >= 0) & (count > 0)
        which = np.arange(len(rows)) - np.searchsorted(rows, rows, side="left")
        own = has & (which < count)
        last = np.minimum(first + np.minimum(which, count - 1), max(slots.size - 1, 0))
        self._last[mine[has]] = slots.inputs[last[has]]
        self._behind[mine[own]] = False
        self.stands_for[mine[own]] = slots.inputs[last[own]]

    def _anchor(self) -> None:
        """Put rows without such a position behind the outputs of the nearest earlier input row."""
        open_ = np.flatnonzero((self._last < 0) & (self._parents.inputs >= 0))
        if not len(open_):
            return
        parts = [self._last_outputs(number, each) for number, each in enumerate(self._inputs)]
        sizes = [len(each) for each in parts]
        starts = np.cumsum(sizes) - sizes
        ends = np.concatenate(parts)
        known = np.where(ends >= 0, np.arange(len(ends)), -1)
        nearest = np.maximum.accumulate(known) if len(known) else known
        row = nearest[starts[self._parents.inputs[open_]] + self._parents.rows[open_]]
        self._last[open_] = np.where(row >= 0, ends[row], NONE)

    def _last_outputs(self, number: int, each: InputChange | int) -> Numbers:
        """Position of the last output of each row of an input's new version, -1 where it has none."""
        links = self._old.get(number, NO_LINKS)
        if isinstance(each, int):
            found = np.full(each, NONE, np.int64)
            found[links.inputs] = links.outputs  # ascending: the last one stays
            return found
        of_old = np.full(each.correspondence.old_rows, NONE, np.int64)
        of_old[links.inputs] = links.outputs
        old_of = each.correspondence.old_of
        found = np.where(old_of >= 0, of_old[old_of] if len(of_old) else NONE, NONE)
        found[each.fresh] = NONE
        mine = (self._parents.inputs == number) & (self._last >= 0)
        np.maximum.at(found, self._parents.rows[mine], self._last[mine])
        return found


# Accounts


def splice_account(
    old: RowAccount, children: Sequence[Links], change: InputChange, small: RowAccount
) -> RowAccount:
    """Account for the rows of an input's new version.

    Parameters
    ----------
    old : RowAccount
        Of its old version.
    children : sequence of Links
        Old row maps of all outputs to this input.
    small : RowAccount
        Of the rows that were computed.

    Raises
    ------
    NotSplicedError
        If a row that stays gone was kept as another that isn't there any more.
    """
    new_of = change.correspondence.new_of()
    gone = np.zeros(change.correspondence.old_rows, np.bool_)
    gone[change.touched] = True
    stays = ~gone[old.dropped]
    survivors = old.survivors[stays]
    if gone[survivors[survivors >= 0]].any():
        raise NotSplicedError("rows were dropped for the sake of others that are gone or changed")
    survivors = np.where(survivors >= 0, new_of[survivors], NONE)
    fates = _fates(old, children, change, gone)
    reasons = tuple(dict.fromkeys((*old.reasons, *small.reasons)))
    code = np.array([reasons.index(reason) for reason in small.reasons], np.int64)
    dropped = np.concatenate((new_of[old.dropped[stays]], change.fresh[small.dropped]))
    order = np.argsort(dropped, kind="stable")
    reason_of = np.concatenate((old.reason_of[stays], code[small.reason_of]))[order]
    kept_as = np.where(small.survivors >= 0, change.fresh[small.survivors], NONE)
    used, again = np.unique(reason_of, return_inverse=True)
    changed = np.sort(np.concatenate((new_of[old.changed[~gone[old.changed]]], change.fresh[small.changed])))
    counted = {name: getattr(fates, name) + getattr(small.fates, name) for name in Fates.__struct_fields__}
    return RowAccount(
        Fates(**counted),
        changed,
        dropped[order],
        tuple(reasons[number] for number in used),
        again.astype(np.int64),
        np.concatenate((survivors, kept_as))[order],
    )


def _fates(old: RowAccount, children: Sequence[Links], change: InputChange, gone: Flags) -> Fates:
    """Count fates of the old rows that stay."""
    touched = change.touched
    counts = np.zeros(len(gone), np.int64)
    shared = np.zeros(len(gone), np.bool_)
    for links in children:
        own = Links(links.outputs[gone[links.inputs]], links.inputs[gone[links.inputs]])
        np.add.at(counts, own.inputs, 1)
        same = own.outputs[1:] == own.outputs[:-1]
        shared[own.inputs[1:][same]] = True
        shared[own.inputs[:-1][same]] = True
    split = counts[touched] > 1
    merged = shared[touched] & ~split
    dropped = int(gone[old.dropped].sum())
    changed = int(gone[old.changed].sum())
    others = len(touched) - int(split.sum()) - int(merged.sum()) - dropped - changed
    fates = old.fates
    return Fates(
        kept=fates.kept - others,
        changed=fates.changed - changed,
        merged=fates.merged - int(merged.sum()),
        split=fates.split - int(split.sum()),
        dropped=fates.dropped - dropped,
    )
