"""Verbs on defects: bad rows that an evaluation found, and what is done about them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dsvc.porcelain.state.workspace import Workspace

if TYPE_CHECKING:
    from dsvc.feedback.defect_state import DefectState
    from dsvc.model.defect import DefectStatus
    from dsvc.model.feedback import DefectSeverity
    from dsvc.porcelain.feedback.brought_back import BroughtBack
    from dsvc.porcelain.feedback.cause_report import CauseReport
    from dsvc.porcelain.feedback.defect_view import DefectView


class DefectVerbs(Workspace):
    """The part of `dsvc.Repository` that knows defects.

    An id may be cut to its first 4 digits. Errors are those of `feedback.defects`.
    """

    def defects(
        self,
        *,
        status: str | DefectStatus | None = None,
        severity: str | DefectSeverity | None = None,
        assignee: str | None = None,
        path: bytes | None = None,
        overdue: bool = False,
    ) -> list[DefectState]:
        """Every defect as it is now, the worst first; see `defects.DefectFilter`."""
        from dsvc.model.defect import DefectStatus
        from dsvc.model.feedback import DefectSeverity
        from dsvc.porcelain.feedback import defects

        chosen = defects.DefectFilter(
            status=None if status is None else DefectStatus(status),
            severity=None if severity is None else DefectSeverity(severity),
            assignee=assignee,
            path=path,
            overdue=overdue,
        )
        return defects.defects(self, chosen)

    def defect(self, id: str) -> DefectState:  # noqa: A002
        """One defect; see `defect_chain.defect_state`."""
        from dsvc.porcelain.records.defect_chain import defect_state

        return defect_state(self, id)

    def defect_causes(self, id: str) -> CauseReport:  # noqa: A002
        """Rank the causes of a defect; see `cause_report.cause_report`."""
        from dsvc.porcelain.feedback.cause_report import cause_report

        return cause_report(self, id)

    def defect_view(self, id: str) -> DefectView:  # noqa: A002
        """Put all together that belongs to a defect; see `defect_view.defect_view`."""
        from dsvc.porcelain.feedback.defect_view import defect_view

        return defect_view(self, id)

    def defect_confirm(self, id: str, reason: str | None = None) -> DefectState:  # noqa: A002
        """Confirm a defect; see `defects.confirm`."""
        from dsvc.porcelain.feedback import defects

        return defects.confirm(self, id, reason).state

    def defect_reject(self, id: str, reason: str) -> DefectState:  # noqa: A002
        """Reject a defect; see `defects.reject`."""
        from dsvc.porcelain.feedback import defects

        return defects.reject(self, id, reason).state

    def defect_grade(self, id: str, severity: str | DefectSeverity, reason: str) -> DefectState:  # noqa: A002
        """Give a defect another severity; see `defects.grade`."""
        from dsvc.model.feedback import DefectSeverity
        from dsvc.porcelain.feedback import defects

        return defects.grade(self, id, DefectSeverity(severity), reason).state

    def defect_assign(self, id: str, to: str | None = None, due: str | None = None) -> DefectState:  # noqa: A002
        """Say who sees to a defect, and until when; see `defects.assign`."""
        from dsvc.porcelain.feedback import defects

        return defects.assign(self, id, to, due).state

    def defect_split(
        self,
        id: str,  # noqa: A002
        *,
        rows: Sequence[int] = (),
        where: str | None = None,
        reason: str | None = None,
    ) -> tuple[DefectState, DefectState]:
        """Take some rows into a new defect; gives both; see `defects.split`."""
        from dsvc.porcelain.feedback import defects

        left, new = defects.split(self, id, rows=rows, where=where, reason=reason)
        return left.state, new.state

    def defect_join(self, id: str, others: Sequence[str], reason: str | None = None) -> DefectState:  # noqa: A002
        """Take other defects into one; see `defects.join`."""
        from dsvc.porcelain.feedback import defects

        return defects.join(self, id, others, reason).state

    def defect_comment(self, id: str, text: str) -> DefectState:  # noqa: A002
        """Write something down with a defect; see `defects.comment`."""
        from dsvc.porcelain.feedback import defects

        return defects.comment(self, id, text).state

    def defect_reopen(self, id: str, reason: str) -> DefectState:  # noqa: A002
        """Open a closed defect again; see `defects.reopen`."""
        from dsvc.porcelain.feedback import defects

        return defects.reopen(self, id, reason).state

    def defects_brought_back(self, revision: str = "HEAD") -> list[BroughtBack]:
        """Verified defects whose rows a version has as they were; see `feedback.brought_back`."""
        from dsvc.porcelain.feedback.brought_back import rows_brought_back

        return rows_brought_back(self, self.history.peel(self.history.revisions.resolve(revision)))

    def defect_reopen_brought_back(self, revision: str = "HEAD") -> list[BroughtBack]:
        """Open these again, where the version came after the repair; gives those that were opened."""
        from dsvc.porcelain.feedback.brought_back import reopen_brought_back

        return reopen_brought_back(self, self.history.peel(self.history.revisions.resolve(revision)))
