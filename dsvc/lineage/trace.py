"""Back from artifacts and rows to their sources, step by step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from dsvc.lineage.builder import LineageBuilder
from dsvc.lineage.graph import ArtifactNode, EdgeKind, Node, SourceNode
from dsvc.lineage.row_fate import Fate, fates_of
from dsvc.lineage.row_flow import NOTHING, WHOLE, Reached, RowFlow, united
from dsvc.lineage.run_summary import RunSummary
from dsvc.model.run_record import RunId

SHOWN_ROWS = 20
"""Rows of a step that are named."""


class How(StrEnum):
    """How an artifact came to be."""

    GENERATED = "generated"
    COPIED = "copied"
    ATTESTED = "attested"
    UNKNOWN = "unknown"


class Granularity(StrEnum):
    """Whether a step knows its rows one by one."""

    ROW = "row"
    ARTIFACT = "artifact"


class GapReason(StrEnum):
    """Why a way back doesn't end in a source in force."""

    NO_SOURCE = "no-source"
    NOT_IN_FORCE = "not-in-force"
    ROWS = "rows"
    ADDED = "added"


class Gap(NamedTuple):
    """Where a way back ends without a source in force; how many rows, None where there are none to count."""

    artifact: ArtifactNode
    reason: GapReason
    rows: int | None
    source: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """How one artifact came to be.

    Attributes
    ----------
    artifact : ArtifactNode
    rows : tuple of int
        Which of its rows are asked about: the first `SHOWN_ROWS`, where they are known one by one.
    row_count : int or None
        How many; None where it has no rows.
    how : How
    granularity : Granularity
    run : RunId or None
        The run that made it.
    reruns : int
        How many earlier runs made the same of the same.
    origins : tuple of ArtifactNode
        What the run read, or what it is a copy of.
    sources : tuple of str
        Sources that speak for it.
    fates : tuple of Fate
        What the run did to each of `rows`.
    """

    artifact: ArtifactNode
    rows: tuple[int, ...]
    row_count: int | None
    how: How
    granularity: Granularity
    run: RunId | None = None
    reruns: int = 0
    origins: tuple[ArtifactNode, ...] = ()
    sources: tuple[str, ...] = ()
    fates: tuple[Fate, ...] = ()


@dataclass(slots=True)
class Trace:
    """The way back.

    Attributes
    ----------
    steps : list of Step
        Newest first: each before those of what it came from.
    sources : dict of str to int
        Sources in which ways end, each with the number of rows, or of files that have none.
    gaps : list of Gap
        Where ways end otherwise.
    """

    steps: list[Step] = field(default_factory=list)
    sources: dict[str, int] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether every way ends in a source in force."""
        return bool(self.steps) and not self.gaps


def trace(builder: LineageBuilder, flow: RowFlow, starts: Mapping[ArtifactNode, Reached]) -> Trace:
    """Trace artifacts, or some of their rows, back to their sources.

    Parameters
    ----------
    starts : mapping of ArtifactNode to Reached
        Artifacts that the builder knows, and which of their rows are asked about.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If a run, a source or a row map can't be read.
    """
    builder.resolve(starts)
    return _Tracer(builder, flow, starts).trace()


class _Tracer:
    def __init__(
        self, builder: LineageBuilder, flow: RowFlow, starts: Mapping[ArtifactNode, Reached]
    ) -> None:
        self._builder = builder
        self._graph = builder.graph
        self._flow = flow
        self._wanted = dict(starts)
        self._found = Trace()

    def trace(self) -> Trace:
        above: set[Node] = set(self._wanted)
        for start in self._wanted:
            above |= self._graph.ancestors(start)
        order = self._graph.ordered(node for node in self._graph.nodes() if node in above)
        for node in reversed(order):
            if isinstance(node, ArtifactNode):
                wanted = self._wanted.get(node, NOTHING)
                if wanted:
                    self._step(node, wanted)
        return self._found

    def _want(self, node: ArtifactNode, reached: Reached) -> None:
        known = self._wanted.get(node)
        self._wanted[node] = reached if known is None else united((known, reached))

    def _step(self, node: ArtifactNode, wanted: Reached) -> None:
        settled = [self._generated(node, wanted, runs) for runs in self._alike(node)]
        rest = united(settled) if settled else wanted
        if not rest:
            return
        covered = [*self._attested(node, rest), *self._copied(node, rest)]
        missing = _without(rest, united(covered), self._records(node))
        if not covered and not settled:
            self._add(node, wanted, How.UNKNOWN)
        if missing:
            known = GapReason.ADDED if settled else GapReason.ROWS if covered else GapReason.NO_SOURCE
            self._found.gaps.append(Gap(node, known, self._count(node, missing)))

    def _alike(self, node: ArtifactNode) -> Iterable[list[RunId]]:
        """Runs that made an artifact; those of equal inputs and outputs together, the newest first."""
        groups: dict[object, list[RunId]] = {}
        for id_ in self._builder.makers(node):
            run = self._builder.index.runs[id_]
            groups.setdefault((run.name, run.complete, run.inputs, run.outputs), []).append(id_)
        return groups.values()

    def _generated(self, node: ArtifactNode, wanted: Reached, runs: list[RunId]) -> Reached:
        """Go back through a run; returns the rows that it had from nowhere."""
        run, output = self._builder.output(runs[0], node)
        parents = self._flow.back(run, output, wanted)
        read = {number: _node(run, number) for number in parents}
        for number, reached in parents.items():
            self._want(read[number], reached)
        self._add(
            node,
            wanted,
            How.GENERATED,
            run=run,
            reruns=len(runs) - 1,
            origins=tuple(read.values()),
            output=output,
        )
        return self._flow.without_parent(run, output, wanted)

    def _attested(self, node: ArtifactNode, wanted: Reached) -> list[Reached]:
        found = {}
        for parent, kind in self._graph.parents(node).items():
            if kind is EdgeKind.ATTESTS and isinstance(parent, SourceNode):
                rows = _both(wanted, self._flow.attested(parent, node))
                if rows:
                    found[parent.id] = rows
        if not found:
            return []
        self._add(node, wanted, How.ATTESTED, sources=tuple(found))
        for id_, rows in found.items():
            count = self._count(node, rows)
            self._found.sources[id_] = self._found.sources.get(id_, 0) + (1 if count is None else count)
            if not self._builder.sources.all[id_].in_force:
                self._found.gaps.append(Gap(node, GapReason.NOT_IN_FORCE, count, id_))
        return list(found.values())

    def _copied(self, node: ArtifactNode, wanted: Reached) -> list[Reached]:
        covered, origins = [], []
        for parent, kind in self._graph.parents(node).items():
            if kind is EdgeKind.COPIED and isinstance(parent, ArtifactNode):
                rows, mine = self._flow.copied_back(parent, node, wanted)
                if rows:
                    self._want(parent, rows)
                    covered.append(mine)
                    origins.append(parent)
        if origins:
            self._add(node, united(covered), How.COPIED, origins=tuple(origins))
        return covered

    def _records(self, node: ArtifactNode) -> int | None:
        return self._builder.facts[node].records

    def _count(self, node: ArtifactNode, reached: Reached) -> int | None:
        return self._records(node) if reached.rows is None else len(reached.rows)

    def _add(
        self,
        node: ArtifactNode,
        wanted: Reached,
        how: How,
        *,
        run: RunSummary | None = None,
        output: int = 0,
        reruns: int = 0,
        origins: tuple[ArtifactNode, ...] = (),
        sources: tuple[str, ...] = (),
    ) -> None:
        by_row = wanted.rows is not None and wanted.exact
        fates: tuple[Fate, ...] = ()
        shown = () if wanted.rows is None or not by_row else tuple(wanted.rows[:SHOWN_ROWS].tolist())
        if run is not None and by_row:
            fates = fates_of(self._flow, run, output, shown)
            by_row = len(fates) == len(shown)
        self._found.steps.append(
            Step(
                artifact=node,
                rows=shown,
                row_count=self._count(node, wanted),
                how=how,
                granularity=Granularity.ROW if by_row else Granularity.ARTIFACT,
                run=None if run is None else run.run_id,
                reruns=reruns,
                origins=origins,
                sources=sources,
                fates=fates,
            )
        )


def _node(run: RunSummary, number: int) -> ArtifactNode:
    return ArtifactNode(run.inputs[number].path, run.inputs[number].digest)


def _both(first: Reached, second: Reached) -> Reached:
    """Rows that are in both."""
    if first.rows is None or second.rows is None:
        rows = second.rows if first.rows is None else first.rows
        return Reached(rows, first.exact and second.exact)
    import numpy as np

    return Reached(np.intersect1d(first.rows, second.rows), first.exact and second.exact)


def _without(wanted: Reached, covered: Reached, records: int | None) -> Reached:
    """Rows that are wanted and not covered."""
    if covered.rows is None or not wanted:
        return NOTHING
    if not covered:
        return wanted
    import numpy as np

    if wanted.rows is None and records is None:
        return WHOLE
    rows = np.arange(records or 0, dtype=np.int64) if wanted.rows is None else wanted.rows
    return Reached(np.setdiff1d(rows, covered.rows, assume_unique=True), wanted.exact)
