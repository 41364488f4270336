"""Verbs that ask where data came from and where it went, and whether that is known of all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsvc.porcelain.state.workspace import Workspace

if TYPE_CHECKING:
    from dsvc.lineage.graph import ArtifactNode
    from dsvc.lineage.stages import StageAndGrade
    from dsvc.lineage.validation import Gate
    from dsvc.porcelain.lineage.catalogue import Found
    from dsvc.porcelain.lineage.lineage_impact import ImpactResult
    from dsvc.porcelain.lineage.lineage_target import LineageTarget
    from dsvc.porcelain.lineage.lineage_trace import TraceResult
    from dsvc.porcelain.lineage.lineage_view import LineageView
    from dsvc.porcelain.policy.licences import LicenceAnswer
    from dsvc.porcelain.policy.verdict import CheckResult


class LineageVerbs(Workspace):
    """The part of `dsvc.Repository` that knows lineage."""

    def trace(self, target: str | LineageTarget) -> TraceResult:
        """Where a file, a row or what a run made came from; see `lineage_queries.trace`."""
        from dsvc.porcelain.lineage.lineage_queries import trace
        from dsvc.porcelain.lineage.lineage_target import parse_lineage_target

        return trace(self, parse_lineage_target(target) if isinstance(target, str) else target)

    def impact(self, target: str | LineageTarget, *, everywhere: bool = False) -> ImpactResult:
        """What came of a source, a run, a file or a row; see `lineage_impact.impact`."""
        from dsvc.porcelain.lineage.lineage_impact import impact
        from dsvc.porcelain.lineage.lineage_target import parse_lineage_target

        parsed = parse_lineage_target(target) if isinstance(target, str) else target
        return impact(self, parsed, everywhere=everywhere)

    def lineage(self, target: str | LineageTarget | None = None, direction: str = "both") -> LineageView:
        """Return the graph around a target, or at HEAD; see `lineage_view.lineage`.

        Parameters
        ----------
        direction : str
            ``up``, ``down`` or ``both``.
        """
        from dsvc.porcelain.lineage.lineage_target import parse_lineage_target
        from dsvc.porcelain.lineage.lineage_view import Direction, lineage

        parsed = parse_lineage_target(target) if isinstance(target, str) else target
        return lineage(self, parsed, Direction(direction))

    def check(
        self,
        rev: str | None = None,
        *,
        staged: bool = False,
        gate: Gate | None = None,
        target: str | None = None,
        policy: tuple[bytes, str] | None = None,
        as_of: str | None = None,
        rescan: bool = False,
    ) -> CheckResult:
        """Judge a version by the policy in force; see `check.check`."""
        from dsvc.porcelain.policy.check import check

        return check(
            self, rev, staged=staged, gate=gate, target=target, policy=policy, as_of=as_of, rescan=rescan
        )

    def changed_sources(self, commit: str) -> frozenset[str]:
        """Sources that changed since a commit; see `check.changed_sources`."""
        from dsvc.porcelain.policy.check import changed_sources

        return changed_sources(self, commit)

    def stages(self, rev: str | None = None) -> dict[ArtifactNode, StageAndGrade]:
        """Stage and grade of each file of a version; see `stages.stages`."""
        from dsvc.porcelain.lineage.stages import stages

        return stages(self, rev)

    def licence_of(
        self, target: str | LineageTarget | None = None, *, day: str | None = None
    ) -> LicenceAnswer:
        """What may be done with a file, a folder or a source; see `licences.licence_of`.

        Parameters
        ----------
        day : str or None
            On which day, ``YYYY-MM-DD``; None: today.
        """
        from dsvc.porcelain.lineage.lineage_target import parse_lineage_target
        from dsvc.porcelain.policy.licences import licence_of
        from dsvc.porcelain.state.moment import now

        parsed = parse_lineage_target(target) if isinstance(target, str) else target
        return licence_of(self, parsed, day or now().day)

    def find(
        self,
        rev: str | None = None,
        path: bytes = b"",
        *,
        source: str | None = None,
        licence: str | None = None,
        grade: str | None = None,
        stage: str | None = None,
        supply_type: str | None = None,
    ) -> list[Found]:
        """Files by the sources, licences, grades and stages they have; see `lineage.catalogue`.

        All that is given must hold; with nothing given: all files that have lineage.
        """
        from dsvc.porcelain.lineage import catalogue

        asked = catalogue.wanted(
            source=source, licence=licence, grade=grade, stage=stage, supply_type=supply_type
        )
        return catalogue.catalogue(self, rev, path, asked)
