"""trace, impact and lineage: where something came from, what came of it, and the graph around it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from dsvc.lineage.builder import EMPTY, LineageBuilder
from dsvc.lineage.graph import ArtifactNode, LineageGraph, Node, RunNode, SourceNode
from dsvc.lineage.row_fate import Dropped
from dsvc.lineage.row_flow import WHOLE, Reached, RowFlow, united
from dsvc.lineage.trace import Granularity
from dsvc.model.manifest import Entry
from dsvc.model.run_record import RunId
from dsvc.porcelain.known_run import find_run
from dsvc.porcelain.lineage_scope import Files, LineageScope
from dsvc.porcelain.lineage_target import LineageTarget, NoSuchSourceError, RunTarget, SourceTarget
from dsvc.porcelain.row_positions import row_positions
from dsvc.porcelain.row_target import FoundRow, RowTarget, find_file, find_row
from dsvc.porcelain.workspace import Workspace

if TYPE_CHECKING:
    from dsvc.porcelain.lineage_trace import TraceResult


class Direction(StrEnum):
    """Which way from a target: to what it came from, to what came of it, or both."""

    UP = "up"
    DOWN = "down"
    BOTH = "both"


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
    dropped : tuple of DroppedRow or None
        Where the target is a row: rows that came of it, or it itself, which a run left out.
    """

    target: LineageTarget
    artifacts: tuple[ImpactedArtifact, ...]
    rows: int
    dropped: tuple[DroppedRow, ...] | None = None


@dataclass(frozen=True, slots=True)
class LineageView:
    """Outcome of `lineage`: a graph, what is known of its nodes, and which of them were asked about."""

    graph: LineageGraph
    builder: LineageBuilder
    targets: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Starts:
    """What a target stands for in the graph of a scope."""

    scope: LineageScope
    nodes: dict[Node, Reached]
    row: FoundRow | None = None


def find_starts(repo: Workspace, target: LineageTarget, *, everywhere: bool = False) -> Starts:
    """Find what a target stands for.

    Parameters
    ----------
    everywhere : bool
        Whether to look at everything that refs and pending runs lead to, not at one version.

    Raises
    ------
    NotFoundError
        If there is no such revision, file, row, source or run.
    MissingDataError, CorruptDataError, MalformedInputError
        If a run or a source can't be read.
    """
    if isinstance(target, RunTarget):
        return _run_start(repo, target, everywhere=everywhere)
    revision = target.revision if isinstance(target, RowTarget) else "HEAD"
    if isinstance(target, SourceTarget):
        scope = LineageScope(repo, None if everywhere else revision)
        if target.id not in scope.builder.sources.all:
            raise NoSuchSourceError(
                f"there is no source {target.id[:200]!r}", details={"source": target.id[:200]}
            )
        node = SourceNode(target.id)
        scope.builder.graph.add_source(node)
        return Starts(scope, {node: WHOLE})
    row = None if target.row is None else find_row(repo, target)
    entries = [row.entry] if row is not None else _files(repo, target)
    scope = LineageScope(repo, None if everywhere else revision)
    rows = WHOLE if row is None else _one(row.row)
    return Starts(scope, {scope.builder.add_file(entry): rows for entry in entries}, row)


def _one(row: int) -> Reached:
    import numpy as np

    return Reached(np.array([row], np.int64), True)


def _files(repo: Workspace, target: RowTarget) -> list[Entry]:
    """Files of a target: one, or those below a folder."""
    from dsvc.porcelain.read import IsAFolderError

    try:
        return [find_file(repo, target)[0]]
    except IsAFolderError:
        return list(LineageScope(repo, target.revision).files().entries(target.path))


def _run_start(repo: Workspace, target: RunTarget, *, everywhere: bool) -> Starts:
    """Look at HEAD where it has the run, else at the working tree, at everything last."""
    id_ = find_run(repo, target.text).id
    for revision in ("HEAD", "WORKTREE") if not everywhere else ():
        scope = LineageScope(repo, revision)
        if id_ in scope.runs:
            return Starts(scope, {RunNode(id_): WHOLE})
    return Starts(LineageScope(repo, None), {RunNode(id_): WHOLE})


def trace(repo: Workspace, target: LineageTarget) -> TraceResult:
    """Trace a file, a row, or what a run made, back to its sources.

    Raises
    ------
    NotFoundError
        If there is no such revision, file, row, source or run.
    MissingDataError, CorruptDataError, MalformedInputError
        If a run, a source or a row map can't be read.
    """
    from dsvc.porcelain.lineage_trace import describe

    starts = find_starts(repo, target)
    return describe(repo, target, starts, made_from(starts))


def made_from(starts: Starts) -> dict[ArtifactNode, Reached]:
    """Artifacts to trace: outputs of a run; of a file that a run made with a folder, the folder's record."""
    builder = starts.scope.builder
    found: dict[ArtifactNode, list[Reached]] = {}
    for node, rows in starts.nodes.items():
        if isinstance(node, RunNode):
            for child in builder.graph.children(node):
                if isinstance(child, ArtifactNode):
                    found.setdefault(child, []).append(WHOLE)
        elif isinstance(node, ArtifactNode):
            folders = [] if builder.makers(node) else builder.holding(node)
            made = [(folder, number) for folder, number in folders if builder.makers(folder)]
            for folder, number in made:
                found.setdefault(folder, []).append(_one(number))
            if not made:
                found.setdefault(node, []).append(rows)
    return {node: united(rows) for node, rows in found.items()}


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
    from dsvc.lineage.impact import impact as find_impact

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
            found[folder] = _one(number) if known is None else united((known, _one(number)))
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
                    below.add(_add(builder, entry))
    artifacts = [node for node in below if isinstance(node, ArtifactNode) and node in builder.facts]
    digests = {
        member.digest for node in artifacts for member in builder.files(node) if member.digest != EMPTY
    }
    for entry in files.entries() if digests else ():
        if entry.digest in digests:
            _add(builder, entry)


def _add(builder: LineageBuilder, entry: Entry) -> ArtifactNode:
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
        return LineageView(scope.builder.graph.part(nodes), scope.builder, ())
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
    return LineageView(builder.graph.part(ordered), builder, tuple(starts.nodes))


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
        for each in held or [_add(builder, entry)]:
            if each not in found and (builder.graph.parents(each) or builder.graph.children(each)):
                found |= {each, *builder.graph.ancestors(each)}
    return [node for node in builder.graph.nodes() if node in found]
