"""Whether what a command makes of few rows is written as what it made of all of them.

Libraries tell types of columns from the rows that are there: numbers that stand beside an empty cell become
25.0, and a column that holds no fraction any more is one of whole numbers. Rows of two such kinds in one
table are no table that the command would have made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from dsvc.model.table_kind import TableFormat
from dsvc.porcelain.recompute.recompute_splice import NotSplicedError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsvc.porcelain.runs.recompute_table import TableBytes

    Numbers = NDArray[np.int64]

MAX_COMPARED: Final = 8
"""Cells of a column that are compared by value."""
_JSON: Final = (TableFormat.JSON, TableFormat.JSONL)


def check_drift(old: TableBytes, fresh: TableBytes, rows: Numbers, stands_for: Numbers) -> None:
    """Refuse computed rows that don't go with the table that they shall stand in.

    Parameters
    ----------
    old, fresh : TableBytes
        The table, and what was computed.
    rows : ndarray of int64, shape (n,)
        Rows of what was computed.
    stands_for : ndarray of int64, shape (n,)
        For each the old row that it replaces, -1: none.

    Raises
    ------
    NotSplicedError
        Saying what differs.
    """
    if not len(rows):
        return
    name, text = old.table.source.name, old.table.kind.format.is_text
    if old.table.kind.format not in _JSON and list(old.index.names) != list(fresh.index.names):
        raise NotSplicedError(f"of the affected rows alone {name} has other columns")
    if fresh.index.malformed:
        raise NotSplicedError(f"of the affected rows alone {name} has records that can't be read")
    if text:
        strange = sorted({column for column, _ in set(fresh.index.evidence) - set(old.index.evidence)})
    else:
        types = {column.name: column.type for column in old.index.columns}
        strange = [c.name for c in fresh.index.columns if c.type not in (types[c.name], "null")]
    if strange:
        raise NotSplicedError(f"of the affected rows alone column {strange[0]} of {name} has another type")
    if text:
        _check_writing(old, fresh, rows, stands_for)


def _check_writing(old: TableBytes, fresh: TableBytes, rows: Numbers, stands_for: Numbers) -> None:
    """Refuse where a cell of a row holds what it held, and is written in another way."""
    places = np.flatnonzero(stands_for >= 0)
    types = {column.name: column.type for column in fresh.index.columns if column.type != "string"}
    common = [column.name for column in old.index.columns if types.get(column.name, "null") != "null"]
    if not len(places) or not common:
        return
    ours = old.index.cells_at(stands_for[places], common)
    theirs = fresh.index.cells_at(rows[places], common)
    for name in common:
        differ = places[ours[name] != theirs[name]]
        # What a library does to a column it does to all of its rows.
        some = differ[:: max(1, len(differ) // MAX_COMPARED)][:MAX_COMPARED]
        if len(some) and _is_written_otherwise(old, fresh, name, stands_for[some], rows[some]):
            raise NotSplicedError(
                f"of the affected rows alone column {name} of {old.table.source.name} is written otherwise"
            )


def _is_written_otherwise(
    old: TableBytes, fresh: TableBytes, name: str, old_rows: Numbers, rows: Numbers
) -> bool:
    """Whether some cells, which differ as they are written, hold the same."""
    from dsvc.table.reading.row_reader import read_rows

    ours, theirs = (
        read_rows(each.table.source, each.table.kind, each.index, np.unique(wanted).tolist())
        for each, wanted in ((old, old_rows), (fresh, rows))
    )
    pairs = zip(old_rows.tolist(), rows.tolist(), strict=True)
    return any(ours[before].get(name) == theirs[after].get(name) for before, after in pairs)
