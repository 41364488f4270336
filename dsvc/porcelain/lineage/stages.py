"""Stages and grades of everything that a version descends from, derived from the facts there are now."""

from __future__ import annotations

from dsvc.lineage.closure import Closure
from dsvc.lineage.grades import grade_of_source
from dsvc.lineage.graph import ArtifactNode
from dsvc.lineage.stages import StageAndGrade, stage_of_source, stages_of
from dsvc.porcelain.records.lineage_facts import known_sources, origins_at
from dsvc.porcelain.state.commit_lineage import lineage_of
from dsvc.porcelain.state.workspace import Workspace


def stages(repo: Workspace, rev: str | None = None) -> dict[ArtifactNode, StageAndGrade]:
    """Stage and grade of each file of a version, and of what these descend from.

    Parameters
    ----------
    rev : str or None
        A revision, or ``STAGED`` with the runs that wait for a commit; None: HEAD.

    Raises
    ------
    NotFoundError
        If there is no such revision.
    MissingDataError, CorruptDataError, MalformedInputError
        If its lineage can't be read.
    """
    root, known = origins_at(repo, rev)
    return stages_of(known, Closure(known, repo.manifest(root).entries()))


def source_stage(repo: Workspace, source_id: str) -> StageAndGrade | None:
    """Stage and grade of a source as it is now; None where it can't be read or isn't there."""
    source = known_sources(repo, [lineage_of(repo, repo.history.refs.head().commit)]).all.get(source_id)
    if source is None:
        return None
    return StageAndGrade(stage_of_source(source), grade_of_source(source))
