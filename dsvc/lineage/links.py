"""Links: which rows of an input became which rows of an output."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]
    Flags = NDArray[np.bool_]


class Links(NamedTuple):
    """Pairs of an output row and an input row that it has values of; by output row, then input row, unique.

    Attributes
    ----------
    outputs, inputs : ndarray of int64, shape (n,)
        Row numbers.
    """

    outputs: Numbers
    inputs: Numbers

    @property
    def size(self) -> int:
        """Number of pairs."""
        return len(self.outputs)

    def inverted(self) -> Links:
        """Swap the sides, so that outputs are the inputs."""
        return ordered(self.inputs, self.outputs)

    def parents(self, rows: Numbers | Sequence[int]) -> Links:
        """Links of some output rows; the distinct parents are the union of its `inputs`."""
        return self._where(_is_among(self.outputs, rows, ascend=True))

    def children(self, rows: Numbers | Sequence[int]) -> Links:
        """Links of some input rows."""
        return self._where(_is_among(self.inputs, rows, ascend=False))

    def _where(self, flags: Flags) -> Links:
        return Links(self.outputs[flags], self.inputs[flags])


NO_LINKS = Links(np.zeros(0, np.int64), np.zeros(0, np.int64))


def distinct(numbers: Numbers) -> Numbers:
    """Sort numbers and leave each once; np.unique would load masked arrays, which takes longer than most."""
    in_order = np.sort(numbers)
    return in_order[np.concatenate(([True], in_order[1:] != in_order[:-1]))] if len(in_order) else in_order


def ordered(outputs: Numbers, inputs: Numbers) -> Links:
    """Make links of pairs in any order, in which a pair may come twice."""
    outputs = np.ascontiguousarray(outputs, np.int64)
    inputs = np.ascontiguousarray(inputs, np.int64)
    if len(outputs) < 2:
        return Links(outputs, inputs)
    steps = np.diff(outputs)
    if (steps > 0).all():
        return Links(outputs, inputs)
    if not ((steps > 0) | ((steps == 0) & (np.diff(inputs) > 0))).all():
        order = _order(outputs, inputs)
        outputs, inputs = outputs[order], inputs[order]
        new = np.concatenate(([True], (np.diff(outputs) != 0) | (np.diff(inputs) != 0)))
        if not new.all():
            outputs, inputs = outputs[new], inputs[new]
    return Links(outputs, inputs)


def _order(first: Numbers, second: Numbers) -> Numbers:
    """Order by the first, then the second; as one number where both fit into it, which is quicker."""
    low, width = int(second.min()), int(second.max() - second.min()) + 1
    if int(first.min()) >= 0 and int(first.max()) < (1 << 62) // width:
        return np.argsort(first * width + (second - low))
    return np.lexsort((second, first))


def identity(rows: int) -> Links:
    """Links of an output that has the rows of its input, in order."""
    numbers = np.arange(rows, dtype=np.int64)
    return Links(numbers, numbers)


def compose(earlier: Links, later: Links) -> Links:
    """Links over two runs, from the output of the later to the input of the earlier.

    Parameters
    ----------
    earlier : Links
        From rows B to rows A.
    later : Links
        From rows C to rows B.

    Returns
    -------
    Links
        From rows C to rows A.
    """
    start = np.searchsorted(earlier.outputs, later.inputs, side="left")
    counts = np.searchsorted(earlier.outputs, later.inputs, side="right") - start
    outputs = np.repeat(later.outputs, counts)
    before = np.cumsum(counts) - counts
    places = np.repeat(start - before, counts) + np.arange(len(outputs), dtype=np.int64)
    return ordered(outputs, earlier.inputs[places])


def compose_all(runs: Sequence[Links]) -> Links:
    """Links over several runs, given from the earliest to the latest; at least one."""
    return reduce(compose, runs)


def united(many: Iterable[Links]) -> Links:
    """Links that at least one of several has: of one pair of artifacts, by several ways between them."""
    found = list(many)
    if not found:
        return NO_LINKS
    return ordered(
        np.concatenate([each.outputs for each in found]), np.concatenate([each.inputs for each in found])
    )


def _is_among(numbers: Numbers, rows: Numbers | Sequence[int], *, ascend: bool) -> Flags:
    wanted = distinct(np.asarray(rows, np.int64))
    flags = np.zeros(len(numbers), np.bool_)
    if not len(wanted) or not len(numbers):
        return flags
    if ascend:
        # Few rows among many links are found without a look at each link.
        start = int(np.searchsorted(numbers, wanted[0], side="left"))
        end = int(np.searchsorted(numbers, wanted[-1], side="right"))
        flags[start:end] = np.isin(numbers[start:end], wanted)
        return flags
    return np.isin(numbers, wanted)
