"""Statistics of a table's columns on both sides of a difference."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from dsvc.diff.delta import Change
from dsvc.porcelain.state.revisions import WORKTREE
from dsvc.porcelain.state.values import DiffResult
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.table_source import recognise_entry, table_source

if TYPE_CHECKING:
    from dsvc.diff.statistics import ColumnDrift
    from dsvc.table.reading.arrow_reader import ArrowTable


def table_statistics(repo: Workspace, change: Change, result: DiffResult) -> list[ColumnDrift]:
    """Compare the statistics of all columns of a table that changed; see `dsvc.diff.statistics`.

    Returns
    -------
    list of ColumnDrift
        In the order of the new side, columns that are gone last; empty where neither side is a table.

    Raises
    ------
    NotATableError, TableLimitError
        If a side can't be read as a table.
    """
    from dsvc.diff.statistics import compare_statistics
    from dsvc.table.reading.arrow_reader import open_arrow

    with ExitStack() as stack:
        tables: list[ArrowTable | None] = []
        for entry, side in ((change.old, result.source), (change.new, result.target)):
            worktree = side == WORKTREE
            kind = None if entry is None else recognise_entry(repo, entry, worktree=worktree)
            if entry is None or kind is None:
                tables.append(None)
            else:
                table = open_arrow(table_source(repo, entry, worktree=worktree), kind)
                tables.append(stack.enter_context(table))
        return compare_statistics(tables[0], tables[1])
