"""What people and programs are told of a way back: runs, sources, and how to check each step again."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dsvc.lineage.graph import ArtifactNode
from dsvc.lineage.known_sources import KnownSource
from dsvc.lineage.rights import Rights, join, rights_of_source
from dsvc.lineage.row_flow import Reached, RowFlow
from dsvc.lineage.trace import Gap, GapReason, Step
from dsvc.lineage.trace import trace as find_trace
from dsvc.model.run_record import Run, RunId
from dsvc.porcelain.lineage.lineage_target import LineageTarget
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.row_positions import row_positions

if TYPE_CHECKING:
    from dsvc.porcelain.lineage.lineage_queries import Starts
    from dsvc.porcelain.lineage.lineage_scope import LineageScope

_MAX_COMMITS: Final = 1000
"""Commits that are looked through for one that has an artifact."""


@dataclass(frozen=True, slots=True)
class TracedStep:
    """A step of the way back.

    Attributes
    ----------
    step : Step
    positions : tuple of int
        Its rows as ``#@N`` counts them, malformed records included.
    run : Run or None
        Record of the run that made the artifact.
    check : str
        Command that checks the step again.
    """

    step: Step
    positions: tuple[int, ...]
    run: Run | None
    check: str


@dataclass(frozen=True, slots=True)
class TracedSource:
    """A source in which a way back ends, and how many rows end there, files where there are no rows."""

    source: KnownSource
    rows: int


@dataclass(frozen=True, slots=True)
class TraceResult:
    """Outcome of `trace`.

    Attributes
    ----------
    target : LineageTarget
    steps : tuple of TracedStep
        Newest first.
    sources : tuple of TracedSource
        By id.
    gaps : tuple of Gap
        Where a way ends without a source in force.
    complete : bool
        Whether none does.
    """

    target: LineageTarget
    steps: tuple[TracedStep, ...]
    sources: tuple[TracedSource, ...]
    gaps: tuple[Gap, ...]
    complete: bool

    @property
    def rights(self) -> Rights:
        """Rights in it: the worst of its sources', undetermined where a way ends without a source."""
        if not self.sources or any(gap.reason is not GapReason.NOT_IN_FORCE for gap in self.gaps):
            return Rights.UNDETERMINED
        return join(rights_of_source(each.source) for each in self.sources)


def describe(
    repo: Workspace, target: LineageTarget, starts: Starts, chosen: Mapping[ArtifactNode, Reached]
) -> TraceResult:
    """Trace artifacts of a scope, and say of each step what is to be said.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If a run, a source or a row map can't be read.
    """
    builder = starts.scope.builder
    flow = RowFlow(repo.store, builder)
    found = find_trace(builder, flow, chosen)
    places = _places(repo, starts.scope, [step.artifact for step in found.steps])
    steps = []
    for step in found.steps:
        run = None if step.run is None else flow.run(step.run).run
        positions = row_positions(repo, flow, step.artifact, step.rows)
        steps.append(
            TracedStep(step, positions, run, _check(builder.facts[step.artifact].folder, step, run, places))
        )
    sources = tuple(
        TracedSource(builder.sources.all[id_], rows) for id_, rows in sorted(found.sources.items())
    )
    return TraceResult(target, tuple(steps), sources, tuple(found.gaps), found.complete)


def runs_of(result: TraceResult) -> list[tuple[RunId, Run]]:
    """Runs of a trace, newest first, each once."""
    steps = [(traced.step.run, traced.run) for traced in result.steps]
    return list({id_: (id_, run) for id_, run in steps if id_ is not None and run is not None}.values())


def _check(folder: object, step: Step, run: Run | None, places: Mapping[ArtifactNode, str]) -> str:
    if run is not None and step.run is not None and run.command:
        return f"dsvc rerun {step.run.short()} --check"
    place = places.get(step.artifact)
    if folder is not None or place is None:
        return "dsvc fsck --read-data"
    path = os.fsdecode(step.artifact.path)
    if place == "WORKTREE":
        return f"b3sum {shlex.quote(path)}"
    return f"dsvc cat {shlex.quote(f'{place}:{_escaped(path)}')} | b3sum"


def _escaped(path: str) -> str:
    return path.replace("#", "%23").replace(":", "%3A")


def _places(repo: Workspace, scope: LineageScope, nodes: Iterable[ArtifactNode]) -> dict[ArtifactNode, str]:
    """Revisions that have artifacts: the one that was asked about, else the newest commit."""
    files, found = scope.files(), {}
    left = set(nodes)
    for node in list(left):
        if files.has(node.path, node.digest):
            found[node] = scope.revision or "HEAD"
            left.discard(node)
    left = {node for node in left if scope.builder.facts[node].folder is None}
    for number, commit in enumerate(repo.history.log(list(scope.commits)) if left else ()):
        manifest = repo.manifest(commit.manifest)
        for node in list(left):
            entry = manifest.get(node.path)
            if entry is not None and entry.digest == node.digest:
                found[node] = commit.id[:12]
                left.discard(node)
        if not left or number > _MAX_COMMITS:
            break
    return found
