"""Write JSON lines or a JSON array made of records and values of others, written like the first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import BinaryIO, Final

from dsvc.model.table_kind import TableFormat
from dsvc.table.origin.source import NotATableError
from dsvc.table.splice.splice_plan import CellEdit, OutputColumn, Splice
from dsvc.table.splice.text_splice import Cells, Frame, TextWriter, compressed, open_donors
from dsvc.table.text.json_members import Layout, Members, in_style, is_ascii_style, laid_out
from dsvc.table.text.text_donor import TextDonor

_ARRAY_GAP: Final = b",\n"


def splice_json(plan: Splice, output: BinaryIO) -> None:
    """Write the output of a plan whose first donor is JSON lines or a JSON array.

    Raises
    ------
    NotATableError
        If a donor can't be read as a table, or a record that changes is no JSON object.
    TableLimitError
        If a donor is beyond the limits.
    """
    with open_donors(plan) as donors, compressed(plan, output) as stream:
        JsonWriter(plan, donors).write(stream)


class JsonWriter(TextWriter):
    """Records of JSON."""

    def __init__(self, plan: Splice, donors: Sequence[TextDonor]) -> None:
        super().__init__(plan, donors)
        self._names = None if plan.columns is None else {column.name for column in plan.columns}
        self._is_array = plan.donors[0].kind.format is TableFormat.JSON
        samples = [donor.sample() for donor in donors]
        layouts = [_layout(sample) for sample in samples]
        self._layout = layouts[0] or next((found for found in layouts if found), Layout())
        if not self._is_array:
            self._layout = self._layout._replace(indent=None, base=b"")
            if self._layout.comma == b",":
                self._layout = self._layout._replace(comma=b", " if b" " in self._layout.colon else b",")
        self._ascii = next((s for sample in samples[:1] if (s := _style(sample)) is not None), None)
        self._relaid = [self._needs_layout(number, layouts[number]) for number in range(len(donors))]
        self._renamed = [self._renames(number) for number in range(len(donors))]

    def _needs_layout(self, donor: int, found: Layout | None) -> bool:
        if donor == 0 or found is None:
            return False
        if not self._is_array and self.donors[donor].kind.format is TableFormat.JSONL:
            return False
        return (found.indent, found.base) != (self._layout.indent, self._layout.base)

    def _renames(self, donor: int) -> dict[str, str]:
        renamed = {old: new for old, new in self.plan.donors[donor].renamed.items() if old != new}
        columns: Sequence[OutputColumn] = self.plan.columns or ()
        renamed |= {c.column: c.name for c in columns if c.donor == donor and c.column != c.name}
        return renamed

    def frame(self) -> Frame:
        """Brackets and commas, or line ends, as the first donor has them."""
        first = self.donors[0]
        if not self._is_array:
            line_end = first.table.dialect.line_end
            before = first.before if len(first) else first.table.header
            return Frame(before, line_end, first.after if len(first) else line_end, before)
        before, after = first.before, first.after
        if len(first):
            opening, closing = before, after
        else:
            front, _bracket, rest = before.partition(b"[")
            opening, closing = front + b"[", b"]" + rest.partition(b"]")[2]
        empty = opening.rstrip() + closing.lstrip() if len(first) else before
        model = first if len(first) else next((d for d in self.donors if len(d) and _is_array(d)), None)
        if model is None:
            return Frame(opening + b"\n", _ARRAY_GAP, b"\n" + closing, empty)
        if model is not first:
            opening += model.before.partition(b"[")[2]
            closing = model.after.partition(b"]")[0] + closing
        return Frame(opening, _between(model), closing, empty)

    def is_verbatim(self, donor: int) -> bool:
        """Whether a donor's records keep their keys and lines."""
        return self._names is None and not self._renamed[donor] and not self._relaid[donor]

    def render(self, donor: int, record: bytes, edits: dict[str, CellEdit], cells: Cells) -> bytes:
        """Text of a record; members that aren't changed stay as written."""
        members = self._members(donor, record)
        self._rename(donor, members)
        ascii_only = is_ascii_style(record)
        if ascii_only is None:
            ascii_only = self._ascii
        for name, edit in edits.items():
            self._edit(members, name, edit, cells, ascii_only)
        text = members.text()
        return laid_out(text, self._layout, 0) if self._relaid[donor] else text

    def _members(self, donor: int, record: bytes) -> Members:
        try:
            return Members(record)
        except ValueError as error:
            raise self._unreadable(donor, record, error) from error

    def _unreadable(self, donor: int, record: bytes, error: Exception) -> NotATableError:
        name = self.donors[donor].source.name
        return NotATableError(
            f"{name}: a record is no JSON object ({error}): {record[:60].decode('utf-8', 'replace')!r}",
            details={"path": name},
        )

    def _rename(self, donor: int, members: Members) -> None:
        renamed = self._renamed[donor]
        for member in members.members:
            if member.name in renamed:
                member.name = renamed[member.name]
                member.key = json.dumps(member.name, ensure_ascii=self._ascii is True).encode()
        if self._names is not None:
            for name in {member.name for member in members.members} - self._names:
                members.remove(name)

    def _edit(
        self, members: Members, name: str, edit: CellEdit, cells: Cells, ascii_only: bool | None
    ) -> None:
        found = None
        if edit.donor_row >= 0:
            other = self._members(edit.donor, cells[edit.donor, edit.donor_row])
            found = other.find(edit.donor_column or self.plan.donors[edit.donor].original(name))
        if found is None:
            members.remove(name)
            return
        value = b"null" if edit.donor_column is None else found.value
        if self._relaid[edit.donor]:
            value = laid_out(value, self._layout, 1)
        if ascii_only is not None:
            try:
                value = in_style(value, ascii_only=ascii_only)
            except ValueError as error:
                raise self._unreadable(edit.donor, value, error) from error
        target = members.find(name)
        if target is not None:
            target.value = value
        else:
            key = json.dumps(name, ensure_ascii=bool(ascii_only)).encode()
            members.append(name, key, value, self._layout)


def _is_array(donor: TextDonor) -> bool:
    return donor.kind.format is TableFormat.JSON


def _between(model: TextDonor) -> bytes:
    """What separates the records of an array: as between its first two, else as after its bracket."""
    if len(model) > 1:
        return model.gap(0)
    lead = model.before.partition(b"[")[2]
    return b"," + (lead or (b" " if b": " in model.record(0) else b""))


def _layout(sample: list[bytes]) -> Layout | None:
    found = None
    for record in sample:
        try:
            members = Members(record)
        except ValueError:
            continue
        if len(members.members) > 1:
            return members.layout()
        if members.members and found is None:
            found = members.layout()
    return found


def _style(sample: list[bytes]) -> bool | None:
    styles = {is_ascii_style(record) for record in sample} - {None}
    return styles.pop() if len(styles) == 1 else (False if styles else None)
