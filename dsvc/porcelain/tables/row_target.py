"""Targets ``[REV:]PATH[#ROW]``: reading them, and finding the file and the row that they name."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dsvc.model.errors import NotFoundError, UsageError
from dsvc.model.manifest import Entry
from dsvc.model.paths import display_path
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.table_view import find_version

if TYPE_CHECKING:
    from dsvc.diff.row_diff import TableVersion
    from dsvc.diff.table_delta import KeySource, Row
    from dsvc.porcelain.tables.row_indexes import KnownTable, RowIndexes
    from dsvc.table.index.row_index import RowIndex

_POSITION: Final = re.compile(r"@([0-9]{1,18})")
_ESCAPED: Final = re.compile("%(2[35Cc]|3[AaDd])")
_ROW_HINT: Final = "a row is #COLUMN=VALUE, #A=1,B=2 or #@N; where '#' belongs to a name, write %23"
MAX_SHOWN: Final = 20


class NoSuchRowError(NotFoundError):
    """A table has no row with this key, or at this place."""

    code = "no-such-row"


@dataclass(frozen=True, slots=True)
class RowName:
    """How a target names a row: by its place, or by values of columns.

    Attributes
    ----------
    position : int or None
        Number of the record, 0-based.
    key : tuple of (str, str)
        Columns with their values as they were written.
    """

    position: int | None = None
    key: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """Write it as in a target, without the ``#``."""
        if self.position is not None:
            return f"@{self.position}"
        return ",".join(f"{_escape(name, '%#,=')}={_escape(value, '%#,')}" for name, value in self.key)


@dataclass(frozen=True, slots=True)
class RowTarget:
    """A file at a revision, and in it a row.

    Attributes
    ----------
    revision : str
        A revision, ``STAGED`` or ``WORKTREE``.
    path : bytes
        Relative to the working tree.
    row : RowName or None
        None: the file as a whole.
    """

    revision: str
    path: bytes
    row: RowName | None = None

    def __str__(self) -> str:
        """Write it as a target; a path that isn't UTF-8 has surrogates."""
        file = f"{self.revision}:{_escape(os.fsdecode(self.path), '#:')}"
        return file if self.row is None else f"{file}#{self.row}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRow:
    """A row of one version of a table.

    Attributes
    ----------
    entry : Entry
        The file.
    version : TableVersion
        The table.
    row : int
        Number among the rows that can be read.
    position : int
        Number among all records, as ``#@N`` counts.
    key : tuple of str
        Columns by which it is the same row in other versions; empty: its content and occurrence.
    key_from : KeySource
        Who says so.
    """

    entry: Entry
    version: TableVersion
    row: int
    position: int
    key: tuple[str, ...]
    key_from: KeySource

    def values(self) -> Row:
        """Read the row.

        Raises
        ------
        NotATableError, TableLimitError
            If it can't be read.
        """
        return self.version.rows([self.row])[self.row]


def _escape(text: str, signs: str) -> str:
    return "".join(f"%{ord(sign):02X}" if sign in signs else sign for sign in text)


def _unescape(text: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)


def split_row(target: str) -> tuple[str, RowName | None]:
    """Split ``[REV:]PATH[#ROW]`` into file and row.

    In the row ``%2C``, ``%3D``, ``%23``, ``%3A`` and ``%25`` stand for a comma, ``=``, ``#``, ``:``, ``%``.

    Raises
    ------
    UsageError
        If what follows ``#`` names no row.
    """
    start = 0
    colon = target.find(":")
    hash_ = target.find("#")
    # A branch may have '#' in its name, and a value ':'; a row has '=' in front of it.
    if 0 <= hash_ < colon and "=" not in target[hash_:colon]:
        start = colon + 1
    file, sign, row = target[start:].partition("#")
    return target[:start] + file, _read_row(row, target) if sign else None


def _read_row(text: str, target: str) -> RowName:
    if found := _POSITION.fullmatch(text):
        return RowName(position=int(found[1]))
    parts: list[str] = []
    for part in text.split(","):
        if "=" not in part and parts:
            # A value may have a comma, as in #name=Doe, Ann.
            parts[-1] += "," + part
        else:
            parts.append(part)
    pairs = [part.partition("=") for part in parts]
    key = tuple((_unescape(name), _unescape(value)) for name, _sign, value in pairs)
    names = [name for name, _value in key]
    if not all(sign for _name, sign, _value in pairs) or "" in names or len(set(names)) < len(names):
        raise UsageError(f"{target[:200]!r} names no row", hint=_ROW_HINT)
    return RowName(key=key)


def parse_target(target: str) -> RowTarget:
    """Read ``[REV:]PATH[#ROW]``, the path being that from the root; without REV it is at HEAD.

    Raises
    ------
    UsageError
        If there is no path, or what follows ``#`` names no row.
    """
    file, row = split_row(target)
    revision, colon, path = file.partition(":")
    if not colon:
        revision, path = "HEAD", file
    path = re.sub("%(23|3[Aa])", lambda found: chr(int(found[1], 16)), path).strip("/")
    if not path:
        raise UsageError(f"{target[:200]!r} names no file", hint="a target is [REV:]PATH[#ROW]")
    return RowTarget(revision or "HEAD", os.fsencode(path), row)


# Finding


def find_file(repo: Workspace, target: RowTarget) -> tuple[Entry, bool]:
    """Find a target's file; links are followed.

    Returns
    -------
    (Entry, bool)
        The file, and whether it is the one in the working tree.

    Raises
    ------
    NotFoundError, IsAFolderError
        As `table_view.find_version`.
    """
    found = find_version(repo, target.path, target.revision)
    return found.entry, found.worktree


def find_row(
    repo: Workspace, target: RowTarget, *, key: Sequence[str] | None = None, indexes: RowIndexes | None = None
) -> FoundRow:
    """Find the row that a target names.

    It is known again in other versions by `key`, else by the key in ``dsvc.toml``, else by the columns that
    the target names, else (for ``#@N``) by a column that is unique, else by its content.

    Parameters
    ----------
    key : sequence of str or None
        Key columns; empty: none.

    Raises
    ------
    NoSuchRowError
        If there is no such row, or a value is none of its column's type.
    NoSuchColumnError
        If the target or the key names a column that isn't there.
    DuplicateKeyError
        If several rows have this key.
    NotATableError, TableLimitError
        If the file is no table, or can't be read as one.
    UsageError
        If the target names no row.
    NotFoundError, IsAFolderError
        If there is no such revision or file.
    """
    from dsvc.diff.row_diff import TableVersion
    from dsvc.porcelain.tables.row_indexes import RowIndexes

    name = target.row
    if name is None:
        raise UsageError(f"{display_path(target.path)} names no row", hint=_ROW_HINT)
    entry, worktree = find_file(repo, target)
    table = _table(repo, entry, worktree=worktree)
    version = TableVersion(table.source, table.kind, (indexes or RowIndexes(repo)).get(table))
    index = version.index
    row = _by_key(version, name) if name.position is None else _by_position(index, name.position)
    columns, key_from = _identity(repo, entry.path, index, name, key)
    # A row that was found by this very key is known to be the only one.
    if columns and set(columns) != {column for column, _value in name.key}:
        _check_single(index, row, columns)
    position = _position(index, row)
    return FoundRow(entry=entry, version=version, row=row, position=position, key=columns, key_from=key_from)


def _table(repo: Workspace, entry: Entry, *, worktree: bool) -> KnownTable:
    from dsvc.porcelain.tables.table_diff import known_table
    from dsvc.porcelain.tables.table_source import not_a_table

    table = known_table(repo, entry, worktree=worktree)
    if table is None:
        raise not_a_table(entry)
    return table


def _position(index: RowIndex, row: int) -> int:
    import numpy as np

    return int(index.records(np.array([row]))[0])


def _by_position(index: RowIndex, position: int) -> int:
    malformed = next((each for each in index.malformed if each.record == position), None)
    if malformed is not None:
        raise NoSuchRowError(
            f"record {position} (line {malformed.line}) is malformed: {malformed.message}",
            details={"position": position, "line": malformed.line},
        )
    row = position - sum(each.record < position for each in index.malformed)
    if row >= index.rows:
        records = index.rows + len(index.malformed)
        raise NoSuchRowError(
            f"there is no row @{position}; the table has {records}",
            hint=f"rows count from @0 to @{records - 1}" if records else None,
            details={"position": position, "rows": records},
        )
    return row


def _by_key(version: TableVersion, name: RowName) -> int:
    import numpy as np

    from dsvc.table.values.key_value import value_hashes

    index = version.index
    found = np.ones(index.rows, bool)
    for column_name, text in name.key:
        column = index.column(column_name)
        if column is None:
            raise _no_column(index, column_name)
        assert version.kind is not None
        try:
            hashes = value_hashes(text, column.type, version.kind)
        except ValueError as error:
            raise NoSuchRowError(
                f"no row has {column_name} = {text[:200]}: that is no {column.type}",
                details={"column": column_name, "type": column.type},
            ) from error
        cells = index.cells(names=[column_name])[column_name]
        # Few: a look at each takes less than what looking them up together has to load.
        found &= np.logical_or.reduce([cells == np.uint64(each) for each in hashes])
    rows = np.flatnonzero(found).tolist()
    if not rows:
        raise NoSuchRowError(f"there is no row {name}", details={"row": str(name)})
    if len(rows) > 1:
        raise _duplicate(index, rows, str(name))
    return rows[0]


def _identity(
    repo: Workspace, path: bytes, index: RowIndex, name: RowName, key: Sequence[str] | None
) -> tuple[tuple[str, ...], KeySource]:
    from dsvc.diff.row_diff import choose_key
    from dsvc.porcelain.tables.table_rules import table_rules

    configured = table_rules(repo).for_path(path).key if key is None else ()
    if key is None and not configured and name.key:
        key = [column for column, _value in name.key]
    columns, key_from = choose_key(index, index, key, configured)
    for column in columns:
        if index.column(column) is None:
            raise _no_column(index, column)
    return columns, key_from


def _check_single(index: RowIndex, row: int, key: Sequence[str]) -> None:
    import numpy as np

    from dsvc.table.index.row_index import key_hashes

    if any(column.unique for column in index.columns if column.name in key):
        return
    hashes = key_hashes(index.cells(names=key), key)
    rows = np.flatnonzero(hashes == hashes[row]).tolist()
    if len(rows) > 1:
        raise _duplicate(index, rows, ", ".join(key))


def _no_column(index: RowIndex, name: str) -> NotFoundError:
    from dsvc.diff.row_compare import NoSuchColumnError

    return NoSuchColumnError(
        f"the table has no column {name!r}",
        hint=f"its columns are {', '.join(index.names[:MAX_SHOWN])}",
        details={"column": name},
    )


def _duplicate(index: RowIndex, rows: Sequence[int], what: str) -> UsageError:
    from dsvc.diff.row_compare import DuplicateKeyError

    positions = [_position(index, row) for row in rows[:MAX_SHOWN]]
    return DuplicateKeyError(
        f"{len(rows)} rows share their key {what}",
        hint="name one by its place: " + " or ".join(f"#@{each}" for each in positions[:3]),
        details={"rows": positions},
    )
