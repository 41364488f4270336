"""Verbs on sources: where data came from, by which right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dsvc.porcelain.state.workspace import Workspace

if TYPE_CHECKING:
    from dsvc.lineage.evidence import EvidenceOption
    from dsvc.lineage.source_document import SourceDocument
    from dsvc.model.ids import CommitId
    from dsvc.porcelain.sources.source_groups import SourceGroup
    from dsvc.porcelain.sources.sources import Source
    from dsvc.porcelain.tree.tree_scan import Progress


class SourceVerbs(Workspace):
    """The part of `dsvc.Repository` that knows sources."""

    def source_add(
        self,
        source_id: str,
        paths: Sequence[bytes] = (),
        *,
        fields: Mapping[str, object] | None = None,
        evidence: Sequence[str | EvidenceOption] = (),
        where: str | None = None,
        document: SourceDocument | None = None,
        progress: Progress | None = None,
    ) -> Source:
        """Record a source and attest the files under its paths; see `sources.add`.

        Parameters
        ----------
        fields : mapping of str to object
            ``title``, ``acquisition``, ``legal_basis``, ``license_expression`` and any other field by name.
        evidence : sequence of str or EvidenceOption
            Files by absolute paths; text is ``[TYPE=]FILE[@FROM..TO]``.
        where : str or None
            Which rows of the tables under `paths`, where not all.
        document : SourceDocument or None
            A record from a file; what the other arguments say counts more.
        """
        from dsvc.porcelain.sources import source_arguments, sources

        given = source_arguments.gather(paths, fields, evidence, where, document)
        return sources.add(
            self, source_id, given.covers, given.changes, evidence=given.evidence, progress=progress
        )

    def source_update(
        self,
        source_id: str,
        paths: Sequence[bytes] = (),
        *,
        where: str | None = None,
        progress: Progress | None = None,
    ) -> Source:
        """Attest the files there now; see `sources.update`.

        Parameters
        ----------
        paths : sequence of bytes
            What it covers from now on; none: what it covered.
        """
        from dsvc.porcelain.sources import source_arguments, sources

        given = source_arguments.gather(paths, None, (), where, None)
        return sources.update(self, source_id, given.covers, progress=progress)

    def source_set(
        self,
        source_id: str,
        *,
        fields: Mapping[str, object] | None = None,
        evidence: Sequence[str | EvidenceOption] = (),
        dropped_evidence: Sequence[str] = (),
        document: SourceDocument | None = None,
    ) -> Source:
        """Set fields, add or drop evidence; see `sources.change` and `source_add`.

        A field that is set to None or an empty text is removed; ``blacklisted`` takes the reason.
        """
        from dsvc.porcelain.sources import source_arguments, sources

        given = source_arguments.gather((), fields, evidence, None, document)
        return sources.change(
            self,
            source_id,
            given.changes,
            covers=given.covers,
            evidence=given.evidence,
            dropped_evidence=dropped_evidence,
        )

    def source_withdraw(self, source_id: str, reason: str) -> Source:
        """Withdraw a source; see `sources.withdraw`."""
        from dsvc.porcelain.sources import sources

        return sources.withdraw(self, source_id, reason)

    def sources(self) -> list[Source]:
        """Every source as it is now, by id; see `sources.sources`."""
        from dsvc.porcelain.sources import sources

        return sources.sources(self)

    def source_groups(self, by: str) -> list[SourceGroup]:
        """Sources in groups by a field of their record; see `source_groups.groups`."""
        from dsvc.porcelain.sources import source_groups

        return source_groups.groups(self, by)

    def source(self, source_id: str, commit: CommitId | None = None) -> Source:
        """One source with its history; see `sources.show`."""
        from dsvc.porcelain.sources import sources

        return sources.show(self, source_id, commit)
