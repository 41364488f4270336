"""Columns of a table as texts, for detectors that compare rows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from blake3 import blake3

from dsvc.model.errors import MalformedInputError
from dsvc.policy.detectors.shingles import CELL, joined, normalised

if TYPE_CHECKING:
    import pyarrow as pa

    from dsvc.policy.detectors.detector import ScannedTable

Cells = list[str | None]
CONTENT: Final = "content"
"""The part whose columns are normalised; those of all others are taken as they are written."""
SHOWN_CHARACTERS: Final = 40


class Unjudged(Exception):  # noqa: N818  an answer, no error: it becomes an unknown detection
    """Something can't be judged.

    Parameters
    ----------
    reason : str
        Why.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def role_batches(
    file: ScannedTable, roles: Mapping[str, Sequence[str]]
) -> Iterator[tuple[int, dict[str, Cells]]]:
    """Read some columns of a table, batch by batch, one text a row for each part that columns play.

    A row whose cells of a part are all null or empty has None there.

    Parameters
    ----------
    file : ScannedTable
        The table.
    roles : mapping of str to sequence of str
        Columns by the part that they play.

    Yields
    ------
    tuple of (int, dict)
        Number of rows of the batch, and its texts by part.

    Raises
    ------
    Unjudged
        If the table can't be read, or lacks a column.
    """
    from dsvc.table.reading.arrow_reader import open_arrow

    names = list(dict.fromkeys(name for columns in roles.values() for name in columns))
    try:
        with open_arrow(file.source, file.table) as table:
            _check(file, table.schema, roles)
            for batch in table.batches(names):
                columns = {name: _texts(batch.column(name)) for name in names}
                yield (
                    batch.num_rows,
                    {
                        role: _row_texts([columns[name] for name in wanted], is_content=role == CONTENT)
                        for role, wanted in roles.items()
                    },
                )
    except MalformedInputError as error:
        raise Unjudged(error.message) from error


def _check(file: ScannedTable, schema: pa.Schema, roles: Mapping[str, Sequence[str]]) -> None:
    for role, columns in roles.items():
        for name in columns:
            if name not in schema.names:
                raise Unjudged(f"{file.name} has no column {name!r}, which plays the part {role!r}")


def _row_texts(columns: Sequence[Cells], *, is_content: bool) -> Cells:
    """Make one text of the cells of each row."""
    if is_content:
        columns = [[None if cell is None else normalised(cell) for cell in column] for column in columns]
    if len(columns) == 1:
        return [cell or None for cell in columns[0]]
    return [joined([cell or "" for cell in row]) if any(row) else None for row in zip(*columns, strict=True)]


def _texts(column: pa.Array) -> Cells:
    import pyarrow.types as kinds

    kind = column.type
    if kinds.is_dictionary(kind):
        column, kind = column.dictionary_decode(), kind.value_type
    values: list[Any] = column.to_pylist()
    if kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_string_view(kind):
        return values
    return [None if value is None else _written(value) for value in values]


def _written(value: Any) -> str:
    """Write a cell that is no text: numbers alike whatever their type, bytes as their digest."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, bytes):
        return f"blake3:{blake3(value).hexdigest()}"
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, sort_keys=True, default=_written)
    return str(value)


def shown_value(value: str) -> str:
    """Show a value of a column that is no content, such as a label: on one line, cut where it is long."""
    text = " ".join(value.replace(CELL, " | ").split())
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


__all__ = ["CONTENT", "Cells", "Unjudged", "role_batches", "shown_value"]
