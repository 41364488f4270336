"""CSV and TSV as Arrow data: a type holds for every value of the file, and loses none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from dsvc.table.engine import connect
from dsvc.table.hashes.text_types import CsvTypes
from dsvc.table.origin.refusal import refusals
from dsvc.table.origin.source import NotATableError
from dsvc.table.reading.text_table import TextTable
from dsvc.table.text.csv_cells import csv_cells

_KEPT_TEXT_BYTES: Final = 64 << 20
_TYPES: Final = {
    "int64": pa.int64(),
    "double": pa.float64(),
    "bool": pa.bool_(),
    "date32": pa.date32(),
    "timestamp": pa.timestamp("us"),
}
# Whole numbers that a double doesn't hold, for sure or perhaps, and times finer than a microsecond.
_LONG_NUMBER: Final = r"^-?\d{16,}$"
_LONG_NUMBER_BYTES: Final = 16
_MICROSECONDS_BYTES: Final = 26


class _Scan(NamedTuple):
    """What the first reading found."""

    schema: pa.Schema
    rows: int
    cells: list[pa.Table] | None


class CsvTable(TextTable):
    """A CSV or TSV file; its first line names the columns.

    An unquoted empty field is null, a quoted one the empty text. A column without any value is text. It is
    made of what a `TextTable` is made of.

    Raises
    ------
    NotATableError
        If there is no header, or it isn't text.
    """

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the rows block by block."""
        schema = self.select(columns)
        for cells in self._scan.cells if self._scan.cells is not None else self._cells():
            with refusals(self.name):
                arrays = [cells.column(field.name).cast(field.type) for field in schema]
                typed = pa.Table.from_arrays(arrays, schema=schema)
            yield from typed.to_batches()

    def texts(self, columns: Sequence[str]) -> pa.Table:
        """Read columns as the text that they are in the file; raises as `batches`."""
        schema = pa.schema([(name, pa.large_string()) for name in columns])
        return pa.concat_tables(
            [schema.empty_table(), *(cells.select(columns).cast(schema) for cells in self._cells())]
        )

    def _cells(self) -> Iterator[pa.Table]:
        """All columns as text, block by block."""
        for block in self._records.blocks():
            cells, _, malformed = csv_cells(self._records, block, self.name)
            if malformed and not self._skip_malformed:
                _, line, message = malformed[0]
                raise NotATableError(
                    f"{self.name}, line {line}: {message}", details={"path": self.name, "line": line}
                )
            yield cells

    @cached_property
    def _scan(self) -> _Scan:
        columns = self._records.columns
        types = CsvTypes(columns)
        too_fine: set[str] = set()
        rows, kept_bytes = 0, 0
        kept: list[pa.Table] | None = []
        with refusals(self.name), connect() as connection:
            for cells in self._cells():
                types.see(connection, cells, rows)
                rows += cells.num_rows
                too_fine.update(_too_fine(cells))
                kept_bytes += cells.nbytes
                if kept is not None:
                    kept.append(cells)
                if kept_bytes > _KEPT_TEXT_BYTES:
                    kept = None
        fields = []
        for name, found in types.names().items():
            lossy = found in ("double", "timestamp") and name in too_fine
            fields.append(pa.field(name, pa.string() if lossy else _TYPES.get(found, pa.string())))
        return _Scan(pa.schema(fields), rows, kept)


def _too_fine(cells: pa.Table) -> Iterator[str]:
    """Columns with a value that would be lost as a double or as a timestamp."""
    for name in cells.column_names:
        column = cells.column(name)
        longest = pc.max(pc.binary_length(column)).as_py() or 0
        if longest > _MICROSECONDS_BYTES or (
            longest >= _LONG_NUMBER_BYTES and pc.any(pc.match_substring_regex(column, _LONG_NUMBER)).as_py()
        ):
            yield name


__all__ = ["CsvTable"]
