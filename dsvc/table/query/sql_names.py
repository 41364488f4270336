"""What a query reads: the versions it names with ``dsvc('…')`` and the names that may be paths.

DuckDB's own parser reads the query, so that comments, quotes and every dialect of a string are what they are
to the engine. Queries that do anything but read are refused here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import duckdb

from dsvc.model.errors import UsageError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

FUNCTION: Final = "dsvc"
MAX_QUERY_CHARACTERS: Final = 1 << 20


class SqlError(UsageError):
    """A query is wrong, or does something other than read."""

    code = "sql"


class QueryNames(NamedTuple):
    """What a query reads.

    Attributes
    ----------
    targets : tuple of str
        Arguments of ``dsvc('…')``.
    tables : tuple of (str, str)
        Schema (empty: none) and name of each table named, none of which need be one.
    local : frozenset of str
        Names that the query itself gives to tables (``WITH``), in lower case.
    """

    targets: tuple[str, ...]
    tables: tuple[tuple[str, str], ...]
    local: frozenset[str]


def query_names(connection: DuckDBPyConnection, query: str) -> QueryNames:
    """Read a query.

    Parameters
    ----------
    connection : DuckDBPyConnection
        Whose parser reads it; nothing is run.
    query : str
        One ``SELECT``, or ``FROM``, ``WITH``, ``VALUES``, ``SUMMARIZE``, ``DESCRIBE``, ``PIVOT … IN``.

    Raises
    ------
    SqlError
        If it's no SQL, several statements, anything but a question, or gives ``dsvc`` no constant text.
    """
    targets: dict[str, None] = {}
    tables: dict[tuple[str, str], None] = {}
    local: set[str] = set()
    for node in _nodes(_parsed(connection, query)):
        if node.get("type") == "TABLE_FUNCTION":
            function = node["function"]
            if str(function.get("function_name", "")).lower() == FUNCTION:
                targets[_argument(function)] = None
        elif node.get("type") == "BASE_TABLE" and not node.get("catalog_name"):
            tables[str(node.get("schema_name") or ""), str(node["table_name"])] = None
        local.update(str(each["key"]).lower() for each in (node.get("cte_map") or {}).get("map", ()))
    return QueryNames(tuple(targets), tuple(tables), frozenset(local))


def _parsed(connection: DuckDBPyConnection, query: str) -> object:
    """The engine's tree of a query that only reads."""
    if len(query) > MAX_QUERY_CHARACTERS:
        raise SqlError(f"a query of {len(query)} characters is too long")
    if "\0" in query:
        raise SqlError("the query holds a null character")
    try:
        query.encode("utf-8")
    except UnicodeEncodeError as error:
        raise SqlError("the query holds bytes that are not UTF-8") from error
    try:
        statements = connection.extract_statements(query)
        [(text,)] = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [query]).fetchall()
    except (duckdb.Error, UnicodeError) as error:
        raise SqlError(str(error)) from error
    if len(statements) != 1:
        raise SqlError(f"one query is needed, not {len(statements)}")
    if statements[0].type != duckdb.StatementType.SELECT:
        raise SqlError(
            "only queries that read are run: SELECT, FROM, WITH, VALUES, SUMMARIZE, DESCRIBE",
            hint="PIVOT works where it names the values: PIVOT … ON column IN (…)",
        )
    try:
        tree = json.loads(text)
    except RecursionError as error:
        raise SqlError("the query nests too deep") from error
    if tree.get("error"):
        raise SqlError(str(tree.get("error_message")))
    found: object = tree["statements"]
    return found


def _nodes(tree: object) -> Iterator[dict[str, Any]]:
    """Every object of a tree, the outer before the inner."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting.extend(reversed(node.values()))
        elif isinstance(node, list):
            waiting.extend(reversed(node))


def _argument(function: dict[str, Any]) -> str:
    """Text that ``dsvc`` is called with; DuckDB writes it one way before version 2 and another since."""
    arguments = function.get("arguments", function.get("children")) or []
    if len(arguments) == 1:
        node = arguments[0].get("expression", arguments[0])
        literal = node.get("literal")
        if literal is not None and literal.get("kind") == "STRING":
            return str(literal["text"])
        value = node.get("value")
        if isinstance(value, dict) and isinstance(value.get("value"), str):
            return str(value["value"])
    raise SqlError("dsvc is called with one text in quotes", hint="dsvc('HEAD~1:data/train.parquet')")


__all__ = ["QueryNames", "SqlError", "query_names"]
