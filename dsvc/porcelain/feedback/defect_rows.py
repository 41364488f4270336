"""Which rows of a defect: by position or condition, and the same ones in every content that it knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dsvc.lineage.row_set import decode_rows
from dsvc.model.errors import NotFoundError, UsageError
from dsvc.model.paths import display_path
from dsvc.porcelain.feedback.feedback_artifacts import Place
from dsvc.porcelain.feedback.feedback_defects import flagged_rows
from dsvc.porcelain.feedback.feedback_rows import TableRowsBy
from dsvc.porcelain.lineage.artifact_version import find_artifact, open_table
from dsvc.porcelain.lineage.row_carry import carry_rows
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.row_indexes import RowIndexes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsvc.feedback.defect_state import DefectState
    from dsvc.model.defect import FlaggedRows

    Numbers = NDArray[np.int64]


def chosen_rows(repo: Workspace, state: DefectState, rows: Sequence[int], where: str | None) -> Numbers:
    """Flagged rows of the content that was flagged last, by position or condition.

    Raises
    ------
    UsageError, PredicateError, UnknownColumnError
        If a position isn't flagged, or the condition can't be asked.
    NotFoundError
        If the condition is true for no flagged row.
    """
    last = state.rows[-1]
    flagged = decode_rows(last.rows)
    table = None
    if not last.folder:
        artifact = find_artifact(repo, last.path, last.digest)
        opened = open_table(repo, artifact.entries[0], RowIndexes(repo))
        table = None if opened is None else TableRowsBy(opened)
    if where is not None:
        if table is None:
            raise UsageError(f"{display_path(last.path)} is no table; name its files by --rows")
        found = np.intersect1d(table.where(where), flagged)
        if not len(found):
            raise NotFoundError(f"the condition is true for no row of defect {state.id}")
        return found
    positions = np.unique(np.array(rows, np.int64))
    numbers = positions if table is None else table.by_position(positions)
    strange = positions[~np.isin(numbers, flagged)]
    if len(strange):
        shown = ", ".join(map(str, strange[:5].tolist()))
        raise UsageError(
            f"not flagged by defect {state.id}: {shown}",
            hint="positions count records of the content that was flagged last, from 0",
            details={"positions": strange[:1000].tolist()},
        )
    return np.unique(numbers)


def divided(repo: Workspace, state: DefectState, chosen: Numbers) -> tuple[FlaggedRows, ...]:
    """Those rows of a defect that are chosen in its last content, in all contents that it knows.

    Raises
    ------
    UsageError
        If nothing is left.
    """
    last = state.rows[-1]
    if len(chosen) == last.count:
        raise UsageError(f"all rows of defect {state.id} are chosen; nothing would be left in it")
    going: list[FlaggedRows] = []
    for part in state.rows:
        rows = decode_rows(part.rows)
        carried = carry_rows(repo, part.path, part.digest, rows, last.digest, new_path=last.path)
        mine = rows[np.isin(carried.rows, chosen)]
        going += flagged_rows(Place(part.path, part.digest, part.folder), mine)
    return tuple(going)
