"""Rows that nobody flagged yet, which share the causes of a defect or are nearly equal to its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from dsvc.model.feedback import Scalar
from dsvc.model.ids import CommitId
from dsvc.porcelain.feedback.cause_cache import depends_on, kept
from dsvc.porcelain.feedback.cause_candidates import CandidateCauses, CandidateRows
from dsvc.porcelain.feedback.cause_report import CauseReport, universe_of
from dsvc.porcelain.records.defect_chain import DefectHead, defect_head
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.row_indexes import KnownTable, RowIndexes
from dsvc.porcelain.tables.table_diff import known_table
from dsvc.porcelain.tables.table_rules import table_rules
from dsvc.table.exchange.json_value import json_cell

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsvc.table.index.row_index import RowIndex

    Numbers = NDArray[np.int64]

SHOWN: Final = 20
"""Rows of an artifact that are named."""
MOST_TABLES: Final = 50
"""Tables of the version that are looked through."""


class OtherRows(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of one artifact.

    Attributes
    ----------
    path : bytes
    folder : bool
    count : int
        How many.
    positions : tuple of int
        Of the first `SHOWN`, as ``#@N`` counts them.
    keys : tuple of mapping
        Of these, key columns and their values; empty without a key. Of a folder ``file`` and the path.
    causes : mapping of str to int
        How many each cause covers, as ``KIND ID``.
    """

    path: bytes
    folder: bool
    count: int
    positions: tuple[int, ...]
    keys: tuple[Mapping[str, Scalar], ...] = ()
    causes: Mapping[str, int] = {}


class NotFlagged(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that are not flagged, and may be bad all the same.

    Attributes
    ----------
    flagged : OtherRows
        The rows that are flagged.
    same_cause : tuple of OtherRows
        Rows that at least one cause of the defect covers: first of its artifact, then of other tables of the
        version, where rows that flagged ones came from, or became, are among them.
    near : OtherRows or None
        Rows of its artifact that are nearly equal to flagged ones; None: it was not looked for.
    columns : tuple of str
        Columns that were compared for that.
    reason : str or None
        Why that was not looked for, or not to the end.
    tables_left_out : int
        Tables that were not looked through, since there are so many.
    """

    flagged: OtherRows
    same_cause: tuple[OtherRows, ...] = ()
    near: OtherRows | None = None
    columns: tuple[str, ...] = ()
    reason: str | None = None
    tables_left_out: int = 0


def not_flagged(repo: Workspace, defect: str | DefectHead, report: CauseReport) -> NotFlagged:
    """Find rows like those of a defect that are not flagged.

    Parameters
    ----------
    defect : str or DefectHead
        Its id, or its newest state.
    report : CauseReport
        Its causes.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If lineage or a table can't be read.
    """
    head = defect_head(repo, defect) if isinstance(defect, str) else defect
    key = depends_on(repo, bytes.fromhex(head.commit), [(each.kind, each.id) for each in report.top])
    return kept(repo, f"{head.state.id}-others", key, NotFlagged, lambda: _Search(repo, head, report).found())


class _Search:
    def __init__(self, repo: Workspace, head: DefectHead, report: CauseReport) -> None:
        self._repo = repo
        self._report = report
        self._indexes = RowIndexes(repo)
        self._rules = table_rules(repo)
        self._causes = CandidateCauses(repo, CommitId(report.commit))
        self._flagged = universe_of(repo, head.state).flagged
        self._top = [(cause.kind, cause.id) for cause in report.top]

    def found(self) -> NotFlagged:
        report = self._report
        same: list[OtherRows] = []
        left_out = 0
        if self._top:
            there = self._causes.of(report.path, report.digest, folder=report.folder)
            same.append(self._shared(report.path, there, self._flagged, folder=report.folder))
            tables = [each for each in self._causes.tables() if each.path != report.path]
            left_out = max(0, len(tables) - MOST_TABLES)
            for entry in tables[:MOST_TABLES]:
                there = self._causes.of(entry.path, entry.digest)
                found = self._shared(entry.path, there, np.zeros(0, np.int64), folder=False)
                if found.count:
                    same.append(found)
        flagged = self._named(report.path, self._flagged, {}, folder=report.folder)
        made = NotFlagged(flagged=flagged, same_cause=tuple(same), tables_left_out=left_out)
        return made if report.folder else self._with_near(made)

    def _shared(self, path: bytes, there: CandidateRows, without: Numbers, *, folder: bool) -> OtherRows:
        counts: dict[str, int] = {}
        parts: list[Numbers] = [np.zeros(0, np.int64)]
        for kind, id_ in self._top:
            rows = np.setdiff1d(there.rows_of([(kind, id_)]), without, assume_unique=True)
            if len(rows):
                counts[f"{kind.value} {id_}"] = len(rows)
                parts.append(rows)
        return self._named(path, np.unique(np.concatenate(parts)), counts, folder=folder)

    def _named(
        self, path: bytes, rows: Numbers, counts: Mapping[str, int], *, folder: bool = False
    ) -> OtherRows:
        first = rows[:SHOWN]
        positions: tuple[int, ...] = tuple(first.tolist())
        keys: tuple[Mapping[str, Scalar], ...] = ()
        if folder:
            keys = tuple({"file": each} for each in self._causes.files(path, first.tolist()))
        else:
            table = known_table(self._repo, self._causes.entry(path))
            if table is not None:
                index = self._indexes.get(table)
                positions = tuple(index.records(first).tolist())
                keys = keys_of(table, index, first, self._rules.for_path(path).key)
        return OtherRows(
            path=path, folder=folder, count=len(rows), positions=positions, keys=keys, causes=counts
        )

    def _with_near(self, made: NotFlagged) -> NotFlagged:
        """Look for rows of the artifact that are nearly flagged ones."""
        from dsvc.policy.detectors.detector import DetectorUnavailableError
        from dsvc.porcelain.feedback.near_rows import content_columns, near_rows, row_texts

        path = self._report.path
        table = known_table(self._repo, self._causes.entry(path))
        if table is None:
            return made
        columns = content_columns(table, self._indexes.get(table), self._rules.for_path(path))
        if not columns:
            reason = "no column holds texts: dsvc.toml says which, as content"
            return msgspec.structs.replace(made, reason=reason)
        texts = list(row_texts(table, columns))
        given = [texts[row] for row in self._flagged.tolist()]
        for row in self._flagged.tolist():
            texts[row] = ""
        try:
            near = near_rows(given, texts)
        except DetectorUnavailableError as error:
            return msgspec.structs.replace(made, columns=columns, reason=error.message)
        given_up = None if near.complete else "so many texts are alike that the search was given up"
        found = self._named(path, near.rows, {})
        return msgspec.structs.replace(made, near=found, columns=columns, reason=given_up)


def keys_of(
    table: KnownTable, index: RowIndex, rows: Numbers, key: Sequence[str]
) -> tuple[Mapping[str, Scalar], ...]:
    """Keys of some ascending rows; of a table without a declared key those of a column that is unique."""
    columns = [name for name in key if index.column(name) is not None]
    if not columns or len(columns) < len(key):
        columns = [each.name for each in index.columns if each.unique and each.complete][:1]
    if not columns or not len(rows):
        return ()
    from dsvc.table.reading.row_reader import read_rows

    found = read_rows(table.source, table.kind, index, rows.tolist())
    return tuple({name: _scalar(found[row].get(name)) for name in columns} for row in rows.tolist())


def _scalar(value: Any) -> Scalar:
    cell = json_cell(value)
    return cell if cell is None or isinstance(cell, str | int | float | bool) else str(cell)


__all__ = ["NotFlagged", "OtherRows", "keys_of", "not_flagged"]
