"""The tables among the changes of a difference: each compared once, and what could not be read as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dsvc.cli.frame.session import Session
from dsvc.cli.language.i18n import _
from dsvc.cli.writing.names import show_name, show_text

if TYPE_CHECKING:
    from dsvc.diff.delta import Change
    from dsvc.diff.statistics import ColumnDrift
    from dsvc.diff.table_delta import TableDelta
    from dsvc.porcelain.state.values import DiffResult


class TableView:
    """Compares the tables of a difference when they are asked for.

    Parameters
    ----------
    session : Session
        The running verb; warnings go to its standard error.
    result : DiffResult
        What differs.
    key : sequence of str or None
        Key columns; None: those of ``dsvc.toml``, or a guess.
    limit : int or None
        How many rows are listed for each file; None: all.
    """

    def __init__(
        self, session: Session, result: DiffResult, *, key: Sequence[str] | None, limit: int | None
    ) -> None:
        self._session = session
        self._result = result
        self._key = key
        self._limit = limit
        self._found: dict[bytes, TableDelta | None] = {}
        self.errors: dict[bytes, str] = {}
        """Why a file that looks like a table could not be read as one, by path."""

    def of(self, change: Change) -> TableDelta | None:
        """Compare the rows of a changed table; None where it is no table, or can't be read as one.

        The latter is said on standard error.

        Raises
        ------
        DuplicateKeyError
            If a key is given twice.
        UsageError
            If the table has no such key column.
        """
        from dsvc.table.origin.source import NotATableError, TableLimitError

        if change.path in self._found:
            return self._found[change.path]
        delta = None
        try:
            delta = self._session.repository().table_diff(
                change, self._result, key=self._key, limit=self._limit
            )
        except (NotATableError, TableLimitError) as error:
            self.errors[change.path] = error.message
            self._session.output.warning(
                _("{path} is compared as bytes, not as a table: {reason}").format(
                    path=show_name(change.path), reason=show_text(_(error.message))
                )
            )
        self._found[change.path] = delta
        return delta

    def statistics(self, change: Change) -> list[ColumnDrift]:
        """Compare the statistics of a table's columns; empty where `of` gives None."""
        if self.of(change) is None:
            return []
        return self._session.repository().table_statistics(change, self._result)
