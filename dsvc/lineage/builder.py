"""Builds the graph of some runs and sources, and says how records go along its edges.

Runs are added by the time when they ended. Where an edge would close a cycle it is left out: a run that gave
a file the content back that it had before did not make that content. What no run made is looked for after
that: sources that attest it, else files of equal content elsewhere, of which it is a copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import blake3

from dsvc.lineage.graph import (
    ArtifactNode,
    EdgeKind,
    LineageCycleError,
    LineageGraph,
    Node,
    RunNode,
    SourceNode,
)
from dsvc.lineage.graph_index import Member, RunIndex
from dsvc.lineage.known_sources import KnownSources
from dsvc.lineage.run_summary import ArtifactSummary, RunSummary
from dsvc.model.manifest import Entry
from dsvc.model.run_record import RunId

EMPTY: Final = blake3.blake3(b"").digest()
"""Digest of files without content: that two are equal says nothing."""


class Facts(NamedTuple):
    """What an artifact is: a file with so many rows, or a folder of so many files; None: no table."""

    records: int | None
    folder: ArtifactSummary | None = None


class Carried(NamedTuple):
    """Which records two artifacts of equal files share, pair by pair; None stands for a file as a whole."""

    start: int | None
    end: int | None


class LineageBuilder:
    """The graph of some runs and sources.

    Parameters
    ----------
    index : RunIndex
        The runs.
    sources : KnownSources
        The sources.

    Attributes
    ----------
    graph : LineageGraph
        Runs and their artifacts at first; `resolve` adds what these came from.
    facts : dict
        What each artifact is.
    entries : dict
        Files that were added by themselves.
    carried : dict
        Records that a ``copied`` edge carries, where an end of it is a folder.
    attested : dict
        Records of a folder that a source attests.
    """

    def __init__(self, index: RunIndex, sources: KnownSources) -> None:
        self.index = index
        self.sources = sources
        self.graph = LineageGraph()
        self.facts: dict[ArtifactNode, Facts] = {}
        self.entries: dict[ArtifactNode, Entry] = {}
        self.carried: dict[tuple[Node, Node], list[Carried]] = {}
        self.attested: dict[tuple[Node, Node], list[int]] = {}
        self._outputs: dict[tuple[RunId, ArtifactNode], int] = {}
        self._resolved: set[Node] = set()
        self._refused: set[tuple[Node, Node]] = set()
        self._made: dict[bytes, list[tuple[Member, ArtifactNode]]] | None = None
        self._members: dict[ArtifactNode, list[tuple[ArtifactNode, int]]] | None = None
        for run in sorted(index.runs.values(), key=lambda run: run.order):
            self._add_run(run.run_id)

    def _add_run(self, id_: RunId) -> None:
        run, node = self.index.runs[id_], RunNode(id_)
        read = [self._node(each) for each in run.inputs if not each.lookup]
        looked_up = [self._node(each) for each in run.inputs if each.lookup]
        self.graph.add_run(node, read, looked_up)
        for number, output in enumerate(run.outputs):
            made = self._node(output)
            self._outputs.setdefault((id_, made), number)
            if made in read or made in looked_up:
                self.graph.add_artifact(made)
                continue
            try:
                self.graph.add_edge(node, made, EdgeKind.GENERATED)
            except LineageCycleError:
                continue

    def _node(self, artifact: ArtifactSummary) -> ArtifactNode:
        node = ArtifactNode(artifact.path, artifact.digest)
        self.facts.setdefault(node, Facts(artifact.records, artifact if artifact.folder else None))
        return node

    # What an artifact is

    def add_file(self, entry: Entry) -> ArtifactNode:
        """Add a file of a working tree or a commit."""
        node = ArtifactNode(entry.path, entry.digest)
        self.entries[node] = entry
        self.facts.setdefault(node, Facts(entry.rows))
        self.graph.add_artifact(node)
        return node

    def makers(self, node: ArtifactNode) -> list[RunId]:
        """Runs that made an artifact, newest first."""
        parents = self.graph.parents(node)
        found = [each.id for each in parents if isinstance(each, RunNode)]
        return sorted(found, key=lambda id_: self.index.runs[id_].order, reverse=True)

    def output(self, id_: RunId, node: ArtifactNode) -> tuple[RunSummary, int]:
        """Return the run that made an artifact, and the place of this among its outputs."""
        return self.index.runs[id_], self._outputs[id_, node]

    def files(self, node: ArtifactNode) -> Iterator[Member]:
        """Yield an artifact's files: of a folder all, of a file itself."""
        folder = self.facts[node].folder
        if folder is None:
            yield Member(0, node.path, node.digest)
        else:
            yield from self.index.listing(folder).members

    def holding(self, file: ArtifactNode) -> list[tuple[ArtifactNode, int]]:
        """Folders that have a file with this path and content, with its number there."""
        if self._members is None:
            self._members = {}
            for node, facts in list(self.facts.items()):
                for member in self.files(node) if facts.folder is not None else ():
                    place = ArtifactNode(member.path, member.digest)
                    self._members.setdefault(place, []).append((node, member.number))
        return self._members.get(file, [])

    # What no run made

    def resolve(self, nodes: Iterable[Node]) -> None:
        """Find what artifacts came from that no run made; of these and of all that they came from."""
        pending = list(nodes)
        while pending:
            node = pending.pop()
            if node in self._resolved:
                continue
            self._resolved.add(node)
            if isinstance(node, ArtifactNode):
                self._find_origin(node)
            pending += self.graph.parents(node)

    def _find_origin(self, node: ArtifactNode) -> None:
        """Look for sources and copies, unless runs made it of what they read."""
        made = [self.output(id_, node) for id_ in self.makers(node)]
        if not made or any(not run.inputs or run.outputs[number].added > 0 for run, number in made):
            self._attest(node)
        if not any(run.inputs for run, _ in made):
            self._copies(node)

    def _attest(self, node: ArtifactNode) -> None:
        is_folder = self.facts[node].folder is not None
        for member in self.files(node):
            if is_folder and self._is_made_there(node, member):
                continue
            for source in self.sources.covering(member.path):
                if source.attests(ArtifactNode(member.path, member.digest)) is None:
                    continue
                start = SourceNode(source.id)
                self._link(start, node, EdgeKind.ATTESTS)
                if is_folder:
                    self.attested.setdefault((start, node), []).append(member.number)

    def _is_made_there(self, node: ArtifactNode, member: Member) -> bool:
        """Whether a run made this file of a folder at this very path."""
        return any(place.path == member.path for place, _ in self._origins(node, member))

    def _origins(self, node: ArtifactNode, member: Member) -> Iterator[tuple[Member, ArtifactNode]]:
        """Yield files of equal content that a run made, each with the artifact that it belongs to."""
        if self._made is None:
            self._made = {}
            for each in list(self.facts):
                for file in self.files(each) if self.makers(each) else ():
                    self._made.setdefault(file.digest, []).append((file, each))
        for file, each in self._made.get(member.digest, ()):
            if each != node:
                yield file, each

    def _copies(self, node: ArtifactNode) -> None:
        is_folder = self.facts[node].folder is not None
        sources = [each for each, kind in self.graph.parents(node).items() if kind is EdgeKind.ATTESTS]
        if sources and not is_folder:
            return
        attested = {number for each in sources for number in self.attested[each, node]}
        for member in self.files(node):
            if member.digest == EMPTY or member.number in attested:
                continue
            origins = list(self._origins(node, member))
            # A file that stands where it was made is no copy of others.
            origins = [each for each in origins if each[0].path == member.path] or origins
            if not [True for place, start in origins if self._carry(place, start, node, member)]:
                self._copy_attested(node, member)

    def _carry(self, place: Member, start: ArtifactNode, end: ArtifactNode, member: Member) -> bool:
        if not self._link(start, end, EdgeKind.COPIED):
            return False
        from_folder, to_folder = (self.facts[each].folder is not None for each in (start, end))
        if from_folder or to_folder:
            pair = Carried(place.number if from_folder else None, member.number if to_folder else None)
            self.carried.setdefault((start, end), []).append(pair)
        return True

    def _copy_attested(self, node: ArtifactNode, member: Member) -> None:
        for start in self.sources.copies(member.digest):
            if start.path == member.path:
                continue
            facts = self.facts[node]
            self.facts.setdefault(start, Facts(None if facts.folder is not None else facts.records))
            self.graph.add_artifact(start)
            self._carry(Member(0, start.path, start.digest), start, node, member)

    def _link(self, start: Node, end: Node, kind: EdgeKind) -> bool:
        if (start, end) in self._refused:
            return False
        try:
            self.graph.add_edge(start, end, kind)
        except LineageCycleError:
            self._refused.add((start, end))
            return False
        return True
