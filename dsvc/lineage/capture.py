"""Which rows of a run's inputs became which rows of its outputs, and what became of each.

An output's parents are those that the run itself declared; else rows of equal key; else rows of equal
content. By key:

- A key that one input row has is that row's in every output row: filter, join (a parent in each input),
  explode.
- One output row for several input rows of its key is made of all of them (an aggregate), unless it is equal
  to one of them, or the run is of a kind that only selects.
- A key that comes several times on both sides is matched by what both have in the columns they share, then by
  occurrence. If it comes more often in the output, and nothing else is unique there, identity is lost.
- Inputs with the output's own columns are concatenated: a row belongs to the one that has it as it is, else
  to the first that has its key.
- A null key is none. Rows without a parent by key are tried by equal content, occurrence by occurrence; a
  row that the output has more often than all inputs together is a copy.
- An aggregate keeps null keys, as GROUP BY does: where a key comes several times in the only input and each
  once in the output, null being as good as a value, a row with a null in its key that is still without a
  parent is made of the input rows with the same key that have no child. Never in kinds that only select.
- Rows that are equal are given out once over all outputs before one of them is given out again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from dsvc.lineage.captured import (
    CapturedInput,
    CapturedOutput,
    CaptureRequest,
    CaptureResult,
)
from dsvc.lineage.declared_drops import checked_drops, checked_links, refuse_children, takes_part
from dsvc.lineage.fates import Accountant, children_of
from dsvc.lineage.links import Links
from dsvc.lineage.matching import count_duplicates
from dsvc.lineage.output_match import OutputMatcher
from dsvc.lineage.row_pool import RowPools
from dsvc.model.run_record import MAY_ADD, Capture, RunKind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Flags = NDArray[np.bool_]

MAY_HAVE_NEW_ROWS: Final = MAY_ADD | {RunKind.APPLY}
"""Kinds whose new rows are no loss of identity: a patch brings its own."""


def capture(request: CaptureRequest) -> CaptureResult:
    """Follow the rows of a run.

    Parameters
    ----------
    request : CaptureRequest
        Inputs, outputs, keys, and what the run declared.

    Raises
    ------
    RowMapError
        If what the run declared can't be true.
    """
    return _Capture(request).result()


class _Capture:
    def __init__(self, request: CaptureRequest) -> None:
        self._request = request
        self._parts = {
            number: item.rows
            for number, item in enumerate(request.inputs)
            if item.rows is not None and takes_part(item)
        }
        self._used: dict[int, Flags] = {n: np.zeros(rows.rows, np.bool_) for n, rows in self._parts.items()}
        self._pools = RowPools()
        self._links: dict[tuple[int, int], Links] = {}
        self._captures: dict[int, Capture] = {}
        self._added: dict[int, int] = {}
        self._problems: list[str] = []

    def result(self) -> CaptureResult:
        """Do it all."""
        request = self._request
        declared, drops = checked_links(request), checked_drops(request)
        if request.declared is not None:
            for number, links in declared.items():
                self._take(number, links, request.declared.capture)
        for number, output in enumerate(request.outputs):
            if number not in declared:
                self._match(number, output)
            self._count_added(number, output)
        children = {n: children_of(n, rows.rows, self._links) for n, rows in self._parts.items()}
        refuse_children(drops, {n: each.counts for n, each in children.items()}, request)
        accountant = Accountant(request, children, drops)
        accounts = {number: accountant.account(number) for number in self._parts}
        own = {number: self._duplicates(request.inputs[number]) for number in self._parts}
        outputs = sum(self._duplicates(each) for each in request.outputs)
        return CaptureResult(
            self._links,
            accounts,
            self._added,
            self._captures,
            own,
            sum(own.values()) + outputs,
            tuple(self._problems),
        )

    def _take(self, output: int, links: dict[int, Links], how: Capture) -> None:
        self._captures[output] = how
        for number, found in sorted(links.items()):
            if found.size:
                self._links[output, number] = found
                self._used[number][found.inputs] = True

    def _match(self, number: int, output: CapturedOutput) -> None:
        if output.rows is None:
            self._captures[number] = Capture.NONE
            return
        found = OutputMatcher(self._request, output, self._used, self._pools).match()
        self._take(number, found.links, found.capture)
        if found.is_ambiguous:
            self._problems.append(f"{_show(output)}: key not unique in the output")

    def _count_added(self, number: int, output: CapturedOutput) -> None:
        if output.rows is None:
            return
        has_parent = np.zeros(output.rows.rows, np.bool_)
        for (other, _), links in self._links.items():
            if other == number:
                has_parent[links.outputs] = True
        self._added[number] = added = len(has_parent) - int(has_parent.sum())
        if added and self._request.kind not in MAY_HAVE_NEW_ROWS:
            self._problems.append(f"{_show(output)}: {added} of {len(has_parent)} rows have no parent")

    def _duplicates(self, item: CapturedInput | CapturedOutput) -> int:
        """Count rows whose key is not theirs alone."""
        rows = item.rows
        missing = (
            [] if rows is None or not rows.rows else [name for name in item.key if name not in rows.columns]
        )
        if missing:
            self._problems.append(f"{_show(item)}: its key {missing[0]!r} is no column")
        if rows is None or not item.key or missing or rows.is_unique(item.key):
            return 0
        hashes, whole = rows.key_hashes(item.key)
        return count_duplicates(hashes if whole.all() else hashes[whole])


def _show(item: CapturedInput | CapturedOutput) -> str:
    return item.path.decode(errors="replace")
