"""Write a Parquet file that is made of rows and cells of others, with the settings of the first."""

from __future__ import annotations

from typing import Any, BinaryIO, Final, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dsvc.table.binary.parquet_settings import for_columns, writer_settings
from dsvc.table.splice.columnar import Assembly, part_sizes
from dsvc.table.splice.columnar_donors import ParquetDonor, open_assembly
from dsvc.table.splice.splice_plan import IncompatibleTablesError, Splice

_GROUP_ROWS: Final = 1 << 20
_DUCKDB_GROUP_ROWS: Final = 122_880


def splice_parquet(plan: Splice, output: BinaryIO) -> None:
    """Write the output of a plan whose first donor is a Parquet file.

    Raises
    ------
    IncompatibleTablesError
        If donors don't go together.
    NotATableError
        If one can't be read.
    TableLimitError
        If one is beyond the limits.
    """
    with open_assembly(plan) as assembly:
        model = cast(ParquetDonor, assembly.donors[0])
        created_by = model.file.metadata.created_by or ""
        default = _DUCKDB_GROUP_ROWS if created_by.startswith("DuckDB") else _GROUP_ROWS
        sizes = part_sizes(plan.segments, model.part_rows, default)
        settings = _settings(assembly)
        # In the order of the file, which only the schema's metadata has.
        stored = {**(model.schema.metadata or {}), **(model.file.metadata.metadata or {})}
        if assembly.schema.equals(model.schema, check_metadata=True):
            # The stored schema has names that reading it loses, so it is copied rather than made again.
            settings["store_schema"] = False
        settings["sorting_columns"] = _sorting(plan, model, assembly, sizes)
        try:
            with pq.ParquetWriter(pa.PythonFile(output, "w"), assembly.schema, **settings) as writer:
                if stored and not settings["store_schema"]:
                    writer.add_key_value_metadata(stored)
                for table in assembly.tables(sizes):
                    writer.write_table(table, row_group_size=max(table.num_rows, 1))
        except pa.ArrowException as error:
            raise IncompatibleTablesError(f"{model.name} can't be written: {error}") from error


def _settings(assembly: Assembly) -> dict[str, Any]:
    """Settings of the first donor, for its columns; those of other donors' columns as they were there."""
    merged: dict[str, Any] = {}
    for number, donor in enumerate(assembly.donors):
        names = {c.name: c.column for c in assembly.columns if c.donor == number}
        if not isinstance(donor, ParquetDonor) or (number and not names):
            continue
        with assembly.plan.donors[number].source.open() as raw:
            settings = for_columns(writer_settings(donor.file, raw), names)
        if not number:
            merged = settings
            continue
        for name in ("compression", "column_encoding"):
            if name in merged:
                merged[name] |= settings.get(name, {})
        for name in ("use_dictionary", "write_statistics"):
            if name in merged:
                merged[name] += settings.get(name, [])
    # An empty list would mean all columns.
    for name in ("use_dictionary", "write_statistics"):
        if name in merged and not merged[name]:
            merged[name] = False
    return {name: value for name, value in merged.items() if value != {}}


def _sorting(
    plan: Splice, model: ParquetDonor, assembly: Assembly, sizes: list[int]
) -> list[pq.SortingColumn] | None:
    """Sorting columns of the first donor, where every row group of the output is still sorted by them."""
    metadata = model.file.metadata
    declared = metadata.row_group(0).sorting_columns if metadata.num_row_groups else ()
    if not declared:
        return None
    paths = [metadata.schema.column(column.column_index).path for column in declared]
    names = {column.column: column.name for column in assembly.columns if column.donor == 0}
    flat = [field.name for field in model.schema if not pa.types.is_nested(field.type)]
    if not all(path in names and path in flat for path in paths):
        return None
    leaves = _first_leaves(assembly.schema)
    keys = {
        names[path]: pq.SortingColumn(leaves[names[path]], column.descending, column.nulls_first)
        for path, column in zip(paths, declared, strict=True)
    }
    for table in assembly.tables(sizes):
        if not _is_sorted(table, keys):
            return None
    return list(keys.values())


def _is_sorted(table: pa.Table, keys: dict[str, pq.SortingColumn]) -> bool:
    columns, directions = [], []
    for name, key in keys.items():
        columns += [pc.is_null(table[name]), table[name]]
        directions += ["descending" if key.nulls_first else "ascending"]
        directions += ["descending" if key.descending else "ascending"]
    # A stable order that is already there changes nothing.
    names = [str(place) for place in range(len(columns))]
    order = pc.sort_indices(
        pa.table(columns, names=names), sort_keys=list(zip(names, directions, strict=True))
    ).to_numpy()
    return bool((order == np.arange(len(order))).all())


def _first_leaves(schema: pa.Schema) -> dict[str, int]:
    """Number of each column's first leaf, as the file counts its columns."""
    leaves, count = {}, 0
    for field in schema:
        leaves[field.name] = count
        count += _leaves(field.type)
    return leaves


def _leaves(dtype: pa.DataType) -> int:
    if pa.types.is_dictionary(dtype) or not pa.types.is_nested(dtype):
        return 1
    return sum(_leaves(dtype.field(place).type) for place in range(dtype.num_fields))
