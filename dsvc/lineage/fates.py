"""What became of the rows of an input, from the links of all outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from dsvc.lineage.captured import CaptureRequest
from dsvc.lineage.column_names import ColumnNames
from dsvc.lineage.declared_drops import Drops, no_drops
from dsvc.lineage.links import Links
from dsvc.lineage.record_rows import RecordRows
from dsvc.lineage.row_account import RowAccount
from dsvc.model.run_record import Fates, RunKind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]
    Numbers = NDArray[np.int64]
    Flags = NDArray[np.bool_]

DUPLICATE: Final = "duplicate"
UNSPECIFIED: Final = "unspecified"
_NONE: Final = -1


class Children(NamedTuple):
    """An input's rows and what came of them.

    Attributes
    ----------
    counts : ndarray of int64, shape (rows,)
        Number of children over all outputs.
    links : dict of int to Links
        By output.
    """

    counts: Numbers
    links: dict[int, Links]


def children_of(number: int, rows: int, links: Mapping[tuple[int, int], Links]) -> Children:
    """Gather an input's links."""
    own = {output: found for (output, input_), found in links.items() if input_ == number}
    counts = np.zeros(rows, np.int64)
    for found in own.values():
        if found.size < rows // 8:
            np.add.at(counts, found.inputs, 1)
        else:
            counts += np.bincount(found.inputs, minlength=rows)
    return Children(counts, own)


class Accountant:
    """Accounts for the rows of a run's inputs.

    Parameters
    ----------
    request : CaptureRequest
        The run.
    children : mapping of int to Children
        By input that takes part.
    drops : mapping of int to Drops
        What the run says that it dropped, by input.
    """

    def __init__(
        self,
        request: CaptureRequest,
        children: Mapping[int, Children],
        drops: Mapping[int, Drops],
    ) -> None:
        self._request = request
        self._children = children
        self._drops = drops
        self._kept: dict[tuple[tuple[int, ...], tuple[str, ...]], _Kept] = {}

    def account(self, number: int) -> RowAccount:
        """Account for one input."""
        rows = self._rows(number)
        counts, links = self._children[number]
        single = counts == 1
        merged = np.zeros(rows.rows, np.bool_)
        changed = np.zeros(rows.rows, np.bool_)
        for output, found in links.items():
            other = self._request.outputs[output].rows
            assert other is not None
            shared = _shared(found.outputs)
            merged[found.inputs[shared & single[found.inputs]]] = True
            alone = ~shared & single[found.inputs]
            pairs = found if alone.all() else Links(found.outputs[alone], found.inputs[alone])
            names = ColumnNames(rows, other, self._request.renamed)
            changed[pairs.inputs[differences(rows, other, names, pairs)]] = True
        dropped = np.flatnonzero(counts == 0)
        reasons, reason_of, survivors = self._reasons(number, dropped)
        counted = {"merged": int(merged.sum()), "changed": int(changed.sum())}
        counted["split"] = int((counts > 1).sum())
        kept = rows.rows - len(dropped) - sum(counted.values())
        fates = Fates(kept=kept, dropped=len(dropped), **counted)
        return RowAccount(fates, np.flatnonzero(changed), dropped, reasons, reason_of, survivors)

    def _rows(self, number: int) -> RecordRows:
        rows = self._request.inputs[number].rows
        assert rows is not None
        return rows

    def _reasons(self, number: int, dropped: Numbers) -> tuple[tuple[str, ...], Numbers, Numbers]:
        declared = self._drops.get(number) or no_drops()
        names = [*declared.reasons, DUPLICATE, self._request.drop_reason or UNSPECIFIED]
        distinct = list(dict.fromkeys(names))
        reason_of = np.full(len(dropped), distinct.index(names[-1]), np.int64)
        survivors = np.full(len(dropped), _NONE, np.int64)
        at = np.searchsorted(dropped, declared.rows)
        reason_of[at] = declared.reason_of
        survivors[at] = declared.survivors
        if self._request.kind is RunKind.DEDUP and len(dropped):
            open_ = np.ones(len(dropped), np.bool_)
            open_[at] = False
            is_duplicate, found = self._duplicates(number, dropped)
            reason_of[is_duplicate & open_] = distinct.index(DUPLICATE)
            survivors[open_] = found[open_]
        codes, again = np.unique(reason_of, return_inverse=True)
        return tuple(distinct[code] for code in codes), again.astype(np.int64), survivors

    def _duplicates(self, number: int, dropped: Numbers) -> tuple[Flags, Numbers]:
        """Which dropped rows are kept as another row of equal content or key, and as which of this input."""
        rows = self._rows(number)
        wanted: dict[tuple[str, ...], Hashes] = {(): rows.row_hashes(dropped)}
        key = self._request.inputs[number].key or rows.key
        has_key = np.zeros(len(dropped), np.bool_)
        if key and set(key) <= set(rows.columns):
            hashes, flags = rows.key_hashes(key)
            wanted[tuple(key)], has_key = hashes[dropped], flags[dropped]
        alike = [n for n in self._children if set(self._rows(n).columns) == set(rows.columns)]
        survivors = np.full(len(dropped), _NONE, np.int64)
        is_duplicate = np.zeros(len(dropped), np.bool_)
        for columns, hashes in wanted.items():
            # A row without a key is no duplicate by its key.
            counts = has_key if columns else np.ones(len(dropped), np.bool_)
            own = self._survivors((number,), columns).first(hashes)
            survivors = np.where((survivors == _NONE) & counts, own, survivors)
            is_duplicate |= counts & (self._survivors(tuple(alike), columns).first(hashes) != _NONE)
        return is_duplicate, survivors

    def _survivors(self, numbers: tuple[int, ...], key: tuple[str, ...]) -> _Kept:
        """Rows of some inputs that have children, by a key of theirs or by content."""
        if (numbers, key) not in self._kept:
            parts = [self._kept_of(number, key) for number in numbers]
            hashes, rows = (np.concatenate(column) for column in zip(*parts, strict=True))
            self._kept[numbers, key] = _Kept(hashes, rows)
        return self._kept[numbers, key]

    def _kept_of(self, number: int, key: tuple[str, ...]) -> tuple[Hashes, Numbers]:
        rows, kept = self._rows(number), np.flatnonzero(self._children[number].counts > 0)
        if not key:
            return rows.row_hashes(kept), kept
        hashes, has_key = rows.key_hashes(key)
        kept = kept[has_key[kept]]
        return hashes[kept], kept


class _Kept:
    """Some rows by their hashes."""

    def __init__(self, hashes: Hashes, rows: Numbers) -> None:
        order = np.argsort(hashes, kind="stable")
        self._hashes, self._rows = hashes[order], rows[order]

    def first(self, wanted: Hashes) -> Numbers:
        """First row with each hash, -1 where there is none."""
        if not len(self._rows) or not len(wanted):
            return np.full(len(wanted), _NONE, np.int64)
        at = np.minimum(np.searchsorted(self._hashes, wanted, side="left"), len(self._rows) - 1)
        return np.where(self._hashes[at] == wanted, self._rows[at], _NONE)


def _shared(outputs: Numbers) -> Flags:
    """Which links, ordered by output row, are not their output row's only one."""
    same = outputs[1:] == outputs[:-1]
    shared = np.zeros(len(outputs), np.bool_)
    shared[1:] = same
    shared[:-1] |= same
    return shared


def differences(rows: RecordRows, other: RecordRows, names: ColumnNames, links: Links) -> Flags:
    """Tell which pairs differ in some cell; an absent column reads as null."""
    differs = np.zeros(links.size, np.bool_)
    ours, theirs = rows.cells(), other.cells()
    takes_all = links.size == other.rows and _ascends(links.outputs)

    def cells(name: str) -> Hashes:
        return theirs[name] if takes_all else theirs[name][links.outputs]

    for name, there in names.names.items():
        cell = ours[name][links.inputs]
        differs |= cell != (0 if there is None else cells(there))
    for name in names.only_there:
        differs |= cells(name) != 0
    return differs


def _ascends(numbers: Numbers) -> bool:
    return bool((numbers[1:] > numbers[:-1]).all())
