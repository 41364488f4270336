"""Differences of tables between two states, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dsvc.diff.delta import Change
from dsvc.model.manifest import Entry
from dsvc.porcelain.state.revisions import WORKTREE
from dsvc.porcelain.state.values import DiffResult
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.table_source import recognise_entry, table_source

if TYPE_CHECKING:
    from dsvc.diff.row_diff import TableVersion
    from dsvc.diff.table_delta import TableDelta
    from dsvc.porcelain.tables.row_indexes import KnownTable


def table_diff(
    repo: Workspace,
    change: Change,
    result: DiffResult,
    *,
    key: Sequence[str] | None = None,
    limit: int | None = 50,
) -> TableDelta | None:
    """Compare the rows of a table that changed; a side that isn't there is an empty table.

    Parameters
    ----------
    change : Change
        One of `result`.
    result : DiffResult
        Says which side is the working tree.
    key : sequence of str or None
        Key columns in place of those of ``dsvc.toml``, or of a guess; empty: none.
    limit : int or None
        How many row changes to list; None: all.

    Returns
    -------
    TableDelta or None
        None where a side is no table.

    Raises
    ------
    NotATableError, TableLimitError
        If a side can't be read as the table that it seems to be.
    NoSuchColumnError, DuplicateKeyError
        If the key is none.
    """
    versions = table_versions(repo, change, result)
    if versions is None:
        return None
    from dsvc.diff.row_diff import diff_tables
    from dsvc.porcelain.tables.table_rules import table_rules

    configured = table_rules(repo).for_path(change.path).key if key is None else ()
    return diff_tables(*versions, key=key, configured=configured, limit=limit)


def table_versions(
    repo: Workspace, change: Change, result: DiffResult
) -> tuple[TableVersion, TableVersion] | None:
    """Both sides of a change with their indexes; None where a side is no table."""
    old = known_table(repo, change.old, worktree=result.source == WORKTREE)
    new = known_table(repo, change.new, worktree=result.target == WORKTREE)
    if (old is None and new is None) or _is_other(change.old, old) or _is_other(change.new, new):
        return None
    from dsvc.porcelain.tables.row_indexes import RowIndexes

    return RowIndexes(repo).versions(old, new)


def known_table(repo: Workspace, entry: Entry | None, *, worktree: bool = False) -> KnownTable | None:
    """Give access to a file as a table; None where it isn't one, or isn't there."""
    kind = None if entry is None else recognise_entry(repo, entry, worktree=worktree)
    if entry is None or kind is None:
        return None
    from dsvc.porcelain.tables.row_indexes import KnownTable

    return KnownTable(table_source(repo, entry, worktree=worktree), kind)


def _is_other(entry: Entry | None, table: KnownTable | None) -> bool:
    """Whether there is something that is no table; an empty file may be one of no rows."""
    return table is None and entry is not None and (not entry.is_file or entry.size > 0)
