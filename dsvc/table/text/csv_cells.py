"""Cells of CSV records as text: an unquoted empty field is null, a quoted one is the empty text."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.csv as pc

from dsvc.table.origin.source import NotATableError
from dsvc.table.text.dialect import parse_fields
from dsvc.table.text.records import RecordBlock, TextRecords

Malformed = list[tuple[int, int, str]]


def csv_cells(
    records: TextRecords, block: RecordBlock, name: str, columns: Sequence[str] | None = None
) -> tuple[pa.Table, list[int], Malformed]:
    """Cells of a block as text.

    Parameters
    ----------
    records : TextRecords
        The table that the block is of.
    name : str
        The file's name, for messages.
    columns : sequence of str or None
        Which are needed; None: all. Others may be left out.

    Returns
    -------
    (pyarrow.Table, list of int, list of (int, int, str))
        Cells; the places in the block of the records they are of, empty where all are; and the records that
        are malformed: number, line, what is wrong.
    """
    try:
        table = _parse(records, block.data, columns)
    except (pa.ArrowInvalid, UnicodeDecodeError):
        return _parse_good(records, block, name)
    # The parser sees lines that we don't, as after a carriage return alone: then each record is on its own.
    return (table, [], []) if table.num_rows == len(block) else _parse_good(records, block, name)


def _parse(records: TextRecords, data: bytes, columns: Sequence[str] | None = None) -> pa.Table:
    dialect = records.dialect
    options = pc.ReadOptions(
        column_names=list(records.columns),
        encoding=dialect.encoding,
        block_size=max(len(data) + 1, 1 << 20),
        use_threads=False,
    )
    return pc.read_csv(
        io.BytesIO(data),
        read_options=options,
        parse_options=pc.ParseOptions(delimiter=dialect.delimiter, newlines_in_values=b'"' in data),
        convert_options=pc.ConvertOptions(
            column_types={column: pa.string() for column in records.columns},
            include_columns=list(columns) if columns else None,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


def _parse_good(records: TextRecords, block: RecordBlock, name: str) -> tuple[pa.Table, list[int], Malformed]:
    """Look at the records one by one to find which are malformed; the rest is read again together."""
    good: list[int] = []
    problems: dict[int, str] = {}
    expected = len(records.columns)
    for number in range(len(block)):
        record = block.record(number)
        problem = None
        try:
            fields = parse_fields(record, records.dialect, name, 0)
        except NotATableError as error:
            problem = str(error.__cause__)
        else:
            if len(fields) != expected:
                problem = f"{len(fields)} fields where the header has {expected}"
        if problem is None:
            good.append(number)
        else:
            problems[number] = problem
    refused = set(_refused(records, block, good))
    problems |= dict.fromkeys(refused, "it is not CSV")
    good = [number for number in good if number not in refused]
    numbers = sorted(problems)
    bad = [
        (block.first + number, line, problems[number])
        for number, line in zip(numbers, block.lines_of(numbers), strict=True)
    ]
    return (_together(records, block, good) if good else _nothing(records)), good, bad


def _together(records: TextRecords, block: RecordBlock, numbers: list[int]) -> pa.Table:
    return _parse(records, b"\n".join([block.record(number) for number in numbers]) + b"\n")


def _refused(records: TextRecords, block: RecordBlock, numbers: list[int]) -> Iterator[int]:
    """Records that the parser refuses, found by halving, since parsing each alone takes far longer."""
    if not numbers:
        return
    try:
        if _together(records, block, numbers).num_rows == len(numbers):
            return
    except (pa.ArrowInvalid, UnicodeDecodeError):
        pass
    if len(numbers) == 1:
        yield numbers[0]
        return
    half = len(numbers) // 2
    yield from _refused(records, block, numbers[:half])
    yield from _refused(records, block, numbers[half:])


def _nothing(records: TextRecords) -> pa.Table:
    return pa.table({column: pa.array([], pa.string()) for column in records.columns})
