"""Forth from sources, runs, artifacts and rows to everything that came of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dsvc.lineage.builder import LineageBuilder
from dsvc.lineage.graph import ArtifactNode, Node, RunNode, SourceNode
from dsvc.lineage.row_fate import Dropped, drops_of
from dsvc.lineage.row_flow import NOTHING, WHOLE, Reached, RowFlow, united


@dataclass(slots=True)
class Impact:
    """What came of something.

    Attributes
    ----------
    reached : dict of ArtifactNode to Reached
        Artifacts, each with the rows that were reached; what was asked about is among them only where it
        came of itself by another way.
    dropped : list of Dropped
        Where single rows were asked about: those that ended in a run.
    """

    reached: dict[ArtifactNode, Reached] = field(default_factory=dict)
    dropped: list[Dropped] = field(default_factory=list)


def impact(builder: LineageBuilder, flow: RowFlow, starts: Mapping[Node, Reached]) -> Impact:
    """Find everything that came of some sources, runs or artifacts.

    Parameters
    ----------
    builder : LineageBuilder
        Everything that could have come of them is resolved already.
    starts : mapping of Node to Reached
        What to start from; the rows are those of artifacts.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If a run, a source or a row map can't be read.
    """
    graph = builder.graph
    below: set[Node] = set(starts)
    for node in starts:
        below |= graph.descendants(node)
    reached: dict[ArtifactNode, Reached] = {
        node: rows for node, rows in starts.items() if isinstance(node, ArtifactNode)
    }
    read: dict[RunNode, dict[int, Reached]] = {}
    for node in graph.ordered(node for node in graph.nodes() if node in below):
        if isinstance(node, RunNode):
            run = builder.index.runs[node.id]
            places = (ArtifactNode(each.path, each.digest) for each in run.inputs)
            read[node] = {number: reached.get(place, NOTHING) for number, place in enumerate(places)}
        elif isinstance(node, ArtifactNode):
            ways = graph.parents(node)
            came = [_arrival(builder, flow, way, node, reached, read) for way in ways if way not in starts]
            came += [_first(flow, way, node, reached) for way in ways if way in starts]
            reached[node] = united((reached.get(node, NOTHING), *came))
    found = {node: rows for node, rows in reached.items() if rows and node not in starts}
    by_row = any(rows.rows is not None for rows in starts.values())
    return Impact(found, _drops(builder, flow, reached) if by_row else [])


def _arrival(
    builder: LineageBuilder,
    flow: RowFlow,
    parent: Node,
    node: ArtifactNode,
    reached: Mapping[ArtifactNode, Reached],
    read: Mapping[RunNode, Mapping[int, Reached]],
) -> Reached:
    """Rows of an artifact that came along one of the edges to it."""
    if isinstance(parent, RunNode) and parent in read:
        return flow.forth(*builder.output(parent.id, node), read[parent])
    if isinstance(parent, ArtifactNode) and parent in reached:
        return flow.copied_forth(parent, node, reached[parent])
    return NOTHING


def _first(
    flow: RowFlow, parent: Node, node: ArtifactNode, reached: Mapping[ArtifactNode, Reached]
) -> Reached:
    """Rows of an artifact that came right from what was asked about."""
    if isinstance(parent, RunNode):
        return WHOLE
    if isinstance(parent, SourceNode):
        return flow.attested(parent, node)
    if isinstance(parent, ArtifactNode):
        return flow.copied_forth(parent, node, reached[parent])
    return NOTHING


def _drops(builder: LineageBuilder, flow: RowFlow, reached: Mapping[ArtifactNode, Reached]) -> list[Dropped]:
    """Rows that runs left out, of artifacts of which single rows are known to be reached."""
    found: list[Dropped] = []
    for node, rows in reached.items():
        if not (rows and rows.exact):
            continue
        for child in builder.graph.children(node):
            if isinstance(child, RunNode):
                run = builder.index.runs[child.id]
                number = next(
                    n
                    for n, each in enumerate(run.inputs)
                    if (each.path, each.digest) == (node.path, node.digest)
                )
                found += drops_of(flow, run, number, rows)
    return found
