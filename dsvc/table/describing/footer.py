"""Rows and columns of Parquet and Arrow files, from their metadata: no data is read.

Lengths are checked before anything is allocated by them, so that what a hostile file claims costs nothing.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, BinaryIO, Final

from dsvc.table.binary.flatbuffer import FlatTable
from dsvc.table.origin.source import NotATableError

if TYPE_CHECKING:
    import pyarrow as pa

MAX_METADATA_BYTES: Final = 8 * 1024 * 1024
MAX_ITEMS: Final = 10_000
"""A footer that is longer, or has more columns or row groups, is not read for the entry: older
readers overflow their stack where a hundred thousand columns lie within each other."""
MAX_BATCHES: Final = 100_000
_MAX_COLUMNS: Final = 1000
"""More columns than any schema that fits into an entry has."""
_MAGIC: Final = b"ARROW1"
_CONTINUES: Final = 0xFFFFFFFF
_RECORD_BATCH = 3

Columns = list[tuple[str, str]]


def type_name(kind: pa.DataType) -> str:
    """Write an Arrow type as people do: ``list<double>``, ``struct<a: string>``, else as Arrow writes it."""
    from pyarrow import types

    if types.is_struct(kind):
        fields = [kind.field(number) for number in range(kind.num_fields)]
        return f"struct<{', '.join(f'{field.name}: {type_name(field.type)}' for field in fields)}>"
    if types.is_fixed_size_list(kind):
        return f"list<{type_name(kind.value_type)}, {kind.list_size}>"
    if types.is_list(kind) or types.is_large_list(kind):
        large = "large_" if types.is_large_list(kind) else ""
        return f"{large}list<{type_name(kind.value_type)}>"
    if types.is_map(kind):
        return f"map<{type_name(kind.key_type)}, {type_name(kind.item_type)}>"
    return str(kind)


def columns_of(schema: pa.Schema) -> Columns | None:
    """Names and types of the columns; None where they are too many for an entry."""
    if len(schema) > _MAX_COLUMNS:
        return None
    return [(field.name, type_name(field.type)) for field in schema]


def parquet_facts(stream: BinaryIO) -> tuple[int | None, Columns | None]:
    """Rows and columns as a Parquet file's footer says.

    Raises
    ------
    NotATableError, Exception
        If there is none, or PyArrow can't read it.
    """
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - 8))
    length, magic = struct.unpack("<I4s", stream.read(8))
    if magic != b"PAR1" or not 0 < length <= min(size - 12, MAX_METADATA_BYTES):
        raise NotATableError(f"a Parquet footer of {length} bytes in a file of {size}")
    stream.seek(size - 8 - length)
    import pyarrow as pa
    from pyarrow import parquet

    footer = b"PAR1" + stream.read(length + 8)
    with parquet.ParquetFile(pa.BufferReader(footer), thrift_container_size_limit=MAX_ITEMS) as file:
        metadata = file.metadata
    rows = metadata.num_rows if metadata.num_rows >= 0 else None
    if metadata.num_columns > _MAX_COLUMNS:
        return rows, None
    return rows, columns_of(metadata.schema.to_arrow_schema())


def arrow_facts(stream: BinaryIO) -> tuple[int | None, Columns | None]:
    """Rows and columns of an Arrow file or stream, from the head of each of its messages.

    Raises
    ------
    NotATableError, struct.error, Exception
        If it isn't whole, or PyArrow can't read its schema.
    """
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    start = 0
    if stream.read(8) == _MAGIC + b"\0\0":
        start = 8
        stream.seek(size - len(_MAGIC))
        if stream.read() != _MAGIC:
            raise NotATableError("an Arrow file without its end")
    rows, columns = 0, None
    for number in range(MAX_BATCHES):
        stream.seek(start)
        head = stream.read(8)
        if not head or head == struct.pack("<II", _CONTINUES, 0):
            return rows, columns
        mark, length = struct.unpack("<II", head)
        if mark != _CONTINUES or not 0 < length <= min(size - start, MAX_METADATA_BYTES):
            raise NotATableError(f"an Arrow message of {length} bytes at {start}")
        data = stream.read(length)
        if number == 0:
            columns = _arrow_columns(head + data)
        message = FlatTable(data)
        body = message.integer(3, "<q")
        start += 8 + length + body
        if body < 0 or start > size:
            raise NotATableError(f"an Arrow message of {body} bytes")
        if message.integer(1, "<B") == _RECORD_BATCH:
            batch = message.table(2)
            count = -1 if batch is None else batch.integer(0, "<q")
            if count < 0:
                raise NotATableError("an Arrow batch that doesn't say how many rows it has")
            rows += count
    return None, columns


def _arrow_columns(message: bytes) -> Columns | None:
    import pyarrow as pa

    return columns_of(pa.ipc.read_schema(pa.BufferReader(message)))


__all__ = ["arrow_facts", "columns_of", "parquet_facts", "type_name"]
