"""SQL over versions of tables, in an engine that can reach nothing else.

Versions are given to the engine as Arrow data, so its own access to files, to the network, to extensions and
to variables of the program is switched off as a whole, not file by file, and the settings are locked.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Self

import duckdb
import pyarrow as pa
from duckdb import DuckDBPyConnection, DuckDBPyRelation

from dsvc.model.errors import DsvcError
from dsvc.table.engine import literal, quoted
from dsvc.table.origin.source import NotATableError, TableLimitError
from dsvc.table.query.sql_names import QueryNames, SqlError, query_names
from dsvc.table.reading.arrow_reader import ArrowTable, ParquetTable

BATCH_ROWS: Final = 100_000
_NO_TABLE: Final = "Catalog Error: Table with name"
# A name in it is the one that a version is registered by.
_BAD_STREAM: Final = "Invalid Input Error: reading the stream registered as '{}' failed"
# External access goes last but for the lock: it can't be switched on again, and forbids further changes.
_LOCKS: Final = (
    "SET TimeZone = 'UTC'",
    "SET temp_directory = ''",
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET allow_community_extensions = false",
    "SET python_enable_replacements = false",
    "SET python_scan_all_frames = false",
    "SET disabled_filesystems = 'LocalFileSystem'",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)


class NoSuchTableError(SqlError):
    """A query names a table that there isn't."""

    code = "no-such-table"


class OutOfReachError(SqlError):
    """A query asks for a file, an address or a setting that queries don't reach."""

    code = "sql-out-of-reach"


class SqlEngine:
    """One database in memory for one query.

    Use it as a context manager. First `names` says what the query reads, then `add_target` and `add_table`
    give it that, then `run` runs it.
    """

    def __init__(self) -> None:
        self._connection: DuckDBPyConnection = duckdb.connect(":memory:")
        self._tables: dict[ArrowTable, str] = {}
        self._targets: dict[str, str] = {}

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the database."""
        self._connection.close()

    def names(self, query: str) -> QueryNames:
        """Say what a query reads; raises as `dsvc.table.query.sql_names.query_names`."""
        return query_names(self._connection, query)

    def add_target(self, target: str, table: ArrowTable) -> None:
        """Let ``dsvc('target')`` stand for a table."""
        self._targets[target] = self._load(table)

    def add_table(self, schema: str, name: str, table: ArrowTable) -> None:
        """Let a name stand for a table.

        Raises
        ------
        SqlError
            If the engine takes it for another name: upper and lower case are one to it.
        """
        loaded = self._load(table)
        where = quoted(name)
        try:
            if schema:
                self._connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}")
                where = f"{quoted(schema)}.{where}"
            self._connection.execute(f"CREATE VIEW {where} AS FROM {loaded}")
        except duckdb.Error as error:
            raise SqlError(
                f"{name} can't be a name in this query: {_first_line(error)}",
                hint=f"write dsvc('HEAD:{name}')",
            ) from error

    def _load(self, table: ArrowTable) -> str:
        """Name under which the engine has a table's rows."""
        known = self._tables.get(table)
        if known is not None:
            return known
        name = quoted(f"dsvc version {len(self._tables)}")
        if isinstance(table, ParquetTable):
            # Scanned in place: only the columns and row groups that the query needs are read.
            self._connection.register(name[1:-1], table.dataset())
        else:
            self._copy(name, table)
        self._tables[table] = name
        return name

    def _copy(self, name: str, table: ArrowTable) -> None:
        raised: list[DsvcError] = []
        schema = table.schema
        if not schema.names:
            raise SqlError(f"{table.name} has no columns")
        columns = [column or f"column_{number + 1}" for number, column in enumerate(schema.names)]
        named = pa.schema([field.with_name(column) for field, column in zip(schema, columns, strict=True)])

        def batches() -> Iterator[pa.RecordBatch]:
            # The engine makes a message of an error that is raised here, so the error is kept.
            try:
                for batch in table.batches():
                    yield pa.RecordBatch.from_arrays(batch.columns, schema=named)
            except DsvcError as error:
                raised.append(error)
                raise

        reader = pa.RecordBatchReader.from_batches(named, batches())
        self._connection.register("dsvc reader", reader)
        try:
            self._connection.execute(f'CREATE TABLE {name} AS FROM "dsvc reader"').fetchall()
        except duckdb.Error as error:
            if raised:
                raise raised[0] from error
            raise _refusal(error) from error
        finally:
            self._connection.unregister("dsvc reader")

    @contextmanager
    def run(self, query: str) -> Iterator[pa.RecordBatchReader]:
        """Run the query.

        Parameters
        ----------
        query : str
            One that `names` has accepted.

        Returns
        -------
        context manager of pyarrow.RecordBatchReader
            The rows, as they are found; errors while reading are translated too, if they happen inside.

        Raises
        ------
        SqlError
            If the engine refuses it, with the engine's words.
        TableLimitError
            If it needs more memory than there is.
        """
        try:
            self._define_function()
            for lock in _LOCKS:
                self._connection.execute(lock).fetchall()
            yield _one_name_each(self._connection.sql(query).to_arrow_reader(BATCH_ROWS))
        except (duckdb.Error, pa.ArrowException) as error:
            for table in self._tables:
                if table.errors:
                    raise table.errors[0] from error
            for table, name in self._tables.items():
                if str(error).startswith(_BAD_STREAM.format(name[1:-1])):
                    raise NotATableError(
                        f"{table.name} can't be read as a table: {_first_line(error)}",
                        details={"path": table.name},
                    ) from error
            raise _refusal(error) from error

    def _define_function(self) -> None:
        names = ", ".join(f"{literal(target)}: {literal(name)}" for target, name in self._targets.items())
        self._connection.execute(
            f"CREATE MACRO dsvc(target) AS TABLE FROM query_table(MAP {{{names}}}[target])"
        ).fetchall()


def _one_name_each(reader: pa.RecordBatchReader) -> pa.RecordBatchReader:
    """Tell columns of one name apart, as the engine does in tables: ``a``, ``a_1``."""
    names: dict[str, None] = {}
    for name in reader.schema.names:
        free, number = name, 0
        while free in names:
            number += 1
            free = f"{name}_{number}"
        names[free] = None
    if list(names) == reader.schema.names:
        return reader
    schema = pa.schema([field.with_name(name) for field, name in zip(reader.schema, names, strict=True)])
    renamed = (pa.RecordBatch.from_arrays(batch.columns, schema=schema) for batch in reader)
    return pa.RecordBatchReader.from_batches(schema, renamed)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _refusal(error: Exception) -> DsvcError:
    if isinstance(error, duckdb.OutOfMemoryException):
        return TableLimitError(f"the query needs more memory than there is: {_first_line(error)}")
    if isinstance(error, duckdb.PermissionException):
        return OutOfReachError(
            f"a query reads nothing but versions of tables: {_first_line(error)}",
            hint="dsvc('REV:PATH') is one",
        )
    if isinstance(error, duckdb.CatalogException) and str(error).startswith(_NO_TABLE):
        return NoSuchTableError(str(error))
    return SqlError(str(error))


def relation(table: ArrowTable, connection: DuckDBPyConnection | None = None) -> DuckDBPyRelation:
    """Give a table to DuckDB.

    Parameters
    ----------
    connection : DuckDBPyConnection or None
        Where it shall be; None makes a new database in memory.
    """
    return (connection or duckdb.connect(":memory:")).from_arrow(table.dataset())


__all__ = [
    "BATCH_ROWS",
    "DuckDBPyConnection",
    "DuckDBPyRelation",
    "NoSuchTableError",
    "OutOfReachError",
    "SqlEngine",
    "SqlError",
    "relation",
]
