"""Verbs on evaluations: what a pilot found becomes a commit."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from dsvc.porcelain.state.workspace import Workspace

if TYPE_CHECKING:
    from dsvc.model.feedback import DefectSeverity, Observation, PilotKind, Unresolved
    from dsvc.porcelain.feedback.evaluation_pair import EvaluationPair
    from dsvc.porcelain.feedback.feedback_import import FeedbackImport
    from dsvc.porcelain.records.feedback_chain import FeedbackHead
    from dsvc.porcelain.tables.row_target import RowTarget
    from dsvc.porcelain.tree.tree_scan import Progress


class FeedbackVerbs(Workspace):
    """The part of `dsvc.Repository` that knows evaluations."""

    def feedback_import(
        self,
        file: str | os.PathLike[str],
        *,
        subject: str,
        suite: str | None = None,
        model: str | None = None,
        format: str = "auto",  # noqa: A002
        kind: str | PilotKind | None = None,
        severity: str | DefectSeverity | None = None,
        map: Mapping[str, str] | None = None,  # noqa: A002
        companions: Sequence[str | os.PathLike[str]] = (),
        progress: Progress | None = None,
    ) -> FeedbackImport:
        """Import the result file of an evaluation; see `feedback_import.import_feedback`.

        Parameters
        ----------
        file : path-like
            The file, or a folder with results and samples.
        subject : str
            What was evaluated: ``[REV:]PATH``, ``REV:``, a revision, ``release:NAME``.
        suite, model : str or None
            By what, and which model; None: as the file says.
        format : str
            ``auto``: by content.
        kind : str, PilotKind or None
            ``training``, ``finetuning`` or ``inference``; None: as the file says.
        severity : str, DefectSeverity or None
            Of observations that have none; None: P3.
        map : mapping of str to str or None
            For CSV and JSON Lines: the column that holds a field.
        companions : sequence of path-like
            Files that belong to it.
        """
        from dsvc.model.feedback import DefectSeverity, PilotKind
        from dsvc.porcelain.feedback.feedback_import import ImportRequest, import_feedback

        request = ImportRequest(
            file=os.fspath(file),
            subject=subject,
            suite=suite,
            model=model,
            format=format,
            kind=None if kind is None else PilotKind(kind),
            severity=None if severity is None else DefectSeverity(severity),
            columns=dict(map or {}),
            companions=[os.fspath(each) for each in companions],
        )
        return import_feedback(self, request, progress=progress)

    def feedbacks(self) -> list[FeedbackHead]:
        """Every evaluation, oldest first."""
        from dsvc.porcelain.records import feedback_chain

        heads = [feedback_chain.feedback_head(self, id_) for id_ in feedback_chain.feedback_ids(self)]
        return sorted(heads, key=lambda head: (head.record.imported_at, head.id))

    def feedback(self, id: str) -> FeedbackHead:  # noqa: A002
        """One evaluation, by at least the first 4 digits of its id.

        Raises
        ------
        NoSuchFeedbackError
            If there is none.
        """
        from dsvc.porcelain.records import feedback_chain

        return feedback_chain.feedback_head(self, id)

    def feedback_observations(self, id: str) -> Iterator[Observation]:  # noqa: A002
        """Yield the observations of an evaluation whose rows were found; raises as `feedback`."""
        from dsvc.porcelain.records import feedback_chain

        return feedback_chain.observations(self, id)

    def feedback_unresolved(self, id: str) -> Iterator[Unresolved]:  # noqa: A002
        """Yield what could not be found, with reasons; raises as `feedback`."""
        from dsvc.porcelain.records import feedback_chain

        return feedback_chain.unresolved(self, id)

    def metric_table(self, old: str, new: str) -> list[EvaluationPair]:
        """Metrics of two versions beside each other; see `metric_table.metric_table`."""
        if not self.history.refs.list("refs/dsvc/feedback/"):
            return []  # nothing is imported for it where there are no evaluations
        from dsvc.porcelain.feedback.metric_table import metric_table

        return metric_table(self, old, new)

    def feedback_reference(self, target: RowTarget) -> str:
        """Write the reference to a file or a row that evaluation tools carry along as ``dsvc_ref``.

        A row is named by its key, as ``dsvc.toml`` says, else by the target's columns, else by its place.

        Raises
        ------
        NotFoundError, UsageError
            If there is no such version, file or row, or it is not committed.
        MalformedReferenceError
            If its key can't be written.
        """
        from dsvc.porcelain.feedback.feedback_references import reference

        return reference(self, target)
