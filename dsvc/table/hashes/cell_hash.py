"""Hashes of cells: 64 bits for each, column by column, computed by the engine over blocks of rows.

Equal values hash alike whatever column type holds them (``int32`` 5, ``int64`` 5 and the float 5.0; a
dictionary and its values); null and absent cells are 0. A hash is worth something beside others made by the
same scheme (`dsvc.table.hashes.hash_scheme`) only, and nothing as an identity: it is neither stable over
versions of the engine nor safe against forgery.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from dsvc.model.table_kind import TableFormat, TableKind
from dsvc.table.binary.arrow_numbers import hashes_of
from dsvc.table.binary.plain_arrow import plain, plain_column
from dsvc.table.engine import connect, literal, quoted
from dsvc.table.hashes.plain_hash import NOT_NULL
from dsvc.table.origin.refusal import refusals
from dsvc.table.origin.source import TableSource, check_names

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]

BATCH_ROWS: Final = 122_880
_COLUMNS_AT_ONCE: Final = 100
"""The time and memory that the engine takes to plan a query grow faster than its columns."""
_SURE_DIGITS: Final = 15
"""No two decimals of so many characters are the same float."""
_INTEGERS: Final = frozenset(
    {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"}
)
_TIMES: Final = frozenset({"TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP WITH TIME ZONE"})
# What the engine reads from a Parquet file as it reads it from Arrow; all else goes through Arrow.
_NATIVE: Final = (
    pa.types.is_integer,
    pa.types.is_float32,
    pa.types.is_float64,
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_boolean,
    pa.types.is_date32,
)


@dataclass(frozen=True, slots=True)
class HashedRows:
    """Hashes of consecutive rows.

    Attributes
    ----------
    cells : dict of str to ndarray of uint64, shape (n,)
        By column; 0 is null. A column that is missing is null in all of them.
    offsets : ndarray of int64, shape (n,), or None
        Where each row's record begins in the decompressed text; None for binary formats.
    malformed : list of (int, int, str)
        Records left out: their number, line (1-based) and what is wrong.
    """

    cells: dict[str, Hashes]
    count: int
    offsets: NDArray[np.int64] | None = None
    malformed: list[tuple[int, int, str]] = field(default_factory=list)


def cell_hash(expression: str, value: str) -> str:
    """SQL for the hash of `value`, 0 where `expression` is null; the engine's own hash of 0 is 0."""
    return f"CASE WHEN {expression} IS NULL THEN 0 ELSE xor(hash({value}), {NOT_NULL}) END"


def cell_expression(expression: str, type_: str) -> str:
    """SQL that hashes a cell of one of the engine's types."""
    whole = type_.upper()
    value = expression
    if whole in _INTEGERS:
        value = f"{expression}::BIGINT"
    elif whole in ("FLOAT", "DOUBLE"):
        # A whole number hashes as an integer. NaN is greater than all numbers here, so that it stays out.
        small = f"abs({expression}) < 9e15 AND {expression} = trunc({expression})"
        whole_number = f"hash(TRY_CAST({expression} AS BIGINT))"
        return (
            f"CASE WHEN {expression} IS NULL THEN 0 WHEN {small} THEN xor({whole_number}, {NOT_NULL}) "
            f"ELSE xor(hash({expression}::DOUBLE), {NOT_NULL}) END"
        )
    elif whole in ("UBIGINT", "HUGEINT", "UHUGEINT"):
        fits = f"TRY_CAST({expression} AS BIGINT)"
        text = f"{expression}::VARCHAR"
        return (
            f"CASE WHEN {expression} IS NULL THEN 0 WHEN {fits} IS NULL THEN xor(hash({text}), {NOT_NULL}) "
            f"ELSE xor(hash({fits}), {NOT_NULL}) END"
        )
    elif whole.startswith("DECIMAL"):
        return _decimal_hash(expression, is_whole=whole.endswith(",0)"))
    elif whole in ("TIMESTAMP_NS", "TIMESTAMPTZ_NS", "TIME_NS"):
        # What is no finer than a microsecond hashes as the coarser types do.
        nanoseconds = f"epoch_ns({expression})"
        coarse = expression + "::TIME" if whole == "TIME_NS" else f"{nanoseconds} // 1000"
        return (
            f"CASE WHEN {expression} IS NULL THEN 0 WHEN {nanoseconds} % 1000 = 0 "
            f"THEN xor(hash({coarse}), {NOT_NULL}) ELSE xor(hash({nanoseconds}::VARCHAR), {NOT_NULL}) END"
        )
    elif whole in _TIMES:
        value = f"epoch_us({expression})"
    return cell_hash(expression, value)


def _decimal_hash(expression: str, *, is_whole: bool) -> str:
    """SQL for a decimal: as an integer where it is one, as a float where that holds all of its digits."""
    text = f"{expression}::VARCHAR"
    text = text if is_whole else f"rtrim(rtrim({text}, '0'), '.')"
    return (
        f"CASE WHEN {expression} IS NULL THEN 0 ELSE xor({NOT_NULL}, CASE "
        f"WHEN contains({text}, '.') AND length({text}) <= {_SURE_DIGITS} THEN hash({text}::DOUBLE) "
        f"WHEN contains({text}, '.') OR TRY_CAST({text} AS BIGINT) IS NULL THEN hash({text}) "
        f"ELSE hash(TRY_CAST({text} AS BIGINT)) END) END"
    )


def hash_relation(
    connection: DuckDBPyConnection, relation: str, types: Mapping[str, str]
) -> Iterator[dict[str, Hashes]]:
    """Hash the rows of a relation, in order.

    Parameters
    ----------
    relation : str
        SQL that may follow FROM.
    types : mapping of str to str
        The engine's types by column.
    """
    if not types:
        return
    names = list(types)
    cells = ", ".join(
        f"{cell_expression(quoted(name), types[name])} AS c{number}" for number, name in enumerate(names)
    )
    reader = connection.sql(f"SELECT {cells} FROM {relation}").to_arrow_reader(BATCH_ROWS)
    for batch in reader:
        yield {name: hashes_of(batch.column(number)) for number, name in enumerate(names)}


class BinaryHasher:
    """Hashes the rows of a Parquet or Arrow table.

    Parameters
    ----------
    source : TableSource
        The table.
    kind : TableKind
        Its format.
    """

    def __init__(self, source: TableSource, kind: TableKind) -> None:
        self._source = source
        self._kind = kind
        self._types: dict[str, str] = {}

    def types(self) -> dict[str, str]:
        """Types of the columns, in order; complete once rows were asked for."""
        return self._types

    def rows(self) -> Iterator[HashedRows]:
        """Hash every row, block by block.

        Raises
        ------
        NotATableError, TableLimitError
            If it can't be read.
        """
        with refusals(self._source.name):
            yield from self._parquet() if self._kind.format is TableFormat.PARQUET else self._arrow()

    # A single value is hashed without what whole files need: importing that takes longer than the hash.
    def _parquet(self) -> Iterator[HashedRows]:
        from dsvc.table.binary.parquet_file import open_parquet
        from dsvc.table.origin.limits import ParquetWidths

        with open_parquet(self._source) as parquet:
            schema = parquet.schema_arrow
            self._take_types(schema)
            with self._source.open() as stream:
                ParquetWidths(stream, parquet.metadata, self._source.name).check_all()
            if not schema.names:
                yield HashedRows({}, parquet.metadata.num_rows)
                return
            if not _is_native(schema):
                yield from _hash_batches(schema, parquet.iter_batches(BATCH_ROWS))
                return
        with self._source.local_path() as path:
            connection = connect(files=[path])
            try:
                relation = f"read_parquet({literal(path)})"
                described = connection.sql(f"DESCRIBE SELECT * FROM {relation}").fetchall()
                for cells in hash_relation(connection, relation, {row[0]: row[1] for row in described}):
                    yield HashedRows(cells, len(next(iter(cells.values()))))
            finally:
                connection.close()

    def _arrow(self) -> Iterator[HashedRows]:
        from dsvc.table.binary.arrow_ipc import open_ipc

        with open_ipc(self._source) as (schema, batches):
            self._take_types(schema)
            yield from _hash_batches(schema, batches)

    def _take_types(self, schema: pa.Schema) -> None:
        check_names(self._source.name, schema.names)
        self._types = {each.name: type_name(each.type) for each in schema}


def type_name(type_: pa.DataType) -> str:
    """Name a type as people write it; a dictionary counts as its values."""
    return str(type_.value_type if pa.types.is_dictionary(type_) else type_)


def _is_native(schema: pa.Schema) -> bool:
    if len({name.lower() for name in schema.names}) != len(schema.names) or len(schema) > _COLUMNS_AT_ONCE:
        return False
    return all(any(test(each.type) for test in _NATIVE) for each in schema)


def _hash_batches(schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> Iterator[HashedRows]:
    connection = connect()
    try:
        for batch in batches:
            for start in range(0, batch.num_rows, BATCH_ROWS):
                part = batch.slice(start, BATCH_ROWS)
                cells = hash_table(connection, plain(part), schema.names) if schema.names else {}
                yield HashedRows(cells, part.num_rows)
    finally:
        connection.close()


def hash_table(
    connection: DuckDBPyConnection, batch: pa.RecordBatch, names: Sequence[str]
) -> dict[str, Hashes]:
    """Hash the rows of a batch; columns are taken by place, since the engine folds their case."""
    from dsvc.table.hashes.nested_hash import is_nested, nested_hashes

    scalar = [number for number, column in enumerate(batch.columns) if not is_nested(column.type)]
    found = dict(zip(scalar, _hash_scalars(connection, batch.select(scalar)), strict=True))

    def scalars(column: pa.Array) -> Hashes:
        (hashes,) = _hash_scalars(connection, pa.RecordBatch.from_arrays([plain_column(column)], ["v"]))
        return hashes

    return {
        name: found[number] if number in found else nested_hashes(batch.column(number), scalars)
        for number, name in enumerate(names)
    }


def _hash_scalars(connection: DuckDBPyConnection, batch: pa.RecordBatch) -> list[Hashes]:
    if not batch.num_rows:
        return [np.zeros(0, np.uint64)] * batch.num_columns
    found: list[Hashes] = []
    for start in range(0, batch.num_columns, _COLUMNS_AT_ONCE):
        columns = batch.columns[start : start + _COLUMNS_AT_ONCE]
        renamed = pa.table(columns, [f"v{number}" for number in range(len(columns))])
        relation = connection.from_arrow(renamed)
        types = dict(zip(relation.columns, map(str, relation.types), strict=True))
        connection.register("rows", renamed)
        parts = list(hash_relation(connection, "rows", types))
        connection.unregister("rows")
        found += [np.concatenate([part[name] for part in parts]) for name in renamed.column_names]
    return found


__all__ = [
    "BATCH_ROWS",
    "BinaryHasher",
    "HashedRows",
    "cell_expression",
    "cell_hash",
    "hash_relation",
    "hash_table",
    "type_name",
]
