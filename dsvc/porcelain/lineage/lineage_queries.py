"""What targets stand for in the graph of lineage; trace: where that came from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dsvc.lineage.graph import ArtifactNode, Node, RunNode, SourceNode
from dsvc.lineage.row_flow import WHOLE, Reached, one_row, united
from dsvc.model.errors import NotFoundError, UsageError
from dsvc.model.manifest import Entry
from dsvc.model.paths import display_path
from dsvc.porcelain.lineage.lineage_scope import LineageScope
from dsvc.porcelain.lineage.lineage_target import (
    DefectTarget,
    LineageTarget,
    ReleaseTarget,
    RunTarget,
    SourceTarget,
)
from dsvc.porcelain.records.source_chain import SOURCES
from dsvc.porcelain.runs.known_run import find_run
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.row_target import FoundRow, RowTarget, find_file, find_row

if TYPE_CHECKING:
    from dsvc.porcelain.lineage.lineage_trace import TraceResult


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
        If there is no such revision, file, row, source, run, defect or release.
    ReleaseStateError
        If it is a release that is only announced.
    MissingDataError, CorruptDataError, MalformedInputError
        If a run, a source, a defect or a release can't be read.
    """
    if isinstance(target, RunTarget):
        return _run_start(repo, target, everywhere=everywhere)
    if isinstance(target, DefectTarget):
        return _defect_start(repo, target, everywhere=everywhere)
    if isinstance(target, ReleaseTarget):
        return _release_start(repo, target, everywhere=everywhere)
    revision = target.revision if isinstance(target, RowTarget) else "HEAD"
    if isinstance(target, SourceTarget):
        scope = LineageScope(repo, None if everywhere else revision)
        if target.id not in scope.builder.sources.all:
            raise SOURCES.missing(repo, target.id)
        node = SourceNode(target.id)
        scope.builder.graph.add_source(node)
        return Starts(scope, {node: WHOLE})
    try:
        row = None if target.row is None else find_row(repo, target)
        entries = [row.entry] if row is not None else _files(repo, target)
    except NotFoundError as error:
        if _is_uncommitted(repo, target):
            error.hint = f"what no commit has yet is WORKTREE:{display_path(target.path)}"
        raise
    scope = LineageScope(repo, None if everywhere else revision)
    rows = WHOLE if row is None else one_row(row.row)
    return Starts(scope, {scope.builder.add_file(entry): rows for entry in entries}, row)


def _is_uncommitted(repo: Workspace, target: RowTarget) -> bool:
    """Whether a file is looked for at HEAD, and only the working tree has it."""
    if target.revision != "HEAD" or next(repo.manifest_of("HEAD").entries(target.path), None):
        return False
    return os.path.lexists(os.path.join(os.fsencode(repo.root), target.path))


def _files(repo: Workspace, target: RowTarget) -> list[Entry]:
    """Files of a target: one, or those below a folder."""
    from dsvc.porcelain.tree.read import IsAFolderError

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


def _defect_start(repo: Workspace, target: DefectTarget, *, everywhere: bool) -> Starts:
    """Look at the content in which rows were flagged last: at HEAD where it is that, else everywhere."""
    from dsvc.lineage.row_set import decode_rows
    from dsvc.porcelain.lineage.artifact_version import artifact_in, find_artifact
    from dsvc.porcelain.records.defect_chain import defect_state

    state = defect_state(repo, target.id)
    if not state.rows:
        raise NotFoundError(f"no row is left in defect {state.id}", details={"defect": state.id})
    part = state.rows[-1]
    rows = decode_rows(part.rows)
    here = artifact_in(repo.manifest_of("HEAD"), part.path, part.digest)
    scope = LineageScope(repo, "HEAD" if here is not None and not everywhere else None)
    found = here or find_artifact(repo, part.path, part.digest)
    node = ArtifactNode(part.path, part.digest)
    if not found.folder:
        return Starts(scope, {scope.builder.add_file(found.entries[0]): Reached(rows, True)})
    if node in scope.builder.graph:
        return Starts(scope, {node: Reached(rows, True)})
    ordered = sorted(found.entries, key=lambda entry: entry.path)
    return Starts(scope, {scope.builder.add_file(ordered[row]): WHOLE for row in rows.tolist()})


def _release_start(repo: Workspace, target: ReleaseTarget, *, everywhere: bool) -> Starts:
    """Look at the version that was released, and at the data that it gave out."""
    from dsvc.porcelain.records.release_chain import created_release
    from dsvc.porcelain.records.released_data import released_data

    _, facts = created_release(repo, target.name)
    scope = LineageScope(repo, None if everywhere else facts.commit)
    return Starts(scope, {scope.builder.add_file(entry): WHOLE for entry in released_data(repo, facts)})


def trace(repo: Workspace, target: LineageTarget) -> TraceResult:
    """Trace a file, a row, or what a run made, back to its sources.

    Raises
    ------
    NotFoundError
        If there is no such revision, file, row or run.
    UsageError
        If it is a source.
    MissingDataError, CorruptDataError, MalformedInputError
        If a run, a source or a row map can't be read.
    """
    from dsvc.porcelain.lineage.lineage_trace import describe

    if isinstance(target, SourceTarget):
        raise UsageError(
            f"{target} is a source: ways back end there",
            hint="dsvc source show tells of it, dsvc impact what came of it",
        )
    starts = find_starts(repo, target)
    return describe(repo, target, starts, made_from(starts))


def trace_entry(repo: Workspace, target: RowTarget, entry: Entry, row: int | None) -> TraceResult:
    """Trace a file that was found already, or a row of it; raises as `trace`."""
    from dsvc.porcelain.lineage.lineage_trace import describe

    scope = LineageScope(repo, target.revision)
    starts = Starts(scope, {scope.builder.add_file(entry): WHOLE if row is None else one_row(row)})
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
                found.setdefault(folder, []).append(one_row(number))
            if not made:
                found.setdefault(node, []).append(rows)
    return {node: united(rows) for node, rows in found.items()}
