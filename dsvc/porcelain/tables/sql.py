"""SQL on any version: a query names versions, which are all it can read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from dsvc.model.errors import NotFoundError, UsageError
from dsvc.model.paths import display_path
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.table_view import FixedFile, find_version
from dsvc.porcelain.tree.close_paths import close_paths
from dsvc.table.query.sql import NoSuchTableError, OutOfReachError, SqlEngine

if TYPE_CHECKING:
    import pyarrow as pa

    from dsvc.table.query.sql_names import QueryNames
    from dsvc.table.reading.arrow_reader import ArrowTable


def sql(repo: Workspace, query: str) -> pa.Table:
    """Run a query and read its whole result; see `open_query`."""
    with open_query(repo, query) as reader:
        return reader.read_all()


@contextmanager
def open_query(repo: Workspace, query: str) -> Iterator[pa.RecordBatchReader]:
    """Run a query.

    ``dsvc('REV:PATH')`` is a version of a table, REV a revision, ``STAGED`` or ``WORKTREE``; without REV it
    is HEAD, as is a path that stands for itself. Paths are relative to the root. Only questions are answered,
    and nothing but the versions named can be read.

    Parameters
    ----------
    query : str
        One query in DuckDB's SQL.

    Returns
    -------
    context manager of pyarrow.RecordBatchReader
        The result, as it is found.

    Raises
    ------
    SqlError
        If it is no query, or the engine refuses it.
    NotFoundError
        If there is no such revision or path.
    NotATableError, TableLimitError
        If a version can't be read as a table, or the query needs too much memory.
    """
    with ExitStack() as stack:
        engine = stack.enter_context(SqlEngine())
        names = engine.names(query)
        opened: dict[FixedFile, ArrowTable] = {}

        def table(version: FixedFile) -> ArrowTable:
            if version not in opened:
                opened[version] = stack.enter_context(version.open())
            return opened[version]

        for target in names.targets:
            rev, path = _target(target)
            engine.add_target(target, table(find_version(repo, path, rev)))
        missing = _add_paths(repo, engine, names, table)
        try:
            with engine.run(query) as reader:
                yield reader
        except NoSuchTableError as error:
            if not missing:
                raise
            raise _no_path(repo, missing[0]) from error
        except OutOfReachError as error:
            # The engine takes a name that looks like a file's for one.
            files = [name for name in missing if "." in name or "/" in name]
            if not files:
                raise
            raise _no_path(repo, files[0]) from error


def _add_paths(
    repo: Workspace, engine: SqlEngine, names: QueryNames, table: Callable[[FixedFile], ArrowTable]
) -> list[str]:
    """Give the engine the names that are paths of HEAD; returns those that are none."""
    missing = []
    manifest = repo.manifest_of(None)
    for schema, name in names.tables:
        path = f"{schema}.{name}" if schema else name
        entry = manifest.get(os.fsencode(path))
        if entry is not None and not (schema == "" and name.lower() in names.local):
            engine.add_table(schema, name, table(find_version(repo, os.fsencode(path))))
        elif entry is None and name.lower() not in names.local:
            missing.append(path)
    return missing


def _target(target: str) -> tuple[str | None, bytes]:
    """Read ``[REV:]PATH``; ``%23`` and ``%3A`` stand for ``#`` and ``:`` in the path."""
    rev, colon, path = target.partition(":")
    if not colon:
        rev, path = "", target
    if "#" in path:
        raise UsageError(
            f"{target!r} names a row; a table is needed", hint="where '#' belongs to the name, write %23"
        )
    path = path.replace("%23", "#").replace("%3A", ":").replace("%3a", ":").strip("/")
    if not path:
        raise UsageError(f"{target!r} names no file", hint="dsvc('REV:PATH')")
    return rev or None, os.fsencode(path)


def _no_path(repo: Workspace, path: str) -> NotFoundError:
    close = close_paths(repo.manifest_of(None), os.fsencode(path))
    hint = (
        f"did you mean {' or '.join(map(display_path, close))}?"
        if close
        else "a path of HEAD stands in quotes, another version is dsvc('REV:PATH')"
    )
    return NotFoundError(f"there is no {path} in HEAD", hint=hint, details={"path": path})


__all__ = ["open_query", "sql"]
