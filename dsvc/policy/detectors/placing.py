"""Where the first hits stand in a table in text: the line is known, record and column are looked up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from dsvc.model.errors import DsvcError
from dsvc.model.table_kind import TableFormat, TableKind
from dsvc.table.origin.source import TableSource
from dsvc.table.text.dialect import parse_fields
from dsvc.table.text.records import RecordBlock, TextRecords

if TYPE_CHECKING:
    from dsvc.policy.detectors.text_scan import Kept


def placed(source: TableSource, kind: TableKind, hits: Sequence[Kept]) -> list[Kept]:
    """Give hits their records and columns, as far as these can be told.

    They can't where several records stand on one line, or the file is malformed: these hits have a line only.
    """
    out = list(hits)
    try:
        return _in_blocks(TextRecords(source, kind), out)
    except DsvcError:
        return out


def _in_blocks(records: TextRecords, hits: list[Kept]) -> list[Kept]:
    last = max(hit.line or 0 for hit in hits)
    for block in records.blocks(small=True):
        if block.line > last:
            break
        breaks = np.flatnonzero(np.frombuffer(block.data, np.uint8) == 0x0A)
        lines = block.line + np.searchsorted(breaks, block.starts)
        ends = block.line + np.searchsorted(breaks, block.ends)
        for place, hit in enumerate(hits):
            if hit.line is None or hit.record is not None:
                continue
            at = int(np.searchsorted(lines, hit.line, side="right")) - 1
            if at < 0 or ends[at] < hit.line or (at > 0 and ends[at - 1] >= hit.line):
                continue
            column = _column(records, block, at, hit.found.value)
            hits[place] = hit._replace(record=block.first + at, column=column)
    return hits


def _column(records: TextRecords, block: RecordBlock, place: int, value: str) -> str | None:
    """The one column whose text has the value; None where it isn't one."""
    text = block.record(place)
    if records.kind.format in (TableFormat.CSV, TableFormat.TSV):
        fields = parse_fields(text, records.dialect, "", 1)
        found = [name for name, field in zip(records.columns, fields, strict=False) if value in field]
    else:
        found = _members(text, value)
    return found[0] if len(found) == 1 else None


def _members(text: bytes, value: str) -> list[str]:
    import msgspec

    try:
        record = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    if not isinstance(record, Mapping):
        return []
    return [name for name, member in record.items() if _holds(member, value)]


def _holds(member: object, value: str) -> bool:
    import msgspec

    if isinstance(member, str):
        return value in member
    written = msgspec.json.encode(member)
    return value in written.decode("utf-8", "replace")
