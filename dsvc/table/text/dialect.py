"""How a table in CSV is written: delimiter, line ends, encoding; and the fields of one record."""

from __future__ import annotations

import csv
import io
from typing import Final, NamedTuple

from dsvc.model.table_kind import TableFormat, TableKind
from dsvc.table.origin.source import NotATableError

SAMPLE_BYTES: Final = 64 << 10
"""How much of a table tells how it is written."""
BOM: Final = b"\xef\xbb\xbf"


class Dialect(NamedTuple):
    r"""How a CSV file is written, as far as its first 64 KiB tell.

    Attributes
    ----------
    delimiter : str
        One character.
    line_end : bytes
        ``\n`` or ``\r\n``.
    encoding : str
        ``utf-8`` or ``gb18030``.
    bom : bool
        Whether it begins with a byte order mark.
    """

    delimiter: str
    line_end: bytes
    encoding: str
    bom: bool


def parse_fields(line: bytes, dialect: Dialect, name: str, number: int) -> list[str]:
    """Fields of one CSV record.

    Raises
    ------
    NotATableError
        If it isn't text in the table's encoding, or no CSV.
    """
    try:
        text = line.decode(dialect.encoding)
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=dialect.delimiter, strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise NotATableError(f"{name}, line {number}: {error}", details={"path": name}) from error
    if len(rows) > 1:
        raise NotATableError(
            f"{name}, line {number}: a line is ended by a carriage return alone", details={"path": name}
        )
    return rows[0] if rows else []


def unique_names(names: list[str]) -> tuple[str, ...]:
    """Make names differ: an empty one becomes ``column_N``, a repeated one gets ``_N`` appended."""
    taken: dict[str, None] = {}
    suffixes: dict[str, int] = {}
    for number, name in enumerate(names):
        wanted = free = name or f"column_{number + 1}"
        while free in taken:
            suffixes[wanted] = suffixes.get(wanted, 1) + 1
            free = f"{wanted}_{suffixes[wanted]}"
        taken[free] = None
    return tuple(taken)


def first_record_end(data: bytes, start: int) -> int:
    """End of the first record that isn't blank, its line end included; -1 where it isn't in `data`."""
    position, quotes = start, 0
    while (end := data.find(b"\n", position)) >= 0:
        quotes += data.count(b'"', position, end)
        if quotes % 2 == 0 and data[start : end + 1].strip():
            return end + 1
        position = end + 1
    return -1


def sniff(sample: bytes, kind: TableKind, name: str) -> Dialect:
    """Tell how a table is written.

    Parameters
    ----------
    sample : bytes
        Its first `SAMPLE_BYTES`, less only where there are no more.

    Raises
    ------
    NotATableError
        If it isn't text.
    """
    bom = sample.startswith(BOM)
    text = sample[len(BOM) :] if bom else sample
    encoding = _encoding(text)
    if encoding is None:
        raise NotATableError(f"{name} is neither UTF-8 nor GB18030", details={"path": name})
    end = text.find(b"\n")
    line_end = b"\r\n" if end > 0 and text[end - 1 : end] == b"\r" else b"\n"
    delimiter = "\t" if kind.format is TableFormat.TSV else ","
    if kind.format is TableFormat.CSV:
        head = text[: first_record_end(text, 0)] if end >= 0 else text
        # Decoded, since "|" is also the second byte of some characters of GB18030.
        line = head.decode(encoding, "replace")
        counts = {sign: _outside_quotes(line, sign) for sign in ",;\t|"}
        best = max(counts, key=lambda sign: counts[sign])
        delimiter = best if counts[best] else ","
    return Dialect(delimiter, line_end, encoding, bom)


def _outside_quotes(line: str, sign: str) -> int:
    return sum(part.count(sign) for part in line.split('"')[::2])


def _encoding(sample: bytes) -> str | None:
    for encoding in ("utf-8", "gb18030"):
        try:
            sample.decode(encoding)
        except UnicodeDecodeError as error:
            # A character may be cut at the sample's end.
            if error.start < len(sample) - 4 or len(sample) < SAMPLE_BYTES - len(BOM):
                continue
        return encoding
    return None
