"""Types of columns in text, from all values seen: the narrowest that loses nothing of any value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from dsvc.table.binary.arrow_numbers import count_from
from dsvc.table.engine import quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from dsvc.table.hashes.json_cells import JsonBlock

# Narrow to wide. "007" is no integer and "1,5" no number, so that codes stay text.
_CSV_TESTS: Final = {
    "int64": "TRY_CAST({0} AS BIGINT)::VARCHAR = {0}",
    "double": (
        "TRY_CAST({0} AS DOUBLE) IS NOT NULL AND "
        "regexp_full_match({0}, '-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][-+]?[0-9]+)?')"
    ),
    "bool": "{0} IN ('true', 'false', 'True', 'False', 'TRUE', 'FALSE')",
    "date32": "TRY_CAST({0} AS DATE)::VARCHAR = {0}",
    "timestamp": (
        "TRY_CAST({0} AS TIMESTAMP) IS NOT NULL AND "
        "regexp_full_match({0}, '\\d{{4}}-\\d\\d-\\d\\d[T ]\\d\\d:\\d\\d(:\\d\\d(\\.\\d+)?)?')"
    ),
}
_SAMPLE_ROWS: Final = 500
_FACTS_AT_ONCE: Final = 120
_JSON_NAMES: Final = {
    "VARCHAR": "string",
    "BOOLEAN": "bool",
    "BIGINT": "int64",
    "UBIGINT": "int64",
    "HUGEINT": "int64",
    "DOUBLE": "double",
    "OBJECT": "struct",
    "ARRAY": "list",
}


Evidence = dict[tuple[str, str], int]
"""What is known of a column, and a row that shows it: of CSV a type that its value is not of, ``""`` where it
has a value at all; of JSON a type that its value is of. The column's type follows from these facts alone."""


class CsvTypes:
    """Types of CSV columns.

    Parameters
    ----------
    columns : sequence of str
        Names of the columns.

    Attributes
    ----------
    evidence : Evidence
        What is known so far.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = tuple(columns)
        self.evidence: Evidence = {}

    def see(self, connection: DuckDBPyConnection, cells: pa.Table, first: int) -> None:
        """Take in further rows, the first of which has the number `first`."""
        if not self.evidence and cells.num_rows > _SAMPLE_ROWS:
            # A cast that fails takes long; a few rows say which types most columns aren't of.
            self.see(connection, cells.slice(0, _SAMPLE_ROWS), first)
        facts = [fact for column in self._columns for fact in self._open(column)]
        while facts and cells.num_rows:
            new: dict[tuple[str, str], int] = {}
            # The time that the engine takes to plan a query grows faster than its columns.
            for start in range(0, len(facts), _FACTS_AT_ONCE):
                new |= _shown(connection, cells, first, facts[start : start + _FACTS_AT_ONCE])
            self.evidence.update(new)
            # Where a type is out, the next one is tried on these rows.
            changed = dict.fromkeys(column for column, _ in new)
            facts = [fact for column in changed for fact in self._open(column) if fact not in facts]

    def _open(self, column: str) -> list[tuple[str, str]]:
        """Facts to look for: whole numbers are numbers too, so that only one of these two is looked for."""
        types = [type_ for type_ in _CSV_TESTS if (column, type_) not in self.evidence]
        if "int64" in types and "double" in types:
            types.remove("double")
        seen = [] if (column, "") in self.evidence else [""]
        return [(column, fact) for fact in (*seen, *types)]

    def names(self) -> dict[str, str]:
        """Type of each column; ``null`` where no value was seen."""
        return {column: self._name(column) for column in self._columns}

    def _name(self, column: str) -> str:
        if (column, "") not in self.evidence:
            return "null"
        return next((type_ for type_ in _CSV_TESTS if (column, type_) not in self.evidence), "string")


def _shown(
    connection: DuckDBPyConnection, cells: pa.Table, first: int, facts: Sequence[tuple[str, str]]
) -> Evidence:
    """First rows that show facts; those that no row shows are left out."""
    places = {name: number for number, name in enumerate(cells.column_names)}
    columns = {f"v{places[column]}": cells.column(places[column]) for column, _ in facts}
    connection.register("cells", pa.table({**columns, "n": count_from(first, cells.num_rows)}))
    shown = ", ".join(_first_row(quoted(f"v{places[column]}"), fact) for column, fact in facts)
    found = connection.execute(f"SELECT {shown} FROM cells").fetchall()[0]
    connection.unregister("cells")
    return {fact: row for fact, row in zip(facts, found, strict=True) if row is not None}


def _first_row(column: str, fact: str) -> str:
    """SQL for the first row that shows a fact."""
    holds = f"NOT coalesce({_CSV_TESTS[fact].format(column)}, false)" if fact else "true"
    return f"min(CASE WHEN {column} IS NOT NULL AND {holds} THEN n END)"


class JsonTypes:
    """Types of the members of JSON records.

    Attributes
    ----------
    evidence : Evidence
        What is known so far; nothing of members that were always null.
    """

    def __init__(self) -> None:
        self.evidence: Evidence = {}
        self._names: dict[str, None] = {}

    def see(self, block: JsonBlock, first: int) -> None:
        """Take in further rows, the first of which has the number `first`."""
        for name, found in block.types().items():
            self._names.setdefault(name)
            for each, place in sorted(found.items(), key=lambda item: item[1]):
                self.evidence.setdefault((name, _JSON_NAMES.get(each, "string")), first + place)

    def names(self) -> dict[str, str]:
        """Type of each member: ``double`` where whole numbers and others mix, else ``mixed``."""
        found: dict[str, set[str]] = {name: set() for name in self._names}
        for name, type_ in self.evidence:
            found.setdefault(name, set()).add(type_)
        return {name: _one_name(types) for name, types in found.items()}


def _one_name(found: set[str]) -> str:
    if found == {"int64", "double"}:
        return "double"
    return "null" if not found else next(iter(found)) if len(found) == 1 else "mixed"
