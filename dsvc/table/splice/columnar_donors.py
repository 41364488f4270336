"""Parquet and Arrow files as donors of rows and cells."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import BinaryIO, Final

import pyarrow as pa
import pyarrow.parquet as pq

from dsvc.model.table_kind import TableFormat
from dsvc.table.binary.parquet_file import MAX_FOOTER_BYTES, open_parquet
from dsvc.table.origin.source import TableSource, check_width
from dsvc.table.splice.columnar import Assembly, ColumnarDonor, unreadable
from dsvc.table.splice.splice_plan import Donor, Splice

_FILE_MAGIC: Final = b"ARROW1\0\0"


class ParquetDonor(ColumnarDonor):
    """A Parquet file, read by row group.

    Attributes
    ----------
    file : pyarrow.parquet.ParquetFile
        The open file.
    """

    def __init__(self, name: str, stream: BinaryIO) -> None:
        self.file = pq.ParquetFile(stream, thrift_string_size_limit=MAX_FOOTER_BYTES)
        metadata = self.file.metadata
        rows = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
        super().__init__(name, self.file.schema_arrow, rows)

    def read_part(self, number: int) -> pa.Table:
        """Read a row group."""
        return self.file.read_row_group(number, columns=self.columns)

    def dictionaries(self, column: str) -> Iterator[pa.Array]:
        """Yield the dictionary of each row group."""
        for number in range(len(self.part_rows)):
            for chunk in self.file.read_row_group(number, columns=[column]).column(column).chunks:
                yield chunk.dictionary if pa.types.is_dictionary(chunk.type) else chunk.unique().drop_null()


class ArrowDonor(ColumnarDonor):
    """An Arrow file or stream, read by record batch.

    Attributes
    ----------
    is_stream : bool
        Whether it is a stream, which is read from front to back.
    footer : dict
        Metadata in the footer of a file, as the writer's keyword; empty without.
    """

    def __init__(self, name: str, stream: BinaryIO) -> None:
        self._stream = stream
        self.is_stream = stream.read(len(_FILE_MAGIC)) != _FILE_MAGIC
        self._next = 0
        self._reader = self._open()
        # Older libraries neither read nor write it.
        footer = None if self.is_stream else getattr(self._reader, "metadata", None)
        self.footer = {"metadata": footer} if footer else {}
        rows: list[int] = []
        self._dictionaries: dict[str, list[pa.Array]] = {}
        check_width(name, len(self._reader.schema))
        for batch in self._batches():
            # Offsets and dictionary indices may point anywhere until they were looked at.
            batch.validate(full=True)
            rows.append(batch.num_rows)
            self._note_dictionaries(batch)
        super().__init__(name, self._reader.schema, rows)

    def _open(self) -> pa.ipc.RecordBatchFileReader | pa.ipc.RecordBatchStreamReader:
        self._stream.seek(0)
        self._next = 0
        source = pa.PythonFile(self._stream, "r")
        return pa.ipc.open_stream(source) if self.is_stream else pa.ipc.open_file(source)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        if not self.is_stream:
            yield from (self._reader.get_batch(number) for number in range(self._reader.num_record_batches))
            return
        while True:
            try:
                batch = self._reader.read_next_batch()
            except StopIteration:
                break
            self._next += 1
            yield batch

    def _note_dictionaries(self, batch: pa.RecordBatch) -> None:
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if pa.types.is_dictionary(column.type):
                known = self._dictionaries.setdefault(name, [])
                if not known or not known[-1].equals(column.dictionary):
                    known.append(column.dictionary)

    def read_part(self, number: int) -> pa.Table:
        """Read a record batch."""
        if not self.is_stream:
            return _checked(self._reader.get_batch(number))
        if number < self._next:
            self._reader = self._open()
        while True:
            batch = self._reader.read_next_batch()
            self._next += 1
            if self._next > number:
                return _checked(batch)

    def dictionaries(self, column: str) -> Iterator[pa.Array]:
        """Yield the dictionaries of the batches."""
        if pa.types.is_dictionary(self.schema.field(column).type):
            yield from self._dictionaries.get(column, [])
            return
        for number in range(len(self.part_rows)):
            for chunk in self.read_part(number).column(column).chunks:
                yield chunk.unique().drop_null()


def _checked(batch: pa.RecordBatch) -> pa.Table:
    # What changed since it was counted is looked at again.
    batch.validate(full=True)
    return pa.Table.from_batches([batch])


def _open_donor(donor: Donor, stack: ExitStack) -> ColumnarDonor:
    source: TableSource = donor.source
    if donor.kind.format is TableFormat.PARQUET:
        with open_parquet(source):
            pass  # within the limits
    stream = stack.enter_context(source.open())
    try:
        if donor.kind.format is TableFormat.PARQUET:
            return ParquetDonor(source.name, stream)
        return ArrowDonor(source.name, stream)
    except (pa.ArrowException, OSError) as error:
        raise unreadable(source.name, error) from error


@contextmanager
def open_assembly(plan: Splice) -> Iterator[Assembly]:
    """Open the donors of a plan.

    Raises
    ------
    NotATableError
        If one can't be read.
    TableLimitError
        If one is beyond the limits.
    IncompatibleTablesError
        If they don't go together.
    """
    with ExitStack() as stack:
        yield Assembly(plan, [_open_donor(donor, stack) for donor in plan.donors])
