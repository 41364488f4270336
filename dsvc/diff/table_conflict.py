"""Rows of a table that a merge can't settle."""

from __future__ import annotations

import msgspec


class RowConflict(msgspec.Struct, array_like=True, frozen=True):
    """A row of a table that no rule settles.

    Attributes
    ----------
    kind : str
        ``content`` (the same cells changed differently), ``add/add``, ``delete/modify`` (ours deleted it),
        ``modify/delete``.
    base, ours, theirs : int
        Record numbers in the three versions, -1 where one doesn't have the row.
    columns : tuple of str
        The cells in conflict; of a deletion none.
    """

    kind: str
    base: int
    ours: int
    theirs: int
    columns: tuple[str, ...] = ()


class TableConflict(msgspec.Struct, array_like=True, frozen=True):
    """What of a table is in conflict: its key, and the rows that are not settled yet."""

    key: tuple[str, ...]
    rows: tuple[RowConflict, ...]
