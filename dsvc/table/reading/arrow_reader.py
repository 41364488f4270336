"""Typed Arrow access to one version of a table, whatever its format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import accumulate
from types import TracebackType
from typing import BinaryIO, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from dsvc.model.errors import DsvcError
from dsvc.model.table_kind import TableFormat, TableKind
from dsvc.table.binary.arrow_ipc import open_ipc
from dsvc.table.binary.parquet_file import open_parquet
from dsvc.table.origin.limits import ParquetWidths
from dsvc.table.origin.refusal import refusals
from dsvc.table.origin.source import TableSource, check_names, check_width

KEPT_BYTES: Final = 512 << 20
"""Decoded parts that `ArrowTable.take` keeps for the next call."""


class ArrowTable(ABC):
    """One version of a table as Arrow data.

    It is stored in parts, row groups or record batches, and `take` reads only the parts it needs. A table in
    text has one part. Not to be used by two threads at a time.

    Parameters
    ----------
    name : str
        The file's name, for messages.

    Attributes
    ----------
    errors : list of DsvcError
        What went wrong while somebody else read through a dataset of this table.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.errors: list[DsvcError] = []
        self._kept: OrderedDict[int, pa.Table] = OrderedDict()

    @property
    @abstractmethod
    def schema(self) -> pa.Schema:
        """Columns and their types; of text, the narrowest types that hold for the whole file."""

    @property
    @abstractmethod
    def part_rows(self) -> Sequence[int]:
        """Number of rows of each part."""

    @abstractmethod
    def read_part(self, number: int) -> pa.Table:
        """Read one part."""

    @abstractmethod
    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the rows in order, in memory that doesn't grow with the file where the format allows it.

        Parameters
        ----------
        columns : sequence of str or None
            Only these, in this order.

        Raises
        ------
        NotATableError
            If the file can't be read as a table.
        TableLimitError
            If it's beyond the limits.
        """

    @property
    def num_rows(self) -> int:
        """Number of rows."""
        return sum(self.part_rows)

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Read all rows; raises as `batches`."""
        return pa.Table.from_batches(self.batches(columns), self.select(columns))

    def select(self, columns: Sequence[str] | None) -> pa.Schema:
        """Schema of some columns.

        Raises
        ------
        KeyError
            If there is no such column.
        """
        if columns is None:
            return self.schema
        return pa.schema([self.schema.field(name) for name in columns], metadata=self.schema.metadata)

    def dataset(self) -> ds.Dataset:
        """Return it as an Arrow dataset; of Parquet, filters and projections reach the file."""
        return ds.dataset(self.read())

    def take(self, positions: Sequence[int]) -> pa.Table:
        """Read some rows, in the order given.

        Parameters
        ----------
        positions : sequence of int
            From 0; negative ones count from the end.

        Raises
        ------
        IndexError
            If there is no such row.
        """
        wanted = np.asarray(positions, np.int64).reshape(-1)
        total = self.num_rows
        wanted = np.where(wanted < 0, wanted + total, wanted)
        if len(wanted) and (wanted.min() < 0 or wanted.max() >= total):
            raise IndexError(f"{self.name} has {total} rows")
        if not len(wanted):
            return self.schema.empty_table()
        ends = list(accumulate(self.part_rows))
        parts = np.array([bisect_right(ends, place) for place in wanted.tolist()])
        found, order = [], []
        for part in np.unique(parts).tolist():
            places = np.flatnonzero(parts == part)
            start = ends[part] - self.part_rows[part]
            found.append(self._part(part).take(pa.array(wanted[places] - start)))
            order.append(places)
        rows = pa.concat_tables(found, promote_options="permissive")
        return rows.take(pc.sort_indices(pa.array(np.concatenate(order))))

    def _part(self, number: int) -> pa.Table:
        found = self._kept.pop(number, None)
        if found is None:
            found = self.read_part(number)
        self._kept[number] = found
        while len(self._kept) > 1 and sum(part.nbytes for part in self._kept.values()) > KEPT_BYTES:
            self._kept.popitem(last=False)
        return found

    def close(self) -> None:
        """Let go of files and of what is kept."""
        self._kept.clear()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()


class _Stream:
    """A stream for Arrow that keeps our errors: an engine between Arrow and us makes mere texts of them."""

    def __init__(self, stream: BinaryIO, errors: list[DsvcError]) -> None:
        self._stream = stream
        self._errors = errors

    @property
    def closed(self) -> bool:
        return self._stream.closed

    def read(self, size: int = -1) -> bytes:
        try:
            return self._stream.read(size)
        except DsvcError as error:
            self._errors.append(error)
            raise

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def close(self) -> None:
        self._stream.close()


class ParquetTable(ArrowTable):
    """A Parquet file.

    Parameters
    ----------
    source : TableSource
        Its bytes.

    Raises
    ------
    NotATableError
        If it can't be opened, or has two columns of one name.
    TableLimitError
        If it's beyond the limits of `dsvc.table.binary.parquet_file`.
    """

    def __init__(self, source: TableSource) -> None:
        super().__init__(source.name)
        with open_parquet(source) as file:
            metadata = file.metadata
            self._part_rows = [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)]
        self._format = ds.ParquetFileFormat()
        self._metadata = metadata
        self._source = source
        self._stream = source.open()
        try:
            with refusals(self.name):
                self._fragment = self._format.make_fragment(
                    pa.PythonFile(_Stream(self._stream, self.errors), mode="r")
                )
                self._schema = self._fragment.physical_schema
            check_columns(self._schema, self.name)
        except BaseException:
            self._stream.close()
            raise

    @property
    def schema(self) -> pa.Schema:
        """Columns as the file has them."""
        return self._schema

    @property
    def part_rows(self) -> Sequence[int]:
        """Rows of each row group."""
        return self._part_rows

    def read_part(self, number: int) -> pa.Table:
        """Read a row group."""
        self._check([number], None)
        with refusals(self.name):
            return self._fragment.subset(row_group_ids=[number]).to_table(schema=self._schema)

    def dataset(self) -> ds.Dataset:
        """Return it as an Arrow dataset, open as long as this object is."""
        self._check(range(len(self._part_rows)), None)
        return self._dataset()

    def _dataset(self) -> ds.Dataset:
        return ds.FileSystemDataset([self._fragment], self._schema, self._format)

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the rows in order; only the columns asked for are read."""
        wanted = None if columns is None else {name: ds.field(name) for name in self.select(columns).names}
        self._check(range(len(self._part_rows)), wanted)
        with refusals(self.name):
            yield from self._dataset().to_batches(columns=wanted)

    def _check(self, groups: Iterable[int], columns: Collection[str] | None) -> None:
        """Refuse values that would grow beyond the limits, before they do."""
        with refusals(self.name), self._source.open() as stream:
            widths = ParquetWidths(stream, self._metadata, self.name)
            for group in groups:
                widths.check(group, columns)

    def close(self) -> None:
        """Close the file."""
        super().close()
        self._stream.close()


class IpcTable(ArrowTable):
    """An Arrow file or stream; Feather is another name for the former.

    Every batch is validated before it is given out: a hostile one would make others read where it points.

    Parameters
    ----------
    source : TableSource
        Its bytes.

    Raises
    ------
    NotATableError
        If it can't be opened, or has two columns of one name.
    """

    def __init__(self, source: TableSource) -> None:
        super().__init__(source.name)
        self._source = source
        with open_ipc(source) as (schema, _):
            self._schema = schema
        check_columns(self._schema, self.name)

    @property
    def schema(self) -> pa.Schema:
        """Columns as the file has them."""
        return self._schema

    @cached_property
    def part_rows(self) -> Sequence[int]:
        """One part, since every batch is validated."""
        return [sum(batch.num_rows for batch in self.batches([]))]

    def read_part(self, number: int) -> pa.Table:
        """Read it whole."""
        return self.read()

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the batches as they're stored."""
        names = None if columns is None else self.select(columns).names
        with open_ipc(self._source) as (_, batches):
            for batch in batches:
                yield batch if names is None else batch.select(names)


def check_columns(schema: pa.Schema, name: str) -> None:
    """Refuse a table whose columns can't be told apart, or are too many."""
    check_width(name, len(schema))
    with refusals(name):
        check_names(name, schema.names)


def open_arrow(source: TableSource, kind: TableKind, *, skip_malformed: bool = False) -> ArrowTable:
    """Open a version of a table; of text, types are found when first asked for.

    Parameters
    ----------
    source : TableSource
        Its bytes.
    kind : TableKind
        Its format, from `dsvc.model.table_kind.recognise`.
    skip_malformed : bool
        Whether malformed records of text are left out, so that rows are those of the table's row index.

    Raises
    ------
    NotATableError
        If the file can't be read as a table; the message names file and place. Also while reading.
    TableLimitError
        If it's beyond the limits within which tables are read.
    """
    if kind.format is TableFormat.PARQUET:
        return ParquetTable(source)
    if kind.format is TableFormat.ARROW:
        return IpcTable(source)
    if kind.format in (TableFormat.CSV, TableFormat.TSV):
        from dsvc.table.reading.arrow_reader_csv import CsvTable

        return CsvTable(source, kind, skip_malformed=skip_malformed)
    from dsvc.table.reading.arrow_reader_json import JsonTable

    return JsonTable(source, kind, skip_malformed=skip_malformed)


__all__ = [
    "KEPT_BYTES",
    "ArrowTable",
    "IpcTable",
    "ParquetTable",
    "check_columns",
    "open_arrow",
]
