"""CSV and TSV: the plain format of feedback with a column for each field.

============================ =================================================================================
``row.COLUMN``               the value of a key column: ``row.id``; several for a key of several
other fields                 as in `dsvc.feedback.importers.plain_jsonl`; an empty cell says nothing
``passed``                   ``true``, ``yes``, ``pass``, ``passed``, ``1``, or ``false``, ``no``,
                             ``fail``, ``failed``, ``0``
``position``, ``value``      numbers; ``value`` may be ``true`` or ``false``
============================ =================================================================================

Columns with other names are given to fields by ``--map FIELD=COLUMN``; those that stay are named and counted.
Delimiter and encoding (UTF-8, with or without mark, or GB18030) are told as of any table. A key's value is
text, read in its column's type.
"""

from __future__ import annotations

import base64
import binascii
import csv
from collections.abc import Iterator, Sequence
from typing import BinaryIO, Final, NamedTuple

from dsvc.feedback.importers.importer import (
    HEAD_BYTES,
    MAX_LINE_BYTES,
    Imported,
    ImportOptions,
    OpenFile,
    counted,
    malformed,
)
from dsvc.feedback.importers.plain_fields import (
    FIELDS,
    ROW,
    FeedbackMappingError,
    Ignored,
    Line,
    check_mapping,
    looks_like_observation,
    sample_of,
)
from dsvc.model.feedback import EvaluationRun, Sample
from dsvc.model.table_kind import TableFormat, TableKind
from dsvc.table.origin.source import NotATableError
from dsvc.table.text.dialect import BOM, SAMPLE_BYTES, Dialect, first_record_end, parse_fields, sniff

NAME: Final = "csv"
_FLAGS: Final = {
    **dict.fromkeys(("true", "yes", "pass", "passed", "1"), True),
    **dict.fromkeys(("false", "no", "fail", "failed", "0"), False),
}
_IN_CELLS: Final = FIELDS - {"row"}


class PlainCsv:
    """Reader of the plain format in CSV and TSV."""

    name = NAME

    def recognises(self, head: bytes, file_name: str) -> bool:
        """Whether the header names rows and says what is wrong with them; a table of data does neither."""
        if head.lstrip(BOM + b" \t\r\n")[:1] in (b"{", b"[", b"<", b"") or b"\0" in head:
            return False
        try:
            dialect = _dialect(head, file_name)
            names = _header(head, dialect)
        except NotATableError:
            return False
        selects = any(name.startswith(ROW) and len(name) > len(ROW) for name in names)
        return looks_like_observation(names, selects=selects)

    def read(self, open_file: OpenFile, options: ImportOptions) -> Imported:
        """Read a file.

        Returns
        -------
        Imported
            Without metrics, and a run of which nothing is known; columns that mean nothing are named in
            ``run.extra["ignored"]``, with how many cells they have, once all samples were read.

        Raises
        ------
        FeedbackMalformedError
            If there is no header, or it names a field twice; from `samples`: if a record can't be read.
        FeedbackMappingError
            If `options.columns` names fields that there are not, or columns that the file lacks.
        """
        check_mapping(options.columns, _IN_CELLS)
        with open_file() as stream:
            head = _read_full(stream, SAMPLE_BYTES)
        try:
            dialect = _dialect(head, options.file_name)
        except NotATableError as error:
            raise malformed("", "neither UTF-8 nor GB18030") from error
        with open_file() as stream:
            names = next(_records(stream, dialect), (1, []))[1]
        if not any(names):
            raise malformed("line 1", "no header")
        extra: dict[str, str] = {}
        plan = _plan(names, options)
        return Imported(
            EvaluationRun(tool=NAME, extra=extra), (), counted(_samples(open_file, dialect, plan, extra))
        )


class _Plan(NamedTuple):
    """What each column is: a field, a column of the key, or nothing; by its place."""

    width: int
    fields: tuple[tuple[int, str], ...]
    key: tuple[tuple[int, str], ...]
    others: tuple[tuple[int, str], ...]


def _dialect(head: bytes, file_name: str) -> Dialect:
    is_tsv = file_name.lower().endswith((".tsv", ".tab"))
    return sniff(head[:SAMPLE_BYTES], TableKind(TableFormat.TSV if is_tsv else TableFormat.CSV), "the file")


def _header(head: bytes, dialect: Dialect) -> list[str]:
    text = head[len(BOM) :] if dialect.bom else head
    end = first_record_end(text, 0)
    if end < 0 and len(head) >= HEAD_BYTES:
        return []
    return parse_fields((text if end < 0 else text[:end]).strip(b"\r\n"), dialect, "the file", 1)


def _read_full(stream: BinaryIO, size: int) -> bytes:
    """Read `size` bytes, less only at the end."""
    data = b""
    while len(data) < size and (part := stream.read(size - len(data))):
        data += part
    return data


def _plan(names: Sequence[str], options: ImportOptions) -> _Plan:
    by_column = {column: field for field, column in options.columns.items()}
    if lacking := sorted(by_column.keys() - set(names)):
        raise FeedbackMappingError(
            f"there is no column {lacking[0][:80]!r}",
            hint=f"columns are {', '.join(name[:40] for name in names[:20])}",
        )
    mapped = set(options.columns)
    means = [by_column.get(name) or ("" if name in mapped else name) for name in names]
    places = list(enumerate(means))
    fields = tuple((place, field) for place, field in places if field in _IN_CELLS)
    key = tuple((place, f[len(ROW) :]) for place, f in places if f.startswith(ROW) and len(f) > len(ROW))
    used = {place for place, _name in (*fields, *key)}
    if len({means[place] for place in used}) < len(used):
        twice = next(means[place] for place in sorted(used) if means.count(means[place]) > 1)
        raise malformed("line 1", "a field in two columns", twice)
    if not used:
        raise malformed(
            "line 1", "no column is a field of feedback", hint="name columns with --map FIELD=COLUMN"
        )
    others = tuple((place, name) for place, name in enumerate(names) if place not in used)
    return _Plan(len(names), fields, key, others)


def _samples(open_file: OpenFile, dialect: Dialect, plan: _Plan, extra: dict[str, str]) -> Iterator[Sample]:
    ignored = Ignored()
    with open_file() as stream:
        records = _records(stream, dialect)
        next(records)
        for number, cells in records:
            place = f"line {number}"
            if len(cells) != plan.width:
                raise malformed(place, f"{len(cells)} fields; the header has {plan.width}")
            if plan.others:
                ignored.add(name for at, name in plan.others if cells[at])
            yield sample_of(_line(cells, plan, place), place)
    ignored.put_into(extra)


def _line(cells: Sequence[str], plan: _Plan, place: str) -> Line:
    line = Line()
    for at, field in plan.fields:
        if text := cells[at]:
            setattr(line, field, _value(field, text, place))
    # A part of a key may be the empty text, but not all of it.
    if any(cells[at] for at, _name in plan.key):
        line.row = {name: cells[at] for at, name in plan.key}
    return line


def _value(field: str, text: str, place: str) -> object:
    if field == "passed":
        passed = _FLAGS.get(text.strip().lower())
        if passed is None:
            raise malformed(f"{place}/passed", "neither true nor false", text)
        return passed
    if field == "position":
        if not (text.isascii() and text.isdigit() and len(text) < 19):
            raise malformed(f"{place}/position", "not the number of a row", text)
        return int(text)
    if field == "value":
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        try:
            return float(text)
        except ValueError as error:
            raise malformed(f"{place}/value", "not a number", text) from error
    if field == "path_b64":
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise malformed(f"{place}/path_b64", "not Base64", text) from error
    return text


def _records(stream: BinaryIO, dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """Give the records that aren't blank, each with the line on which it begins."""
    text = _Text(stream, dialect)
    reader = csv.reader(text, delimiter=dialect.delimiter, strict=True)
    while True:
        text.begin_record()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise malformed(f"line {text.first}", f"no CSV ({error})") from error
        if cells:
            yield text.first, cells


class _Text:
    """Lines of text for the reader of CSV, decoded; a record is bounded, a quote that never ends too."""

    def __init__(self, stream: BinaryIO, dialect: Dialect) -> None:
        self._stream = stream
        self._encoding = dialect.encoding
        self._number = 0
        self._left = 0
        self.first = 1

    def begin_record(self) -> None:
        """Begin to count anew."""
        self.first = self._number + 1
        self._left = MAX_LINE_BYTES

    def __iter__(self) -> _Text:
        return self

    def __next__(self) -> str:
        line = self._stream.readline(self._left + 1)
        if not line:
            raise StopIteration
        self._number += 1
        self._left -= len(line)
        if self._left < 0:
            raise malformed(f"line {self.first}", f"a record longer than {MAX_LINE_BYTES >> 20} MiB")
        try:
            # Not "utf-8-sig": a mark further on is a character.
            text = line.decode(self._encoding)
        except UnicodeDecodeError as error:
            raise malformed(f"line {self._number}", f"not {self._encoding.upper()}") from error
        return text.removeprefix("\ufeff") if self._number == 1 else text
