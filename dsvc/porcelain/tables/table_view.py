"""One version of a table for programs: as Arrow data, and for the libraries that people work with."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from dsvc.fs.beneath import Beneath
from dsvc.model.errors import NotFoundError
from dsvc.model.manifest import Entry
from dsvc.model.paths import display_path
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.table_source import not_a_table, recognise_entry, table_source
from dsvc.porcelain.tree.read import resolve_entry
from dsvc.porcelain.tree.worktree_side import entry_now
from dsvc.table.exchange.extras import MissingExtraError, need

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa
    import pyarrow.dataset as ds

    from dsvc.table.query.sql import DuckDBPyConnection, DuckDBPyRelation
    from dsvc.table.reading.arrow_reader import ArrowTable

Transform = Callable[[dict[str, Any]], Any]


class FixedFile(NamedTuple):
    """A version of a file, fixed: it stays what it is when branches move."""

    root: str
    entry: Entry
    worktree: bool
    isolate: bool = False

    def open(self) -> ArrowTable:
        """Open it; the store behind it belongs to it alone, so that other threads may read it.

        Raises
        ------
        NotATableError, TableLimitError
            If it can't be read as a table.
        """
        from dsvc.table.reading.arrow_reader import open_arrow

        workspace = Workspace(self.root)
        workspace.isolate |= self.isolate
        kind = recognise_entry(workspace, self.entry, worktree=self.worktree)
        if kind is None:
            raise not_a_table(self.entry)
        return open_arrow(table_source(workspace, self.entry, worktree=self.worktree), kind)


def find_version(repo: Workspace, path: bytes, rev: str | None = None) -> FixedFile:
    """Find a version of a file.

    Parameters
    ----------
    path : bytes
        Relative to the working tree.
    rev : str or None
        A revision, ``STAGED`` or ``WORKTREE``; None is HEAD.

    Raises
    ------
    NotFoundError
        If there is no such revision or file.
    IsAFolderError
        If it is a folder.
    """
    if rev != "WORKTREE":
        entry = resolve_entry(repo.manifest_of(rev), path, rev or "HEAD")
        return FixedFile(repo.root, entry, False, repo.isolate)
    old = repo.manifest_of("STAGED").get(path)
    with Beneath(repo.root) as tree:
        now = entry_now(tree, path, old)
    if now is None or not now.is_file:
        name = display_path(path)
        raise NotFoundError(f"there is no file {name} in the working tree", details={"path": name})
    return FixedFile(repo.root, now, True, repo.isolate)


class TableView:
    """One version of a table.

    Of Parquet only the columns and row groups that are asked for are read. Text is read as a whole once to
    find the types of its columns. Not to be used by two threads at a time; what it gives out may be.

    Parameters
    ----------
    version : FixedFile
        From `find_version`.
    """

    def __init__(self, version: FixedFile) -> None:
        self.version = version

    @cached_property
    def _arrow(self) -> ArrowTable:
        return self.version.open()

    @property
    def schema(self) -> pa.Schema:
        """Columns and their types."""
        return self._arrow.schema

    @property
    def num_rows(self) -> int:
        """Number of rows."""
        return self._arrow.num_rows

    def __len__(self) -> int:
        """Number of rows."""
        return self.num_rows

    def __repr__(self) -> str:
        """Name the file."""
        return f"<TableView {display_path(self.version.entry.path)}>"

    def to_arrow(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Read it into memory; only some columns, if they are named.

        Raises
        ------
        NotATableError, TableLimitError
            If the file can't be read as a table.
        KeyError
            If there is no such column.
        """
        return self._arrow.read(columns)

    def dataset(self) -> ds.Dataset:
        """Return it as an Arrow dataset: of Parquet one that reads what is needed, else one in memory."""
        return self._arrow.dataset()

    def rows(self, positions: Sequence[int]) -> pa.Table:
        """Read some rows, in the order given; only the row groups that hold them, which are kept for a while.

        Raises
        ------
        IndexError
            If there is no such row.
        """
        return self._arrow.take(positions)

    def to_polars(self) -> pl.DataFrame:
        """Read it into a Polars data frame.

        Raises
        ------
        MissingExtraError
            If Polars is not installed.
        """
        need("polars")
        import polars

        found = polars.from_arrow(self.to_arrow())
        return found if isinstance(found, polars.DataFrame) else found.to_frame()

    def to_pandas(self) -> pd.DataFrame:
        """Read it into a pandas data frame.

        Raises
        ------
        MissingExtraError
            If pandas is not installed.
        """
        need("pandas")
        frame: pd.DataFrame = self.to_arrow().to_pandas()
        return frame

    def to_duckdb(self, connection: DuckDBPyConnection | None = None) -> DuckDBPyRelation:
        """Give it to DuckDB as a relation.

        Parameters
        ----------
        connection : DuckDBPyConnection or None
            Where it shall be; None makes a new database in memory.
        """
        from dsvc.table.query.sql import relation

        return relation(self._arrow, connection)

    def map_dataset(self, transform: Transform | None = None) -> MapDataset:
        """Return a dataset of rows by number, as PyTorch's ``DataLoader`` takes it.

        Parameters
        ----------
        transform : callable or None
            What becomes of each row, a dictionary of its cells.
        """
        return MapDataset(self.version, transform)


class MapDataset:
    """Rows of a table by number; can be pickled, and reads on its own in every worker process.

    Parameters
    ----------
    version : FixedFile
        From `find_version`.
    transform : callable or None
        What becomes of each row.
    """

    def __init__(self, version: FixedFile, transform: Transform | None = None) -> None:
        self._version = version
        self._transform = transform
        self._open: tuple[int, ArrowTable] | None = None

    def __getstate__(self) -> Mapping[str, object]:
        """Leave out what is open."""
        return {"_version": self._version, "_transform": self._transform, "_open": None}

    def _arrow(self) -> ArrowTable:
        # After a fork the parent's files would be read by both.
        if self._open is None or self._open[0] != os.getpid():
            self._open = os.getpid(), self._version.open()
        return self._open[1]

    def __len__(self) -> int:
        """Number of rows."""
        return self._arrow().num_rows

    def __getitem__(self, index: int) -> Any:
        """Read one row, as a dictionary or what the transform makes of it.

        Raises
        ------
        IndexError
            If there is no such row.
        """
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """Read several rows at once; raises as `__getitem__`."""
        rows = self._arrow().take([int(index) for index in indices]).to_pylist()
        return rows if self._transform is None else [self._transform(row) for row in rows]


__all__ = ["FixedFile", "MapDataset", "MissingExtraError", "TableView", "find_version"]
