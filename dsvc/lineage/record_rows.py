"""The records of an artifact as row maps see them: columns, and a hash of each cell.

Hashes of two artifacts can be compared only where one scheme made both. Row indexes of tables of one family
(text of one kind, binary) have that; where a run mixes families, the text tables are hashed by value.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import xxhash

from dsvc.model.manifest import Entry
from dsvc.model.table_kind import Family, TableKind
from dsvc.table.index.row_index import RowIndex, key_hashes, row_hashes
from dsvc.table.origin.source import TableSource
from dsvc.table.values.value_form import Form, common_form

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]
    Numbers = NDArray[np.int64]
    Flags = NDArray[np.bool_]

    Cells = Callable[[Sequence[str]], Mapping[str, Hashes]]
    Spell = Callable[[str, Sequence[str]], Hashes]

PATH: Final = "path"
CONTENT: Final = "content"
"""Columns of a folder: a file's path relative to it, and its digest."""
ABSENT: Final = -1
SEVERAL: Final = -2


@dataclass(frozen=True, slots=True)
class TableRows:
    """A version of a table: its bytes, its format, its row index."""

    source: TableSource
    kind: TableKind
    index: RowIndex


class RecordRows:
    """Records of one artifact.

    Parameters
    ----------
    rows : int
        How many.
    columns : sequence of str
        Their names.
    cells : callable
        Gives the hashes of all cells of some columns; 0 is null.
    spell : callable
        Gives the hashes that a cell of a column has for each of some values written as text: a line for
        each, since there may be several.
    key : sequence of str
        Columns that identify a record where nothing else is said.
    content : sequence of str or None
        Columns that make up the content by which a record without a key is known again; None: all.
    unique : sequence of str
        Columns of which it is known that no value comes twice, and none is null.
    """

    def __init__(
        self,
        rows: int,
        columns: Sequence[str],
        cells: Cells,
        spell: Spell,
        *,
        key: Sequence[str] = (),
        content: Sequence[str] | None = None,
        unique: Sequence[str] = (),
    ) -> None:
        self.rows = rows
        self.columns = tuple(columns)
        self.key = tuple(key)
        self.content = self.columns if content is None else tuple(content)
        self._unique = frozenset(unique)
        self._make = cells
        self._spell = spell
        self._cells: dict[str, Hashes] = {}

    def cells(self, names: Sequence[str] | None = None) -> dict[str, Hashes]:
        """Hashes of the cells of some columns (None: all), kept for the next call."""
        wanted = self.columns if names is None else tuple(names)
        missing = [name for name in wanted if name not in self._cells]
        if missing:
            self._cells.update(self._make(missing))
        return {name: self._cells[name] for name in wanted}

    def row_hashes(
        self, rows: Numbers | None = None, names: Mapping[str, str | None] | None = None
    ) -> Hashes:
        """Hash the content of records.

        Parameters
        ----------
        rows : ndarray of int64 or None
            Which; None: all.
        names : mapping of str to str or None
            Other names for some columns; None leaves a column out.
        """
        names = names or {}
        cells: dict[str, Hashes] = {}
        for name, hashes in self.cells(self.content).items():
            other = names.get(name, name)
            if other is not None:
                cells[other] = hashes if rows is None else hashes[rows]
        return row_hashes(cells, self.rows if rows is None else len(rows))

    def key_hashes(self, key: Sequence[str]) -> tuple[Hashes, Flags]:
        """Hash the key of each record, and tell which records have one: no part of it is null."""
        cells = self.cells(key)
        whole = np.ones(self.rows, np.bool_)
        for hashes in cells.values():
            whole &= hashes != 0
        return key_hashes(cells, tuple(key)), whole

    def is_unique(self, key: Sequence[str]) -> bool:
        """Whether it is known that no two records have one key."""
        return not self._unique.isdisjoint(key)

    def find(self, key: Sequence[str], values: Sequence[Sequence[str]]) -> Numbers:
        """Find records by their keys.

        Parameters
        ----------
        key : sequence of str
            Key columns.
        values : sequence of sequence of str
            For each key its values as text, in order of the columns.

        Returns
        -------
        ndarray of int64
            The record with each key; `ABSENT` where there is none, `SEVERAL` where there are more.

        Raises
        ------
        ValueError
            If a text is no value of its column's type.
        """
        found = np.full(len(values), ABSENT, np.int64)
        if not len(values) or not self.rows:
            return found
        hashes, whole = self.key_hashes(key)
        rows = np.flatnonzero(whole)
        if not len(rows):
            return found
        order = rows[np.argsort(hashes[rows], kind="stable")]
        known = hashes[order]
        columns = [self._spell(name, [each[n] for each in values]) for n, name in enumerate(key)]
        for places in itertools.product(*(range(column.shape[1]) for column in columns)):
            cells = {name: column[:, place] for name, column, place in zip(key, columns, places, strict=True)}
            wanted = key_hashes(cells, tuple(key))
            at = np.searchsorted(known, wanted, side="left")
            counts = np.searchsorted(known, wanted, side="right") - at
            new = (counts > 0) & (found == ABSENT)
            found[new] = np.where(counts[new] == 1, order[at[new]], SEVERAL)
        return found

    @classmethod
    def of_index(cls, index: RowIndex, kind: TableKind) -> RecordRows:
        """Take the rows of a table, by the hashes of its index."""

        def spell(name: str, texts: Sequence[str]) -> Hashes:
            from dsvc.table.values.key_value import hashes_of_values

            column = index.column(name)
            return hashes_of_values(texts, "string" if column is None else column.type, kind)

        unique = [column.name for column in index.columns if column.unique and column.complete]
        return cls(index.rows, index.names, lambda names: index.cells(names=names), spell, unique=unique)

    @classmethod
    def of_values(cls, table: TableRows, forms: Mapping[str, Form]) -> RecordRows:
        """Take the rows of a table in text, by the values that its cells stand for.

        Parameters
        ----------
        forms : mapping of str to Form
            What each column is compared as.
        """
        source, kind, index = table.source, table.kind, table.index

        def cells(_: Sequence[str]) -> Mapping[str, Hashes]:
            from dsvc.table.values.value_hash import value_cells

            # All are needed in the end, and are read together.
            return value_cells(source, kind, index, np.arange(index.rows), forms)

        def spell(name: str, texts: Sequence[str]) -> Hashes:
            from dsvc.table.values.value_hash import hashes_of_texts

            return hashes_of_texts(texts, forms[name]).reshape(-1, 1)

        return cls(index.rows, index.names, cells, spell)

    @classmethod
    def of_folder(cls, members: Sequence[Entry]) -> RecordRows:
        """Take the files of a folder, in order; their paths are relative to it."""

        def cells(names: Sequence[str]) -> Mapping[str, Hashes]:
            makers = {
                PATH: lambda: _hashes([each.path for each in members]),
                CONTENT: lambda: _hashes([each.digest for each in members]),
            }
            return {name: makers[name]() for name in names}

        def spell(name: str, texts: Sequence[str]) -> Hashes:
            if name == PATH:
                return _hashes([os.fsencode(text) for text in texts]).reshape(-1, 1)
            digests = [bytes.fromhex(text.removeprefix("blake3:")) for text in texts]
            return _hashes(digests).reshape(-1, 1)

        return cls(
            len(members), (PATH, CONTENT), cells, spell, key=(PATH,), content=(CONTENT,), unique=(PATH,)
        )


def _hashes(values: Sequence[bytes]) -> Hashes:
    return np.array([xxhash.xxh3_64_intdigest(value) or 1 for value in values], np.uint64)


def rows_of_tables(tables: Sequence[TableRows], renamed: Mapping[str, str] | None = None) -> list[RecordRows]:
    """Rows of all tables of one run, hashed so that they can be compared.

    Parameters
    ----------
    tables : sequence of TableRows
        Inputs and outputs.
    renamed : mapping of str to str or None
        Old names of columns to new ones.

    Returns
    -------
    list of RecordRows
        In the same order.
    """
    if len({table.kind.format.family for table in tables}) < 2:
        return [RecordRows.of_index(table.index, table.kind) for table in tables]
    names = renamed or {}
    sides: dict[str, list[tuple[str, TableKind]]] = {}
    for table in tables:
        for column in table.index.columns:
            sides.setdefault(names.get(column.name, column.name), []).append((column.type, table.kind))
    forms = {name: common_form(types) for name, types in sides.items()}
    found = []
    for table in tables:
        if table.kind.format.family is Family.BINARY:
            found.append(RecordRows.of_index(table.index, table.kind))
        else:
            own = {name: forms[names.get(name, name)] for name in table.index.names}
            found.append(RecordRows.of_values(table, own))
    return found
