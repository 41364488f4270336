"""Verbs on the rows of tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dsvc.porcelain.workspace import Workspace

if TYPE_CHECKING:
    from dsvc.diff.delta import Change
    from dsvc.diff.table_delta import TableDelta
    from dsvc.porcelain import values


class TableVerbs(Workspace):
    """The part of `dsvc.Repository` that knows rows and columns."""

    def table_diff(
        self,
        change: Change,
        result: values.DiffResult,
        *,
        key: Sequence[str] | None = None,
        limit: int | None = 50,
    ) -> TableDelta | None:
        """Rows and columns that differ, None where it is no table; see `dsvc.porcelain.table_diff`."""
        from dsvc.porcelain.table_diff import table_diff

        return table_diff(self, change, result, key=key, limit=limit)
