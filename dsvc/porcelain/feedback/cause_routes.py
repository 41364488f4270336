"""How observations on an evaluation set reach the data: only by what the records show that both share."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from dsvc.lineage.graph import ArtifactNode
from dsvc.model.defect import CauseKind
from dsvc.model.feedback import FeedbackRecord
from dsvc.model.manifest import Entry
from dsvc.porcelain.feedback.cause_candidates import CandidateCauses, CandidateRows
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.row_indexes import KnownTable, RowIndexes
from dsvc.porcelain.tables.table_rules import table_rules

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Flags = NDArray[np.bool_]

MOST_TABLES: Final = 50
"""Tables of the subject that routes are looked for to."""


class RouteKind(StrEnum):
    """What an evaluation set and the data have in common."""

    ARTIFACT = "artifact"
    SOURCE = "source"
    ANNOTATOR = "annotator"
    BATCH = "batch"
    NEAR_DUPLICATE = "near-duplicate"


_KINDS: Final = {
    CauseKind.SOURCE: RouteKind.SOURCE,
    CauseKind.ANNOTATOR: RouteKind.ANNOTATOR,
    CauseKind.BATCH: RouteKind.BATCH,
}


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that flagged rows of an evaluation set share with a table of the data.

    Attributes
    ----------
    kind : RouteKind
    id : str
        The source, annotator or batch, or the path of the artifact that both came from; of near-duplicates
        the columns that were compared.
    flagged : int
        Flagged rows that it covers.
    path : bytes
        Table of the data.
    rows : int
        Its rows that it covers.
    """

    kind: RouteKind
    id: str
    flagged: int
    path: bytes
    rows: int


def is_evaluation_set(record: FeedbackRecord, path: bytes) -> bool:
    """Whether rows of an artifact are no part of what an evaluation was of."""
    subject = record.subject.path
    stated = (record.run.eval_set or "").rpartition(":")[2].strip("/").encode("utf-8", "surrogateescape")
    if stated and path == stated and subject != path:
        return True
    return bool(subject) and path != subject and not path.startswith(subject + b"/")


def find_routes(
    repo: Workspace,
    causes: CandidateCauses,
    found: CandidateRows,
    flagged: Flags,
    path: bytes,
    subject: bytes,
) -> tuple[tuple[Route, ...], str | None]:
    """Find what flagged rows of an evaluation set share with the tables of a subject.

    Parameters
    ----------
    found : CandidateRows
        What the rows of the evaluation set came from.
    flagged : ndarray of bool
        Which of these are flagged.
    path : bytes
        The evaluation set.
    subject : bytes
        File or folder that was evaluated; empty: the whole version.

    Returns
    -------
    (tuple of Route, str or None)
        Routes, and what was not looked for and why.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If lineage or a table can't be read.
    """
    tables = [each for each in causes.tables(subject) if each.path != path]
    routes: list[Route] = []
    near = _Near(repo, causes, path, found, flagged)
    for entry in tables[:MOST_TABLES]:
        there = causes.of(entry.path, entry.digest)
        routes += _ancestors(causes, found, there, flagged, entry)
        routes += _shared(found, there, flagged, entry)
        routes += near.routes(entry)
    if len(tables) > MOST_TABLES:
        near.reason = f"{len(tables)} tables; {MOST_TABLES} were looked through"
    order = list(RouteKind)
    routes.sort(key=lambda each: (order.index(each.kind), -each.flagged, each.id, each.path))
    return tuple(routes), near.reason


def _ancestors(
    causes: CandidateCauses, found: CandidateRows, there: CandidateRows, flagged: Flags, entry: Entry
) -> Iterator[Route]:
    """Artifacts that both came from, but for those that another one of these came from."""
    both = found.ancestors.keys() & there.ancestors.keys()
    graph = causes.builder.graph
    for node in sorted(both):
        if any(isinstance(each, ArtifactNode) and each in both for each in graph.descendants(node)):
            continue
        bad = int(np.count_nonzero(found.ancestors[node].mask(found.size) & flagged))
        rows = int(np.count_nonzero(there.ancestors[node].mask(there.size)))
        if bad and rows:
            name = node.path.decode("utf-8", "backslashreplace")
            yield Route(kind=RouteKind.ARTIFACT, id=name, flagged=bad, path=entry.path, rows=rows)


def _shared(found: CandidateRows, there: CandidateRows, flagged: Flags, entry: Entry) -> Iterator[Route]:
    known = {(each.kind, each.id): each.rows for each in there.candidates if each.kind in _KINDS}
    for each in found.candidates:
        other = known.get((each.kind, each.id))
        if other is None:
            continue
        bad = int(np.count_nonzero(each.rows.mask(found.size) & flagged))
        rows = int(np.count_nonzero(other.mask(there.size)))
        if bad:
            yield Route(kind=_KINDS[each.kind], id=each.id, flagged=bad, path=entry.path, rows=rows)


class _Near:
    """Looks for rows that are nearly flagged ones."""

    def __init__(
        self, repo: Workspace, causes: CandidateCauses, path: bytes, found: CandidateRows, flagged: Flags
    ) -> None:
        self._repo = repo
        self._rules = table_rules(repo)
        self._texts: list[str] = []
        self.reason: str | None = None
        table = _table(repo, causes.entry(path))
        if table is None:
            return
        from dsvc.porcelain.feedback.near_rows import content_columns, row_texts

        index = RowIndexes(repo).get(table)
        columns = content_columns(table, index, self._rules.for_path(path))
        chosen = np.flatnonzero(flagged) if found.rows is None else found.rows[flagged]
        wanted = set(chosen.tolist())
        if columns:
            texts = enumerate(row_texts(table, columns))
            self._texts = [text for number, text in texts if number in wanted]

    def routes(self, entry: Entry) -> Iterator[Route]:
        """Rows of one table."""
        table = _table(self._repo, entry) if self._texts else None
        if table is None:
            return
        from dsvc.policy.detectors.detector import DetectorUnavailableError
        from dsvc.porcelain.feedback.near_rows import content_columns, near_rows, row_texts

        index = RowIndexes(self._repo).get(table)
        columns = content_columns(table, index, self._rules.for_path(entry.path))
        if not columns:
            return
        try:
            near = near_rows(self._texts, row_texts(table, columns))
        except DetectorUnavailableError as error:
            self.reason = error.message
            return
        if not near.complete:
            self.reason = "so many texts are alike that the search for near-duplicates was given up"
        if len(near.rows):
            yield Route(
                kind=RouteKind.NEAR_DUPLICATE,
                id=",".join(columns),
                flagged=len(np.unique(near.partner)),
                path=entry.path,
                rows=len(near.rows),
            )


def _table(repo: Workspace, entry: Entry | None) -> KnownTable | None:
    from dsvc.porcelain.tables.table_diff import known_table

    return known_table(repo, entry)
