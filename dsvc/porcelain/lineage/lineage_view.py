"""lineage: the graph around a target, or of everything that a version came from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from dsvc.lineage.builder import LineageBuilder
from dsvc.lineage.graph import ArtifactNode, DefectNode, EdgeKind, LineageGraph, Node, ReleaseNode
from dsvc.porcelain.lineage.lineage_impact import add_copies, add_file, with_folders
from dsvc.porcelain.lineage.lineage_queries import find_starts
from dsvc.porcelain.lineage.lineage_scope import LineageScope
from dsvc.porcelain.lineage.lineage_target import LineageTarget
from dsvc.porcelain.state.workspace import Workspace

if TYPE_CHECKING:
    from dsvc.feedback.defect_state import DefectState
    from dsvc.lineage.stages import StageAndGrade
    from dsvc.porcelain.records.release_chain import ReleaseState


_DEFECT_REFS: Final = "refs/dsvc/defects/"
_RELEASE_REFS: Final = "refs/dsvc/releases/"


class Direction(StrEnum):
    """Which way from a target: to what it came from, to what came of it, or both."""

    UP = "up"
    DOWN = "down"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class LineageView:
    """Outcome of `lineage`.

    Attributes
    ----------
    graph : LineageGraph
    builder : LineageBuilder
        Knows the facts of its nodes.
    targets : tuple of Node
        Which of them were asked about.
    stages : mapping of ArtifactNode to StageAndGrade
        Of files that the version has or descends from.
    defects : mapping of str to DefectState
        Those that flag rows of its artifacts, by id.
    releases : mapping of str to ReleaseState
        Those that give its artifacts out, by name.
    """

    graph: LineageGraph
    builder: LineageBuilder
    targets: tuple[Node, ...]
    stages: Mapping[ArtifactNode, StageAndGrade]
    defects: Mapping[str, DefectState]
    releases: Mapping[str, ReleaseState]


def lineage(
    repo: Workspace, target: LineageTarget | None = None, direction: Direction = Direction.BOTH
) -> LineageView:
    """Return the graph around a target; without one, that of all files at HEAD.

    Raises
    ------
    NotFoundError
        If there is no such revision, file, row, source or run.
    MissingDataError, CorruptDataError, MalformedInputError
        If a run or a source can't be read.
    """
    if target is None:
        scope = LineageScope(repo, "HEAD")
        nodes = _whole(scope)
        return _view(repo, scope, nodes, ())
    starts = find_starts(repo, target)
    builder = starts.scope.builder
    builder.resolve(list(builder.graph.nodes()))
    chosen = with_folders(builder, starts.nodes)
    if direction is not Direction.UP:
        add_copies(builder, starts.scope.files(), chosen)
    found: set[Node] = set(chosen)
    for node in chosen:
        found |= builder.graph.ancestors(node) if direction is not Direction.DOWN else set()
        found |= builder.graph.descendants(node) if direction is not Direction.UP else set()
    ordered = [node for node in builder.graph.nodes() if node in found]
    return _view(repo, starts.scope, ordered, tuple(starts.nodes))


def _view(
    repo: Workspace, scope: LineageScope, nodes: Iterable[Node], targets: tuple[Node, ...]
) -> LineageView:
    """The part of a graph, with the defects of its artifacts."""
    graph = scope.builder.graph.part(nodes)
    found = _add_releases(repo, scope, graph)
    return LineageView(graph, scope.builder, targets, _stages(repo, scope), _add_defects(repo, graph), found)


def _add_releases(repo: Workspace, scope: LineageScope, graph: LineageGraph) -> dict[str, ReleaseState]:
    """Add the releases that give out artifacts of a graph, or files of its folders."""
    if not repo.history.refs.list(_RELEASE_REFS):
        return {}
    from dsvc.porcelain.records.release_chain import facts_of, releases
    from dsvc.porcelain.records.released_data import file_nodes

    artifacts = [node for node in graph.nodes() if isinstance(node, ArtifactNode)]
    holding: dict[ArtifactNode, set[ArtifactNode]] = {}
    for node in artifacts:
        for member in scope.builder.files(node):
            holding.setdefault(ArtifactNode(member.path, member.digest), set()).add(node)
    found = {}
    for state in releases(repo):
        nodes = file_nodes(facts_of(repo, state)) if state.created is not None else frozenset()
        for node in sorted({each for file in nodes for each in holding.get(file, ())}):
            graph.add_edge(node, ReleaseNode(state.name), EdgeKind.RELEASED)
            found[state.name] = state
    return found


def _add_defects(repo: Workspace, graph: LineageGraph) -> dict[str, DefectState]:
    """Add the defects that flag rows of a graph's artifacts."""
    if not repo.history.refs.list(_DEFECT_REFS):
        return {}
    from dsvc.porcelain.records.defect_chain import defect_states

    found = {}
    for state in defect_states(repo):
        for rows in state.rows:
            node = ArtifactNode(rows.path, rows.digest)
            if node in graph:
                graph.add_edge(DefectNode(state.id), node, EdgeKind.FLAGGED)
                found[state.id] = state
    return found


def _stages(repo: Workspace, scope: LineageScope) -> Mapping[ArtifactNode, StageAndGrade]:
    """Stages of a version's files; what is in the working tree only has none yet."""
    if scope.empty or not (scope.commits or scope.pending):
        return {}
    from dsvc.porcelain.lineage.stages import stages

    return stages(repo, "STAGED" if scope.revision in (None, "WORKTREE") else scope.revision)


def _whole(scope: LineageScope) -> list[Node]:
    """Everything that files of a version came from, and these, where anything is known of them."""
    if scope.empty:
        return []
    builder = scope.builder
    builder.resolve(list(builder.graph.nodes()))
    found: set[Node] = set()
    for entry in scope.files().entries():
        node = ArtifactNode(entry.path, entry.digest)
        held = [folder for folder, _ in builder.holding(node)]
        for each in held or [add_file(builder, entry)]:
            if each not in found and (builder.graph.parents(each) or builder.graph.children(each)):
                found |= {each, *builder.graph.ancestors(each)}
    return [node for node in builder.graph.nodes() if node in found]
