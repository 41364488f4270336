"""How rows go along the edges of the graph, back to where they came from and forth to where they went.

Rows are numbers, ascending, or None for all that an artifact has; of a folder they are its files, a file that
is no table is all or nothing. Where a run has a row map these are exactly the rows that are linked; where it
has none, or is not complete, all rows of one side stand for any row of the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from dsvc.lineage.builder import LineageBuilder
from dsvc.lineage.graph import ArtifactNode, Node, SourceNode
from dsvc.lineage.link_file import LinkFile
from dsvc.lineage.links import distinct
from dsvc.lineage.row_account import RowAccount, decode_account
from dsvc.lineage.run_summary import RunSummary
from dsvc.lineage.run_tree import RunTree
from dsvc.model.errors import MalformedInputError
from dsvc.model.run_record import RunId
from dsvc.store.chunk_store import ChunkStore

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]
    Rows = Numbers | None


_FEW_ROWS: Final = 256
"""Rows that are looked for by themselves; of more, every link is looked at, which is quicker then."""


class Reached(NamedTuple):
    """Some rows of an artifact: their numbers, None for all; whether they are known one by one."""

    rows: Rows
    exact: bool

    def __bool__(self) -> bool:
        """Whether there are any."""
        return self.rows is None or len(self.rows) > 0


NOTHING = Reached(np.zeros(0, np.int64), True)
WHOLE = Reached(None, True)
ANYTHING = Reached(None, False)
"""All rows, since which ones is not known."""


def one_row(row: int) -> Reached:
    """One row of an artifact."""
    return Reached(np.array([row], np.int64), True)


def united(many: Iterable[Reached]) -> Reached:
    """Rows that are in at least one of several."""
    found = [each for each in many if each]
    if not found:
        return NOTHING
    exact = all(each.exact for each in found)
    parts = [each.rows for each in found if each.rows is not None]
    if len(parts) < len(found):
        return Reached(None, exact)
    return Reached(parts[0] if len(parts) == 1 else distinct(np.concatenate(parts)), exact)


def _numbers(numbers: Iterable[int]) -> Numbers:
    return distinct(np.fromiter(numbers, np.int64))


class RowFlow:
    """Follows rows through what a builder has put together.

    Parameters
    ----------
    store : ChunkStore
        Where row maps are.
    builder : LineageBuilder
        The graph.
    """

    def __init__(self, store: ChunkStore, builder: LineageBuilder) -> None:
        self._store = store
        self.builder = builder
        self._trees: dict[RunId, RunTree] = {}
        self._maps: dict[tuple[RunId, int, int], LinkFile] = {}
        self._accounts: dict[tuple[RunId, int], RowAccount | None] = {}

    def run(self, id_: RunId) -> RunTree:
        """Open a run."""
        if id_ not in self._trees:
            self._trees[id_] = RunTree(self._store, id_)
        return self._trees[id_]

    def links(self, run: RunSummary, output: int, input_: int) -> LinkFile | None:
        """Row map of an output and an input; None where no row of one became a row of the other.

        Raises
        ------
        MissingDataError, CorruptDataError, MalformedInputError
            If it can't be read, or names rows that there aren't.
        """
        if (output, input_) not in run.maps:
            return None
        place = run.run_id, output, input_
        if place not in self._maps:
            data = self.run(run.run_id).part(b"maps/%d-%d" % (output, input_))
            assert data is not None, "the summary has seen it"
            found = LinkFile(data)
            made, read = run.outputs[output].records or 0, run.inputs[input_].records or 0
            if found.max_output >= made or found.max_input >= read:
                raise MalformedInputError(
                    f"run {run.run_id.short()}: a row map names rows that its tables don't have",
                    details={"run": run.id.hex()},
                )
            self._maps[place] = found
        return self._maps[place]

    def account(self, run: RunSummary, input_: int) -> RowAccount | None:
        """What became of an input's rows, None where that was not recorded; raises as `links`."""
        place = run.run_id, input_
        if place not in self._accounts:
            data = self.run(run.run_id).part(b"rows/%d" % input_)
            self._accounts[place] = None if data is None else decode_account(data)
        return self._accounts[place]

    # Through runs

    def back(self, run: RunSummary, output: int, wanted: Reached) -> dict[int, Reached]:
        """Rows of a run's inputs that some rows of an output came from; inputs without any are left out."""
        found: dict[int, Reached] = {}
        for number in range(len(run.inputs)):
            if not maps_rows(run, output, number):
                found[number] = ANYTHING
            elif wanted.rows is None:
                found[number] = Reached(None, wanted.exact)
            else:
                links = self.links(run, output, number)
                rows = NOTHING.rows if links is None else distinct(links.parents(wanted.rows).inputs)
                found[number] = Reached(rows, wanted.exact)
        return {number: reached for number, reached in found.items() if reached}

    def without_parent(self, run: RunSummary, output: int, wanted: Reached) -> Reached:
        """Those of some rows of an output that came from no row of any input."""
        made = run.outputs[output]
        if not run.inputs:
            return wanted
        numbers = [number for number in range(len(run.inputs)) if maps_rows(run, output, number)]
        if not made.added or not numbers or not run.complete:
            return NOTHING
        rows = np.arange(made.records or 0, dtype=np.int64) if wanted.rows is None else wanted.rows
        for number in numbers:
            links = self.links(run, output, number)
            if links is not None:
                rows = np.setdiff1d(rows, links.parents(rows).outputs, assume_unique=True)
        return Reached(rows, True)

    def forth(self, run: RunSummary, output: int, reached: Mapping[int, Reached]) -> Reached:
        """Rows of an output that came from some rows of the inputs."""
        reached = {number: each for number, each in reached.items() if each}
        if not reached:
            return NOTHING
        if not all(maps_rows(run, output, number) for number in reached):
            return ANYTHING
        exact = all(each.exact for each in reached.values())
        made = run.outputs[output]
        whole = {number for number, each in reached.items() if each.rows is None}
        by_row = {number for number in range(len(run.inputs)) if maps_rows(run, output, number)}
        if not made.added and whole == by_row:
            # Every row has a parent, and all that could be one are reached.
            return Reached(None, exact)
        flags = np.zeros(made.records or 0, np.bool_)
        for number, each in reached.items():
            links = self.links(run, output, number)
            if links is not None:
                _mark_children(links, each.rows, run.inputs[number].records or 0, flags)
        return _all_or_some(np.flatnonzero(flags), made.records, exact)

    # Along other edges

    def attested(self, source: SourceNode, node: ArtifactNode) -> Reached:
        """Rows of an artifact that a source speaks for."""
        numbers = self.builder.attested.get((source, node))
        if numbers is not None:
            return _all_or_some(_numbers(numbers), self.builder.facts[node].records, True)
        found = self.builder.sources.all[source.id].attests(node)
        if found is None:
            return NOTHING
        if found.rows is None:
            return WHOLE
        from dsvc.lineage.row_set import decode_rows

        return _all_or_some(decode_rows(found.rows), self.builder.facts[node].records, True)

    def copied_back(self, start: Node, end: Node, wanted: Reached) -> tuple[Reached, Reached]:
        """Rows of a copy's origin, and which of the wanted ones it has them for."""
        pairs = self.builder.carried.get((start, end))
        if pairs is None:
            return wanted, wanted
        chosen = set() if wanted.rows is None else set(wanted.rows.tolist())
        hit = [p for p in pairs if wanted.rows is None or p.end is None or p.end in chosen]
        return _side([p.start for p in hit], wanted.exact), _side([p.end for p in hit], wanted.exact)

    def copied_forth(self, start: Node, end: Node, reached: Reached) -> Reached:
        """Rows of a copy that some rows of its origin became."""
        pairs = self.builder.carried.get((start, end))
        if pairs is None:
            return reached
        chosen = set() if reached.rows is None else set(reached.rows.tolist())
        hit = [p for p in pairs if reached.rows is None or p.start is None or p.start in chosen]
        return _side([p.end for p in hit], reached.exact)


def _mark_children(links: LinkFile, rows: Rows, records: int, flags: NDArray[np.bool_]) -> None:
    """Set the flags of output rows that came of some input rows."""
    if rows is not None and len(rows) <= _FEW_ROWS:
        flags[links.children(rows).outputs] = True
        return
    chosen = np.zeros(records, np.bool_)
    chosen[slice(None) if rows is None else rows] = True
    for block in links.blocks():
        flags[block.outputs[chosen[block.inputs]]] = True


def maps_rows(run: RunSummary, output: int, input_: int) -> bool:
    """Whether it is known which rows of an input became which rows of an output."""
    read, made = run.inputs[input_], run.outputs[output]
    return run.complete and not read.lookup and read.by_row and made.by_row


def _all_or_some(rows: Rows, records: int | None, exact: bool) -> Reached:
    """Rows by number; all of them where there are as many."""
    return Reached(None if rows is not None and len(rows) == records else rows, exact)


def _side(numbers: list[int | None], exact: bool) -> Reached:
    found = [number for number in numbers if number is not None]
    if len(found) < len(numbers):
        return Reached(None, exact)
    return Reached(_numbers(found), exact)
