"""Tables of new values: read with every value as text, and joined by key with the rows that they speak of."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

import numpy as np

from dsvc.model.errors import MalformedInputError, UsageError
from dsvc.model.table_kind import HEAD_BYTES, TableFormat, TableKind, recognise
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.row_indexes import KnownTable, RowIndexes
from dsvc.table.index.row_index import RowIndex, key_hashes
from dsvc.table.origin.memory_source import MemorySource
from dsvc.table.reading.row_reader import read_rows
from dsvc.table.values.key_value import hashes_of_values

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

MAX_ROWS: Final = 5_000_000
TextRow = Mapping[str, str | None]


class ValueTableError(MalformedInputError):
    """A table of new values can't be used: it is no table, has no key, or has a key twice."""

    code: ClassVar[str] = "value-table"


class ValueTable(NamedTuple):
    """New values.

    Attributes
    ----------
    key, columns : tuple of str
        Columns that rows are known by, and those with new values.
    rows : sequence of mapping of str to str or None
        Values as text, None where they are null; what a row doesn't have isn't there.
    """

    key: tuple[str, ...]
    columns: tuple[str, ...]
    rows: Sequence[TextRow]

    def name_of(self, number: int) -> str:
        """Key of a row, for people."""
        return ", ".join(f"{name}={self.rows[number].get(name)}" for name in self.key)


class Places(NamedTuple):
    """Rows that a table of values speaks of.

    Attributes
    ----------
    rows, entries : ndarray of int64
        A row, ascending, and the row of the table of values that speaks of it.
    missing : ndarray of int64
        Rows of the table of values that speak of none.
    """

    rows: Numbers
    entries: Numbers
    missing: Numbers


def read_table(repo: Workspace, name: str, data: bytes, key: Sequence[str]) -> ValueTable:
    """Read a table of new values.

    Parameters
    ----------
    name : str
        The file's, which says what format it is.
    key : sequence of str
        Columns that rows are known by.

    Raises
    ------
    UsageError
        If there is no key.
    ValueTableError
        If it is no table, lacks the key, has nothing else, or has a key twice.
    NotATableError, TableLimitError
        If it can't be read.
    """
    kind = recognise(name.encode(errors="surrogateescape"), data[:HEAD_BYTES])
    if kind is None:
        raise ValueTableError(f"{name} is no table", hint="as in labels.csv or labels.jsonl")
    if not key:
        raise UsageError(
            f"it is not known by which column {name} names rows",
            hint="--key COL, or a key for the table in dsvc.toml",
        )
    table = KnownTable(MemorySource(name, data), kind)
    index = RowIndexes(repo).get(table)
    if index.rows > MAX_ROWS or index.malformed:
        what = f"{len(index.malformed)} malformed records" if index.malformed else f"{index.rows} rows"
        raise ValueTableError(f"{name} has {what}", details={"file": name})
    columns = tuple(each for each in index.names if each not in key)
    lacking = [each for each in key if index.column(each) is None]
    if index.rows and (lacking or not columns):
        what = f"no column {lacking[0]}" if lacking else "no column beside its key"
        raise ValueTableError(f"{name} has {what}", details={"file": name, "columns": index.names[:100]})
    found = text_rows(table, index, np.arange(index.rows, dtype=np.int64))
    rows = [found[number] for number in range(index.rows)]
    seen: dict[tuple[str | None, ...], int] = {}
    for number, row in enumerate(rows):
        place = seen.setdefault(tuple(row.get(each) for each in key), number)
        if place != number:
            told = ValueTable(tuple(key), columns, rows).name_of(number)
            raise ValueTableError(f"{name} has {told} twice, in rows {place} and {number}")
    return ValueTable(tuple(key), columns, rows)


def rows_of_keys(index: RowIndex, kind: TableKind, values: ValueTable) -> Places:
    """Find the rows of a table that a table of values speaks of; a value that can't be a key is nowhere.

    Raises
    ------
    ValueTableError
        If two of its rows speak of one, each in its own way: ``1`` and ``01``.
    """
    spelled: list[tuple[int, tuple[str, ...]]] = []
    for number, row in enumerate(values.rows):
        key = [row.get(name) for name in values.key]
        if all(each is not None for each in key):
            spelled.append((number, tuple(each for each in key if each is not None)))
    hashes, owners = _key_hashes(index, kind, values.key, spelled)
    own = key_hashes(index.cells(names=values.key), values.key) if index.rows else np.zeros(0, np.uint64)
    order = np.argsort(hashes, kind="stable")
    hashes, owners = hashes[order], owners[order]
    twice = np.flatnonzero((hashes[1:] == hashes[:-1]) & (owners[1:] != owners[:-1]))
    twice = twice[np.isin(hashes[twice], own)]
    if len(twice):
        first, second = sorted(owners[twice[0] : twice[0] + 2].tolist())
        told = f"{values.name_of(first)} and {values.name_of(second)}"
        raise ValueTableError(f"{told}, in rows {first} and {second} of the new values, are one key")
    place = np.searchsorted(hashes, own)
    hit = np.flatnonzero(place < len(hashes))
    hit = hit[hashes[place[hit]] == own[hit]]
    entries = owners[place[hit]]
    missing = np.setdiff1d(np.arange(len(values.rows), dtype=np.int64), entries)
    return Places(hit.astype(np.int64), entries, missing)


def _key_hashes(
    index: RowIndex, kind: TableKind, key: Sequence[str], spelled: Sequence[tuple[int, tuple[str, ...]]]
) -> tuple[NDArray[np.uint64], Numbers]:
    """Hashes that the keys of some entries may have, and the entry of each."""
    numbers = np.array([number for number, _ in spelled], np.int64)
    columns = []
    for at, name in enumerate(key):
        column = index.column(name)
        type_ = "string" if column is None else column.type
        texts = [each[at] for _, each in spelled]
        try:
            columns.append(hashes_of_values(texts, type_, kind))
        except ValueError:
            # Some are no values of the column; the others still are.
            return _each_by_itself(index, kind, key, spelled)
    ways = itertools.product(*(range(each.shape[1]) for each in columns))
    parts = [
        key_hashes(
            {name: each[:, way[at]] for at, (name, each) in enumerate(zip(key, columns, strict=True))}, key
        )
        for way in ways
    ]
    if not len(numbers) or not parts:
        return np.zeros(0, np.uint64), np.zeros(0, np.int64)
    return np.concatenate(parts), np.tile(numbers, len(parts))


def _each_by_itself(
    index: RowIndex, kind: TableKind, key: Sequence[str], spelled: Sequence[tuple[int, tuple[str, ...]]]
) -> tuple[NDArray[np.uint64], Numbers]:
    from dsvc.table.values.key_value import value_hashes

    hashes, owners = [], []
    for number, texts in spelled:
        try:
            options = []
            for name, text in zip(key, texts, strict=True):
                column = index.column(name)
                options.append(value_hashes(text, "string" if column is None else column.type, kind))
        except ValueError:
            continue
        for way in itertools.product(*options):
            cells = {name: np.array([each], np.uint64) for name, each in zip(key, way, strict=True)}
            hashes.append(int(key_hashes(cells, key)[0]))
            owners.append(number)
    return np.array(hashes, np.uint64), np.array(owners, np.int64)


def text_rows(table: KnownTable, index: RowIndex, rows: Numbers) -> dict[int, dict[str, str | None]]:
    """Values of some rows as text, by column; in CSV as they are written there.

    Parameters
    ----------
    rows : ndarray of int64
        Numbers of rows, in any order.
    """
    if table.kind.format in (TableFormat.CSV, TableFormat.TSV):
        index = copy.copy(index)
        index.columns = tuple(each._replace(type="string") for each in index.columns)
    found = read_rows(table.source, table.kind, index, np.unique(rows).tolist())
    return {row: {name: as_text(value) for name, value in each.items()} for row, each in found.items()}


def as_text(value: Any) -> str | None:
    """A value as a person would write it for its column."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
