"""Read a table from end to end only to see whether that can be done: in a child, before others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dsvc.model.table_kind import TableFormat, TableKind
from dsvc.table.binary.parquet_file import open_parquet
from dsvc.table.origin.limits import ParquetWidths
from dsvc.table.origin.refusal import refusals, want_of_memory
from dsvc.table.origin.source import NotATableError, TableLimitError, TableSource
from dsvc.table.reading.arrow_reader import open_arrow


def read_through(source: TableSource, kind: TableKind) -> None:
    """Decode all of a table, and validate in full what comes out.

    That the readers refuse it, as a whole or in part, is no error here: they will refuse it again.

    Raises
    ------
    MemoryError
        If it takes more memory than there is.
    DsvcError
        If its bytes can't be had.
    """
    whole = False
    with _refused():
        with open_arrow(source, kind, skip_malformed=True) as table:
            for batch in table.batches():
                batch.validate(full=True)
        whole = True
    if not whole and kind.format is TableFormat.PARQUET:
        # Somebody may ask for what stands behind the place where this ended.
        with _refused():
            _read_pieces(source)


def _read_pieces(source: TableSource) -> None:
    """Read each column of each row group by itself."""
    with open_parquet(source) as file, source.open() as stream:
        widths = ParquetWidths(stream, file.metadata, source.name)
        for group in range(file.num_row_groups):
            for column in file.schema_arrow.names:
                with _refused(), refusals(source.name):
                    widths.check(group, [column])
                    for batch in file.iter_batches(row_groups=[group], columns=[column], use_threads=False):
                        batch.validate(full=True)


@contextmanager
def _refused() -> Iterator[None]:
    """Take it that a reader refuses something, but not that it lacks memory: others may have more."""
    try:
        yield
    except (NotATableError, TableLimitError) as error:
        if want_of_memory(error):
            raise MemoryError from error


__all__ = ["read_through"]
