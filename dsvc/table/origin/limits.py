"""What a table may grow to when it is decoded: told before it is, by numbers that can't lie.

A Parquet file of a kilobyte may hold a text of a megabyte a thousand times, and an Arrow file of two billion
rows needs a kilobyte: run lengths and dictionaries cost nothing. What the footer says of sizes is not asked.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import BinaryIO, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dsvc.table.origin.source import TableLimitError

FREE_CELLS: Final = 50_000_000
"""Cells that any file may have; an index takes 8 bytes for each."""
CELLS_PER_BYTE: Final = 32
"""Further cells for each byte of the file."""
FREE_BYTES: Final = 1 << 30
"""What the values of one column may take up in one part of a file."""
MAX_RATIO: Final = 100
"""How many times the bytes that are stored of it a longer one may take up."""
_PROBE_ROWS: Final = 8192
_BUFFER_BYTES: Final = 64 << 10
_BYTE_ARRAY: Final = "BYTE_ARRAY"


def check_cells(name: str, rows: int, columns: int, size: int) -> None:
    """Refuse a table of more cells than a file of its size has with values worth reading.

    Raises
    ------
    TableLimitError
        If there are more than `FREE_CELLS` and `CELLS_PER_BYTE`.
    """
    if rows * max(1, columns) > FREE_CELLS + CELLS_PER_BYTE * size:
        raise TableLimitError(
            f"{name} has {rows} rows of {columns} columns in {size} bytes, which is not read as a table",
            details={"path": name},
        )


def check_dictionaries(batch: pa.RecordBatch, name: str) -> None:
    """Refuse a batch whose dictionaries are small and whose values, written out, are not.

    Raises
    ------
    TableLimitError
        If a column takes up more than `FREE_BYTES`, and `MAX_RATIO` times what is stored.
    """
    for column, field in zip(batch.columns, batch.schema, strict=True):
        if pa.types.is_dictionary(field.type) and _has_length(field.type.value_type):
            longest = _longest(column.dictionary)
            if longest * len(column) > FREE_BYTES:
                _check(_written_out(column), column.nbytes, name, field.name)


class ParquetWidths:
    """Checks how far the dictionaries of a Parquet file spread out.

    Only dictionaries are decoded, and what refers to them where their longest value could be too much.

    Parameters
    ----------
    stream : BinaryIO
        The file.
    metadata : pyarrow.parquet.FileMetaData
        Its footer.
    name : str
        Its name, for messages.
    """

    def __init__(self, stream: BinaryIO, metadata: pq.FileMetaData, name: str) -> None:
        self._metadata = metadata
        self._name = name
        leaves = [metadata.schema.column(number) for number in range(metadata.num_columns)]
        self._leaves = {n: leaf.path for n, leaf in enumerate(leaves) if leaf.physical_type == _BYTE_ARRAY}
        self._others = [leaf.path for leaf in leaves if leaf.physical_type != _BYTE_ARRAY]
        self._file: pq.ParquetFile | None = None
        self._stream = stream
        self._size = stream.seek(0, os.SEEK_END)

    def check_all(self) -> None:
        """Check every row group, and its entries in the footer; raises as `check`.

        PyArrow ends the process where an entry is malformed and somebody looks at it. To read is safe: that
        ends in an error.
        """
        for group in range(self._metadata.num_row_groups):
            batches = self._opened().iter_batches(
                1, row_groups=[group], columns=self._others, use_threads=False
            )
            next(batches, None)
            self.check(group)

    def check(self, group: int, columns: Collection[str] | None = None) -> None:
        """Check what the dictionaries of one row group grow to.

        Parameters
        ----------
        columns : collection of str or None
            Only these columns.

        Raises
        ------
        TableLimitError
            If a column of it takes up more than `FREE_BYTES`, and `MAX_RATIO` times what is stored.
        """
        row_group = self._metadata.row_group(group)
        for number, path in self._leaves.items():
            if columns is not None and not any(
                path == name or path.startswith(f"{name}.") for name in columns
            ):
                continue
            # Read first, then look at the entry. A list without items has not loaded the dictionary yet.
            known = next((part for part in self._dictionaries(group, path, 1) if len(part.dictionary)), None)
            if known is None:
                continue
            chunk = row_group.column(number)
            values = max(chunk.num_values, row_group.num_rows)
            if _longest(known.dictionary) * values <= FREE_BYTES:
                continue
            total = 0
            for part in self._dictionaries(group, path, _PROBE_ROWS):
                total += _written_out(part)
                _check(total, min(chunk.total_compressed_size, self._size), self._name, path)

    def _dictionaries(self, group: int, path: str, rows: int) -> _Dictionaries:
        return _Dictionaries(self._opened(), group, path, rows)

    def _opened(self) -> pq.ParquetFile:
        if self._file is None:
            self._stream.seek(0)
            self._file = pq.ParquetFile(
                self._stream,
                metadata=self._metadata,
                read_dictionary=list(self._leaves.values()),
                buffer_size=_BUFFER_BYTES,
            )
        return self._file


class _Dictionaries:
    """The leaf of a column, part by part, as dictionaries; ends where it isn't stored as one."""

    def __init__(self, file: pq.ParquetFile, group: int, path: str, rows: int) -> None:
        self._batches = file.iter_batches(rows, row_groups=[group], columns=[path], use_threads=False)

    def __iter__(self) -> _Dictionaries:
        return self

    def __next__(self) -> pa.DictionaryArray:
        array = next(self._batches).column(0)
        while pa.types.is_nested(array.type):
            array = array.field(0) if pa.types.is_struct(array.type) else array.flatten()
        if not pa.types.is_dictionary(array.type):
            raise StopIteration
        return array


def _has_length(type_: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(type_)
        or pa.types.is_binary(type_)
        or pa.types.is_large_string(type_)
        or pa.types.is_large_binary(type_)
    )


def _longest(dictionary: pa.Array) -> int:
    return int(pc.max(pc.binary_length(dictionary)).as_py() or 0)


def _written_out(array: pa.DictionaryArray) -> int:
    lengths = pc.cast(pc.binary_length(array.dictionary), pa.int64())
    return int(pc.sum(lengths.take(array.indices)).as_py() or 0)


def _check(total: int, stored: int, name: str, column: str) -> None:
    if total > max(FREE_BYTES, MAX_RATIO * stored):
        raise TableLimitError(
            f"{name}: column {column} takes up more than {FREE_BYTES >> 20} MiB when it is decoded, from "
            f"{stored} bytes",
            details={"path": name, "column": column},
        )
