"""Columns of stored tables, by the manifest where it has them, else by the row index."""

from __future__ import annotations

from dsvc.model.errors import MalformedInputError
from dsvc.model.manifest import Entry, decode_schema
from dsvc.porcelain.state.workspace import Workspace


class TableColumns:
    """Gives the columns of tables; of each content once.

    Parameters
    ----------
    repo : Workspace
    """

    def __init__(self, repo: Workspace) -> None:
        self._repo = repo
        self._known: dict[tuple[bytes, bytes], frozenset[str] | None] = {}

    def __call__(self, entry: Entry) -> frozenset[str] | None:
        """Names of a table's columns; None where it is no table, or can't be read as one."""
        place = (entry.path, entry.digest)
        if place not in self._known:
            try:
                self._known[place] = self._read(entry)
            except MalformedInputError:
                self._known[place] = None
        return self._known[place]

    def _read(self, entry: Entry) -> frozenset[str] | None:
        if entry.schema is not None:
            return frozenset(name for name, _ in decode_schema(entry.schema))
        from dsvc.porcelain.tables.row_indexes import RowIndexes
        from dsvc.porcelain.tables.table_diff import known_table

        table = known_table(self._repo, entry)
        if table is None:
            return None
        index = RowIndexes(self._repo).get(table)
        return None if index.malformed else frozenset(index.names)
