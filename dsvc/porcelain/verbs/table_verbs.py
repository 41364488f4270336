"""Verbs on the rows of tables."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from dsvc.porcelain.state.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa

    from dsvc.diff.delta import Change
    from dsvc.diff.statistics import ColumnDrift
    from dsvc.diff.table_delta import TableDelta
    from dsvc.porcelain.lineage.blame import BlameResult
    from dsvc.porcelain.state import values
    from dsvc.porcelain.tables.row_target import FoundRow, RowTarget
    from dsvc.porcelain.tables.table_merge import ConflictRow
    from dsvc.porcelain.tables.table_view import TableView
    from dsvc.porcelain.tree.tree_scan import Progress
    from dsvc.porcelain.versions.apply import ApplyResult


class TableVerbs(Workspace):
    """The part of `dsvc.Repository` that knows rows and columns."""

    def table(self, path: bytes | str, rev: str | None = None) -> TableView:
        """Open a version of a table, fixed from now on; see `table_view.TableView`."""
        from dsvc.porcelain.tables.table_view import TableView, find_version

        return TableView(find_version(self, os.fsencode(path), rev))

    def normalize(
        self, paths: Sequence[bytes], *, dry_run: bool = False, progress: Progress | None = None
    ) -> values.NormalizeResult:
        """Rewrite Parquet files so that versions share bytes; see `normalize.normalize`."""
        from dsvc.porcelain.versions.normalize import normalize

        return normalize(self, list(paths), dry_run=dry_run, progress=progress)

    def sql(self, query: str) -> pa.Table:
        """Run a query on any versions; see `sql.open_query`."""
        from dsvc.porcelain.tables.sql import sql

        return sql(self, query)

    def table_diff(
        self,
        change: Change,
        result: values.DiffResult,
        *,
        key: Sequence[str] | None = None,
        limit: int | None = 50,
    ) -> TableDelta | None:
        """Rows and columns that differ, None where it is no table; see `tables.table_diff`."""
        from dsvc.porcelain.tables.table_diff import table_diff

        return table_diff(self, change, result, key=key, limit=limit)

    def table_statistics(self, change: Change, result: values.DiffResult) -> list[ColumnDrift]:
        """Statistics of all columns on both sides; see `tables.table_statistics`."""
        from dsvc.porcelain.tables.table_statistics import table_statistics

        return table_statistics(self, change, result)

    def diff_patch(self, result: values.DiffResult, *, key: Sequence[str] | None = None) -> Iterator[bytes]:
        """Lines of a patch that `apply` takes, tables included; see `tables.patch`."""
        from dsvc.porcelain.tables.patch import diff_patch

        return diff_patch(self, result, key=key)

    def apply(self, patch: bytes, *, check: bool = False, reverse: bool = False) -> ApplyResult:
        """Bring a patch into the working tree; see `apply.apply`."""
        from dsvc.porcelain.versions.apply import apply

        return apply(self, patch, check=check, reverse=reverse)

    def conflict_rows(self, path: bytes) -> list[ConflictRow]:
        """Rows of a table that a merge left in conflict; see `table_merge.conflict_rows`."""
        from dsvc.porcelain.tables.table_merge import rows_in_conflict

        return rows_in_conflict(self, path)

    def find_row(self, target: str | RowTarget) -> FoundRow:
        """Find the row that ``[REV:]PATH#ROW`` names; see `row_target.find_row`."""
        from dsvc.porcelain.tables.row_target import find_row, parse_target

        return find_row(self, parse_target(target) if isinstance(target, str) else target)

    def blame(self, target: str | RowTarget, *, key: Sequence[str] | None = None) -> BlameResult:
        """Find who last changed a file, or a row and each of its cells; see `blame.blame`."""
        from dsvc.porcelain.lineage.blame import blame

        return blame(self, target, key=key)
