"""Arrow IPC files and streams, Feather included: opened and checked before anything is taken from them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from dsvc.table.records import MAX_COLUMNS
from dsvc.table.source import NotATableError, TableLimitError, TableSource


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
        try:
            if is_file:
                reader = pa.ipc.open_file(stream)
                batches = (_checked(reader.get_batch(number)) for number in range(reader.num_record_batches))
            else:
                reader = pa.ipc.open_stream(stream)
                batches = (_checked(batch) for batch in reader)
            if len(reader.schema) > MAX_COLUMNS:
                raise TableLimitError(
                    f"{source.name} has {len(reader.schema)} columns; {MAX_COLUMNS} are read",
                    details={"path": source.name},
                )
            yield reader.schema, batches
        except (pa.ArrowException, OSError, OverflowError) as error:
            raise NotATableError(
                f"{source.name} can't be read as Arrow: {error}", details={"path": source.name}
            ) from error


def _checked(batch: pa.RecordBatch) -> pa.RecordBatch:
    # Offsets and dictionary indices may point anywhere until they were looked at.
    batch.validate(full=True)
    return batch
