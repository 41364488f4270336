"""Verbs on releases: created, listed, verified, ended, written into a folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dsvc.porcelain.state.workspace import Workspace

if TYPE_CHECKING:
    from dsvc.porcelain.records.release_chain import ReleaseState
    from dsvc.porcelain.release.release_affected import Affected
    from dsvc.porcelain.release.release_export import Exported
    from dsvc.porcelain.release.release_facts import About
    from dsvc.porcelain.release.release_lifecycle import Downstream
    from dsvc.porcelain.release.release_rerun import PlannedRerun
    from dsvc.porcelain.release.release_verify import Verified
    from dsvc.porcelain.release.releases import CreatedRelease
    from dsvc.porcelain.runs.rerun import Carrier
    from dsvc.release.facts import ReleaseFacts


class ReleaseVerbs(Workspace):
    """The part of `dsvc.Repository` that knows releases."""

    def release_create(
        self,
        name: str,
        rev: str = "HEAD",
        *,
        paths: Sequence[bytes] = (),
        about: About | None = None,
        consumers: Sequence[str] = (),
        policy: tuple[bytes, str] | None = None,
        sign: bool = False,
    ) -> CreatedRelease:
        """Release a version, if the gate lets it; see `releases.create`."""
        from dsvc.porcelain.release.releases import create

        return create(
            self, name, rev, paths=paths, about=about, consumers=consumers, policy=policy, sign=sign
        )

    def releases(self) -> list[ReleaseState]:
        """Every release as it is now, by name; see `release_chain.releases`."""
        from dsvc.porcelain.records.release_chain import releases

        return list(releases(self))

    def release(self, name: str) -> tuple[ReleaseState, ReleaseFacts | None]:
        """One release, with its facts where it was created; see `records.release_chain`."""
        from dsvc.porcelain.records.release_chain import facts_of, release_head

        state = release_head(self, name)
        return state, None if state.created is None else facts_of(self, state)

    def release_document(self, name: str, document: str) -> bytes:
        """Bytes of a document of a release.

        Parameters
        ----------
        document : str
            ``statement.jsonl``, ``README.md``, ``README.zh.md``, ``croissant.json`` or ``notes``.

        Raises
        ------
        ReleaseStateError
            If it is only announced.
        NoSuchReleaseError, MissingDataError, CorruptDataError, MalformedInputError
            If there is none of that name, or it can't be read.
        """
        from dsvc.porcelain.records.release_chain import created_release, release_part

        return release_part(self, created_release(self, name)[0], document.encode())

    def releases_affected(self) -> list[Affected]:
        """Releases that something speaks against by now; see `release.release_affected`."""
        from dsvc.porcelain.release.release_affected import affected_releases

        return list(affected_releases(self))

    def release_verify(
        self, name: str, *, reruns: Sequence[PlannedRerun] = (), how: Carrier | None = None
    ) -> Verified:
        """Hold a release against what is stored; see `release_verify.verify`.

        Parameters
        ----------
        reruns : sequence of PlannedRerun
            Runs that are done again, by `release_reruns`: somebody has agreed to their commands.
        how : Carrier or None
            How they are carried out.
        """
        from dsvc.porcelain.release.release_verify import verify

        found = verify(self, name)
        if not reruns or how is None:
            return found
        from dsvc.porcelain.release.release_rerun import rerun_drawn

        more = tuple(rerun_drawn(self, reruns, how))
        return found._replace(findings=(*found.findings, *more), checks=(*found.checks, "rerun"))

    def release_reruns(self, name: str, count: int) -> list[PlannedRerun]:
        """Draw runs to be done again; see `release_rerun.planned_reruns`."""
        from dsvc.porcelain.release.release_rerun import planned_reruns

        return planned_reruns(self, name, count)

    def release_announce(
        self,
        name: str,
        *,
        until: str | None = None,
        consumers: Sequence[str] = (),
        reason: str | None = None,
    ) -> ReleaseState:
        """Announce a release, or say to whom it goes; see `release_lifecycle.announce`."""
        from dsvc.porcelain.release.release_lifecycle import announce

        return announce(self, name, until=until, consumers=consumers, reason=reason)

    def release_end(self, name: str, verb: str, reason: str) -> ReleaseState:
        """End a release; see `release_lifecycle.end`.

        Parameters
        ----------
        verb : str
            ``deprecate``, ``archive``, ``offline`` or ``withdraw``.
        """
        from dsvc.model.release import ReleaseVerb
        from dsvc.porcelain.release.release_lifecycle import end

        return end(self, name, ReleaseVerb(verb), reason)

    def release_downstream(self, name: str) -> Downstream:
        """List consumers and later releases; see `release_lifecycle.downstream_of`."""
        from dsvc.porcelain.release.release_lifecycle import downstream_of

        return downstream_of(self, name)

    def release_export(self, name: str, folder: str) -> Exported:
        """Write a release into a folder; see `release_export.export`."""
        from dsvc.porcelain.release.release_export import export

        return export(self, name, folder)
