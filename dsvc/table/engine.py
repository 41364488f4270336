"""The table engine: DuckDB in memory, with nothing of the machine in its reach (ADR 0008)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import duckdb

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MEMORY_LIMIT: Final = "512MiB"


def connect(*, files: Sequence[str] = (), threads: int | None = None) -> DuckDBPyConnection:
    """Open a locked-down in-memory database.

    Parameters
    ----------
    files : sequence of str
        The only files that it may read.
    threads : int or None
        How many it may use; None: all cores.

    Raises
    ------
    duckdb.Error
        If it can't be set up.
    """
    connection = duckdb.connect(":memory:")
    connection.execute("SET memory_limit = ?", [MEMORY_LIMIT])
    connection.execute("SET temp_directory = ''")
    connection.execute("SET autoinstall_known_extensions = false")
    connection.execute("SET autoload_known_extensions = false")
    connection.execute("SET python_enable_replacements = false")
    # The statistics of a Parquet file leave NaN out, and the engine believes them: NaN < 1 came out as true.
    connection.execute("SET disabled_optimizers = 'statistics_propagation'")
    if threads is not None:
        connection.execute("SET threads = ?", [threads])
    if files:
        connection.execute("SET allowed_paths = ?", [list(files)])
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def quoted(name: str) -> str:
    """Quote a name for SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Quote a text for SQL."""
    return "'" + text.replace("'", "''") + "'"
