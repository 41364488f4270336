"""Parquet files, opened within limits."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final

import pyarrow.parquet as pq

from dsvc.table.origin.limits import check_cells
from dsvc.table.origin.refusal import refusals
from dsvc.table.origin.source import MAX_COLUMNS, NotATableError, TableLimitError, TableSource

MAX_FOOTER_BYTES: Final = 256 << 20
MAX_ROW_GROUPS: Final = 50_000
MAX_CHUNKS: Final = 2_000_000
"""Columns times row groups."""


@contextmanager
def open_parquet(source: TableSource, *, buffer_bytes: int = 0) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file.

    Parameters
    ----------
    buffer_bytes : int
        How much of a column is read at a time, for those who stop early; 0 is all of a row group.

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
        with (
            refusals(source.name, "Parquet"),
            pq.ParquetFile(
                stream, thrift_string_size_limit=MAX_FOOTER_BYTES, buffer_size=buffer_bytes
            ) as file,
        ):
            _check_shape(file.metadata, source)
            yield file


def _check_shape(metadata: pq.FileMetaData, source: TableSource) -> None:
    columns, groups = metadata.num_columns, metadata.num_row_groups
    if columns > MAX_COLUMNS or groups > MAX_ROW_GROUPS or columns * groups > MAX_CHUNKS:
        raise TableLimitError(
            f"{source.name} has {columns} columns in {groups} row groups; at most {MAX_COLUMNS} in "
            f"{MAX_ROW_GROUPS}, and {MAX_CHUNKS} parts in all are read",
            details={"path": source.name},
        )
    rows = max(metadata.num_rows, sum(metadata.row_group(number).num_rows for number in range(groups)))
    check_cells(source.name, rows, columns, source.size)


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
