"""The records of a run's artifacts, all hashed in one way, so that rows of one are found in another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dsvc.model.errors import DsvcError
from dsvc.model.table_kind import kind_by_name
from dsvc.porcelain.runs.run_artifacts import ArtifactFiles
from dsvc.porcelain.state.workspace import Workspace

if TYPE_CHECKING:
    from dsvc.lineage.record_rows import RecordRows
    from dsvc.porcelain.tables.row_indexes import IndexesBegun, KnownTable


def records_of(
    repo: Workspace, artifacts: Sequence[ArtifactFiles], renamed: Mapping[str, str] | None = None
) -> tuple[list[RecordRows | None], list[str]]:
    """Read the records of artifacts, tables side by side, each in a child with limits.

    Parameters
    ----------
    renamed : mapping of str to str or None
        New names of columns by their old ones.

    Returns
    -------
    rows : list of RecordRows or None
        None of what has no records.
    problems : list of str
        What is called a table and could not be read as one.
    """
    from dsvc.lineage.record_rows import RecordRows, TableRows, rows_of_tables
    from dsvc.porcelain.tables.row_indexes import EMPTY_INDEX, RowIndexes

    known = {n: table for n, each in enumerate(artifacts) if (table := table_of(repo, each)) is not None}
    made = iter(RowIndexes(repo).several([table for table in known.values() if table.source.size]))
    tables: dict[int, TableRows] = {}
    problems: list[str] = []
    for number, table in known.items():
        index = next(made) if table.source.size else EMPTY_INDEX
        if isinstance(index, DsvcError):
            problems.append(index.message)
        else:
            tables[number] = TableRows(table.source, table.kind, index)
    rows: list[RecordRows | None] = [
        RecordRows.of_folder(each.members()) if each.folder else None for each in artifacts
    ]
    for number, found in zip(tables, rows_of_tables(list(tables.values()), renamed), strict=True):
        rows[number] = found
    return rows, problems


def begin_indexing(repo: Workspace, artifacts: Sequence[ArtifactFiles]) -> IndexesBegun | None:
    """Begin to index the tables among artifacts, beside what runs meanwhile."""
    tables = [table for each in artifacts if (table := table_of(repo, each)) is not None]
    if not tables:
        return None
    from dsvc.porcelain.tables.row_indexes import RowIndexes

    return RowIndexes(repo).begin(tables)


def keep_indexes(repo: Workspace, begun: IndexesBegun) -> None:
    """Wait for indexes that were begun, and keep them for `records_of`."""
    from dsvc.porcelain.tables.row_indexes import RowIndexes

    RowIndexes(repo).keep(begun)


def table_of(repo: Workspace, artifact: ArtifactFiles) -> KnownTable | None:
    """Table that an artifact is; a file without a byte that is called one is a table without rows."""
    if artifact.folder or not artifact.entries[0].is_file:
        return None
    from dsvc.porcelain.tables.row_indexes import KnownTable
    from dsvc.porcelain.tables.table_source import StoredSource, recognise_entry

    entry = artifact.entries[0]
    kind = recognise_entry(repo, entry) if entry.size else kind_by_name(entry.path)
    return None if kind is None else KnownTable(StoredSource(repo, entry), kind)
