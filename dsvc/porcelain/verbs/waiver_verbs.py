"""Verbs on waivers: what an officer lets stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsvc.porcelain.state.workspace import Workspace

if TYPE_CHECKING:
    from dsvc.porcelain.policy.waivers import WaiverUse


class WaiverVerbs(Workspace):
    """The part of `dsvc.Repository` that knows waivers."""

    def waive(
        self,
        rule: str,
        subject: bytes,
        *,
        reason: str,
        until: str,
        key: str | None = None,
        rev: str | None = None,
    ) -> WaiverUse:
        """Let a violation stand, signed; see `waivers.make_waiver`.

        Parameters
        ----------
        subject : bytes
            As the violation names it; ``b""`` is the whole version.
        until : str
            Last day, ``YYYY-MM-DD``.
        key : str or None
            File of the key to sign with; None: ``user.signingKey``.
        """
        from dsvc.porcelain.policy.waivers import make_waiver
        from dsvc.porcelain.state.moment import now

        return make_waiver(self, rule, subject, reason=reason, until=until, day=now().day, key=key, rev=rev)

    def waivers(self, rev: str | None = None, *, as_of: str | None = None) -> list[WaiverUse]:
        """Every waiver and what it is worth to a version; see `waivers.list_waivers`."""
        from dsvc.porcelain.policy.waivers import list_waivers
        from dsvc.porcelain.state.moment import now

        return list_waivers(self, as_of or now().day, rev)

    def revoke_waiver(self, id: str, reason: str) -> WaiverUse:  # noqa: A002
        """End a waiver before its day; see `waivers.revoke`."""
        from dsvc.porcelain.policy.waivers import revoke
        from dsvc.porcelain.state.moment import now

        return revoke(self, id, reason, now().day)
