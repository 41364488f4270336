"""Records of a table by number and by key, each cell as a text that equals another's only if the cells do.

For what concerns few records of a table; comparing whole tables is the work of the engine.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from dsvc.model.table_kind import TableFormat, TableKind
from dsvc.table.origin.source import NotATableError, TableSource
from dsvc.table.text.dialect import parse_fields
from dsvc.table.text.record_identity import TextPieces, row_digests
from dsvc.table.text.records import TextRecords

if TYPE_CHECKING:
    import pyarrow as pa

Cells = dict[str, str]
Key = tuple[str, ...]


class RecordAccess(Protocol):
    """Records of one table."""

    @property
    def columns(self) -> tuple[tuple[str, str], ...]:
        """Names and types of the columns; empty where each record has its own."""

    @property
    def digests(self) -> Sequence[bytes]:
        """Exact identity of each record."""

    def rows(self, positions: Iterable[int]) -> dict[int, Cells]:
        """Cells of records by their number; one that can't be read is left out."""

    def keys(self, names: Sequence[str]) -> Iterator[Key | None]:
        """Yield the key of each record, None for one without."""


def access(source: TableSource, kind: TableKind) -> RecordAccess:
    """Open a table for access by record.

    Raises
    ------
    NotATableError
        If it can't be read as a table.
    TableLimitError
        If it's beyond the limits within which tables are read.
    """
    return TextAccess(source, kind) if kind.format.is_text else ColumnarAccess(source, kind)


class TextAccess:
    """Records of a table in text; see `RecordAccess`."""

    def __init__(self, source: TableSource, kind: TableKind) -> None:
        self._source = source
        self._kind = kind
        self._records = TextRecords(source, kind)
        self.columns = tuple((name, "text") for name in self._records.columns)

    @cached_property
    def pieces(self) -> TextPieces:
        """The text of each record."""
        return TextPieces(self._source, self._kind)

    @property
    def digests(self) -> Sequence[bytes]:
        """Exact identity of each record, what separates it from the next one included."""
        return self.pieces.digests

    def rows(self, positions: Iterable[int]) -> dict[int, Cells]:
        """Cells of records by their number."""
        ordered = sorted(set(positions))
        texts = self.pieces.read((position, 1) for position in ordered)
        found = {}
        for position, text in zip(ordered, texts, strict=True):
            cells = self._cells(text)
            if cells is not None:
                found[position] = cells
        return found

    def keys(self, names: Sequence[str]) -> Iterator[Key | None]:
        """Yield the key of each record."""
        for block in self._records.blocks():
            for number in range(len(block)):
                yield key_of(self._cells(block.record(number)), names)

    def _cells(self, text: bytes) -> Cells | None:
        if self._kind.format in (TableFormat.JSON, TableFormat.JSONL):
            return _json_cells(text, self._kind.format)
        try:
            fields = parse_fields(text.rstrip(b"\r\n"), self._records.dialect, self._source.name, 0)
        except NotATableError:
            return None
        if len(fields) != len(self.columns):
            return None
        return {name: field for (name, _type), field in zip(self.columns, fields, strict=True)}


def _json_cells(text: bytes, kind: TableFormat) -> Cells | None:
    try:
        # In an array a comma or the bracket that closes it follows the object.
        decoded = text.decode("utf-8").strip()
        value = json.JSONDecoder().raw_decode(decoded)[0] if kind is TableFormat.JSON else json.loads(decoded)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    return {name: json.dumps(cell, ensure_ascii=False, sort_keys=True) for name, cell in value.items()}


def key_of(cells: Cells | None, names: Sequence[str]) -> Key | None:
    """Return the key of a record; None where it lacks a column of it."""
    if cells is None or any(name not in cells for name in names):
        return None
    return tuple(cells[name] for name in names)


class ColumnarAccess:
    """Records of a Parquet or Arrow file; see `RecordAccess`."""

    def __init__(self, source: TableSource, kind: TableKind) -> None:
        self._source = source
        self._kind = kind
        with self.open() as (schema, _batches):
            self.schema = schema
        self.columns = tuple((field.name, str(field.type)) for field in self.schema)

    @contextmanager
    def open(
        self, names: Sequence[str] | None = None
    ) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
        """Open the table; `names` are the columns that are needed, where the format can leave out others."""
        if self._kind.format is TableFormat.PARQUET:
            from dsvc.table.binary.parquet_file import open_parquet

            with open_parquet(self._source) as file:
                yield file.schema_arrow, file.iter_batches(columns=None if names is None else list(names))
        else:
            from dsvc.table.binary.arrow_ipc import open_ipc

            with open_ipc(self._source) as opened:
                yield opened

    @cached_property
    def digests(self) -> Sequence[bytes]:
        """Exact identity of each row."""
        with self.open() as (_schema, batches):
            return list(row_digests(batches))

    def rows(self, positions: Iterable[int]) -> dict[int, Cells]:
        """Cells of rows by their number."""
        import pyarrow as pa

        wanted = sorted(set(positions))
        found: dict[int, Cells] = {}
        if not wanted:
            return found
        with self.open() as (_schema, batches):
            first = 0
            for batch in batches:
                low, high = bisect_right(wanted, first - 1), bisect_right(wanted, first + batch.num_rows - 1)
                here = wanted[low:high]
                taken = batch.take(pa.array([position - first for position in here], pa.int64()))
                for position, cells in zip(here, _rows(taken), strict=True):
                    found[position] = cells
                first += batch.num_rows
        return found

    def keys(self, names: Sequence[str]) -> Iterator[Key | None]:
        """Yield the key of each row."""
        with self.open(names) as (_schema, batches):
            for batch in batches:
                columns = [_shown(batch.column(name)) for name in names]
                yield from zip(*columns, strict=True)


def _rows(batch: pa.RecordBatch) -> Iterator[Cells]:
    names = batch.schema.names
    columns = [_shown(column) for column in batch.columns]
    for cells in zip(*columns, strict=True):
        yield dict(zip(names, cells, strict=True))


def _shown(column: pa.Array) -> list[str]:
    import pyarrow as pa

    if pa.types.is_temporal(column.type) and not pa.types.is_interval(column.type):
        # Python has no nanoseconds.
        column = column.view(pa.int32() if column.type.bit_width == 32 else pa.int64())
    return [repr(cell) for cell in column.to_pylist()]
