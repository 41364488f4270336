"""Where a table's bytes come from, and what is wrong with those that can't be read as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import BinaryIO, Final, Protocol

from dsvc.model.errors import MalformedInputError

MAX_COLUMNS: Final = 20_000


class TableSource(Protocol):
    """The bytes of one version of a table."""

    @property
    def name(self) -> str:
        """Name for messages."""

    @property
    def size(self) -> int:
        """Length in bytes."""

    @property
    def digest(self) -> bytes:
        """BLAKE3-256 of the bytes."""

    def open(self) -> BinaryIO:
        """Open the bytes as a new seekable stream, closed by the caller."""

    def local_path(self) -> AbstractContextManager[str]:
        """Give a path to a file with these bytes, for engines that open files; it may be gone afterwards."""


class NotATableError(MalformedInputError):
    """A file can't be read as a table."""

    code = "not-a-table"


class TableLimitError(MalformedInputError):
    """A table is beyond the limits within which tables are read."""

    code = "table-limit"


def check_names(name: str, columns: Sequence[str]) -> None:
    """Refuse a table whose columns can't be told apart.

    Parameters
    ----------
    name : str
        The table's name, for the message.
    columns : sequence of str
        Names of its columns.

    Raises
    ------
    NotATableError
        If two have one name.
    """
    twice = next((each for each, count in Counter(columns).items() if count > 1), None)
    if twice is not None:
        raise NotATableError(f"{name} has two columns named {twice}", details={"path": name, "column": twice})


def check_width(name: str, columns: int) -> None:
    """Refuse a table of more columns than are read.

    Parameters
    ----------
    name : str
        The table's name, for the message.
    columns : int
        How many it has.

    Raises
    ------
    TableLimitError
        If there are more than `MAX_COLUMNS`.
    """
    if columns > MAX_COLUMNS:
        raise TableLimitError(
            f"{name} has {columns} columns; at most {MAX_COLUMNS} are read", details={"path": name}
        )
