"""The parents of one output's rows: by key, and by equal content where that says nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from dsvc.lineage.captured import CapturedOutput, CaptureRequest
from dsvc.lineage.column_names import ColumnNames, KeyColumns
from dsvc.lineage.links import Links, ordered
from dsvc.lineage.matching import (
    NO_PAIRS,
    KeyRule,
    Pairs,
    Rows,
    count_duplicates,
    joined,
    match_by_key,
    match_members,
    pair_by_occurrence,
)
from dsvc.lineage.record_rows import RecordRows
from dsvc.lineage.row_pool import RowPool, RowPools, apart
from dsvc.model.run_record import Capture, RunKind
from dsvc.table.index.row_index import key_hashes, row_hashes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]
    Numbers = NDArray[np.int64]
    Flags = NDArray[np.bool_]

SELECTS: Final = frozenset({RunKind.FILTER, RunKind.DEDUP, RunKind.SPLIT})
"""Kinds that choose among rows, so that one row for several of its key is one of them."""


class _Candidate(NamedTuple):
    """An input that an output's rows may come from."""

    number: int
    rows: RecordRows
    names: ColumnNames
    key: KeyColumns | None


class OutputMatch(NamedTuple):
    """What is known of an output's rows: links by input, how, and whether its keys leave it open."""

    links: dict[int, Links]
    capture: Capture
    is_ambiguous: bool


class OutputMatcher:
    """Matches one output's rows.

    Parameters
    ----------
    request : CaptureRequest
        The run.
    output : CapturedOutput
        Which output; it has records.
    used : mapping of int to ndarray of bool
        By input that takes part: rows that have a child in an output matched before.
    pools : RowPools
        Of the run.
    """

    def __init__(
        self,
        request: CaptureRequest,
        output: CapturedOutput,
        used: Mapping[int, Flags],
        pools: RowPools,
    ) -> None:
        assert output.rows is not None
        self._kind = request.kind
        self._rows = output.rows
        self._key = output.key or output.rows.key
        self._used = used
        self._pools = pools
        self._found: dict[int, list[Pairs]] = {}
        self._keyed = [self._candidate(request, number) for number in used]

    def _candidate(self, request: CaptureRequest, number: int) -> _Candidate:
        item = request.inputs[number]
        assert item.rows is not None
        names = ColumnNames(item.rows, self._rows, request.renamed)
        return _Candidate(number, item.rows, names, names.key(item.key or item.rows.key, self._key))

    def match(self) -> OutputMatch:
        """Find the parents."""
        crowded = False
        has_parent, is_copied = np.zeros(self._rows.rows, np.bool_), np.zeros(self._rows.rows, np.bool_)
        for pool, key in self._by_columns():
            is_copy = pool[0].names.are_same
            # A row of a concatenation belongs to one of the inputs; one of a join has a parent in each.
            pairs, is_crowded = self._by_key(pool, key, ~is_copied if is_copy else None)
            crowded |= is_crowded
            has_parent[pairs.outputs] = True
            if is_copy:
                is_copied[pairs.outputs] = True
        by_key = any(len(each.outputs) for pairs in self._found.values() for each in pairs)
        left = np.flatnonzero(~has_parent)
        if len(left):
            self._by_content(left)
            by_key |= self._by_null_key()
        links = {}
        for number, parts in self._found.items():
            found = ordered(*joined(parts))
            if found.size:
                links[number] = found
        capture = Capture.NONE if not self._keyed else Capture.KEY if by_key else Capture.CONTENT
        return OutputMatch(links, capture, crowded and not self._is_identified())

    def _by_columns(self) -> list[tuple[list[_Candidate], KeyColumns]]:
        """Inputs that are looked up together: those with the output's own columns are concatenated."""
        copies = [each for each in self._keyed if each.names.are_same]
        shared = next((each.key.outputs for each in copies if each.key is not None), None)
        found: list[tuple[list[_Candidate], KeyColumns]] = []
        by_key: dict[tuple[str, ...], list[_Candidate]] = {}
        for place, each in enumerate(self._keyed):
            key = each.key
            if len(copies) > 1 and each.names.are_same:
                key = key or (each.names.key((), shared) if shared else None)
                self._keyed[place] = each = each._replace(key=key)
                if key is not None:
                    if key.outputs not in by_key:
                        found.append((by_key.setdefault(key.outputs, []), key))
                    by_key[key.outputs].append(each)
            elif key is not None:
                found.append(([each], key))
        return found

    def _by_key(self, pool: Sequence[_Candidate], key: KeyColumns, free: Flags | None) -> tuple[Pairs, bool]:
        hashes, whole = self._rows.key_hashes(key.outputs)
        outputs = _chosen(hashes, whole if free is None else whole & free)
        columns = [each.key.inputs if each.key is not None else () for each in pool]
        name = ("key", *((each.number, own) for each, own in zip(pool, columns, strict=True)))

        def make() -> RowPool:
            sides = [each.rows.key_hashes(own) for each, own in zip(pool, columns, strict=True)]
            rows = _chosen(_one([side[0] for side in sides]), _one([side[1] for side in sides]))
            return RowPool(rows.numbers, rows.hashes)

        inputs = self._pools.get(name, make).rows(outputs.hashes, self._used_of(pool))
        found = match_by_key(inputs, outputs, self._rule(pool, key))
        self._take(pool, found.pairs)
        return found.pairs, found.crowded

    def _used_of(self, pool: Sequence[_Candidate]) -> Flags:
        used: Flags = _one([self._used[each.number] for each in pool])
        return used

    def _rule(self, pool: Sequence[_Candidate], key: KeyColumns) -> KeyRule:
        common = pool[0].names.common()

        def whole_inputs(numbers: Numbers) -> Hashes:
            return _of_pool(
                pool, numbers, lambda each, rows: each.rows.row_hashes(rows, each.names.hash_names())
            )

        def common_inputs(numbers: Numbers) -> Hashes:
            return _of_pool(pool, numbers, lambda each, rows: _hash(each.rows, rows, each.names.common()))

        return KeyRule(
            merges=self._kind not in SELECTS and len(pool) == 1,
            same_columns=pool[0].names.are_same,
            is_unique=len(pool) == 1 and pool[0].rows.is_unique(key.inputs),
            whole_inputs=whole_inputs,
            whole_outputs=self._rows.row_hashes,
            common_inputs=common_inputs,
            common_outputs=lambda numbers: _hash(
                self._rows, numbers, {other: other for other in common.values()}
            ),
        )

    def _by_content(self, left: Numbers) -> None:
        """Pair rows that have no parent with rows of equal content, the inputs in order."""
        if not self._keyed:
            return
        pool = self._keyed
        names = [each.names.hash_names() for each in pool]
        name = ("content", *((e.number, e.key, *own.items()) for e, own in zip(pool, names, strict=True)))

        def make() -> RowPool:
            rows = [_content_rows(each) for each in pool]
            starts = np.cumsum([0, *(each.rows.rows for each in pool)])
            hashes = [e.rows.row_hashes(own, n) for e, own, n in zip(pool, rows, names, strict=True)]
            numbers = [
                (np.arange(each.rows.rows) if own is None else own) + start
                for each, own, start in zip(pool, rows, starts[:-1], strict=True)
            ]
            return RowPool(_one(numbers), _one(hashes))

        outputs = Rows(left, self._rows.row_hashes(None if len(left) == self._rows.rows else left))
        inputs = self._pools.get(name, make).rows(outputs.hashes, self._used_of(pool))
        self._take(pool, pair_by_occurrence(inputs, outputs, repeat=True))

    def _by_null_key(self) -> bool:
        """Give rows of an aggregate whose key is null, or null in part, their members; whether there are any.

        One is such a row if nothing else in the output has its key, null being as good as a value, while some
        key comes several times in the only input. Members that have a child already are not taken again.
        """
        if self._kind in SELECTS or len(self._keyed) != 1:
            return False
        number, rows, _, key = self._keyed[0]
        if key is None:
            return False
        known = joined(self._found.get(number, [NO_PAIRS]))
        hashes, whole = self._rows.key_hashes(key.outputs)
        left = ~whole
        left[known.outputs] = False
        if not left.any() or rows.is_unique(key.inputs) or count_duplicates(hashes):
            return False
        of_input, input_whole = rows.key_hashes(key.inputs)
        if not count_duplicates(of_input):
            return False
        free = ~input_whole & ~self._used[number]
        free[known.inputs] = False
        found = match_members(_chosen(of_input, free), _chosen(hashes, left))
        self._take(self._keyed, found)
        return bool(len(found.outputs))

    def _take(self, pool: Sequence[_Candidate], pairs: Pairs) -> None:
        """Give links to the inputs that the rows of a pool belong to."""
        for place, own in apart(pairs, [each.rows.rows for each in pool]):
            self._found.setdefault(pool[place].number, []).append(own)

    def _is_identified(self) -> bool:
        """Whether the output's key, or those of all its inputs together, are unique in it."""
        of_inputs = dict.fromkeys(name for each in self._keyed if each.key for name in each.key.outputs)
        keys = [key for key in (self._key, tuple(of_inputs)) if key]
        for key in keys:
            if all(name in self._rows.columns for name in key):
                hashes = key_hashes(self._rows.cells(key), key)
                if len(np.unique(hashes)) == len(hashes):
                    return True
        return False


def _chosen(hashes: Hashes, flags: Flags) -> Rows:
    if flags.all():
        return Rows(np.arange(len(hashes)), hashes)
    places = np.flatnonzero(flags)
    return Rows(places, hashes[places])


def _one(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _hash(rows: RecordRows, numbers: Numbers, names: Mapping[str, str]) -> Hashes:
    cells = {names[name]: hashes[numbers] for name, hashes in rows.cells(tuple(names)).items()}
    return row_hashes(cells, len(numbers))


def _of_pool(
    pool: Sequence[_Candidate], numbers: Numbers, make: Callable[[_Candidate, Numbers], Hashes]
) -> Hashes:
    """Hash rows of a pool, given by ascending numbers over all of its inputs."""
    parts, start = [], 0
    for each in pool:
        first, last = np.searchsorted(numbers, (start, start + each.rows.rows))
        parts.append(make(each, numbers[first:last] - start))
        start += each.rows.rows
    return _one(parts)


def _content_rows(candidate: _Candidate) -> Numbers | None:
    """Rows that may be found by content where they weren't by key; None: all."""
    key = candidate.key
    if key is None or not set(key.inputs) <= set(candidate.rows.content):
        return None
    # Rows of equal content have equal keys, so that only those without one are left.
    return np.flatnonzero(~candidate.rows.key_hashes(key.inputs)[1])
