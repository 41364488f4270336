"""Rows and cells of columnar tables, put together window by window.

A donor gives its table in parts, the row groups or batches it is stored in; one part of each donor is held at
a time, and one window of the output.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

import numpy as np
import pyarrow as pa

from dsvc.table.origin.source import NotATableError, check_names
from dsvc.table.splice.columnar_cast import cast_column
from dsvc.table.splice.splice_plan import (
    CellEdit,
    IncompatibleTablesError,
    OutputColumn,
    Segment,
    Splice,
    windows,
)

_MANY_RUNS: Final = 500
"""From so many runs in a window on, they are gathered instead of cut."""


class ColumnarDonor(ABC):
    """An open table that is read in parts.

    Parameters
    ----------
    name : str
        Its name for messages.
    schema : pyarrow.Schema
        Its columns.
    part_rows : sequence of int
        Number of rows of each part.
    """

    def __init__(self, name: str, schema: pa.Schema, part_rows: Sequence[int]) -> None:
        self.name = name
        self.schema = schema
        self.part_rows = part_rows
        self.columns: list[str] = list(schema.names)
        self._ends = list(accumulate(part_rows))
        self._held: tuple[int, pa.Table] | None = None
        check_names(name, schema.names)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self._ends[-1] if self._ends else 0

    @abstractmethod
    def read_part(self, number: int) -> pa.Table:
        """Read one part; at least the columns in `columns`."""

    @abstractmethod
    def dictionaries(self, column: str) -> Iterator[pa.Array]:
        """Yield every dictionary that a column has in some part; without any, its distinct values."""

    def part(self, number: int) -> pa.Table:
        """One part, which is kept until another is asked for.

        Raises
        ------
        NotATableError
            If it can't be decoded.
        """
        if self._held is None or self._held[0] != number:
            self._held = None
            try:
                self._held = (number, self.read_part(number))
            except (pa.ArrowException, OSError) as error:
                raise unreadable(self.name, error) from error
        return self._held[1]

    def locate(self, start: int, count: int) -> Iterator[tuple[int, int, int]]:
        """Yield part, first row in it and number of rows for each part that holds some of the rows.

        Raises
        ------
        IndexError
            If there are fewer rows.
        """
        if start < 0 or start + count > self.rows:
            raise IndexError(f"{self.name} has {self.rows} rows, not {start + count}")
        while count:
            part = bisect_right(self._ends, start)
            first = start - (self._ends[part] - self.part_rows[part])
            taken = min(count, self._ends[part] - start)
            yield part, first, taken
            start += taken
            count -= taken


def unreadable(name: str, error: Exception) -> NotATableError:
    """Return the error for a table that the reader of its format refuses."""
    return NotATableError(f"{name} can't be read: {error}", details={"path": name})


class Assembly:
    """The output of a plan over columnar donors.

    Parameters
    ----------
    plan : Splice
        What to put together.
    donors : sequence of ColumnarDonor
        The open donors of the plan.

    Attributes
    ----------
    columns : tuple of OutputColumn
        Columns of the output.
    schema : pyarrow.Schema
        Their types, with the metadata of the first donor.

    Raises
    ------
    IncompatibleTablesError
        If a column that the plan names isn't there.
    """

    def __init__(self, plan: Splice, donors: Sequence[ColumnarDonor]) -> None:
        self.plan = plan
        self.donors = donors
        first = plan.donors[0]
        self.columns = tuple(
            plan.columns
            if plan.columns is not None
            else (OutputColumn(first.renamed.get(name, name), 0, name) for name in donors[0].schema.names)
        )
        self._row_donors = {segment.donor for segment in plan.segments if segment.count}
        self.schema = pa.schema(
            [self._field(column) for column in self.columns], metadata=donors[0].schema.metadata
        )
        self._held: dict[int, tuple[int, pa.Table]] = {}
        self._same_types = {donor: self._is_same(donor) for donor in self._row_donors}
        self._select_columns()
        self._check_edits()

    def _check_edits(self) -> None:
        for edit in self.plan.edits:
            donor = self.donors[edit.donor]
            for name, names in ((edit.column, self.schema.names), (edit.donor_column, donor.schema.names)):
                if name is not None and name not in names:
                    raise IncompatibleTablesError(f"{donor.name} has no column {name}")

    def _is_same(self, donor: int) -> bool:
        schema = self.donors[donor].schema
        names = [self.original(donor, column) for column in self.columns]
        return all(
            name is None or schema.field(name).type == wanted.type
            for name, wanted in zip(names, self.schema, strict=True)
        )

    def original(self, donor: int, column: OutputColumn) -> str | None:
        """Name of the column that a donor's rows have in an output column's place; None where it has none."""
        name = column.column if donor == column.donor else self.plan.donors[donor].original(column.name)
        return name if name in self.donors[donor].schema.names else None

    def _field(self, column: OutputColumn) -> pa.Field:
        schema = self.donors[column.donor].schema
        if column.column not in schema.names:
            raise IncompatibleTablesError(f"{self.donors[column.donor].name} has no column {column.column}")
        found = schema.field(column.column).with_name(column.name)
        return found if found.nullable or not self._may_be_null(column) else found.with_nullable(True)

    def _may_be_null(self, column: OutputColumn) -> bool:
        names = [(donor, self.original(donor, column)) for donor in self._row_donors]
        names += [(e.donor, e.donor_column) for e in self.plan.edits if e.column == column.name]
        return any(
            name not in (schema := self.donors[donor].schema).names or schema.field(name).nullable
            for donor, name in set(names)
        )

    def _select_columns(self) -> None:
        wanted: dict[int, set[str | None]] = defaultdict(set)
        for donor in self._row_donors:
            wanted[donor].update(self.original(donor, column) for column in self.columns)
        for edit in self.plan.edits:
            wanted[edit.donor].add(edit.donor_column)
        for number, reader in enumerate(self.donors):
            reader.columns = [name for name in reader.schema.names if name in wanted[number]]

    def tables(self, sizes: Sequence[int]) -> Iterator[pa.Table]:
        """Yield the output in tables of the given numbers of rows, each column in one piece if it fits.

        Raises
        ------
        IncompatibleTablesError
            If values don't go with the type of their column.
        NotATableError
            If a donor can't be read.
        """
        first = 0
        for window, size in zip(windows(self.plan.segments, sizes), sizes, strict=True):
            edits = self.plan.edits_within(first, size)
            try:
                # Dictionaries of the pieces are made one, which fails where the index type is too small.
                table = self._edited(self._rows(window), edits, first).combine_chunks()
            except pa.ArrowInvalid as error:
                raise IncompatibleTablesError(f"{self.donors[0].name}: {error}") from error
            yield table
            first += size

    def _rows(self, window: list[Segment]) -> pa.Table:
        if len(window) > _MANY_RUNS:
            try:
                return self._gathered(window)
            except pa.ArrowNotImplementedError:
                pass  # a few types can only be cut into runs
        pieces: list[list[pa.Table]] = [[] for _ in window]
        # Donors are read from front to back, whatever the order of the segments.
        for slot in sorted(range(len(window)), key=lambda slot: window[slot][:2]):
            donor, start, count = window[slot]
            for part, row, taken in self.donors[donor].locate(start, count):
                pieces[slot].append(self._conformed(donor, part, row, taken))
        return pa.concat_tables([self.schema.empty_table(), *(t for slot in pieces for t in slot)])

    def _gathered(self, window: list[Segment]) -> pa.Table:
        """As `_rows`, for many runs: the rows of each part at once, then put in order."""
        rows: dict[tuple[int, int], list[np.ndarray]] = defaultdict(list)
        places: dict[tuple[int, int], list[np.ndarray]] = defaultdict(list)
        place = 0
        for donor, start, count in window:
            for part, row, taken in self.donors[donor].locate(start, count):
                rows[donor, part].append(np.arange(row, row + taken))
                places[donor, part].append(np.arange(place, place + taken))
                place += taken
        pieces = [self.schema.empty_table()]
        for donor, part in sorted(rows):
            table = self.donors[donor].part(part).take(np.concatenate(rows[donor, part]))
            pieces.append(self._cast(donor, table))
        order = np.concatenate([np.concatenate(places[key]) for key in sorted(rows)])
        return pa.concat_tables(pieces).combine_chunks().take(np.argsort(order))

    def _conformed(self, donor: int, part: int, row: int, count: int) -> pa.Table:
        """Rows of a part as columns of the output; casts see no other rows, whose values might not fit."""
        table = self.donors[donor].part(part)
        if self._same_types[donor]:
            if self._held.get(donor, (-1, None))[0] != part:
                self._held[donor] = (part, self._cast(donor, table))
            return self._held[donor][1].slice(row, count)
        return self._cast(donor, table.slice(row, count))

    def _cast(self, donor: int, table: pa.Table) -> pa.Table:
        arrays = []
        for column, wanted in zip(self.columns, self.schema, strict=True):
            name = self.original(donor, column)
            if name is None:
                arrays.append(pa.chunked_array([pa.nulls(table.num_rows, wanted.type)]))
            else:
                where = f"{self.donors[donor].name}, column {name}"
                arrays.append(cast_column(table.column(name), wanted.type, where))
        return pa.Table.from_arrays(arrays, schema=self.schema)

    def _edited(self, table: pa.Table, edits: Sequence[CellEdit], first: int) -> pa.Table:
        by_column: dict[str, dict[int, CellEdit]] = defaultdict(dict)
        for edit in edits:
            by_column[edit.column][edit.row - first] = edit
        for place, field in enumerate(self.schema):
            if field.name in by_column:
                cells = by_column[field.name]
                values = self._values(cells, field)
                table = table.set_column(place, field, _overlaid(table.column(place), values))
        return table

    def _values(self, cells: dict[int, CellEdit], field: pa.Field) -> dict[int, pa.Array]:
        values: dict[int, pa.Array] = {}
        by_part: dict[tuple[int, int, str], list[tuple[int, int]]] = defaultdict(list)
        for row, edit in cells.items():
            if edit.donor_column is None:
                values[row] = pa.nulls(1, field.type)
            else:
                ((part, place, _one),) = self.donors[edit.donor].locate(edit.donor_row, 1)
                by_part[edit.donor, part, edit.donor_column].append((row, place))
        for (donor, part, name), places in sorted(by_part.items()):
            column = self.donors[donor].part(part).column(name)
            cut = [column.slice(place, 1) for _row, place in places]
            together = pa.chunked_array([chunk for one in cut for chunk in one.chunks], column.type)
            together = cast_column(together, field.type, f"{self.donors[donor].name}, column {name}")
            array = pa.concat_arrays(together.chunks)
            values.update({row: array.slice(at, 1) for at, (row, _place) in enumerate(places)})
        return values


def _overlaid(column: pa.ChunkedArray, values: dict[int, pa.Array]) -> pa.ChunkedArray:
    chunks: list[pa.Array] = []
    done = 0
    first = 0
    rows = sorted(values)
    for chunk in column.chunks:
        end = first + len(chunk)
        for row in rows[bisect_left(rows, first) : bisect_left(rows, end)]:
            chunks += [chunk.slice(done - first, row - done), values[row]]
            done = row + 1
        chunks.append(chunk.slice(done - first))
        first = done = end
    return pa.chunked_array(chunks, column.type)


def part_sizes(segments: Sequence[Segment], donor_parts: Sequence[int], default: int) -> list[int]:
    """Decide how many rows each part of the output has.

    A part of the first donor stays one where its rows stay together, so that what isn't touched is written as
    it was; new rows join the part they follow until it's a quarter too long.

    Parameters
    ----------
    segments : sequence of Segment
        Rows of the output.
    donor_parts : sequence of int
        Rows of each part of the first donor.
    default : int
        Size of parts where the first donor doesn't tell.

    Returns
    -------
    list of int
        Numbers of rows, none of them 0.
    """
    usual = max(donor_parts, default=0)
    if len(donor_parts) < 2:
        usual = max(usual, default)
    usual = max(usual, 1)
    ends = list(accumulate(donor_parts))
    stretches = [0]
    for donor, start, count in segments:
        if donor != 0:
            stretches[-1] += count
            continue
        at = start
        while at < start + count:
            part = bisect_right(ends, at)
            stop = min(ends[part], start + count)
            stretches[-1] += stop - at
            # The last part has no successor: what is appended joins it.
            is_end = stop == ends[part] and part + 1 < len(ends)
            if is_end and stretches[-1] * 2 >= donor_parts[part]:
                stretches.append(0)
            at = stop
    sizes: list[int] = []
    for rows in stretches:
        while rows > usual + usual // 4:
            sizes.append(usual)
            rows -= usual
        if rows:
            sizes.append(rows)
    return sizes
