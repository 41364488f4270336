"""Types of columns in text, from all values seen: the narrowest that loses nothing of any value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from dsvc.table.engine import quoted

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection

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


class CsvTypes:
    """Types of CSV columns.

    Parameters
    ----------
    columns : sequence of str
        Names of the columns.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self._open = {column: list(_CSV_TESTS) for column in columns}
        self._seen: set[str] = set()

    def see(self, connection: DuckDBPyConnection, cells: pa.Table) -> None:
        """Take in further rows."""
        tests = [(column, type_) for column, types in self._open.items() for type_ in types]
        names = cells.column_names
        places = {name: number for number, name in enumerate(names)}
        renamed = cells.rename_columns([f"v{number}" for number in range(len(names))])
        if not cells.num_rows:
            return
        self._seen.update(name for name in names if cells.column(places[name]).null_count < cells.num_rows)
        if not tests:
            return
        parts = ", ".join(_holds(quoted(f"v{places[column]}"), _CSV_TESTS[type_]) for column, type_ in tests)
        connection.register("cells", renamed)
        found = connection.execute(f"SELECT {parts} FROM cells").fetchall()[0]
        connection.unregister("cells")
        for (column, type_), holds in zip(tests, found, strict=True):
            if not holds:
                self._open[column].remove(type_)

    def names(self) -> dict[str, str]:
        """Type of each column; ``null`` where no value was seen."""
        return {
            column: "null" if column not in self._seen else types[0] if types else "string"
            for column, types in self._open.items()
        }


def _holds(column: str, test: str) -> str:
    return f"coalesce(bool_and({column} IS NULL OR coalesce({test.format(column)}, false)), true)"


class JsonTypes:
    """Types of the members of JSON records."""

    def __init__(self) -> None:
        self._seen: dict[str, set[str]] = {}

    def see(self, types: Mapping[str, set[str]]) -> None:
        """Take in the engine's types of further records."""
        for name, found in types.items():
            self._seen.setdefault(name, set()).update(_JSON_NAMES.get(each, "string") for each in found)

    def names(self) -> dict[str, str]:
        """Type of each member: ``double`` where whole numbers and others mix, else ``mixed``."""
        return {name: _one_name(found) for name, found in self._seen.items()}


def _one_name(found: set[str]) -> str:
    if found == {"int64", "double"}:
        return "double"
    return "null" if not found else next(iter(found)) if len(found) == 1 else "mixed"
