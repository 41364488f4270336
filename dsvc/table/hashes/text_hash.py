"""Hashes of the cells of tables in text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from dsvc.model.table_kind import TableFormat, TableKind
from dsvc.table.engine import connect
from dsvc.table.hashes.cell_hash import HashedRows, hash_table
from dsvc.table.hashes.json_cells import JsonBlock
from dsvc.table.hashes.text_types import CsvTypes, Evidence, JsonTypes
from dsvc.table.origin.refusal import refusals
from dsvc.table.origin.source import TableSource
from dsvc.table.text.csv_cells import csv_cells
from dsvc.table.text.records import RecordBlock, TextRecords

if TYPE_CHECKING:
    from collections.abc import Sequence

    from duckdb import DuckDBPyConnection


class TextHasher:
    """Hashes blocks of records of one table.

    Parameters
    ----------
    source : TableSource
        The table.
    kind : TableKind
        Its format, one of text.

    Attributes
    ----------
    records : TextRecords
        The table's records.
    """

    def __init__(self, source: TableSource, kind: TableKind) -> None:
        self._name = source.name
        self.records = TextRecords(source, kind)
        self._is_csv = kind.format in (TableFormat.CSV, TableFormat.TSV)
        self._types: CsvTypes | JsonTypes = CsvTypes(self.records.columns) if self._is_csv else JsonTypes()
        self._row = 0

    @property
    def evidence(self) -> Evidence:
        """What is known of the columns' types; to be filled with what is known of rows from elsewhere."""
        return self._types.evidence

    def types(self) -> dict[str, str]:
        """Types of the columns; complete when all rows were."""
        return self._types.names()

    def rows(self) -> Iterator[HashedRows]:
        """Hash every row, block by block.

        Raises
        ------
        NotATableError, TableLimitError
            If it can't be read.
        """
        connection = connect()
        try:
            yield from self.hash_blocks(connection, self.records.blocks())
        finally:
            connection.close()

    def hash_blocks(
        self, connection: DuckDBPyConnection, blocks: Iterable[RecordBlock]
    ) -> Iterator[HashedRows]:
        """Hash some blocks; raises as `rows`."""
        with refusals(self._name):
            for block in blocks:
                rows = (
                    self._hash_csv(connection, block) if self._is_csv else self._hash_json(connection, block)
                )
                self.skip(rows.count)
                yield rows

    def skip(self, count: int) -> None:
        """Count rows that come from elsewhere."""
        self._row += count

    def _hash_csv(self, connection: DuckDBPyConnection, block: RecordBlock) -> HashedRows:
        assert isinstance(self._types, CsvTypes)
        table, places, malformed = csv_cells(self.records, block, self._name)
        self._types.see(connection, table, self._row)
        cells: dict[str, np.ndarray[tuple[int], np.dtype[np.uint64]]] = {}
        if table.num_rows:
            cells = hash_table(connection, table.combine_chunks().to_batches()[0], table.column_names)
        return _placed(block, cells, table.num_rows, places if malformed else None, malformed)

    def _hash_json(self, connection: DuckDBPyConnection, block: RecordBlock) -> HashedRows:
        assert isinstance(self._types, JsonTypes)
        json = JsonBlock(connection, block, self._name)
        self._types.see(json, self._row)
        return _placed(block, json.hashes(), len(json), json.places, json.malformed)


def _placed(
    block: RecordBlock,
    cells: dict[str, np.ndarray[tuple[int], np.dtype[np.uint64]]],
    count: int,
    places: Sequence[int] | None,
    malformed: list[tuple[int, int, str]],
) -> HashedRows:
    starts = block.starts if places is None else block.starts[np.asarray(places, np.int64)]
    return HashedRows(cells, count, block.offset + starts, malformed)
