"""Write a CSV or TSV file that is made of records and fields of others, in the dialect of the first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO, Final

from dsvc.table.splice.splice_plan import CellEdit, IncompatibleTablesError, OutputColumn, Splice
from dsvc.table.splice.text_splice import Cells, Frame, TextWriter, compressed, open_donors
from dsvc.table.text.csv_fields import (
    Field,
    header_fields,
    quoting,
    read_field,
    split_fields,
    to_bytes,
    write_field,
)
from dsvc.table.text.text_donor import TextDonor

_BOM: Final = b"\xef\xbb\xbf"


def splice_csv(plan: Splice, output: BinaryIO) -> None:
    """Write the output of a plan whose first donor is a CSV or TSV file.

    Raises
    ------
    IncompatibleTablesError
        If a column that the plan names isn't there.
    NotATableError
        If a donor can't be read as a table.
    TableLimitError
        If a donor is beyond the limits.
    """
    with open_donors(plan) as donors, compressed(plan, output) as stream:
        CsvWriter(plan, donors).write(stream)


class CsvWriter(TextWriter):
    """Records of CSV."""

    def __init__(self, plan: Splice, donors: Sequence[TextDonor]) -> None:
        super().__init__(plan, donors)
        first, table = plan.donors[0], donors[0].table
        self._dialect = table.dialect
        self._columns = tuple(
            plan.columns
            if plan.columns is not None
            else (OutputColumn(first.renamed.get(name, name), 0, name) for name in table.columns)
        )
        for column in self._columns:
            self._place(column.donor, column.column)
        self._outputs = {column.name: place for place, column in enumerate(self._columns)}
        for edit in plan.edits:
            if edit.column not in self._outputs:
                raise IncompatibleTablesError(f"{donors[0].source.name} has no column {edit.column}")
        self._places = [self._mapped(number) for number in range(len(donors))]
        self._quoting = [quoting(donor) for donor in donors]
        self._quoted = [self._quoting[0].of(place) for place in self._places[0]]
        self._verbatim = [self._stays(number) for number in range(len(donors))]

    def _place(self, donor: int, name: str) -> int:
        try:
            return self.donors[donor].table.columns.index(name)
        except ValueError:
            raise IncompatibleTablesError(
                f"{self.donors[donor].source.name} has no column {name}",
                details={"path": self.donors[donor].source.name},
            ) from None

    def _mapped(self, donor: int) -> list[int | None]:
        """Place of each output column in a donor."""
        columns = {name: place for place, name in enumerate(self.donors[donor].table.columns)}
        renamed = self.plan.donors[donor]
        return [
            columns.get(column.column if column.donor == donor else renamed.original(column.name))
            for column in self._columns
        ]

    def _stays(self, donor: int) -> bool:
        table = self.donors[donor].table
        if self._places[donor] != list(range(len(table.columns))):
            return False
        if donor == 0:
            return True
        same = (table.dialect.delimiter, table.dialect.encoding)
        if same != (self._dialect.delimiter, self._dialect.encoding):
            return False
        return all(
            own is None or own == quoted
            for own, quoted in zip(self._quoting[donor].columns, self._quoted, strict=True)
        )

    def frame(self) -> Frame:
        """The header before, line ends between; the end of the file is the first donor's."""
        table, line_end = self.donors[0].table, self._dialect.line_end
        before = self.donors[0].before
        names = tuple(column.name for column in self._columns)
        if names != table.columns:
            before = (_BOM if self._dialect.bom else b"") + self._header() + line_end
        has_end = before.endswith(b"\n")
        after = self.donors[0].after
        if not len(self.donors[0]):
            after = line_end if has_end else b""
        return Frame(before if has_end else before + line_end, line_end, after, before)

    def _header(self) -> bytes:
        own = header_fields(self.donors[0].table)
        quoted = all(raw.startswith('"') for raw in own)
        names = []
        for column in self._columns:
            table = self.donors[column.donor].table
            text = column.name
            if column.name == column.column:
                # A name that was made up for an unnamed or repeated column isn't written into the file.
                text = read_field(header_fields(table)[self._place(column.donor, column.column)]).value
            names.append(write_field(Field(text, is_quoted=quoted), self._dialect.delimiter, quoted=quoted))
        return to_bytes(self._dialect.delimiter.join(names), self._dialect, self.donors[0].source.name)

    def is_verbatim(self, donor: int) -> bool:
        """Whether dialect and columns of a donor are those of the output."""
        return self._verbatim[donor]

    def render(self, donor: int, record: bytes, edits: dict[str, CellEdit], cells: Cells) -> bytes:
        """Text of a record; fields that aren't changed stay as written if the dialects are the same."""
        found = split_fields(record, self.donors[donor].table.dialect)
        if self._verbatim[donor]:
            fields = found + [""] * (len(self._columns) - len(found) if edits else 0)
        else:
            fields = [
                self._converted(donor, source, found, place)
                for place, source in enumerate(self._places[donor])
            ]
        for name, edit in edits.items():
            place = self._outputs[name]
            if edit.donor_column is None:
                fields[place] = ""
            else:
                source = self._place(edit.donor, edit.donor_column)
                others = split_fields(
                    cells[edit.donor, edit.donor_row], self.donors[edit.donor].table.dialect
                )
                fields[place] = self._converted(edit.donor, source, others, place)
        if fields == [""]:
            fields = ['""']  # a blank line would be no record
        text = self._dialect.delimiter.join(fields)
        return to_bytes(text, self._dialect, self.donors[0].source.name)

    def _converted(self, donor: int, source: int | None, found: list[str], place: int) -> str:
        if source is None or source >= len(found):
            return ""
        raw, quoted = found[source], self._quoted[place]
        dialect = self.donors[donor].table.dialect
        same = dialect.delimiter == self._dialect.delimiter and dialect.encoding == self._dialect.encoding
        if same and self._quoting[donor].of(source) == quoted:
            return raw
        return write_field(read_field(raw), self._dialect.delimiter, quoted=quoted)
