"""Write a table that is made of rows and cells of others, in its own format and settings."""

from __future__ import annotations

from typing import BinaryIO

from dsvc.model.table_kind import Family, TableFormat
from dsvc.table.splice.splice_plan import (
    CellEdit,
    Donor,
    IncompatibleTablesError,
    OutputColumn,
    Segment,
    Splice,
    check_families,
)


def splice(plan: Splice, output: BinaryIO) -> None:
    """Write a table.

    Rows that are taken over unchanged keep their bytes in text formats, and are copied in runs everywhere.
    The format, the dialect or the writer's settings are those of the first donor.

    Parameters
    ----------
    plan : Splice
        What it is made of.
    output : BinaryIO
        Where its bytes go; it stays open.

    Raises
    ------
    IncompatibleTablesError
        If a donor's format or a column's type doesn't go with the first donor's.
    NotATableError
        If a donor can't be read as a table.
    TableLimitError
        If a donor is beyond the limits.
    """
    check_families(plan)
    kind = plan.donors[0].kind
    # Each format brings its own libraries; only the one in use is loaded.
    if kind.format is TableFormat.PARQUET:
        from dsvc.table.splice.parquet_writer import splice_parquet

        splice_parquet(plan, output)
    elif kind.format is TableFormat.ARROW:
        from dsvc.table.splice.arrow_writer import splice_arrow

        splice_arrow(plan, output)
    elif kind.format.family is Family.JSON:
        from dsvc.table.splice.json_writer import splice_json

        splice_json(plan, output)
    else:
        from dsvc.table.splice.csv_writer import splice_csv

        splice_csv(plan, output)


__all__ = [
    "CellEdit",
    "Donor",
    "IncompatibleTablesError",
    "OutputColumn",
    "Segment",
    "Splice",
    "splice",
]
