"""Which releases hold something: the thing itself, or what came of it, over all history."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from dsvc.lineage.builder import EMPTY
from dsvc.lineage.graph import ArtifactNode, Node, RunNode, SourceNode
from dsvc.lineage.row_flow import WHOLE, Reached
from dsvc.porcelain.records.release_chain import facts_of, release_names, releases
from dsvc.porcelain.records.released_data import file_nodes
from dsvc.porcelain.state.workspace import Workspace

if TYPE_CHECKING:
    from dsvc.porcelain.lineage.lineage_scope import LineageScope
    from dsvc.release.facts import ReleaseFacts


def releases_holding(repo: Workspace, artifacts: Collection[ArtifactNode]) -> tuple[str, ...]:
    """Names of the releases that hold an artifact, or what came of one; raises as `releases_reached`."""
    return releases_reached(repo, dict.fromkeys(artifacts, WHOLE))


def releases_reached(repo: Workspace, starts: Mapping[Node, Reached]) -> tuple[str, ...]:
    """Names of the releases that hold any of some things, or what came of these rows; withdrawn ones too.

    Parameters
    ----------
    starts : mapping of Node to Reached
        Sources, runs and artifacts, with the rows that are asked about.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If a release, or the lineage of one, can't be read.
    """
    if not starts or not release_names(repo):
        return ()
    from dsvc.porcelain.lineage.lineage_scope import LineageScope

    found = []
    for state in releases(repo):
        if state.commit is None:
            continue
        facts = facts_of(repo, state)
        artifacts = {node: rows for node, rows in starts.items() if isinstance(node, ArtifactNode)}
        if _names(facts, starts) or (
            artifacts and _holds(repo, LineageScope(repo, str(state.commit)), facts, artifacts)
        ):
            found.append(state.name)
    return tuple(found)


def _names(facts: ReleaseFacts, starts: Collection[Node]) -> bool:
    """Whether any of some sources and runs is among those that a release comes from."""
    sources = {each.id for each in facts.lineage.sources}
    runs = {each.id for each in facts.lineage.runs}
    return any(
        (isinstance(node, SourceNode) and node.id in sources)
        or (isinstance(node, RunNode) and node.id.hex() in runs)
        for node in starts
    )


def _holds(
    repo: Workspace, scope: LineageScope, facts: ReleaseFacts, starts: Mapping[ArtifactNode, Reached]
) -> bool:
    """Whether a release has an artifact, at any path, or a file with rows that came of those asked about."""
    from dsvc.porcelain.lineage.lineage_impact import add_copies, with_folders

    files = file_nodes(facts)
    digests = {file.digest for file in files if file.digest != EMPTY}
    if any(node in files or node.digest in digests for node in starts):
        return True
    builder = scope.builder
    builder.resolve(list(builder.graph.nodes()))
    nodes: dict[Node, Reached] = dict(starts.items())
    known = {node: rows for node, rows in with_folders(builder, nodes).items() if node in builder.graph}
    add_copies(builder, scope.files(), known)
    below = {each for node in known for each in builder.graph.descendants(node)}
    released = {
        each
        for each in below
        if isinstance(each, ArtifactNode)
        and any(ArtifactNode(member.path, member.digest) in files for member in builder.files(each))
    }
    if not released or all(rows == WHOLE for rows in known.values()):
        return bool(released)
    from dsvc.lineage.impact import impact
    from dsvc.lineage.row_flow import RowFlow

    reached = impact(builder, RowFlow(repo.store, builder), known).reached
    return any(reached[node] for node in released if node in reached)
