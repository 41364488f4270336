"""Tables in memory for tests of splicing, and readers that know nothing of dsvc."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import blake3
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from dsvc.model.table_kind import Compression, TableFormat, TableKind
from dsvc.table.splice.splice import CellEdit, Donor, OutputColumn, Segment, Splice, splice

PARQUET = TableKind(TableFormat.PARQUET)
ARROW = TableKind(TableFormat.ARROW)
CSV = TableKind(TableFormat.CSV)
TSV = TableKind(TableFormat.TSV)
JSONL = TableKind(TableFormat.JSONL)
JSON = TableKind(TableFormat.JSON)


class MemorySource:
    """A table source over bytes."""

    def __init__(self, data: bytes, name: str = "表.data") -> None:
        self.data = data
        self.name = name
        self.size = len(data)
        self.digest = blake3.blake3(data).digest()

    def open(self) -> BinaryIO:
        return io.BytesIO(self.data)

    @contextmanager
    def local_path(self) -> Iterator[str]:
        with tempfile.NamedTemporaryFile(delete=False) as file:
            file.write(self.data)
        yield file.name
        os.unlink(file.name)


def donor(data: bytes, kind: TableKind, **renamed: str) -> Donor:
    return Donor(MemorySource(data), kind, renamed)


def spliced(
    donors: list[Donor],
    segments: list[tuple[int, int, int]],
    edits: list[CellEdit] | None = None,
    columns: list[OutputColumn] | None = None,
) -> bytes:
    output = io.BytesIO()
    plan = Splice(
        donors=donors,
        segments=[Segment(*segment) for segment in segments],
        edits=sorted(edits or [], key=lambda edit: edit.row),
        columns=columns,
    )
    splice(plan, output)
    assert not output.closed
    return output.getvalue()


def parquet_bytes(table: pa.Table, **settings: Any) -> bytes:
    output = io.BytesIO()
    pq.write_table(table, output, **settings)
    return output.getvalue()


def arrow_bytes(
    table: pa.Table,
    *,
    stream: bool = False,
    batch_rows: int | None = None,
    metadata: dict[bytes, bytes] | None = None,
    **options: Any,
) -> bytes:
    output = io.BytesIO()
    write_options = pa.ipc.IpcWriteOptions(**options)
    writer = (
        pa.ipc.new_stream(output, table.schema, options=write_options)
        if stream
        else pa.ipc.new_file(output, table.schema, options=write_options, metadata=metadata)
    )
    with writer:
        writer.write_table(table, max_chunksize=batch_rows)
    return output.getvalue()


def read_csv(data: bytes, delimiter: str = ",", encoding: str = "utf-8-sig") -> list[list[str]]:
    return [
        row for row in csv.reader(io.StringIO(data.decode(encoding), newline=""), delimiter=delimiter) if row
    ]


def read_jsonl(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.decode().split("\n") if line.strip()]


def packed(data: bytes, compression: Compression) -> bytes:
    if compression is Compression.GZIP:
        return gzip.compress(data, mtime=0)
    return zstandard.compress(data) if compression is Compression.ZSTD else data


def unpacked(data: bytes, compression: Compression) -> bytes:
    if compression is Compression.GZIP:
        return gzip.decompress(data)
    if compression is Compression.ZSTD:
        return zstandard.ZstdDecompressor().decompressobj().decompress(data)
    return data
