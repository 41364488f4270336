"""Matching rows by equal hashes: which input row an output row came from, where several are equal.

Everything is done for all rows at once. Rows fall into groups of equal key or equal content; within a group
they are paired by occurrence, the first with the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]
    Numbers = NDArray[np.int64]
    Flags = NDArray[np.bool_]

    Contents = Callable[[Numbers], Hashes]

_SPREAD: Final = np.uint64(0x9E3779B97F4A7C15)
_NONE: Final = np.zeros(0, np.int64)
_MAX_SLOTS: Final = 1 << 28


class Pairs(NamedTuple):
    """Rows that belong together, in no order."""

    outputs: Numbers
    inputs: Numbers


NO_PAIRS: Final = Pairs(_NONE, _NONE)


class Rows(NamedTuple):
    """Some rows of one side, ascending, and a hash of each.

    Attributes
    ----------
    used : ndarray of bool or None
        Of inputs: which have a child in another output already, and so are taken last.
    """

    numbers: Numbers
    hashes: Hashes
    used: Flags | None = None

    def at(self, places: Numbers | Flags) -> Rows:
        """Some of them."""
        return Rows(
            self.numbers[places], self.hashes[places], None if self.used is None else self.used[places]
        )


@dataclass(frozen=True, slots=True)
class KeyRule:
    """How rows are paired whose key is not theirs alone.

    Attributes
    ----------
    merges : bool
        Whether one output row for several input rows of its key is made of all of them, unless it is equal
        to one of them.
    same_columns : bool
        Whether both sides have the same columns.
    is_unique : bool
        Whether it is known that no two input rows have one key.
    whole_inputs, whole_outputs : callable
        Hash the content of some rows.
    common_inputs, common_outputs : callable
        Hash what some rows have in the columns of both sides.
    """

    merges: bool
    same_columns: bool
    is_unique: bool
    whole_inputs: Contents
    whole_outputs: Contents
    common_inputs: Contents
    common_outputs: Contents


class Groups(NamedTuple):
    """Rows of both sides by group: numbers of groups from 0, and how many rows of a side each has."""

    inputs: Numbers
    outputs: Numbers
    input_counts: Numbers
    output_counts: Numbers


def group(inputs: Hashes, outputs: Hashes) -> Groups:
    """Number the groups of equal hashes on both sides."""
    both = np.concatenate((inputs, outputs))
    order = np.argsort(both)
    in_order = both[order]
    steps = np.empty(len(both), np.int64)
    if len(both):
        steps[0] = 0
        np.not_equal(in_order[1:], in_order[:-1], out=steps[1:], casting="unsafe")
        np.cumsum(steps, out=steps)
    codes = np.empty(len(both), np.int64)
    codes[order] = steps
    count = int(steps[-1]) + 1 if len(both) else 0
    ours, theirs = codes[: len(inputs)], codes[len(inputs) :]
    return Groups(ours, theirs, np.bincount(ours, minlength=count), np.bincount(theirs, minlength=count))


class KeyMatch(NamedTuple):
    """What matching by key found; `crowded`: some key comes several times, and more often in the output."""

    pairs: Pairs
    crowded: bool


def match_by_key(inputs: Rows, outputs: Rows, rule: KeyRule) -> KeyMatch:
    """Pair rows of equal keys; those without a key are not among them.

    A key that one input row has belongs to it in every output row. Where several have it, rule, content and
    occurrence decide.
    """
    if not len(inputs.numbers) or not len(outputs.numbers):
        return KeyMatch(NO_PAIRS, False)
    if rule.is_unique and len(inputs.numbers) <= _MAX_SLOTS:
        return KeyMatch(_looked_up(inputs, outputs), False)
    groups = group(inputs.hashes, outputs.hashes)
    found = [_single(groups, inputs, outputs)]
    several = (groups.input_counts > 1) & (groups.output_counts > 0)
    if not several.any():
        return KeyMatch(found[0], False)
    ours, theirs = several[groups.inputs], several[groups.outputs]
    # From here on a row's hash is its key's group.
    some_inputs = inputs.at(ours)._replace(hashes=groups.inputs[ours].astype(np.uint64))
    some_outputs = outputs.at(theirs)._replace(hashes=groups.outputs[theirs].astype(np.uint64))
    if rule.merges and int(groups.output_counts.max()) == 1:
        found += _merged(some_inputs, some_outputs, rule)
    else:
        found += _duplicates(some_inputs, some_outputs, rule)
    crowded = several & (groups.output_counts > groups.input_counts)
    return KeyMatch(joined(found), bool(crowded.any()))


def _single(groups: Groups, inputs: Rows, outputs: Rows) -> Pairs:
    """Pair output rows with the input row that alone has their hash."""
    parent = np.full(len(groups.input_counts), -1, np.int64)
    parent[groups.inputs] = inputs.numbers
    parent[groups.input_counts > 1] = -1
    parents = parent[groups.outputs]
    single = parents >= 0
    return Pairs(outputs.numbers[single], parents[single])


def _looked_up(inputs: Rows, outputs: Rows) -> Pairs:
    """Pair output rows with the input row of their hash, which no two input rows have.

    A table with one slot for each value of the hash's low bits finds most; the rest is sorted, which takes
    much longer for each.
    """
    slots = 1 << (2 * len(inputs.hashes)).bit_length()
    mask = np.uint64(slots - 1)
    table = np.zeros(slots, np.int32)
    places = np.arange(len(inputs.hashes), dtype=np.int32)
    own = (inputs.hashes & mask).view(np.int64)
    table[own] = places
    found = table[(outputs.hashes & mask).view(np.int64)]
    is_it = inputs.hashes[found] == outputs.hashes
    first = Pairs(outputs.numbers[is_it], inputs.numbers[found[is_it]])
    if len(first.outputs) == len(outputs.numbers):
        return first
    hidden, rest = inputs.at(table[own] != places), outputs.at(~is_it)
    if not len(hidden.numbers):
        return first
    return joined([first, _single(group(hidden.hashes, rest.hashes), hidden, rest)])


def _merged(inputs: Rows, outputs: Rows, rule: KeyRule) -> list[Pairs]:
    """Each output row is one of its key's rows if it is equal to one, else all of them are its parents."""
    chosen = pair_by_occurrence(
        _within(inputs, rule.whole_inputs(inputs.numbers)),
        _within(outputs, rule.whole_outputs(outputs.numbers)),
        repeat=False,
    )
    rest = outputs.at(~np.isin(outputs.numbers, chosen.outputs))
    return [chosen, match_members(inputs, rest)]


def match_members(inputs: Rows, outputs: Rows) -> Pairs:
    """Pair output rows, no two of which have one hash, with all input rows of their hash."""
    order = np.argsort(outputs.hashes)
    known = outputs.hashes[order]
    if not len(known):
        return NO_PAIRS
    at = np.minimum(np.searchsorted(known, inputs.hashes), len(known) - 1)
    is_member = known[at] == inputs.hashes
    return Pairs(outputs.numbers[order[at[is_member]]], inputs.numbers[is_member])


def _duplicates(inputs: Rows, outputs: Rows, rule: KeyRule) -> list[Pairs]:
    """Pair by what both sides have in common, then by occurrence; what is left repeats rows."""
    common_inputs = _within(inputs, rule.common_inputs(inputs.numbers))
    common_outputs = _within(outputs, rule.common_outputs(outputs.numbers))
    found = [pair_by_occurrence(common_inputs, common_outputs, repeat=False)]

    def left(rows: Rows, taken: Sequence[Numbers]) -> Rows:
        return rows.at(~np.isin(rows.numbers, np.concatenate(taken)))

    def remaining(rows: Rows) -> Rows:
        return left(rows, [each.outputs for each in found])

    # Where rows were joined or taken apart, equal content says more than the count of a key.
    counts = group(inputs.hashes, outputs.hashes)
    grown = (counts.output_counts > counts.input_counts)[counts.outputs]
    by_content = remaining(common_outputs.at(grown | (not rule.same_columns)))
    found.append(pair_by_occurrence(common_inputs, by_content, repeat=True))
    free = left(inputs, [each.inputs for each in found])
    found.append(pair_by_occurrence(free, remaining(outputs), repeat=False))
    found.append(pair_by_occurrence(inputs, remaining(outputs), repeat=True))
    return found


def _within(rows: Rows, content: Hashes) -> Rows:
    """Tell rows apart by group and content."""
    return rows._replace(hashes=content + (rows.hashes + np.uint64(1)) * _SPREAD)


def pair_by_occurrence(inputs: Rows, outputs: Rows, *, repeat: bool) -> Pairs:
    """Pair rows of equal hash: the first with the first, and so on; unused input rows come first.

    Parameters
    ----------
    repeat : bool
        Whether an output that has a row more often than the input repeats rows; else the rest stays alone.
    """
    if not len(inputs.numbers) or not len(outputs.numbers):
        return NO_PAIRS
    groups = group(inputs.hashes, outputs.hashes)
    if int(groups.input_counts.max()) == 1 and int(groups.output_counts.max()) == 1:
        return _single(groups, inputs, outputs)
    in_places = np.flatnonzero(groups.output_counts[groups.inputs] > 0)
    out_places = np.flatnonzero(groups.input_counts[groups.outputs] > 0)
    in_codes, out_codes = groups.inputs[in_places], groups.outputs[out_places]
    used = np.zeros(len(in_codes), np.bool_) if inputs.used is None else inputs.used[in_places]
    in_order = np.lexsort((used, in_codes))
    out_order = np.argsort(out_codes, kind="stable")
    codes = out_codes[out_order]
    occurrence = np.arange(len(codes)) - np.searchsorted(codes, codes, side="left")
    counts = groups.input_counts[codes]
    starts = np.searchsorted(in_codes[in_order], codes, side="left")
    if repeat:
        occurrence = occurrence % counts
    fits = occurrence < counts
    partners = in_order[starts[fits] + occurrence[fits]]
    return Pairs(outputs.numbers[out_places[out_order[fits]]], inputs.numbers[in_places[partners]])


def joined(many: Sequence[Pairs]) -> Pairs:
    """All pairs of several."""
    return Pairs(np.concatenate([p.outputs for p in many]), np.concatenate([p.inputs for p in many]))


def count_duplicates(hashes: Hashes) -> int:
    """Count rows whose hash others have too."""
    ordered = np.sort(hashes)
    same = ordered[1:] == ordered[:-1]
    if not same.any():
        return 0
    repeated = np.concatenate((same, [False])) | np.concatenate(([False], same))
    return int(repeated.sum())
