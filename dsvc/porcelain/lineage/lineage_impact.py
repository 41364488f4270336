"""impact: what came of a source, a run, a file or a row, and how much of it a version has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dsvc.lineage.builder import EMPTY, LineageBuilder
from dsvc.lineage.graph import ArtifactNode, Node, SourceNode
from dsvc.lineage.impact import impact as find_impact
from dsvc.lineage.row_fate import Dropped
from dsvc.lineage.row_flow import Reached, RowFlow, one_row, united
from dsvc.lineage.trace import Granularity
from dsvc.model.manifest import Entry
from dsvc.model.run_record import RunId
from dsvc.porcelain.lineage.lineage_queries import find_starts
from dsvc.porcelain.lineage.lineage_scope import Files
from dsvc.porcelain.lineage.lineage_target import LineageTarget
from dsvc.porcelain.lineage.release_index import releases_reached
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.row_positions import row_positions


@dataclass(frozen=True, slots=True, kw_only=True)
class ImpactedArtifact:
    """An artifact that something reached.

    Attributes
    ----------
    artifact : ArtifactNode
    rows : int or None
        How many of its rows, of a folder how many of its files; None where it has none.
    folder : bool
        Whether it is a folder's files.
    granularity : Granularity
        Whether these rows are known one by one.
    """

    artifact: ArtifactNode
    rows: int | None
    folder: bool
    granularity: Granularity


@dataclass(frozen=True, slots=True)
class DroppedRow:
    """A row that a run left out.

    Attributes
    ----------
    run : RunId
    artifact : ArtifactNode
        What the run read.
    row : int
        Number of the record in it.
    reason : str
    survivor : int or None
        Number of the record in it that stands for the row, where that is known.
    """

    run: RunId
    artifact: ArtifactNode
    row: int
    reason: str
    survivor: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImpactResult:
    """Outcome of `impact`.

    Attributes
    ----------
    target : LineageTarget
    artifacts : tuple of ImpactedArtifact
        By path; only those that the version has.
    rows : int
        Distinct rows and files of folders, over all of them.
    releases : tuple of str
        Names of releases that hold the target or what came of it, over all history.
    dropped : tuple of DroppedRow or None
        Where the target is a row: rows that came of it, or it itself, which a run left out.
    """

    target: LineageTarget
    artifacts: tuple[ImpactedArtifact, ...]
    rows: int
    releases: tuple[str, ...] = ()
    dropped: tuple[DroppedRow, ...] | None = None


def impact(repo: Workspace, target: LineageTarget, *, everywhere: bool = False) -> ImpactResult:
    """Find everything that came of a source, a run, a file or a row.

    Parameters
    ----------
    everywhere : bool
        Whether to look at every ref, not at one version.

    Raises
    ------
    NotFoundError
        If there is no such revision, file, row, source or run.
    MissingDataError, CorruptDataError, MalformedInputError
        If a run, a source or a row map can't be read.
    """
    starts = find_starts(repo, target, everywhere=everywhere)
    builder = starts.scope.builder
    builder.resolve(list(builder.graph.nodes()))
    nodes = with_folders(builder, starts.nodes)
    files = starts.scope.files()
    add_copies(builder, files, nodes)
    flow = RowFlow(repo.store, builder)
    found = find_impact(builder, flow, nodes)
    seen: set[bytes] = {node.path for node in starts.nodes if isinstance(node, ArtifactNode)}
    artifacts = []
    for node in sorted(found.reached):
        artifact = _impacted(builder, files, node, found.reached[node], seen)
        if artifact is not None:
            artifacts.append(artifact)
    dropped = None
    if starts.row is not None:
        dropped = tuple(_dropped(repo, flow, each) for each in found.dropped)
    return ImpactResult(
        target=target,
        artifacts=tuple(artifacts),
        rows=sum(each.rows or 0 for each in artifacts),
        releases=releases_reached(repo, starts.nodes),
        dropped=dropped,
    )


def _dropped(repo: Workspace, flow: RowFlow, dropped: Dropped) -> DroppedRow:
    read = flow.builder.index.runs[dropped.run].inputs[dropped.input]
    node = ArtifactNode(read.path, read.digest)
    (row,) = row_positions(repo, flow, node, [dropped.row])
    survivor = None
    if dropped.survivor is not None:
        (survivor,) = row_positions(repo, flow, node, [dropped.survivor])
    return DroppedRow(dropped.run, node, row, dropped.reason, survivor)


def with_folders(builder: LineageBuilder, nodes: Mapping[Node, Reached]) -> dict[Node, Reached]:
    """Add to files the folders that runs read or made them with."""
    found = dict(nodes)
    for node in nodes:
        for folder, number in builder.holding(node) if isinstance(node, ArtifactNode) else ():
            known = found.get(folder)
            found[folder] = one_row(number) if known is None else united((known, one_row(number)))
    return found


def add_copies(builder: LineageBuilder, files: Files, starts: Iterable[Node]) -> None:
    """Add files of a version that could have come of something without a run: attested or copied."""
    below: set[Node] = set(starts)
    for node in starts:
        below |= builder.graph.descendants(node)
        if isinstance(node, SourceNode):
            spoken = set(builder.sources.all[node.id].attested())
            for entry in files.entries() if spoken else ():
                if ArtifactNode(entry.path, entry.digest) in spoken:
                    below.add(add_file(builder, entry))
    artifacts = [node for node in below if isinstance(node, ArtifactNode) and node in builder.facts]
    digests = {
        member.digest for node in artifacts for member in builder.files(node) if member.digest != EMPTY
    }
    for entry in files.entries() if digests else ():
        if entry.digest in digests:
            add_file(builder, entry)


def add_file(builder: LineageBuilder, entry: Entry) -> ArtifactNode:
    """Add a file of a version, unless a run read or made it, by itself or with a folder."""
    node = ArtifactNode(entry.path, entry.digest)
    if node not in builder.graph and not builder.holding(node):
        builder.add_file(entry)
        builder.resolve([node])
    return node


def _impacted(
    builder: LineageBuilder, files: Files, node: ArtifactNode, reached: Reached, seen: set[bytes]
) -> ImpactedArtifact | None:
    """Say how much of an artifact was reached; None where the version doesn't have it."""
    facts = builder.facts[node]
    exact = reached.exact and (facts.folder is not None or facts.records is not None)
    granularity = Granularity.ROW if exact else Granularity.ARTIFACT
    if facts.folder is None:
        if not files.has(node.path, node.digest):
            return None
        rows = facts.records if reached.rows is None or facts.records is None else len(reached.rows)
        return ImpactedArtifact(artifact=node, rows=rows, folder=False, granularity=granularity)
    chosen = None if reached.rows is None else set(reached.rows.tolist())
    # A file that several runs made or read with a folder counts once.
    there = [
        member.path
        for member in builder.files(node)
        if (chosen is None or member.number in chosen)
        and member.path not in seen
        and files.has(member.path, member.digest)
    ]
    seen.update(there)
    if not there:
        return None
    return ImpactedArtifact(artifact=node, rows=len(there), folder=True, granularity=granularity)
