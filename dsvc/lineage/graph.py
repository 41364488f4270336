"""The graph of lineage: sources, artifacts, runs, and what came from what; never with a cycle.

Edges go forward, from where something came to what became of it. The graph keeps them by itself and hands
them to networkx for what has an algorithm there: importing that takes a third of the time that `trace` has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from dsvc.model.errors import LineageBrokenError
from dsvc.model.run_record import RunId

if TYPE_CHECKING:
    import networkx as nx


class NodeKind(StrEnum):
    """What a node is."""

    SOURCE = "source"
    ARTIFACT = "artifact"
    RUN = "run"
    RELEASE = "release"
    DEFECT = "defect"
    REPAIR = "repair"


class EdgeKind(StrEnum):
    """How one node came from another.

    ``used`` and ``looked_up``: a run read an artifact, for its rows or as a whole. ``generated``: a run made
    an artifact. ``attests``: a source speaks for an artifact. ``copied``: files of equal content elsewhere.
    ``flagged``: a defect names rows of an artifact. ``released``: a release gives a file out.
    """

    USED = "used"
    GENERATED = "generated"
    ATTESTS = "attests"
    COPIED = "copied"
    LOOKED_UP = "looked_up"
    FLAGGED = "flagged"
    RELEASED = "released"


@dataclass(frozen=True, slots=True, order=True)
class SourceNode:
    """A source, by its id."""

    id: str

    @property
    def kind(self) -> NodeKind:
        """``source``."""
        return NodeKind.SOURCE

    def __str__(self) -> str:
        """Write it as a target."""
        return f"source:{self.id}"


class ArtifactNode(NamedTuple):
    """A file, or the files of a folder, at one content; ``PATH@DIGEST``. There may be very many of them."""

    path: bytes
    digest: bytes

    @property
    def kind(self) -> NodeKind:
        """``artifact``."""
        return NodeKind.ARTIFACT

    def __str__(self) -> str:
        """Write it with all digits; bytes that are no UTF-8 are escaped, so that ids stay different."""
        return f"{self.path.decode('utf-8', 'backslashreplace')}@{self.digest.hex()}"


_new_artifact = partial(tuple.__new__, ArtifactNode)


def artifact_nodes(paths: Iterable[bytes], digests: Iterable[bytes]) -> list[ArtifactNode]:
    """Make many artifacts at once, without a call of Python for each."""
    return list(map(_new_artifact, zip(paths, digests, strict=True)))


@dataclass(frozen=True, slots=True)
class RunNode:
    """A run, by its id."""

    id: RunId

    @property
    def kind(self) -> NodeKind:
        """``run``."""
        return NodeKind.RUN

    def __str__(self) -> str:
        """Write it as a target."""
        return f"run:{self.id.hex()}"


@dataclass(frozen=True, slots=True)
class ReleaseNode:
    """A release, by its name."""

    name: str

    @property
    def kind(self) -> NodeKind:
        """``release``."""
        return NodeKind.RELEASE

    def __str__(self) -> str:
        """Write it as a target."""
        return f"release:{self.name}"


@dataclass(frozen=True, slots=True)
class DefectNode:
    """A defect, by its id; nothing comes from it, it points at what is bad."""

    id: str

    @property
    def kind(self) -> NodeKind:
        """``defect``."""
        return NodeKind.DEFECT

    def __str__(self) -> str:
        """Write it as a target."""
        return f"defect:{self.id}"


Node = SourceNode | ArtifactNode | RunNode | DefectNode | ReleaseNode
Edge = tuple[Node, Node, EdgeKind]


class LineageCycleError(LineageBrokenError):
    """Something would have come from itself."""

    code = "lineage-cycle"


class LineageGraph:
    """What came from what.

    Every edge is checked when it is added: one that would close a cycle is refused, so that what is in the
    graph never has one. A node that nothing leads from or to yet needs no search.
    """

    def __init__(self) -> None:
        self._out: dict[Node, dict[Node, EdgeKind]] = {}
        self._in: dict[Node, dict[Node, EdgeKind]] = {}

    def __contains__(self, node: Node) -> bool:
        """Whether it has this node."""
        return node in self._out

    def __len__(self) -> int:
        """Number of nodes."""
        return len(self._out)

    def nodes(self) -> Iterator[Node]:
        """Nodes, as they came."""
        return iter(self._out)

    def edges(self) -> Iterator[Edge]:
        """Edges, by the nodes that they lead from."""
        for start, ends in self._out.items():
            for end, kind in ends.items():
                yield start, end, kind

    def parents(self, node: Node) -> dict[Node, EdgeKind]:
        """Nodes that lead to this one, and how."""
        return dict(self._in.get(node, {}))

    def children(self, node: Node) -> dict[Node, EdgeKind]:
        """Nodes that this one leads to, and how."""
        return dict(self._out.get(node, {}))

    # Building

    def _add(self, node: Node) -> None:
        if node not in self._out:
            self._out[node] = {}
            self._in[node] = {}

    def add_source(self, source: SourceNode, attests: Iterable[ArtifactNode] = ()) -> None:
        """Add a source; raises as `add_edge`."""
        self._add(source)
        for artifact in attests:
            self.add_edge(source, artifact, EdgeKind.ATTESTS)

    def add_artifact(self, artifact: ArtifactNode) -> None:
        """Add an artifact."""
        self._add(artifact)

    def add_run(
        self,
        run: RunNode,
        used: Iterable[ArtifactNode] = (),
        looked_up: Iterable[ArtifactNode] = (),
        generated: Iterable[ArtifactNode] = (),
    ) -> None:
        """Add a run with what it read and made; nothing is added where one edge would close a cycle.

        An artifact that it both read and made was not made by it: it stayed as it was.

        Raises
        ------
        LineageCycleError
            If an artifact that it made leads to one that it read.
        """
        read = {**dict.fromkeys(looked_up, EdgeKind.LOOKED_UP), **dict.fromkeys(used, EdgeKind.USED)}
        made = [artifact for artifact in generated if artifact not in read]
        for artifact in made:
            if any(self._leads(artifact, each) for each in read):
                raise _cycle(run, artifact)
            if run in self._out and self._leads(artifact, run):
                raise _cycle(run, artifact)
        for artifact, kind in read.items():
            self.add_edge(artifact, run, kind)
        self._add(run)
        for artifact in made:
            self.add_edge(run, artifact, EdgeKind.GENERATED)

    def add_edge(self, start: Node, end: Node, kind: EdgeKind) -> None:
        """Add an edge, and the nodes that are new; one that is there keeps its kind.

        Raises
        ------
        LineageCycleError
            If `end` leads to `start` already.
        """
        if end in self._out.get(start, {}):
            return
        if start == end or self._leads(end, start):
            raise _cycle(start, end)
        self._add(start)
        self._add(end)
        self._out[start][end] = kind
        self._in[end][start] = kind

    def _leads(self, start: Node, end: Node) -> bool:
        """Whether there is a way from one node to another."""
        if start == end:
            return True
        if not self._out.get(start) or not self._in.get(end):
            return False
        seen, pending = {start}, [start]
        while pending:
            for node in self._out[pending.pop()]:
                if node == end:
                    return True
                if node not in seen:
                    seen.add(node)
                    pending.append(node)
        return False

    # Asking

    def digraph(self) -> nx.DiGraph[Any]:
        """Make the same graph for networkx; edges have the attribute ``kind``."""
        import networkx as nx

        found: nx.DiGraph[Any] = nx.DiGraph()
        found.add_nodes_from(self._out)
        found.add_edges_from((start, end, {"kind": kind}) for start, end, kind in self.edges())
        return found

    def ancestors(self, node: Node) -> set[Node]:
        """Everything that leads to a node, without it."""
        return _reached(self._in, node)

    def descendants(self, node: Node) -> set[Node]:
        """Everything that a node leads to, without it."""
        return _reached(self._out, node)

    def paths(self, start: Node, end: Node, limit: int = 1000) -> list[list[Node]]:
        """Ways from one node to another, each with both; at most `limit`, for there may be very many."""
        import networkx as nx

        if start not in self or end not in self:
            return []
        return list(islice(nx.all_simple_paths(self.digraph(), start, end), limit))

    def ordered(self, within: Iterable[Node] | None = None) -> list[Node]:
        """Nodes, each after all that lead to it; only those of `within`, where it is given."""
        from graphlib import TopologicalSorter

        chosen = self._out.keys() if within is None else dict.fromkeys(within).keys()
        order = TopologicalSorter(
            {node: [each for each in self._in[node] if each in chosen] for node in chosen}
        )
        return list(order.static_order())

    def part(self, nodes: Iterable[Node]) -> LineageGraph:
        """The graph of some of its nodes."""
        found = LineageGraph()
        for node in nodes:
            found._add(node)
        for node in list(found._out):
            for end, kind in self._out[node].items():
                if end in found._out:
                    found._out[node][end] = kind
                    found._in[end][node] = kind
        return found


def _reached(edges: dict[Node, dict[Node, EdgeKind]], start: Node) -> set[Node]:
    seen: set[Node] = set()
    pending: list[Node] = [start]
    while pending:
        for node in edges.get(pending.pop(), {}):
            if node not in seen:
                seen.add(node)
                pending.append(node)
    seen.discard(start)
    return seen


def _cycle(start: Node, end: Node) -> LineageCycleError:
    return LineageCycleError(
        f"{str(end)[:200]} can't come from {str(start)[:200]}, which came from it",
        details={"from": str(start), "to": str(end)},
    )
