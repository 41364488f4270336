"""Parquet rewritten so that versions of a table share bytes: pages that end where the values say so.

What is written depends on the values, the schema and the metadata alone, not on who wrote the source or how:
row groups, encodings and pages are chosen anew, so rewriting twice gives the same bytes. The parameters were
measured (``docs/adr/0009-parquet-normalization.md``).
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import product
from typing import Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dsvc.table.binary.parquet_proof import (
    NotNormalizableError,
    batch_rows,
    leaves,
    open_parquet,
    same_columns,
    translated,
)

PAGES: Final = {"min_chunk_size": 2 * 1024, "max_chunk_size": 8 * 1024, "norm_level": 0}
"""Where pages end, in the words of the writer; a table that is merged keeps it."""
_GROUP_ROWS: Final = 1 << 20
_GROUP_BYTES: Final = 64 * 1024 * 1024
_SAMPLE_ROWS: Final = 1 << 16
_FEW_VALUES: Final = 1024
_INTEGERS: Final = ("INT32", "INT64")


def rewrite(source: BinaryIO, target: BinaryIO, name: str) -> None:
    """Write a Parquet file anew with pages that end where the content says so.

    Indexes that a reader may do without (page index, Bloom filters) are not written. Memory is bounded by a
    row group of at most 64 MiB of values (more only where one row is larger). The caller proves with
    `prove_equal` that the result holds the same before it uses it.

    Parameters
    ----------
    source : BinaryIO
        The file; it is read twice where its first rows decide how columns are encoded.
    target : BinaryIO
        Where the new file is written, from its position on.
    name : str
        Name for messages.

    Raises
    ------
    NotATableError
        If it can't be read as Parquet.
    NotNormalizableError
        If it has what a rewriting would lose: encryption, metadata of single columns, time
        stamps of the type INT96, or types that have no equal spelling here.
    """
    with translated(name):
        file = open_parquet(source, name)
        # What is an error here is a crash where PyArrow gives out a column's entry in the footer.
        for group in range(file.num_row_groups):
            next(file.iter_batches(1, row_groups=[group]), None)
        _refuse_features(file.metadata, name)
        schema = file.schema_arrow.remove_metadata()
        groups = _groups(file, schema)
        first = next(groups, None)
        settings = {**_spelling(file, schema, name), **_encodings(file.schema, first)}
        writer = pq.ParquetWriter(
            target,
            schema,
            compression="none",
            store_schema=False,
            sorting_columns=_sorting(file.metadata, name),
            use_content_defined_chunking=PAGES,
            **settings,
        )
        with writer:
            if file.metadata.metadata is not None:  # as they were, byte for byte, whoever wrote them
                writer.add_key_value_metadata(dict(sorted(file.metadata.metadata.items())))
            while first is not None:
                writer.write_table(first, row_group_size=max(1, first.num_rows))
                first = next(groups, None)


def _refuse_features(metadata: Any, name: str) -> None:
    """Refuse what the writer can't write back."""
    for group in range(metadata.num_row_groups):
        row_group = metadata.row_group(group)
        for column in range(metadata.num_columns):
            chunk = row_group.column(column)
            found = None
            if getattr(chunk, "metadata", None):
                found = "metadata of its own"
            elif chunk.physical_type == "INT96":
                found = "time stamps of the old type INT96"
            if found:
                raise NotNormalizableError(
                    f"{name}: column {chunk.path_in_schema} has {found}", details={"path": name}
                )


def _sorting(metadata: Any, name: str) -> Any:
    """Sort order that the file declares, the same for all its row groups."""
    found = {tuple(metadata.row_group(g).sorting_columns or ()) for g in range(metadata.num_row_groups)}
    if len(found) > 1:
        raise NotNormalizableError(f"{name}: row groups are sorted differently", details={"path": name})
    return next(iter(found), None) or None


def _spelling(file: Any, schema: Any, name: str) -> dict[str, Any]:
    """Find the writer's settings under which this schema is written as it stands in the file."""
    for version, compliant, integers, utc in product(
        ("2.6", "2.4", "1.0"), (True, False), (False, True), (False, True)
    ):
        settings = {
            "version": version,
            "use_compliant_nested_type": compliant,
            "store_decimal_as_integer": integers,
            "write_time_adjusted_to_utc": utc,
        }
        empty = io.BytesIO()
        pq.ParquetWriter(empty, schema, store_schema=False, **settings).close()
        if same_columns(pq.ParquetFile(empty).schema, file.schema) is None:
            return settings
    raise NotNormalizableError(
        f"{name} has a column whose type would be written differently", details={"path": name}
    )


def _encodings(columns: Any, first: Any) -> dict[str, Any]:
    """Choose how each column is encoded, by its type and its first values.

    Integers are written as differences. Few different values become a dictionary; many would spoil the pages:
    one new value shifts the numbers of all that follow.
    """
    dictionaries: list[str] = []
    encodings: dict[str, str] = {}
    found = [None] * len(columns) if first is None else _sample(first)
    if len(found) != len(columns):
        return {"use_dictionary": True}
    for number, leaf in enumerate(found):
        column = columns.column(number)
        if leaf is not None and _wants_dictionary(leaf, column.physical_type):
            dictionaries.append(column.path)
        elif column.physical_type in _INTEGERS:
            encodings[column.path] = "DELTA_BINARY_PACKED"
    return {"use_dictionary": dictionaries or False, "column_encoding": encodings or None}


def _sample(table: Any) -> list[Any]:
    batch = table.slice(0, _SAMPLE_ROWS).combine_chunks().to_batches()
    return [leaf for column in batch[0].columns for leaf in leaves(column)] if batch else []


def _wants_dictionary(leaf: Any, physical_type: str) -> bool:
    if pa.types.is_dictionary(leaf.type):
        return True
    kind = leaf.type
    if not (_is_binary(kind) or pa.types.is_float32(kind) or pa.types.is_float64(kind)):
        return False
    return physical_type not in _INTEGERS and int(pc.count_distinct(leaf).as_py()) <= _FEW_VALUES


def _groups(file: Any, schema: Any) -> Iterator[Any]:
    """Rows as the tables that become row groups: as many rows as fit both limits, at least one."""
    parts: list[Any] = []
    rows = size = 0
    for batch in file.iter_batches(batch_size=batch_rows(file.metadata)):
        while batch.num_rows:
            room = min(batch.num_rows, _GROUP_ROWS - rows)
            taken = _fitting(batch.slice(0, room), _GROUP_BYTES - size)
            if taken == 0 and not parts:
                taken = 1
            if taken:
                part = batch.slice(0, taken)
                parts.append(part)
                rows, size = rows + taken, size + _value_bytes(part)
                batch = batch.slice(taken)
            if batch.num_rows or rows == _GROUP_ROWS:
                yield _joined(parts, schema)
                parts, rows, size = [], 0, 0
    if parts:
        yield _joined(parts, schema)


def _joined(parts: list[Any], schema: Any) -> Any:
    return pa.Table.from_batches(parts).cast(schema).unify_dictionaries().combine_chunks()


def _fitting(batch: Any, room: int) -> int:
    """How many rows of a batch have at most `room` bytes of values; sizes add up, so halving finds it."""
    if _value_bytes(batch) <= room:
        return int(batch.num_rows)
    low, high = 0, int(batch.num_rows)
    while low < high - 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _value_bytes(batch.slice(0, middle)) <= room else (low, middle)
    return low


def _value_bytes(batch: Any) -> int:
    """Size of the values, however they are held in memory: row groups must not depend on that."""
    total = 0
    for column in batch.columns:
        for leaf in leaves(column):
            if _is_binary(leaf.type):
                total += 4 * len(leaf) + int(pc.sum(pc.binary_length(leaf)).as_py() or 0)
            else:
                total += 4 * len(leaf) if pa.types.is_dictionary(leaf.type) else _width(leaf.type) * len(leaf)
    return total


def _width(kind: Any) -> int:
    if pa.types.is_null(kind):
        return 0
    return max(1, int(kind.bit_width) // 8)


def _is_binary(kind: Any) -> bool:
    types = pa.types
    return bool(
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_binary(kind)
        or types.is_large_binary(kind)
    )
