"""Fields of a CSV record as they are written, quotes and all."""

from __future__ import annotations

from typing import NamedTuple

from dsvc.table.origin.source import NotATableError
from dsvc.table.text.dialect import BOM, Dialect
from dsvc.table.text.records import TextRecords
from dsvc.table.text.text_donor import TextDonor


class Field(NamedTuple):
    """What a field says, and whether it is in quotes: an empty one without is null."""

    value: str
    is_quoted: bool


class Quoting(NamedTuple):
    """Which columns have all their fields in quotes, as far as the first records tell.

    Attributes
    ----------
    columns : tuple of bool or None
        By column; None where every field is empty.
    usual : bool
        What holds for other columns.
    """

    columns: tuple[bool | None, ...]
    usual: bool

    def of(self, place: int | None) -> bool:
        """Whether fields of a column are quoted; None: a column that isn't there."""
        found = self.columns[place] if place is not None and place < len(self.columns) else None
        return self.usual if found is None else found


def split_fields(record: bytes, dialect: Dialect) -> list[str]:
    """Cut a record at its delimiters; the pieces are as they are written.

    Bytes that aren't text in the table's encoding come through, and back by `to_bytes`.
    """
    text = record.decode(dialect.encoding, "surrogateescape")
    if '"' not in text:
        return text.split(dialect.delimiter)
    fields: list[str] = []
    start = 0
    while True:
        body = _quoted_end(text, start) if text.startswith('"', start) else start
        end = text.find(dialect.delimiter, body)
        fields.append(text[start : end if end >= 0 else len(text)])
        if end < 0:
            return fields
        start = end + 1


def to_bytes(text: str, dialect: Dialect, name: str) -> bytes:
    """Encode a record.

    Raises
    ------
    NotATableError
        If it has a byte of another table that is no text in its encoding.
    """
    try:
        return text.encode(dialect.encoding, "surrogateescape")
    except UnicodeEncodeError as error:
        raise NotATableError(f"{name}: {error}", details={"path": name}) from error


def read_field(raw: str) -> Field:
    """Tell what a field says."""
    if not raw.startswith('"'):
        return Field(raw, is_quoted=False)
    end = _quoted_end(raw, 0)
    closed = end - 1 if raw.endswith('"', 0, end) and end > 1 else end
    return Field(raw[1:closed].replace('""', '"') + raw[end:], is_quoted=True)


def write_field(field: Field, delimiter: str, *, quoted: bool) -> str:
    """Write a field, in quotes where it must be or `quoted` says so; null and empty text stay apart."""
    value = field.value
    if not value:
        return '""' if field.is_quoted else ""
    if quoted or delimiter in value or any(sign in value for sign in '"\r\n') or value != value.strip(" \t"):
        return '"' + value.replace('"', '""') + '"'
    return value


def quoting(donor: TextDonor) -> Quoting:
    """Tell how the fields of a table are quoted."""
    seen: list[list[bool]] = [[] for _ in donor.table.columns]
    for record in donor.sample():
        for place, raw in zip(seen, split_fields(record, donor.table.dialect), strict=False):
            if raw and raw != '""':
                place.append(raw.startswith('"'))
    columns = tuple(all(place) if place else None for place in seen)
    known = [column for column in columns if column is not None]
    if not known:
        return Quoting(columns, all(raw.startswith('"') for raw in header_fields(donor.table)))
    return Quoting(columns, all(known))


def header_fields(table: TextRecords) -> list[str]:
    """Fields of the header as they are written."""
    return split_fields(table.header.removeprefix(BOM).strip(b"\r\n"), table.dialect)


def _quoted_end(text: str, start: int) -> int:
    """Where a field that begins with a quote has its closing one, plus one."""
    place = start + 1
    while (place := text.find('"', place)) >= 0:
        if not text.startswith('"', place + 1):
            return place + 1
        place += 2
    return len(text)
