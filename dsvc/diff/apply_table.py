"""Apply the part of a patch that is about one table: exactly to the version it was made from, else by key."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import BinaryIO

import zstandard

from dsvc.diff.keyed_patch import KeyedPatch, side_rows
from dsvc.diff.patch_format import (
    AppliedTable,
    MalformedPatchError,
    PatchConflictError,
    TableBlock,
    as_bytes,
)
from dsvc.diff.table_patch import content_digest
from dsvc.model.table_kind import Compression, TableKind
from dsvc.table.origin.memory_source import MemorySource
from dsvc.table.origin.source import TableSource
from dsvc.table.reading.record_access import ColumnarAccess
from dsvc.table.splice.splice import Donor, Segment, Splice, splice
from dsvc.table.text.record_identity import TextPieces


def apply_table(block: TableBlock, current: TableSource, output: BinaryIO) -> AppliedTable:
    """Write a table with what a block changes.

    Parameters
    ----------
    block : TableBlock
        The change.
    current : TableSource
        The table as it is now.
    output : BinaryIO
        Where the new one goes; it stays open.

    Raises
    ------
    PatchConflictError
        If what the block changes is not as it was.
    MalformedPatchError
        If the block doesn't hold what it says.
    NotATableError
        If the table can't be read as one.
    """
    kind = block.head.kind
    if block.is_literal:
        return _replace(block, current, output)
    if _is_old(block, current, kind):
        if kind.format.is_text:
            _write_text(block, current, kind, output)
        else:
            _write_rows(block, current, kind, output)
        return AppliedTable(True, *_counts(block, kind))
    return KeyedPatch(block, current, kind).write(output)


def _is_old(block: TableBlock, current: TableSource, kind: TableKind) -> bool:
    old = block.head.old
    return current.digest.hex() == old.digest or content_digest(current, kind) == old.content


def check_result(block: TableBlock, result: TableSource) -> None:
    """Check that a table to which a block was applied exactly is the one that the block leads to.

    Raises
    ------
    MalformedPatchError
        If it isn't: the block was damaged.
    """
    new = block.head.new
    if result.digest.hex() == new.digest:
        return
    if block.is_literal or content_digest(result, block.head.kind) != new.content:
        raise MalformedPatchError(f"the patch is damaged: it doesn't lead to the {result.name} that it names")


def _replace(block: TableBlock, current: TableSource, output: BinaryIO) -> AppliedTable:
    if current.digest.hex() != block.head.old.digest:
        raise PatchConflictError(
            f"{current.name} is not the version that the patch was made from",
            hint="its columns change, so that it applies to that version only",
            details={"path": current.name},
        )
    output.write(block.new_file or b"")
    return AppliedTable(True, 0, 0, 0)


def _write_text(block: TableBlock, current: TableSource, kind: TableKind, output: BinaryIO) -> None:
    pieces = TextPieces(current, kind)
    head = block.head.new.head
    parts = [b"" if head is None else as_bytes(head)]
    fresh = iter(block.new_records)

    def text() -> Iterator[bytes]:
        yield parts[0]
        for run in block.runs:
            if run.copied:
                yield from pieces.read([(run.start, run.length)])
            else:
                yield from (next(fresh) for _ in range(run.length))

    if kind.compression is Compression.GZIP:
        with gzip.GzipFile("", "wb", fileobj=output, mtime=0) as packed:
            packed.writelines(text())
    elif kind.compression is Compression.ZSTD:
        with zstandard.ZstdCompressor().stream_writer(output, closefd=False) as writer:
            for part in text():
                writer.write(part)
    else:
        output.writelines(text())


def _write_rows(block: TableBlock, current: TableSource, kind: TableKind, output: BinaryIO) -> None:
    if block.new_rows is None:
        raise MalformedPatchError("the patch is damaged: it has no rows")
    fresh = MemorySource(current.name, block.new_rows)
    segments, at = [], 0
    same = ColumnarAccess(current, kind).schema.equals(
        ColumnarAccess(fresh, kind).schema, check_metadata=True
    )
    # The first donor gives metadata and settings: those of the table, unless the patch changes them.
    number = {True: 0, False: 1} if same else {True: 1, False: 0}
    for run in block.runs:
        segments.append(Segment(number[run.copied], run.start if run.copied else at, run.length))
        at += 0 if run.copied else run.length
    donors = [Donor(current, kind), Donor(fresh, kind)]
    splice(Splice(donors=donors if same else donors[::-1], segments=segments), output)


def _counts(block: TableBlock, kind: TableKind) -> tuple[int, int, int]:
    """Rows added, removed and changed; without a key none is ever changed."""
    added = sum(run.length for run in block.runs if not run.copied)
    removed = block.head.old.rows - sum(run.length for run in block.runs if run.copied)
    if not block.head.key:
        return added, removed, 0
    try:
        old = side_rows(block, kind, new=False, name="the patch").by_key
        new = side_rows(block, kind, new=True, name="the patch").by_key
    except PatchConflictError:
        return added, removed, 0
    both = old.keys() & new.keys()
    # Records may differ in what separates them from the next one only.
    changed = sum(old[key][1] != new[key][1] for key in both)
    return added - len(both), removed - len(both), changed
