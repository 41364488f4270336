"""Make the part of a patch that is about one table."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

from blake3 import blake3

from dsvc.diff.patch_format import (
    VERSION,
    Operation,
    SideHead,
    TableHead,
    Text,
    as_text,
    encode_lines,
)
from dsvc.diff.record_runs import Run, left_over, match_runs
from dsvc.model.table_kind import TableKind
from dsvc.table.origin.decompress import open_text
from dsvc.table.origin.source import TableSource
from dsvc.table.reading.record_access import ColumnarAccess, RecordAccess, TextAccess, access, key_of
from dsvc.table.splice.splice import Donor, Segment, Splice, splice

if TYPE_CHECKING:
    import pyarrow as pa

_READ_BYTES = 1 << 20


class PatchSide(NamedTuple):
    """One side of a changed table: where it is, and its bytes."""

    path: bytes
    mode: int
    source: TableSource


def table_block(
    old: PatchSide | None, new: PatchSide | None, kind: TableKind, key: Sequence[str]
) -> Iterator[bytes]:
    """Yield the lines of a block, its first one left out.

    Parameters
    ----------
    old, new : PatchSide or None
        The sides; None where the file is added or removed, which is written whole.
    kind : TableKind
        Format of both.
    key : sequence of str
        Key columns, by which the patch is applied where the table has changed otherwise; may be empty.

    Raises
    ------
    NotATableError
        If a side can't be read as a table.
    TableLimitError
        If one is beyond the limits within which tables are read.
    """
    if old is None or new is None:
        yield from _literal(old, new, kind)
        return
    before, after = access(old.source, kind), access(new.source, kind)
    if not kind.format.is_text and before.columns != after.columns:
        # Cells of new columns belong to every row: there is nothing to take over.
        yield from _literal(old, new, kind)
        return
    key = [name for name in key if not before.columns or name in dict(before.columns)]
    runs = match_runs(before.digests, after.digests)
    gone = left_over(runs, len(before.digests))
    head = TableHead(
        VERSION,
        kind.format.value,
        kind.compression.value,
        list(key),
        _head(old, before, kind),
        _head(new, after, kind),
    )
    yield from encode_lines([head])
    fresh = [(run.start, run.length) for run in runs if not run.copied]
    if not kind.format.is_text:
        yield from encode_lines(_payload("old", old, kind, gone))
        yield from encode_lines(_payload("new", new, kind, fresh))
    places = _Anchors(before, gone, key), _Anchors(after, fresh, key)
    yield from encode_lines(_operations(runs, gone, _texts(before, gone), _texts(after, fresh), places))
    yield from encode_lines([Operation("end")])


def content_digest(source: TableSource, kind: TableKind) -> str:
    """Return the BLAKE3 digest of what counts in a table: its text, or schema, metadata and rows.

    Raises
    ------
    NotATableError
        If it can't be read as a table.
    """
    found = blake3()
    if kind.format.is_text:
        with open_text(source, kind) as stream:
            while data := stream.read(_READ_BYTES):
                found.update(data)
        return found.hexdigest()
    return columnar_digest(ColumnarAccess(source, kind))


def columnar_digest(table: ColumnarAccess) -> str:
    """Return the `content_digest` of a Parquet or Arrow file that is open."""
    found = blake3(_schema_bytes(table.schema))
    for digest in table.digests:
        found.update(digest)
    return found.hexdigest()


def _schema_bytes(schema: pa.Schema) -> bytes:
    lines = [f"{field.name!r} {field.type} {field.nullable} {_pairs(field.metadata)}" for field in schema]
    return "\n".join([*lines, _pairs(schema.metadata)]).encode("utf-8", "surrogatepass")


def _pairs(metadata: dict[bytes, bytes] | None) -> str:
    # Numbers that a writer gives to fields are no content.
    return repr(sorted((k, v) for k, v in (metadata or {}).items() if k != b"PARQUET:field_id"))


def _head(side: PatchSide, table: RecordAccess, kind: TableKind) -> SideHead:
    is_text = isinstance(table, TextAccess)
    return SideHead(
        path=as_text(side.path),
        mode=f"{side.mode:06o}",
        digest=side.source.digest.hex(),
        content=content_digest(side.source, kind) if is_text else columnar_digest(_columnar(table)),
        rows=len(table.digests),
        columns=list(table.columns),
        head=as_text(table.pieces.head) if isinstance(table, TextAccess) else None,
    )


def _columnar(table: RecordAccess) -> ColumnarAccess:
    assert isinstance(table, ColumnarAccess)
    return table


def _literal(old: PatchSide | None, new: PatchSide | None, kind: TableKind) -> Iterator[bytes]:
    heads = [
        SideHead()
        if side is None
        else SideHead(as_text(side.path), f"{side.mode:06o}", side.source.digest.hex())
        for side in (old, new)
    ]
    yield from encode_lines([TableHead(VERSION, kind.format.value, kind.compression.value, [], *heads)])
    if old is not None:
        yield from encode_lines([Operation("old-file", data=_whole(old.source))])
    if new is not None:
        yield from encode_lines([Operation("new-file", data=_whole(new.source))])
    yield from encode_lines([Operation("end")])


def _whole(source: TableSource) -> str:
    with source.open() as stream:
        return b64encode(stream.read()).decode("ascii")


def _payload(
    op: str, side: PatchSide, kind: TableKind, ranges: Sequence[tuple[int, int]]
) -> Iterator[Operation]:
    """The rows of some ranges as a file, with schema and metadata, which are wanted without rows too."""
    output = BytesIO()
    segments = [Segment(0, start, count) for start, count in ranges]
    splice(Splice(donors=[Donor(side.source, kind)], segments=segments), output)
    data = b64encode(output.getvalue()).decode("ascii")
    yield Operation("old" if op == "old" else "new", data=data)


def _texts(table: RecordAccess, ranges: Sequence[tuple[int, int]]) -> Iterator[bytes] | None:
    return table.pieces.read(ranges) if isinstance(table, TextAccess) else None


class _Anchors:
    """Keys of the records before some ranges, by which they find their place in a table that has changed."""

    def __init__(self, table: RecordAccess, ranges: Sequence[tuple[int, int]], key: Sequence[str]) -> None:
        wanted = [start - 1 for start, _count in ranges if start] if key else []
        found = table.rows(wanted)
        self._keys = {position + 1: key_of(cells, key) for position, cells in found.items()}

    def before(self, start: int) -> list[str] | None:
        found = self._keys.get(start)
        return None if found is None else list(found)


def _operations(
    runs: Sequence[Run],
    gone: Sequence[tuple[int, int]],
    old_texts: Iterator[bytes] | None,
    new_texts: Iterator[bytes] | None,
    anchors: tuple[_Anchors, _Anchors],
) -> Iterator[Operation]:
    waiting = list(reversed(gone))

    def removals(limit: int | None) -> Iterator[Operation]:
        while waiting and (limit is None or waiting[-1][0] < limit):
            start, count = waiting.pop()
            yield Operation("remove", start, count, _take(old_texts, count), after=anchors[0].before(start))

    at = 0
    for run in runs:
        if run.copied:
            yield from removals(run.start)
            yield Operation("copy", run.start, run.length)
            at = run.start + run.length
        else:
            # What a new record replaces stands right before it.
            yield from removals(at + 1)
            texts = _take(new_texts, run.length)
            yield Operation("insert", run.start, run.length, texts, after=anchors[1].before(run.start))
    yield from removals(None)


def _take(texts: Iterator[bytes] | None, count: int) -> list[Text] | None:
    return None if texts is None else [as_text(next(texts)) for _ in range(count)]
