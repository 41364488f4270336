"""Tables read with row ids and written without them: what became of which row is known afterwards."""

from __future__ import annotations

import os
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import pyarrow as pa

from dsvc.lineage.declared_maps import DeclaredDrops, DeclaredMaps
from dsvc.lineage.kept_writing import kept_cells, united
from dsvc.lineage.links import NO_LINKS, Links
from dsvc.lineage.row_ids import RowIdError, RowIds, is_id_column
from dsvc.model.errors import UsageError
from dsvc.model.paths import check_structure, display_path
from dsvc.model.table_kind import TableFormat
from dsvc.table.exchange.frames import FrameKind, arrow_of, frame_of
from dsvc.table.exchange.table_file import kind_to_write, write_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsvc.table.query.sql import DuckDBPyConnection
    from dsvc.table.reading.arrow_reader import ArrowTable

    Numbers = NDArray[np.int64]

PathLike = str | bytes | os.PathLike[str]


class LostRowIdsWarning(UserWarning):
    """A frame came back without row ids, so that its rows' parents have to be found by key or content."""


class _Drop(NamedTuple):
    """Rows of an input that go, why, and which rows stand for them (-1: none)."""

    rows: Numbers
    reasons: Sequence[str]
    survivors: Numbers


def tree_path(path: PathLike, root: str) -> bytes:
    """Path from the root of a working tree, as people write it or as an absolute one; the root is ``b""``."""
    name = os.fsencode(path)
    if name.startswith(b"/"):
        name = os.path.relpath(name, os.path.abspath(os.fsencode(root)))
    name = name.removeprefix(b"./").rstrip(b"/")
    return b"" if name == b"." else name


class CarriedTables(ABC):
    """Reads tables with a column of row ids, takes it away when they are written, and keeps what it says.

    Attributes
    ----------
    without_ids : list of bytes
        Outputs whose frames had lost their ids.
    """

    _keeps_inputs: ClassVar[bool]
    """Whether an input that was written in its place is still read as it was."""

    def __init__(self) -> None:
        self._ids = RowIds()
        self._links: dict[bytes, dict[bytes, Links]] = {}
        self._drops: dict[bytes, list[_Drop]] = {}
        self._rows: dict[bytes, int] = {}
        self.without_ids: list[bytes] = []

    @abstractmethod
    def _open(self, path: bytes) -> tuple[ArrowTable, bool]:
        """Open an input, and tell whether its rows are followed."""

    @abstractmethod
    def _place(self, path: bytes) -> str:
        """Where an output is to be written."""

    @property
    @abstractmethod
    def _temporary(self) -> str:
        """Folder for files that are being made."""

    @property
    @abstractmethod
    def _root(self) -> str:
        """The working tree."""

    @property
    def _durable(self) -> bool:
        return False

    def read(
        self,
        path: PathLike,
        *,
        as_: FrameKind | str = FrameKind.ARROW,
        columns: Sequence[str] | None = None,
        connection: DuckDBPyConnection | None = None,
    ) -> Any:
        """Read a table with the column ``_dsvc_row``, which names each row; carry it along.

        Parameters
        ----------
        path : str, bytes or PathLike
            An input, from the root of the working tree.
        as_ : FrameKind or str
            ``"arrow"``, ``"pandas"``, ``"polars"``, ``"duckdb"`` (a relation) or ``"dataset"`` (of Hugging
            Face).
        columns : sequence of str or None
            Only these.
        connection : DuckDBPyConnection or None
            Where a relation shall be; None is DuckDB's default one, as for ``duckdb.sql``.

        Raises
        ------
        NotATableError, TableLimitError
            If it can't be read as a table.
        RowIdError
            If it has a column of that name.
        MissingExtraError
            If the library is not installed.
        """
        name = self._path(path)
        table, followed = self._open(name)
        with table:
            found = table.read(columns)
        return frame_of(self._ids.attach(found, name) if followed else found, as_, connection)

    def write(self, path: PathLike, frame: Any) -> int:
        """Write a table without its row ids, in the format that its name promises.

        A frame without ids is written all the same, with a warning: its rows' parents are found by key or by
        equal content then.

        Parameters
        ----------
        frame : table of PyArrow, pandas, Polars, DuckDB or datasets, or rows as dictionaries
            Its columns of row ids may hold ids or lists of ids, and be several, as after a join.

        Returns
        -------
        int
            Number of rows.

        Raises
        ------
        RowIdError
            If a column of ids holds what is no id of any row that was read.
        FrameError
            If it is no table, or can't be written in this format.
        """
        name = self._path(path)
        table, links = self._ids.detach(arrow_of(frame, is_id_column))
        write_table(
            table,
            name,
            self._place(name),
            temporary=self._temporary,
            durable=self._durable,
            texts=self._kept(table, name, links or {}),
        )
        self._rows[name] = table.num_rows
        self._links.pop(name, None)
        if links is not None:
            self._links[name] = links
        elif self._ids.paths:
            self.without_ids.append(name)
            warnings.warn(
                f"{display_path(name)} was written without the column _dsvc_row: "
                "where its rows come from is looked for by key and content",
                LostRowIdsWarning,
                stacklevel=2,
            )
        return int(table.num_rows)

    def _kept(self, table: pa.Table, name: bytes, links: Mapping[bytes, Links]) -> dict[str, pa.Array]:
        """Cells of CSV that stay as they were written."""
        found: dict[str, pa.Array] = {}
        if kind_to_write(name).format not in (TableFormat.CSV, TableFormat.TSV):
            return found
        for path, parents in links.items():
            if path in self._rows and not self._keeps_inputs:
                continue
            source, _ = self._open(path)
            with source:
                found = united(found, kept_cells(table, parents, source))
        return found

    def drop(self, path: PathLike, rows: Any, *, reason: str | Sequence[str], survivor: Any = None) -> None:
        """Say why rows of an input are left out.

        Parameters
        ----------
        path : str, bytes or PathLike
            The input, which was read.
        rows : int, array, or frame with row ids
            Numbers of rows from 0, ids, truth values for all rows, or a frame whose row ids tell.
        reason : str or sequence of str
            Why; one for all, or one for each.
        survivor : as `rows`, or None
            The row that stands for it, where it was a duplicate; one for all, or one for each.

        Raises
        ------
        RowIdError
            If there is no such row, or the numbers of reasons and survivors don't fit.
        """
        name = self._path(path)
        chosen = self._chosen(rows, name)
        reasons = [reason] * len(chosen) if isinstance(reason, str) else list(reason)
        if not all(each.strip() for each in reasons):
            raise UsageError("a reason is a text that isn't empty")
        survivors = np.full(len(chosen), -1) if survivor is None else self._chosen(survivor, name)
        if len(survivors) == 1:
            survivors = np.repeat(survivors, len(chosen))
        if not len(chosen) == len(reasons) == len(survivors):
            raise RowIdError(f"{len(chosen)} rows, {len(reasons)} reasons and {len(survivors)} survivors")
        self._drops.setdefault(name, []).append(_Drop(chosen, reasons, survivors))

    def _chosen(self, rows: Any, path: bytes) -> Numbers:
        if hasattr(rows, "columns") or isinstance(rows, Mapping) or hasattr(rows, "column_names"):
            _, links = self._ids.detach(arrow_of(rows, is_id_column))
            if links is None:
                raise RowIdError("the frame has no row ids", hint="give the numbers of the rows instead")
            if set(links) - {path}:
                raise RowIdError(f"some of these are rows of another input than {display_path(path)}")
            return links.get(path, NO_LINKS).inputs
        return self._ids.rows_of(rows, path)

    def _path(self, path: PathLike) -> bytes:
        """Path from the root of the working tree."""
        name = tree_path(path, self._root)
        check_structure(name)
        return name

    def declared(self) -> DeclaredMaps | None:
        """What the ids and the drops say; None where there is neither."""
        links: dict[tuple[bytes, bytes], Links] = {}
        for output, found in self._links.items():
            # An output none of whose rows has a parent is declared too.
            for path in found or self._ids.paths[:1]:
                links[output, path] = found.get(path, NO_LINKS)
        drops = {path: _declared_drops(each) for path, each in self._drops.items()}
        return DeclaredMaps.from_links(links, drops) if links or drops else None


def _declared_drops(drops: Sequence[_Drop]) -> DeclaredDrops:
    """All drops of an input; what was said last of a row counts."""
    rows = np.concatenate([drop.rows for drop in drops])[::-1]
    reasons = [reason for drop in drops for reason in drop.reasons][::-1]
    survivors = np.concatenate([drop.survivors for drop in drops])[::-1]
    _, first = np.unique(rows, return_index=True)
    said = [reasons[place] for place in first.tolist()]
    return DeclaredDrops.of_rows(rows[first].tolist(), said, survivors[first].tolist())


__all__ = ["CarriedTables", "LostRowIdsWarning", "PathLike", "tree_path"]
