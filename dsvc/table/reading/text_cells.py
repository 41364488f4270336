"""The text in tables in columns, nested text too, as plain bytes in bounded pieces."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dsvc.table.origin.refusal import refusals
from dsvc.table.reading.arrow_reader import open_arrow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsvc.model.table_kind import TableKind
    from dsvc.table.origin.source import TableSource

    Offsets = NDArray[np.int64]

_SLICE_ROWS: Final = 8192
_PIECE_BYTES: Final = 4 << 20


class TextCells(NamedTuple):
    """Values of one column, one behind the other.

    Attributes
    ----------
    column : str
        Name of the column; of what is nested, with the names of its fields behind dots.
    data : bytes
        The values, a line feed behind each.
    starts : ndarray of int64, shape (n,)
        Where each value begins.
    records : ndarray of int64, shape (n,)
        Number of the record that each belongs to.
    """

    column: str
    data: bytes
    starts: Offsets
    records: Offsets


class CellText:
    """Reads the text of a table in columns: strings, and whole numbers of 64 bits in their digits.

    Parameters
    ----------
    source : TableSource
        Its bytes.
    kind : TableKind
        Its format.

    Attributes
    ----------
    rows : int
        How many records were read so far.
    """

    def __init__(self, source: TableSource, kind: TableKind) -> None:
        self._source = source
        self._kind = kind
        self.rows = 0

    def __iter__(self) -> Iterator[TextCells]:
        """Yield the text, some records at a time, column by column.

        Raises
        ------
        NotATableError
            If the file can't be read as a table.
        TableLimitError
            If it's beyond the limits within which tables are read.
        """
        with open_arrow(self._source, self._kind) as table, refusals(self._source.name):
            for batch in table.batches():
                for start in range(0, batch.num_rows, _SLICE_ROWS):
                    part = batch.slice(start, _SLICE_ROWS)
                    records = np.arange(self.rows, self.rows + part.num_rows, dtype=np.int64)
                    for name, column in zip(part.schema.names, part.columns, strict=True):
                        for leaf, values, owners in _leaves(name, column, records):
                            yield from _pieces(leaf, values, owners)
                    self.rows += part.num_rows


def _leaves(name: str, values: pa.Array, records: Offsets) -> Iterator[tuple[str, pa.Array, Offsets]]:
    """Take nested values apart, down to text; each value with its record."""
    kind = values.type
    if isinstance(values, pa.ExtensionArray):
        yield from _leaves(name, values.storage, records)
    elif pa.types.is_dictionary(kind):
        yield from _leaves(name, values.dictionary_decode(), records)
    elif pa.types.is_struct(kind):
        for place, field in enumerate(kind):
            yield from _leaves(f"{name}.{field.name}", pc.struct_field(values, [place]), records)
    elif pa.types.is_map(kind):
        lists = values.cast(pa.list_(pa.struct([("key", kind.key_type), ("value", kind.item_type)])))
        yield from _leaves(name, lists, records)
    elif pa.types.is_nested(kind):
        if pa.types.is_union(kind):
            raise pa.ArrowNotImplementedError(f"column {name} is of type {kind}")
        parents = pc.list_parent_indices(values).to_numpy(zero_copy_only=False)
        yield from _leaves(name, pc.list_flatten(values), records[parents])
    elif pa.types.is_run_end_encoded(kind):
        yield from _leaves(name, pc.run_end_decode(values), records)
    elif (text := _as_text(values)) is not None:
        filled = np.flatnonzero(text.is_valid().to_numpy(zero_copy_only=False))
        if len(filled):
            yield name, text.drop_null(), records[filled]


def _as_text(values: pa.Array) -> pa.Array | None:
    """Bytes of text, and digits of numbers that are long enough to say something; else None."""
    kind = values.type
    types = pa.types
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return values.cast(pa.large_binary())
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind):
        return values.cast(pa.large_binary())
    if types.is_fixed_size_binary(kind):
        return values.cast(pa.binary()).cast(pa.large_binary())
    if types.is_int64(kind) or types.is_uint64(kind):
        largest = pc.max(values).as_py()
        # Nobody is known by a number of fewer digits.
        if largest is not None and largest >= 10**10:
            return values.cast(pa.string()).cast(pa.large_binary())
    if types.is_decimal(kind) and kind.scale == 0:
        return values.cast(pa.string()).cast(pa.large_binary())
    return None


def _pieces(name: str, values: pa.Array, records: Offsets) -> Iterator[TextCells]:
    lengths = pc.binary_length(values).to_numpy(zero_copy_only=False).astype(np.int64) + 1
    ends = np.cumsum(lengths)
    first = 0
    while first < len(values):
        base = int(ends[first] - lengths[first])
        stop = max(first + 1, int(np.searchsorted(ends, base + _PIECE_BYTES, side="right")))
        data = b"\n".join(values[first:stop].to_pylist()) + b"\n"
        yield TextCells(name, data, ends[first:stop] - lengths[first:stop] - base, records[first:stop])
        first = stop
