"""Whether two Parquet files hold the same: every value bit by bit, the schema, the metadata."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dsvc.model.errors import MalformedInputError
from dsvc.table.origin.source import NotATableError

_BATCH_BYTES: Final = 8 * 1024 * 1024
_BATCH_ROWS: Final = 1 << 16
_PLAIN_INTEGERS: Final = {("INT32", 32, True), ("INT64", 64, True)}
_READ_BUFFER: Final = 1 << 20


class NotNormalizableError(MalformedInputError):
    """A Parquet file has what a rewriting would lose; it is left as it is."""

    code = "not-normalizable"


class UnequalRewriteError(NotNormalizableError):
    """A Parquet file that was written anew doesn't hold the same; the old one is left as it is."""

    code = "unequal-rewrite"


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Turn the errors of the Parquet library into typed ones.

    Raises
    ------
    NotATableError
        If the file is malformed.
    NotNormalizableError
        If it has what the library can't do.
    """
    try:
        yield
    except pa.ArrowNotImplementedError as error:
        raise NotNormalizableError(f"{name}: {error}", details={"path": name}) from error
    except (pa.ArrowException, ValueError, TypeError, KeyError, IndexError, MemoryError) as error:
        raise NotATableError(f"{name} can't be read as Parquet: {error}", details={"path": name}) from error
    except OSError as error:
        if error.errno is not None:
            raise
        # The library's own complaints about bytes come as an OSError without a number.
        raise NotATableError(f"{name} can't be read as Parquet: {error}", details={"path": name}) from error


def open_parquet(stream: BinaryIO, name: str) -> Any:
    """Open a Parquet file for streaming.

    Raises
    ------
    NotNormalizableError
        If it is encrypted.
    """
    stream.seek(-4, 2)
    tail = stream.read(4)
    stream.seek(0)
    if tail == b"PARE" or stream.read(4) == b"PARE":
        raise NotNormalizableError(f"{name} is encrypted", details={"path": name})
    stream.seek(0)
    return pq.ParquetFile(stream, buffer_size=_READ_BUFFER, pre_buffer=False)


def batch_rows(metadata: Any) -> int:
    """How many rows are read at once: about 8 MiB of them."""
    size = sum(int(metadata.row_group(g).total_byte_size) for g in range(metadata.num_row_groups))
    return max(1, min(_BATCH_ROWS, _BATCH_BYTES * max(1, int(metadata.num_rows)) // max(1, size)))


def leaves(array: Any) -> Iterator[Any]:
    """Columns of plain values that an array is stored as, in the order of the Parquet schema."""
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        yield from leaves(array.storage)
    elif pa.types.is_struct(kind):
        for child in array.flatten():
            yield from leaves(child)
    elif pa.types.is_map(kind):
        yield from leaves(_plain(array))
    elif _is_list(kind):
        yield from leaves(array.flatten())
    else:
        yield array


def _is_list(kind: Any) -> bool:
    types = pa.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def prove_equal(old: BinaryIO, new: BinaryIO, name: str) -> None:
    """Read two Parquet files and compare all that they hold.

    Values are compared as bits (NaN, -0.0 and null are three things), with the dictionaries of dictionary
    columns and their order; the schema with the names, types and annotations of its leaves; the key-value
    metadata byte by byte. Not compared is how values are laid out and found (row groups, pages, encodings,
    statistics, indexes), and the name of the writing program.

    Raises
    ------
    UnequalRewriteError
        At the first difference.
    NotATableError
        If one can't be read.
    """
    with translated(name):
        before, after = open_parquet(old, name), open_parquet(new, name)
        difference = _outline(before, after) or _values(before, after)
    if difference:
        raise UnequalRewriteError(
            f"{name} would not be the same after rewriting: {difference}", details={"path": name}
        )


def same_columns(old: Any, new: Any) -> str | None:
    """Name the first leaf of two Parquet schemas that differs, None where none does."""
    if len(old) != len(new):
        return "the number of columns"
    for number in range(len(old)):
        one, two = old.column(number), new.column(number)
        if _leaf(one) != _leaf(two):
            return f"the type of {one.path}"
    return None


def _leaf(column: Any) -> tuple[object, ...]:
    kind = json.loads(column.logical_type.to_json())
    # A plain signed integer may be annotated as one: some writers do, it says nothing.
    if (column.physical_type, kind.get("bitWidth"), kind.get("isSigned")) in _PLAIN_INTEGERS:
        kind = {"Type": "None"}
    # Whether an annotation is spelled in the old way, the new way or both says nothing either.
    kind = {key: value for key, value in kind.items() if not key.endswith("converted_type")}
    levels = column.max_definition_level, column.max_repetition_level
    return column.path, column.physical_type, kind, column.length, *levels


def _outline(before: Any, after: Any) -> str | None:
    if before.metadata.num_rows != after.metadata.num_rows:
        return "the number of rows"
    if before.metadata.metadata != after.metadata.metadata:
        return "the metadata"
    if not before.schema_arrow.equals(after.schema_arrow, check_metadata=True):
        return "the schema"
    sorting = [
        {tuple(f.metadata.row_group(g).sorting_columns or ()) for g in range(f.metadata.num_row_groups)}
        for f in (before, after)
    ]
    if sorting[0] != sorting[1] and before.metadata.num_rows:
        return "the sort order"
    return same_columns(before.schema, after.schema)


def _values(before: Any, after: Any) -> str | None:
    rows = batch_rows(before.metadata)
    categories: dict[int, list[Any]] = {}
    seen = 0
    for one, two in zip(before.iter_batches(rows), after.iter_batches(rows), strict=True):
        if one.num_rows != two.num_rows:
            return f"rows from {seen} on"
        for number, (left, right) in enumerate(zip(one.columns, two.columns, strict=True)):
            if not same_values(left, right):
                return f"values of {one.schema.names[number]} in rows {seen} to {seen + one.num_rows}"
            if pa.types.is_dictionary(left.type):
                known = categories.setdefault(number, [left.dictionary[:0], right.dictionary[:0]])
                known[:] = [_extended(known[0], left.dictionary), _extended(known[1], right.dictionary)]
        seen += one.num_rows
    for number, (mine, theirs) in categories.items():
        if not mine.equals(theirs):
            return f"the categories of {before.schema_arrow.names[number]}"
    return None


def _extended(known: Any, more: Any) -> Any:
    """Values in the order in which the dictionaries of a column name them first."""
    if known.equals(more):
        return known
    return pc.unique(pa.concat_arrays([known, more]))


def same_values(one: Any, two: Any) -> bool:
    """Whether two arrays hold the same values, bit by bit."""
    kind = one.type
    if kind != two.type or len(one) != len(two) or one.null_count != two.null_count:
        return False
    plain, other = _plain(one), _plain(two)
    if plain is not one:
        return same_values(plain, other)
    if pa.types.is_nested(kind):
        return bool(one.is_null().equals(two.is_null())) and _same_children(one, two)
    return bool(one.equals(two))


def _plain(array: Any) -> Any:
    """Turn what equality of the library would judge by other rules into what it judges bit by bit."""
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return array.storage
    if pa.types.is_dictionary(kind):
        return array.dictionary_decode()
    if pa.types.is_floating(kind):
        return array.view({16: pa.uint16(), 32: pa.uint32(), 64: pa.uint64()}[kind.bit_width])
    if pa.types.is_map(kind):
        return array.cast(pa.list_(pa.struct([("key", kind.key_type), ("value", kind.item_type)])))
    return array


def _same_children(one: Any, two: Any) -> bool:
    kind = one.type
    if pa.types.is_struct(kind):
        return all(same_values(a, b) for a, b in zip(one.flatten(), two.flatten(), strict=True))
    if _is_list(kind):
        lengths = pc.list_value_length(one).equals(pc.list_value_length(two))
        return bool(lengths) and same_values(one.flatten(), two.flatten())
    raise NotNormalizableError(f"a column of type {kind} can't be compared")
