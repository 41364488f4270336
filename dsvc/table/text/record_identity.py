"""What makes two records exactly equal: the digest of all that a format stores of each.

Stricter than a comparison of values, for which 1.0 and 1.00 or 0.0 and -0.0 are equal: what is equal here may
stand in for the other and nobody can tell.
"""

from __future__ import annotations

import io
from array import array
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from dsvc.model.table_kind import Compression, TableKind
from dsvc.table.origin.decompress import open_text
from dsvc.table.origin.source import TableSource
from dsvc.table.text.records import TextRecords

if TYPE_CHECKING:
    import pyarrow as pa

_DIGEST_BYTES: Final = 16
_NULL: Final = b"N"


class TextPieces:
    """A table in text as pieces that put together are its text: the head, then each record.

    Parameters
    ----------
    source : TableSource
        Its bytes.
    kind : TableKind
        A format of text.

    Attributes
    ----------
    head : bytes
        All that stands before the first record: a byte order mark, the header, an opening bracket.
    digests : list of bytes
        One for each record, what follows up to the next one (its line end, a comma) included.

    Raises
    ------
    NotATableError
        If it can't be read as a table.
    TableLimitError
        If it is beyond the limits.
    """

    def __init__(self, source: TableSource, kind: TableKind) -> None:
        self.source = source
        self.kind = kind
        self.digests: list[bytes] = []
        records = TextRecords(source, kind)
        self.columns = records.columns
        self._offsets = array("q")
        for block in records.blocks():
            self._offsets.extend(array("q", (block.starts + block.offset).tobytes()))
        with open_text(source, kind) as stream:
            self.head = stream.read(self._offsets[0]) if self._offsets else stream.read()
            for start, end in zip(self._offsets, self._offsets[1:], strict=False):
                self.digests.append(_digest(stream.read(end - start)))
            if self._offsets:
                self.digests.append(_digest(stream.read()))

    def read(self, ranges: Iterable[tuple[int, int]]) -> Iterator[bytes]:
        """Yield the piece of each record in ranges given as start and count, in any order."""
        with open_text(self.source, self.kind) as stream:
            # Compressed text is read forwards only; it was bounded when it was opened.
            text = stream if self.kind.compression is Compression.NONE else io.BytesIO(stream.read())
            for start, count in ranges:
                for number in range(start, start + count):
                    text.seek(self._offsets[number])
                    end = self._offsets[number + 1] if number + 1 < len(self._offsets) else None
                    yield text.read() if end is None else text.read(end - self._offsets[number])


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=_DIGEST_BYTES).digest()


def row_digests(batches: Iterable[pa.RecordBatch]) -> Iterator[bytes]:
    """Yield a digest for each row, of batches of one schema."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for batch in batches:
        if not batch.num_columns:
            yield from (_digest(b"") for _ in range(batch.num_rows))
            continue
        parts = [part for column in batch.columns for part in _parts(column)]
        joined = pc.binary_join_element_wise(
            *parts, pa.scalar(b",", pa.large_binary()), null_handling="replace", null_replacement=_NULL
        )
        for row in joined:
            yield _digest(row.as_buffer())


def _parts(column: pa.Array) -> list[pa.Array]:
    """Encode a column as columns of bytes, so that different values never read alike."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        return _parts(column.storage)
    if pa.types.is_dictionary(kind):
        return _parts(column.dictionary_decode())
    if pa.types.is_floating(kind):
        # Their bits, since 0.0 equals -0.0, and no NaN equals any.
        bits = {16: pa.int16(), 32: pa.int32(), 64: pa.int64()}[kind.bit_width]
        return _parts(column.view(bits))
    if pa.types.is_temporal(kind) and not pa.types.is_interval(kind):
        return _parts(column.view(pa.int32() if kind.bit_width == 32 else pa.int64()))
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_decimal(kind):
        return [column.cast(pa.string()).cast(pa.large_binary())]
    if pa.types.is_null(kind):
        return [pa.nulls(len(column), pa.large_binary())]
    if pa.types.is_struct(kind):
        fields = [part for field in column.flatten() for part in _parts(field)]
        return [column.is_valid().cast(pa.string()).cast(pa.large_binary()), *fields]
    if not _is_bytes(kind):
        column = (
            _lists(column) if pa.types.is_nested(kind) and not pa.types.is_union(kind) else _shown(column)
        )
    column = column.cast(pa.large_binary())
    # With its length before it no text can look like the end of one and the beginning of the next.
    return [pc.binary_length(column).cast(pa.string()).cast(pa.large_binary()), column]


def _shown(column: pa.Array) -> pa.Array:
    """Unions, intervals and what else has no bytes of its own: as Python writes the values."""
    import pyarrow as pa

    return pa.array(
        [repr(cell.as_py()).encode() if cell.is_valid else None for cell in column], pa.large_binary()
    )


def _lists(column: pa.Array) -> pa.Array:
    """Encode lists and maps: the bytes of their values where these have a fixed width, else digests."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_map(column.type):
        pairs = pa.struct([("key", column.type.key_type), ("value", column.type.item_type)])
        column = column.cast(pa.list_(pa.field("entries", pairs)))
    values = column.flatten()
    if (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)) and not values.null_count:
        data, step = values.to_numpy(zero_copy_only=False).tobytes(), values.type.bit_width // 8
    else:
        batch = pa.record_batch([values], ["value"])
        data, step = b"".join(row_digests([batch])), _DIGEST_BYTES
    encoded: list[bytes | None] = []
    at = 0
    for length in pc.list_value_length(column).to_pylist():
        encoded.append(None if length is None else data[at * step : (at + length) * step])
        at += length or 0
    return pa.array(encoded, pa.large_binary())


def _is_bytes(kind: pa.DataType) -> bool:
    import pyarrow as pa

    tests = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_fixed_size_binary,
        pa.types.is_string_view,
        pa.types.is_binary_view,
    )
    return any(test(kind) for test in tests)
