"""How a Parquet file was written, as far as it tells, in the words of the writer."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping
from typing import Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import types

from dsvc.table.binary.normalize import PAGES

_HEADER_BYTES: Final = 1 << 10
_MAX_PAGES: Final = 64
_OWN_ENCODINGS: Final = frozenset(
    {"DELTA_BINARY_PACKED", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY", "BYTE_STREAM_SPLIT"}
)
_CHUNKING_KEY: Final = b"content_defined_chunking"
_BATCH_ROWS: Final = 32
"""Writers that cut pages by size look at it after so many values, or a multiple of it."""
_PAGE_ROWS: Final = 20_000
"""Rows that the writer puts into a page at most."""
_FINE_BYTES: Final = 64 << 10
"""Pages of normalized tables are shorter, those that the writer cuts when left alone are longer."""
_SCHEMA_KEY: Final = b"ARROW:schema"
_LEGACY_LIST: Final = re.compile(r"\.list\.(?!element\b)")


def writer_settings(file: pq.ParquetFile, raw: BinaryIO) -> dict[str, Any]:
    """Return the keyword arguments that make `ParquetWriter` write like the writer of a file.

    The level of compression and the size of pages are recorded nowhere; they are the writer's usual ones.

    Parameters
    ----------
    file : ParquetFile
        The open file.
    raw : BinaryIO
        Its bytes.
    """
    metadata = file.metadata
    columns = [file.schema.column(place) for place in range(len(file.schema))]
    physical = {column.physical_type for column in columns}
    paths = [column.path for column in columns]
    settings: dict[str, Any] = {
        "version": _version(metadata.format_version, file.schema_arrow, "INT96" in physical),
        "store_schema": _SCHEMA_KEY in (metadata.metadata or {}),
        "use_deprecated_int96_timestamps": "INT96" in physical,
        "use_compliant_nested_type": not _has_legacy_lists(file.schema_arrow, paths),
        "store_decimal_as_integer": any(
            column.logical_type.type == "DECIMAL" and column.physical_type in ("INT32", "INT64")
            for column in columns
        ),
        "write_time_adjusted_to_utc": any(
            column.logical_type.type == "TIME"
            and json.loads(column.logical_type.to_json()).get("isAdjustedToUTC") is True
            for column in columns
        ),
    }
    if metadata.num_row_groups:
        settings |= _chunk_settings(metadata.row_group(0))
        settings |= _page_settings(metadata, raw)
    return settings


def for_columns(settings: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Adapt settings that name columns to other columns.

    Parameters
    ----------
    settings : Mapping
        Settings of a file.
    names : Mapping
        Its column's name for each column of the output that it describes.
    """
    renamed = dict(settings)

    def paths(path: str) -> list[str]:
        return [
            new + path[len(old) :] for new, old in names.items() if path == old or path.startswith(old + ".")
        ]

    for name in ("compression", "column_encoding"):
        if name in settings:
            renamed[name] = {new: value for old, value in settings[name].items() for new in paths(old)}
    for name in ("use_dictionary", "write_statistics"):
        if name in settings:
            renamed[name] = [new for old in settings[name] for new in paths(old)]
    return renamed


def _chunk_settings(group: pq.RowGroupMetaData) -> dict[str, Any]:
    chunks = [group.column(place) for place in range(group.num_columns)]
    codecs = {
        chunk.path_in_schema: "NONE" if chunk.compression == "UNCOMPRESSED" else chunk.compression
        for chunk in chunks
    }
    encodings = {
        chunk.path_in_schema: min(own)
        for chunk in chunks
        if not chunk.has_dictionary_page and (own := _OWN_ENCODINGS.intersection(chunk.encodings))
    }
    return {
        "compression": codecs,
        "column_encoding": encodings,
        "use_dictionary": [chunk.path_in_schema for chunk in chunks if chunk.has_dictionary_page],
        "write_statistics": [chunk.path_in_schema for chunk in chunks if chunk.is_stats_set],
        "write_page_index": any(chunk.has_offset_index for chunk in chunks),
    }


def _version(found: str, schema: pa.Schema, is_int96: bool) -> str:
    if found != "1.0":
        return found
    # Other writers put newer types into files of version 1; this one would change their values.
    return "2.6" if any(_is_newer(field.type, is_int96) for field in schema) else found


def _is_newer(dtype: pa.DataType, is_int96: bool) -> bool:
    if types.is_dictionary(dtype):
        return _is_newer(dtype.value_type, is_int96)
    if types.is_nested(dtype):
        return any(_is_newer(dtype.field(place).type, is_int96) for place in range(dtype.num_fields))
    nanoseconds = (types.is_timestamp(dtype) and not is_int96) or types.is_time64(dtype)
    return bool(types.is_uint32(dtype) or (nanoseconds and dtype.unit == "ns"))


def _has_legacy_lists(schema: pa.Schema, paths: list[str]) -> bool:
    lists = {field.name for field in schema if types.is_list(field.type) or types.is_large_list(field.type)}
    return any(
        _LEGACY_LIST.search(path) or (path.split(".")[0] in lists and ".list." not in path) for path in paths
    )


def _page_settings(metadata: pq.FileMetaData, raw: BinaryIO) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    pages = [_pages(chunk, raw) for chunk in _flat_chunks(metadata)]
    heads = [page for chunk in pages for page in chunk]
    if heads:
        settings["data_page_version"] = "2.0" if any(head.get("v2") for head in heads) else "1.0"
        settings["write_page_checksum"] = any(head.get("checksum") for head in heads)
    recorded = (metadata.metadata or {}).get(_CHUNKING_KEY)
    if recorded is not None:
        settings["use_content_defined_chunking"] = _recorded_chunking(recorded)
    elif (metadata.created_by or "").startswith("parquet-cpp-arrow"):
        settings["use_content_defined_chunking"] = _seen_chunking(pages)
    return settings


def _seen_chunking(chunks: list[list[dict[str, int]]]) -> bool | dict[str, int]:
    # The last page of a chunk ends where the chunk does, the longest where the writer's limit is.
    cut = [page for chunk in chunks for page in chunk[:-1]]
    longest = max((page["values"] for page in cut), default=0)
    telling = [page["values"] for page in cut if page["values"] < longest]
    if sum(values % _BATCH_ROWS > 0 for values in telling) * 2 <= len(telling):
        return False
    # The sizes that were asked for are recorded nowhere, but there are two in use.
    is_fine = all(page["bytes"] < _FINE_BYTES for page in cut) and longest < _PAGE_ROWS
    return dict(PAGES) if is_fine else True


def _recorded_chunking(recorded: bytes) -> bool | dict[str, int]:
    try:
        options = json.loads(recorded)
    except ValueError:
        return True
    known = ("min_chunk_size", "max_chunk_size", "norm_level")
    if isinstance(options, dict) and all(isinstance(options.get(name), int) for name in known):
        return {name: options[name] for name in known}
    return True


def _flat_chunks(metadata: pq.FileMetaData) -> list[pq.ColumnChunkMetaData]:
    group = metadata.row_group(0)
    chunks = [group.column(place) for place in range(group.num_columns)]
    flat = [chunk for chunk in chunks if "." not in chunk.path_in_schema] or chunks
    # The longest chunks have the most pages.
    return sorted(flat, key=lambda chunk: -chunk.total_compressed_size)[:2]


def _pages(chunk: pq.ColumnChunkMetaData, raw: BinaryIO) -> list[dict[str, int]]:
    """Heads of a chunk's first data pages; none where they aren't understood."""
    pages: list[dict[str, int]] = []
    position = chunk.data_page_offset
    start = chunk.data_page_offset if chunk.dictionary_page_offset is None else chunk.dictionary_page_offset
    end = start + chunk.total_compressed_size
    while position < end and len(pages) < _MAX_PAGES:
        raw.seek(position)
        try:
            head, length = _page_head(raw.read(_HEADER_BYTES))
        except (IndexError, ValueError, struct.error):
            return pages
        pages.append(head)
        position += length
    return pages


def _page_head(data: bytes) -> tuple[dict[str, int], int]:
    """Read the head of a data page, a struct in Thrift's compact protocol, and tell where the next begins."""
    reader = _Compact(data)
    fields = reader.struct()
    length = reader.position + fields[3]
    body = fields.get(5) or fields.get(8)
    if length <= 0 or not isinstance(body, dict) or not isinstance(body.get(1), int):
        raise ValueError("not a data page")
    return {
        "bytes": fields[2],
        "values": body[1],
        "v2": int(8 in fields),
        "checksum": int(4 in fields),
    }, length


class _Compact:
    """Thrift's compact protocol, as much of it as page headers use."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def byte(self) -> int:
        value = self.data[self.position]
        self.position += 1
        return value

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value
            if shift > 70:
                raise ValueError("number too long")

    def struct(self) -> dict[int, Any]:
        fields: dict[int, Any] = {}
        number = 0
        while head := self.byte():
            number = number + (head >> 4) if head >> 4 else self._signed()
            fields[number] = self._value(head & 0x0F)
        return fields

    def _signed(self) -> int:
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def _value(self, kind: int) -> Any:
        if kind in (1, 2):
            return kind == 1
        if kind in (4, 5, 6):
            return self._signed()
        if kind == 8:
            length = self.varint()
            self.position += length
            return None
        if kind == 12:
            return self.struct()
        raise ValueError("unexpected type")
