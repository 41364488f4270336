"""Errors of the engines while they read a file, in our own words."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from dsvc.table.origin.source import NotATableError, TableLimitError


@contextmanager
def refusals(name: str, what: str = "a table") -> Iterator[None]:
    """Turn what the engines raise into errors that name the file; errors of the store pass as they are.

    Parameters
    ----------
    name : str
        The file's name.
    what : str
        What it can't be read as.

    Raises
    ------
    TableLimitError
        If memory ran out.
    NotATableError
        If the file is malformed.
    """
    try:
        yield
    # Memory first: Arrow's error for it is a malformed file's too, by its class.
    except _memory_errors() as error:
        raise TableLimitError(
            f"{name} needs more memory to be read than one table is given", details={"path": name}
        ) from error
    except _format_errors() as error:
        raise NotATableError(f"{name} can't be read as {what}: {error}", details={"path": name}) from error


def want_of_memory(error: TableLimitError | NotATableError) -> bool:
    """Whether `refusals` made an error of one that says that memory ran out."""
    return isinstance(error.__cause__, _memory_errors())


# Where the engine isn't loaded, it raises nothing; reading a few rows doesn't need it.


def _memory_errors() -> tuple[type[Exception], ...]:
    engine = sys.modules.get("duckdb")
    return (MemoryError,) if engine is None else (MemoryError, engine.OutOfMemoryException)


def _format_errors() -> tuple[type[Exception], ...]:
    engine = sys.modules.get("duckdb")
    found = (pa.ArrowException, OSError, OverflowError, UnicodeDecodeError)
    return found if engine is None else (*found, engine.Error)
