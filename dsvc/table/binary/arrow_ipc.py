"""Arrow IPC files and streams, Feather included: opened and checked before anything is taken from them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from dsvc.table.origin.limits import check_cells, check_dictionaries
from dsvc.table.origin.refusal import refusals
from dsvc.table.origin.source import TableSource, check_width


@contextmanager
def open_ipc(source: TableSource) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
    """Open an Arrow file or stream; each batch is validated in full.

    Raises
    ------
    NotATableError
        If it is malformed; also while batches are read.
    TableLimitError
        If it has more columns than are read.
    """
    with source.open() as stream:
        is_file = stream.read(8) == b"ARROW1\0\0"
        stream.seek(0)
        with refusals(source.name, "Arrow"):
            if is_file:
                reader = pa.ipc.open_file(stream)
                found = map(reader.get_batch, range(reader.num_record_batches))
            else:
                reader = pa.ipc.open_stream(stream)
                found = iter(reader)
            check_width(source.name, len(reader.schema))
            yield reader.schema, _checked(found, source)


def _checked(batches: Iterator[pa.RecordBatch], source: TableSource) -> Iterator[pa.RecordBatch]:
    rows = 0
    for batch in batches:
        rows += batch.num_rows
        check_cells(source.name, rows, batch.num_columns, source.size)
        # Offsets and dictionary indices may point anywhere until they were looked at.
        batch.validate(full=True)
        check_dictionaries(batch, source.name)
        yield batch
