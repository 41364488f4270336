"""Tables for tests of the row engine: written in every format, compared by code that knows nothing of it."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from dsvc.diff.row_diff import TableVersion, diff_tables
from dsvc.diff.table_delta import TableDelta
from dsvc.model.table_kind import Compression, TableFormat, TableKind
from dsvc.table.index.index_builder import build_index
from dsvc.table.origin.memory_source import MemorySource

PARQUET = TableKind(TableFormat.PARQUET)
ARROW = TableKind(TableFormat.ARROW)
CSV = TableKind(TableFormat.CSV)
TSV = TableKind(TableFormat.TSV)
JSONL = TableKind(TableFormat.JSONL)
JSON = TableKind(TableFormat.JSON)
Rows = list[dict[str, Any]]
_NANOSECONDS = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d\.\d{6})000Z?")
"""How a moment in nanoseconds is shown; here none is finer than a microsecond."""


def version(data: bytes | str, kind: TableKind, name: str = "表") -> TableVersion:
    source = MemorySource(name, data.encode() if isinstance(data, str) else data)
    return TableVersion(source, kind, build_index(source, kind))


def packed(data: bytes, compression: Compression) -> bytes:
    if compression is Compression.GZIP:
        return gzip.compress(data, 1, mtime=0)
    return zstandard.compress(data, 1) if compression is Compression.ZSTD else data


def parquet(table: pa.Table, **settings: Any) -> TableVersion:
    output = io.BytesIO()
    pq.write_table(table, output, **settings)
    return version(output.getvalue(), PARQUET)


def arrow(table: pa.Table, *, stream: bool = False) -> TableVersion:
    output = io.BytesIO()
    make = pa.ipc.new_stream if stream else pa.ipc.new_file
    with make(output, table.schema) as writer:
        writer.write_table(table, max_chunksize=3)
    return version(output.getvalue(), ARROW)


def csv_text(
    columns: Sequence[str],
    rows: Iterable[Sequence[str | None]],
    *,
    delimiter: str = ",",
    lineterminator: str = "\n",
) -> str:
    """Null is an unquoted empty field, the empty text a quoted one."""

    def field(text: str | None) -> str:
        if text is None:
            return ""
        plain = text and not set(text) & {delimiter, '"', "\n", "\r"}
        return text if plain else '"' + text.replace('"', '""') + '"'

    return "".join(delimiter.join(map(field, row)) + lineterminator for row in [columns, *rows])


def json_lines(rows: Rows, **style: Any) -> str:
    return "".join(json.dumps(row, **style) + "\n" for row in rows)


def canonical(value: Any) -> Any:
    """Something hashable that is equal for equal values: 1 and 1.0 are, NaN is itself, null is None."""
    if isinstance(value, str) and (found := _NANOSECONDS.fullmatch(value)):
        return canonical(dt.datetime.fromisoformat(f"{found[1]}T{found[2]}"))
    if value is None or isinstance(value, (str, bytes)):
        return value
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, (int, float, Decimal)):
        return _number(value)
    if isinstance(value, dt.datetime):
        utc = value if value.tzinfo is None else value.astimezone(dt.UTC).replace(tzinfo=None)
        return ("time", utc.replace(tzinfo=None).isoformat())
    if isinstance(value, Mapping):
        return (
            "struct",
            frozenset((name, canonical(inner)) for name, inner in value.items() if inner is not None),
        )
    if isinstance(value, (list, tuple)):
        return ("list", tuple(map(canonical, value)))
    return (type(value).__name__, str(value))


def _number(value: float | Decimal) -> Any:
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return ("inf", value > 0)
    return Fraction(value)


def brute_force(
    old: Rows, new: Rows, key: Sequence[str], renamed: Mapping[str, str]
) -> tuple[int, int, int, int, dict[str, int]]:
    """Rows added, removed, changed, unchanged, and changed cells by column, row by row in plain Python."""
    before = [{renamed.get(name, name): canonical(cell) for name, cell in row.items()} for row in old]
    after = [{name: canonical(cell) for name, cell in row.items()} for row in new]
    if not key:
        ours, theirs = (
            Counter(frozenset((n, c) for n, c in row.items() if c is not None) for row in side)
            for side in (before, after)
        )
        same = (ours & theirs).total()
        return len(new) - same, len(old) - same, 0, same, {}
    known = {tuple(row[name] for name in key): row for row in before}
    columns: Counter[str] = Counter()
    common = changed = 0
    for row in after:
        other = known.get(tuple(row[name] for name in key))
        if other is None:
            continue
        common += 1
        cells = [name for name in {**row, **other} if row.get(name) != other.get(name)]
        columns.update(cells)
        changed += bool(cells)
    return len(new) - common, len(old) - common, changed, common - changed, dict(columns)


def counts(delta: TableDelta) -> tuple[int, int, int, int, dict[str, int]]:
    return (
        delta.rows_added,
        delta.rows_removed,
        delta.rows_changed,
        delta.rows_unchanged,
        dict(delta.by_column),
    )


def renames(delta: TableDelta) -> dict[str, str]:
    return {each.old: each.new for each in delta.schema.renamed}


def applied(old: Rows, delta: TableDelta) -> Counter[Any]:
    """Rows that the listed changes make of `old`, as a multiset."""
    named = renames(delta)

    def whole(row: Mapping[str, Any]) -> Any:
        filled = {named.get(name, name): canonical(cell) for name, cell in row.items()}
        return frozenset((name, cell) for name, cell in filled.items() if cell is not None)

    def after(row: Mapping[str, Any]) -> Any:
        return frozenset((n, canonical(c)) for n, c in row.items() if c is not None)

    rows = Counter(map(whole, old))
    for change in delta.changes:
        if change.before is not None:
            rows[whole(change.before)] -= 1
        if change.after is not None:
            rows[after(change.after)] += 1
    assert min(rows.values(), default=0) >= 0
    return +rows


def as_multiset(rows: Rows) -> Counter[Any]:
    return Counter(frozenset((n, canonical(c)) for n, c in row.items() if c is not None) for row in rows)


def diff(old: TableVersion, new: TableVersion, key: Sequence[str] | None = None) -> TableDelta:
    return diff_tables(old, new, key=key, limit=None)
