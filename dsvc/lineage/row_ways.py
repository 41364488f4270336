"""The ways of all rows of an artifact at once: through which runs, from which rows, to which sources.

What `trace` tells of some rows, this tells row by row of all, by putting row maps together. So it can be
counted how rows of one origin fare against the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dsvc.lineage.builder import LineageBuilder
from dsvc.lineage.graph import ArtifactNode, EdgeKind, Node, RunNode, SourceNode
from dsvc.lineage.links import NO_LINKS, Links, compose, distinct, ordered, united
from dsvc.lineage.row_flow import RowFlow, maps_rows
from dsvc.lineage.run_summary import RunSummary
from dsvc.model.run_record import RunId

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

NONE: Numbers = np.zeros(0, np.int64)


class Way(NamedTuple):
    """How the rows that are asked about came from an artifact.

    Attributes
    ----------
    links : Links
        A row that is asked about, and a row of the artifact that it came from.
    loose : ndarray of int64
        Rows that are asked about, ascending, which came from it, and nobody knows from which of its rows.
    """

    links: Links
    loose: Numbers = NONE

    def rows(self) -> Numbers:
        """Rows that are asked about which came from it, ascending."""
        known = self.links.outputs
        known = known[_firsts(known)]
        return distinct(np.concatenate([known, self.loose])) if len(self.loose) else known

    def where(self, rows: Numbers | None) -> Way:
        """The part of it by some rows of the artifact; None: all."""
        if rows is None:
            return self
        keep = _among(self.links.inputs, rows)
        return Way(Links(self.links.outputs[keep], self.links.inputs[keep]), self.loose)


NO_WAY = Way(NO_LINKS)


def together(one: Way | None, other: Way) -> Way:
    """Both ways to one artifact."""
    if one is None:
        return other
    links = one.links if one.links is other.links else united((one.links, other.links))
    if not len(one.loose) or not len(other.loose):
        return Way(links, one.loose if len(one.loose) else other.loose)
    return Way(links, distinct(np.concatenate([one.loose, other.loose])))


def all_together(many: Sequence[Way]) -> Way:
    """All ways to one artifact; at least one."""
    if len(many) == 1:
        return many[0]
    loose = distinct(np.concatenate([way.loose for way in many]))
    return Way(united(way.links for way in many), loose)


def ways_of(
    builder: LineageBuilder, flow: RowFlow, starts: Mapping[ArtifactNode, Way]
) -> Iterator[tuple[Node, Way]]:
    """Go back from rows to everything that they came from.

    Parameters
    ----------
    starts : mapping of ArtifactNode to Way
        Artifacts that the builder knows, and which of their rows are asked about.

    Yields
    ------
    (Node, Way)
        Each artifact once, before those that it came from, the starts too. Each run that made some of it, of
        those that did the same the newest, with the rows that passed through it as `loose`, and each source
        that speaks for some of it; these may come more than once.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If a run, a source or a row map can't be read.
    """
    builder.resolve(starts)
    wanted = dict(starts)
    above: set[Node] = set(starts)
    for start in starts:
        above |= builder.graph.ancestors(start)
    order = builder.graph.ordered(node for node in builder.graph.nodes() if node in above)
    for node in reversed(order):
        way = wanted.pop(node, None) if isinstance(node, ArtifactNode) else None
        if way is None or not isinstance(node, ArtifactNode):
            continue
        yield node, way
        settled = alike(builder, node)
        rest = NO_WAY if settled else way
        for runs in settled:
            run, output = builder.output(runs[0], node)
            yield RunNode(run.run_id), Way(NO_LINKS, way.rows())
            for number, part in _through(flow, run, output, way):
                read = ArtifactNode(run.inputs[number].path, run.inputs[number].digest)
                wanted[read] = together(wanted.get(read), part)
            rest = together(rest, _without_parent(flow, run, output, way))
        for parent, part in _otherwise(builder, flow, node, rest):
            if isinstance(parent, SourceNode):
                yield parent, part
            elif isinstance(parent, ArtifactNode):
                wanted[parent] = together(wanted.get(parent), part)


def alike(builder: LineageBuilder, node: ArtifactNode) -> list[list[RunId]]:
    """Runs that made an artifact; those of equal inputs and outputs together, the newest first."""
    groups: dict[object, list[RunId]] = {}
    for id_ in builder.makers(node):
        run = builder.index.runs[id_]
        groups.setdefault((run.name, run.complete, run.inputs, run.outputs), []).append(id_)
    return list(groups.values())


def _through(flow: RowFlow, run: RunSummary, output: int, way: Way) -> Iterator[tuple[int, Way]]:
    """Go back through a run, to each input that rows came from."""
    for number in range(len(run.inputs)):
        if not maps_rows(run, output, number):
            part = Way(NO_LINKS, way.rows())
        else:
            links = flow.links(run, output, number)
            if links is None:
                continue
            # Few rows among many need few blocks of the map.
            few = way.links.size * 8 < links.count
            earlier = links.parents(way.links.inputs) if few else links.all()
            part = Way(composed(earlier, way.links), way.loose)
        if part.links.size or len(part.loose):
            yield number, part


def _without_parent(flow: RowFlow, run: RunSummary, output: int, way: Way) -> Way:
    """Those rows that a run had from nowhere."""
    if not run.inputs:
        return way
    made = run.outputs[output]
    numbers = [number for number in range(len(run.inputs)) if maps_rows(run, output, number)]
    if not made.added or not numbers or not run.complete:
        return NO_WAY
    added = np.ones(made.records or 0, np.bool_)
    for number in numbers:
        links = flow.links(run, output, number)
        for block in () if links is None else links.blocks():
            added[block.outputs] = False
    return way.where(np.flatnonzero(added))


def _otherwise(
    builder: LineageBuilder, flow: RowFlow, node: ArtifactNode, rest: Way
) -> Iterator[tuple[Node, Way]]:
    """Go back to sources, and to files that this one is a copy of."""
    for parent, kind in builder.graph.parents(node).items():
        part = NO_WAY
        if kind is EdgeKind.ATTESTS and isinstance(parent, SourceNode):
            reached = flow.attested(parent, node)
            part = rest.where(reached.rows)
        elif kind is EdgeKind.COPIED:
            part = _copied(builder, parent, node, rest)
        if part.links.size or len(part.loose):
            yield parent, part


def _copied(builder: LineageBuilder, start: Node, end: Node, way: Way) -> Way:
    """Go back to what an artifact, or files of it, are copies of."""
    pairs = builder.carried.get((start, end))
    if pairs is None:
        return way
    found: Way | None = None
    whole = [pair.start for pair in pairs if pair.end is None]
    known = [(pair.end, pair.start) for pair in pairs if pair.end is not None and pair.start is not None]
    if known:
        earlier = ordered(*np.array(known, np.int64).T)
        found = Way(composed(earlier, way.links), way.loose)
    to_files = [pair.end for pair in pairs if pair.end is not None and pair.start is None]
    if to_files:
        part = way.where(np.array(sorted(to_files), np.int64))
        found = together(found, Way(NO_LINKS, part.rows()))
    for place in whole:
        rows = way.rows()
        inputs = np.full(len(rows), -1 if place is None else place, np.int64)
        found = together(found, way if place is None else Way(Links(rows, inputs)))
    return NO_WAY if found is None else found


def composed(earlier: Links, later: Links) -> Links:
    """Put two row maps together as `links.compose` does; quicker where each row has one parent."""
    if earlier.size and (np.diff(earlier.outputs) > 0).all():
        parents = np.full(int(earlier.outputs[-1]) + 1, -1, np.int64)
        parents[earlier.outputs] = earlier.inputs
        inside = later.inputs < len(parents)
        found = np.where(inside, parents[np.where(inside, later.inputs, 0)], -1)
        keep = found >= 0
        outputs, inputs = later.outputs, found
        if not keep.all():
            outputs, inputs = outputs[keep], inputs[keep]
        return ordered(outputs, inputs)
    return compose(earlier, later)


def _firsts(numbers: Numbers) -> NDArray[np.bool_] | slice:
    """Where ascending numbers change."""
    if len(numbers) < 2:
        return slice(None)
    new = np.concatenate(([True], numbers[1:] != numbers[:-1]))
    return slice(None) if new.all() else new


def _among(numbers: Numbers, rows: Numbers) -> NDArray[np.bool_]:
    """Which numbers are among ascending rows; both from 0."""
    if not len(rows) or not len(numbers):
        return np.zeros(len(numbers), np.bool_)
    flags = np.zeros(int(max(rows[-1], numbers.max())) + 1, np.bool_)
    flags[rows] = True
    return np.asarray(flags[numbers])
