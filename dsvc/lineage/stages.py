"""Stages: how far data has come on its way from a plan to a release; derived from the facts, never set."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import NamedTuple

from dsvc.lineage.closure import Closure
from dsvc.lineage.coverage import Origins
from dsvc.lineage.evidence import evidence_missing
from dsvc.lineage.grades import Grade, grades_of
from dsvc.lineage.graph import ArtifactNode
from dsvc.lineage.known_sources import KnownSource
from dsvc.model.run_record import Run, RunKind


class Stage(StrEnum):
    """How far data has come, in order; from `PILOTED` on by facts that releases and pilots record."""

    PLANNED = "planned"
    SOURCED = "sourced"
    RESERVED = "reserved"
    PRODUCED = "produced"
    ANNOTATED = "annotated"
    REVIEWED = "reviewed"
    PILOTED = "piloted"
    ANNOUNCED = "announced"
    RELEASED = "released"
    DEPRECATED = "deprecated"
    ARCHIVED = "archived"
    OFFLINE = "offline"
    WITHDRAWN = "withdrawn"
    DESTROYED = "destroyed"


_ORDER = tuple(Stage)
_LABELLED = (Stage.ANNOTATED, Stage.REVIEWED)


class StageAndGrade(NamedTuple):
    """Stage and grade of a file."""

    stage: Stage
    grade: Grade


def _least(stages: Iterable[Stage]) -> Stage:
    """Give the stage that holds for all: withdrawn where one is, else the earliest."""
    found = list(stages)
    if Stage.WITHDRAWN in found:
        return Stage.WITHDRAWN
    return min(found, key=_ORDER.index, default=Stage.PLANNED)


def stage_of_source(source: KnownSource) -> Stage:
    """Stage of a source: planned until it attests something, reserved once its evidence is there too."""
    if not source.in_force:
        return Stage.WITHDRAWN
    if not source.now.files.totals()[0]:
        return Stage.PLANNED
    record = source.record
    is_proven = record.evidence and not evidence_missing(record.acquisition, record.evidence)
    return Stage.RESERVED if is_proven else Stage.SOURCED


def stage_of_run(run: Run, inputs: Collection[Stage], *, attested: Collection[Stage] = ()) -> Stage:
    """Stage of what a run made.

    Parameters
    ----------
    inputs : collection of Stage
        Of what it read.
    attested : collection of Stage
        Of the sources that speak for what it made: a run without inputs stands on those.
    """
    weakest = _least(inputs or attested)
    if weakest is Stage.WITHDRAWN or _ORDER.index(weakest) < _ORDER.index(Stage.RESERVED):
        return weakest
    if not run.complete:
        return Stage.RESERVED
    if run.kind is RunKind.LABEL:
        return Stage.ANNOTATED
    # What has no labels of its own, such as a table to look things up in, takes no labels away.
    labelled = [stage for stage in inputs if stage in _LABELLED]
    if not labelled:
        return Stage.PRODUCED
    passed = run.kind is RunKind.REVIEW and run.facts.get("verdict") != "fail"
    return Stage.REVIEWED if passed else _least(labelled)


def stages_of(origins: Origins, closure: Closure) -> dict[ArtifactNode, StageAndGrade]:
    """Stage and grade of everything in a closure; of a file that several runs made the earliest stage."""
    grades = grades_of(origins, closure).artifacts
    sources = {name: stage_of_source(source) for name, source in origins.sources.all.items()}
    found: dict[ArtifactNode, Stage] = {}
    for step in closure.order:
        if not isinstance(step, ArtifactNode):
            continue
        own = [sources[name] for name in closure.sources_of(step)]
        stages = []
        for parent in closure.parents[step]:
            if isinstance(parent, ArtifactNode):
                stages.extend([found[parent]] if parent in found else [])
                continue
            inputs = [
                found[each]
                for each in closure.parents[parent]
                if isinstance(each, ArtifactNode) and each in found
            ]
            stages.append(stage_of_run(origins.runs.run(parent), inputs, attested=own))
        found[step] = _least(stages or own)
    return {node: StageAndGrade(stage, grades[node]) for node, stage in found.items()}
