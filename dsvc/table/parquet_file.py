"""Parquet files, opened within limits."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final

import pyarrow as pa
import pyarrow.parquet as pq

from dsvc.table.records import MAX_COLUMNS
from dsvc.table.source import NotATableError, TableLimitError, TableSource

MAX_FOOTER_BYTES: Final = 256 << 20
MAX_ROW_GROUPS: Final = 200_000


@contextmanager
def open_parquet(source: TableSource) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file.

    Raises
    ------
    NotATableError
        If it isn't one, is damaged or encrypted.
    TableLimitError
        If its footer, columns or row groups are beyond the limits.
    """
    with source.open() as stream:
        _check_footer(stream, source.name)
        stream.seek(0)
        try:
            with pq.ParquetFile(stream, thrift_string_size_limit=MAX_FOOTER_BYTES) as file:
                metadata = file.metadata
                if metadata.num_columns > MAX_COLUMNS or metadata.num_row_groups > MAX_ROW_GROUPS:
                    raise TableLimitError(
                        f"{source.name} has {metadata.num_columns} columns in {metadata.num_row_groups} row "
                        f"groups; at most {MAX_COLUMNS} in {MAX_ROW_GROUPS} are read",
                        details={"path": source.name},
                    )
                yield file
        except (pa.ArrowException, OSError, OverflowError) as error:
            raise NotATableError(
                f"{source.name} can't be read as Parquet: {error}", details={"path": source.name}
            ) from error


def _check_footer(stream: BinaryIO, name: str) -> None:
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - 8))
    tail = stream.read(8)
    if size < 12 or tail[4:] != b"PAR1":
        raise NotATableError(f"{name} can't be read as Parquet: it has no footer", details={"path": name})
    length = int.from_bytes(tail[:4], "little")
    if length > size - 12:
        raise NotATableError(f"{name} can't be read as Parquet: its footer lies", details={"path": name})
    if length > MAX_FOOTER_BYTES:
        raise TableLimitError(
            f"{name}: a Parquet footer of {length} bytes is not read", details={"path": name}
        )
