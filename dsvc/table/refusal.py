"""Errors of the engines while they read a file, in our own words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from dsvc.table.source import NotATableError, TableLimitError


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
    except (MemoryError, duckdb.OutOfMemoryException) as error:
        raise TableLimitError(
            f"{name} needs more memory to be read than one table is given", details={"path": name}
        ) from error
    except (duckdb.Error, pa.ArrowException, OSError, OverflowError, UnicodeDecodeError) as error:
        raise NotATableError(f"{name} can't be read as {what}: {error}", details={"path": name}) from error
