"""What tables in text have in common as Arrow data: they are read once for their types, and are one part."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol

import pyarrow as pa

from dsvc.model.table_kind import TableKind
from dsvc.table.origin.source import TableSource
from dsvc.table.reading.arrow_reader import ArrowTable
from dsvc.table.text.records import TextRecords


class Scan(Protocol):
    """What the first reading found."""

    @property
    def schema(self) -> pa.Schema:
        """Columns and their types."""

    @property
    def rows(self) -> int:
        """Number of rows."""


class TextTable(ArrowTable):
    """A table in text.

    Parameters
    ----------
    source : TableSource
        Its bytes.
    kind : TableKind
        Its format.
    skip_malformed : bool
        Whether malformed records are left out; else they are an error.
    """

    def __init__(self, source: TableSource, kind: TableKind, *, skip_malformed: bool = False) -> None:
        super().__init__(source.name)
        self._skip_malformed = skip_malformed
        self._records = TextRecords(source, kind)

    @property
    @abstractmethod
    def _scan(self) -> Scan:
        """Read the file once; the same is given at each call."""

    @property
    def schema(self) -> pa.Schema:
        """Columns with the narrowest type that holds for every value; the file is read once for them."""
        return self._scan.schema

    @property
    def part_rows(self) -> Sequence[int]:
        """One part."""
        return [self._scan.rows]

    def read_part(self, number: int) -> pa.Table:
        """Read it whole."""
        return self.read()
