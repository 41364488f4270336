"""Cells of CSV that nobody changed keep the writing they had: ``1.50``, ``True``, a time with a ``T``.

Other libraries hold values, and values are written in one way. Without this a filter would seem to change
every row of a file that was written in another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dsvc.lineage.links import Links
from dsvc.table.query.comparable import comparable_column, compare_columns
from dsvc.table.query.condition import Comparison
from dsvc.table.query.predicate import PredicateError
from dsvc.table.reading.arrow_reader_csv import CsvTable

if TYPE_CHECKING:
    from dsvc.table.reading.arrow_reader import ArrowTable


def kept_cells(table: pa.Table, parents: Links, source: ArrowTable) -> dict[str, pa.Array]:
    """Cells of a table as its rows' parents have them in CSV, where the value is the same.

    Parameters
    ----------
    table : pyarrow.Table
        What is about to be written.
    parents : Links
        Of its rows, in `source`; rows with several parents there keep nothing.

    Returns
    -------
    dict of str to pyarrow.Array
        Text by column, null where the value is written as any other.
    """
    if not isinstance(source, CsvTable):
        return {}
    columns = [
        name
        for name in table.column_names
        if name in source.schema.names
        and _is_written_in_many_ways(source.schema.field(name).type, table.schema.field(name).type)
    ]
    if not columns:
        return {}
    rows = _single_parents(parents, table.num_rows)
    texts = source.texts(columns)
    found = {}
    for name in columns:
        text = _whole(texts.column(name)).take(rows)
        value = text.cast(source.schema.field(name).type)
        try:
            same = compare_columns(
                Comparison.EQUAL,
                comparable_column(_whole(table.column(name))),
                comparable_column(value),
                name,
            )
        except PredicateError:
            continue  # the column is of another kind now
        found[name] = pc.if_else(pc.fill_null(same, False), text, pa.scalar(None, text.type))
    return found


def united(first: Mapping[str, pa.Array], second: Mapping[str, pa.Array]) -> dict[str, pa.Array]:
    """Cells that either input has, the first before the second."""
    both = {name: pc.coalesce(first[name], second[name]) for name in first if name in second}
    return {**first, **second, **both}


def _is_written_in_many_ways(before: pa.DataType, now: pa.DataType) -> bool:
    if pa.types.is_integer(before):
        return bool(pa.types.is_floating(now))  # what a join makes of numbers where some are missing
    return bool(pa.types.is_floating(before) or pa.types.is_boolean(before) or pa.types.is_timestamp(before))


def _single_parents(parents: Links, count: int) -> pa.Array:
    """The parent of each row, null where it has none or several."""
    rows = np.zeros(count, np.int64)
    rows[parents.outputs] = parents.inputs
    return pa.array(rows, mask=np.bincount(parents.outputs, minlength=count) != 1)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


__all__ = ["kept_cells", "united"]
