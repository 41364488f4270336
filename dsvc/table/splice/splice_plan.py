"""What a table is put together of: runs of rows of other tables, and cells that take other values."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NamedTuple

from dsvc.model.errors import MalformedInputError
from dsvc.model.table_kind import TableKind
from dsvc.table.origin.source import TableSource

_NOT_RENAMED: Final[Mapping[str, str]] = MappingProxyType({})


class IncompatibleTablesError(MalformedInputError):
    """Rows of one table can't stand in another: their formats or the types of a column don't agree."""

    code = "incompatible-tables"


class Segment(NamedTuple):
    """Rows ``[start, start + count)`` of a donor."""

    donor: int
    start: int
    count: int  # type: ignore[assignment]  # hides the method of tuples, which nobody calls


class CellEdit(NamedTuple):
    """A cell of the output that takes its value from another row.

    Attributes
    ----------
    row : int
        Row of the output, 0-based.
    column : str
        Column of the output.
    donor, donor_row : int
        The row that has the value; a negative `donor_row` is none, which needs `donor_column` None.
    donor_column : str or None
        Its column. None: null, which is an empty field in CSV; in JSON the key is taken away where the
        donor's row hasn't it (or there is no such row), and else its value is null.
    """

    row: int
    column: str
    donor: int
    donor_row: int
    donor_column: str | None


class OutputColumn(NamedTuple):
    """A column of the output: it has the type and the writer's settings of a donor's column."""

    name: str
    donor: int
    column: str


class Donor(NamedTuple):
    """A table that rows and cells are taken from; `renamed` maps its names to those of the output."""

    source: TableSource
    kind: TableKind
    renamed: Mapping[str, str] = _NOT_RENAMED

    def original(self, name: str) -> str:
        """Name that an output column has in this table, if it has the column."""
        for old, new in self.renamed.items():
            if new == name:
                return old
        return name


@dataclass(frozen=True, slots=True, kw_only=True)
class Splice:
    """A table to be written.

    Attributes
    ----------
    donors : sequence of Donor
        Tables that it is made of; the first one gives the format and the writer's settings.
    segments : sequence of Segment
        Its rows, in order.
    edits : sequence of CellEdit
        Cells that differ from the rows in `segments`, sorted by row; of two edits of a cell the last counts.
    columns : sequence of OutputColumn or None
        Its columns, in order. None: those of the first donor; of JSON, whatever keys the records have. Rows
        of a donor without one of them are null there; of JSON they haven't the key.
    """

    donors: Sequence[Donor]
    segments: Sequence[Segment]
    edits: Sequence[CellEdit] = field(default=())
    columns: Sequence[OutputColumn] | None = None

    @property
    def rows(self) -> int:
        """Number of rows of the output."""
        return sum(segment.count for segment in self.segments)

    def used_donors(self) -> set[int]:
        """Donors that rows or cells are taken from, and the first."""
        return {
            0,
            *(segment.donor for segment in self.segments),
            *(edit.donor for edit in self.edits if edit.donor_row >= 0),
        }

    def edits_within(self, first: int, count: int) -> Sequence[CellEdit]:
        """Edits of rows ``[first, first + count)`` of the output."""
        low = bisect.bisect_left(self.edits, first, key=_row)
        return self.edits[low : bisect.bisect_left(self.edits, first + count, lo=low, key=_row)]


def _row(edit: CellEdit) -> int:
    return edit.row


def windows(segments: Sequence[Segment], sizes: Sequence[int]) -> Iterator[list[Segment]]:
    """Cut segments into consecutive windows of the given numbers of rows, which add up to all of them."""
    waiting = iter(segments)
    current = Segment(0, 0, 0)
    for size in sizes:
        window: list[Segment] = []
        while size:
            while not current.count:
                current = next(waiting)
            taken = min(size, current.count)
            window.append(Segment(current.donor, current.start, taken))
            current = Segment(current.donor, current.start + taken, current.count - taken)
            size -= taken
        yield window


def check_families(plan: Splice) -> None:
    """Check that the donors' formats exchange rows.

    Raises
    ------
    IncompatibleTablesError
        If they don't.
    """
    first = plan.donors[0]
    for donor in plan.donors:
        if donor.kind.format.family is not first.kind.format.family:
            raise IncompatibleTablesError(
                f"rows of {donor.source.name} ({donor.kind.format}) can't stand in {first.source.name} "
                f"({first.kind.format})",
                details={"path": first.source.name},
            )
