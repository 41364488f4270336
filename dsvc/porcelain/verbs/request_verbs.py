"""Verbs on requests of people: refusals, withdrawals of consent, deletions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dsvc.porcelain.state.workspace import Workspace

if TYPE_CHECKING:
    from dsvc.model.rights_request import RequestKind
    from dsvc.porcelain.requests.erasure import Erasure, ErasurePlan
    from dsvc.porcelain.requests.requests import Request
    from dsvc.porcelain.tree.tree_scan import Progress


class RequestVerbs(Workspace):
    """The part of `dsvc.Repository` that knows requests."""

    def request_add(
        self,
        request_id: str,
        kind: str | RequestKind,
        *,
        subjects: Sequence[str] = (),
        where: Sequence[tuple[str, str]] = (),
        domains: Sequence[str] = (),
        urls: Sequence[str] = (),
        authors: Sequence[str] = (),
        digests: Sequence[str] = (),
        received_at: str | None = None,
        days: int = 30,
        ground: str = "",
    ) -> Request:
        """Record a request; see `requests.add`.

        Parameters
        ----------
        kind : str or RequestKind
            ``refusal``, ``withdrawal`` or ``deletion``.
        subjects : sequence of str
            Values of columns that play the part of ``subject``; kept as keyed hashes.
        where : sequence of (str, str)
            Targets of tables with conditions: the subjects of the rows for which they are true.
        """
        from dsvc.model.rights_request import RequestKind
        from dsvc.porcelain.requests import requests

        wanted = requests.Wanted(subjects, where, domains, urls, authors, digests)
        return requests.add(
            self,
            request_id,
            RequestKind(kind),
            wanted,
            received_at=received_at,
            days=days,
            ground=ground,
        )

    def requests(self) -> list[Request]:
        """Every request as it is now, by id; see `requests.requests`."""
        from dsvc.porcelain.requests import requests

        return requests.requests(self)

    def request(self, request_id: str) -> Request:
        """One request with its history; see `requests.show`."""
        from dsvc.porcelain.requests import requests

        return requests.show(self, request_id)

    def request_find(self, request_id: str, *, progress: Progress | None = None) -> Request:
        """Search all that is kept, and record where the subject is; see `requests.find`."""
        from dsvc.porcelain.requests import requests

        return requests.find(self, request_id, progress=progress)

    def request_refuse(self, request_id: str, reason: str) -> Request:
        """Refuse a request; see `requests.refuse`."""
        from dsvc.porcelain.requests import requests

        return requests.refuse(self, request_id, reason)

    def request_seal(self, request_id: str, reason: str) -> Request:
        """Keep what a request is about from any use; see `requests.seal`."""
        from dsvc.porcelain.requests import requests

        return requests.seal(self, request_id, reason)

    def request_confirm(self, note: str) -> Request:
        """Record that the register of refusals is complete; see `requests.confirm`."""
        from dsvc.porcelain.requests import requests

        return requests.confirm(self, note)

    def request_register(self) -> Request | None:
        """Return the newest confirmation of the register; see `requests.register`."""
        from dsvc.porcelain.requests import requests

        return requests.register(self)

    def request_plan(self, request_id: str, *, progress: Progress | None = None) -> ErasurePlan:
        """Say what an erasure would do; see `erasure.plan_erasure`."""
        from dsvc.porcelain.requests import erasure

        return erasure.plan_erasure(self, request_id, progress=progress)

    def request_erase(
        self,
        request_id: str,
        reason: str,
        *,
        keep_shared: str | None = None,
        progress: Progress | None = None,
    ) -> Erasure:
        """Erase what a request is about; see `erasure.erase`."""
        from dsvc.porcelain.requests import erasure

        return erasure.erase(self, request_id, reason, keep_shared=keep_shared, progress=progress)
