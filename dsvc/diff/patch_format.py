"""The part of a patch that is about one table: what it says, and how it is written.

A block begins with the line ``diff --dsvc-table a/OLD b/NEW``; each line after it is a JSON object, the last
one ``{"op": "end"}``. The first object is a `TableHead`, every other one an `Operation`. Copies and inserts
stand in the order of the new table, removals before what follows them in the old one. Records of text are in
the block as they are written, with all that separates them from the next one; rows of Parquet and Arrow
files as a small file of the same format, in base64, which holds those of a side one after the other.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Final, Literal, NamedTuple

import msgspec

from dsvc.diff.record_runs import Run, inverted
from dsvc.model.errors import MalformedInputError, MergeConflictError, UnsupportedFormatError
from dsvc.model.table_kind import Compression, TableFormat, TableKind

VERSION: Final = 1
TABLE_LINE: Final = "diff --dsvc-table "


class MalformedPatchError(MalformedInputError):
    """A file is no patch, or a damaged one."""

    code = "malformed-patch"


class UnsupportedPatchError(UnsupportedFormatError):
    """A patch was made by a newer dsvc, or only names files whose content it doesn't hold."""

    code = "unsupported-patch"


class PatchConflictError(MergeConflictError):
    """A patch doesn't apply: what it changes is not as it was; nothing was written."""

    code = "patch-conflict"


class Encoded(msgspec.Struct, frozen=True):
    """Bytes that are no UTF-8."""

    base64: str


Text = str | Encoded


class SideHead(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One side of a table.

    Attributes
    ----------
    path : Text or None
        None where there is no such file.
    mode : str
        As git writes it: ``100644``.
    digest : str
        BLAKE3 of the file.
    content : str
        BLAKE3 of what counts: the decompressed text, or schema and rows.
    rows : int
        Number of records.
    columns : list of (str, str)
        Names and types.
    head : Text or None
        Of a text: what stands before its first record.
    """

    path: Text | None = None
    mode: str = ""
    digest: str = ""
    content: str = ""
    rows: int = 0
    columns: list[tuple[str, str]] = []
    head: Text | None = None


class _Version(msgspec.Struct, frozen=True):
    version: int


class TableHead(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a block is about."""

    version: int
    format: str
    compression: str
    key: list[str]
    old: SideHead
    new: SideHead

    @property
    def kind(self) -> TableKind:
        """Format of the table.

        Raises
        ------
        UnsupportedPatchError
            If this dsvc doesn't know it.
        """
        try:
            return TableKind(TableFormat(self.format), Compression(self.compression))
        except ValueError as error:
            raise UnsupportedPatchError(f"the patch is for a table of format {self.format!r}") from error


class Operation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What happens to consecutive records.

    Attributes
    ----------
    op : str
        ``copy`` and ``remove`` count in the old table, ``insert`` in the new one. ``old`` and ``new`` carry
        the rows of that side that are removed or inserted, as a file; ``old-file`` and ``new-file`` the whole
        file.
    records : list of Text or None
        Texts of removed or inserted records.
    after : list of str or None
        Key of the record before removed or inserted ones, of tables with a key.
    """

    op: Literal["copy", "remove", "insert", "old", "new", "old-file", "new-file", "end"]
    start: int = 0
    count: int = 0
    records: list[Text] | None = None
    after: list[str] | None = None
    data: str | None = None


class TableBlock(msgspec.Struct, frozen=True, kw_only=True):
    """One table of a patch, in memory.

    Attributes
    ----------
    head : TableHead
        What it is about.
    runs : list of Run
        The new table by runs of the old one.
    old_records, new_records : list of bytes
        Of a text: removed and inserted records, each in the order of its side.
    old_rows, new_rows : bytes or None
        Of another table: the same as files.
    old_file, new_file : bytes or None
        Whole files, where the patch has these in place of operations.
    old_after, new_after : dict of int to tuple of str
        Of removed and inserted runs, by the number of the first record: key of the record before.
    """

    head: TableHead
    runs: list[Run] = []
    old_records: list[bytes] = []
    new_records: list[bytes] = []
    old_rows: bytes | None = None
    new_rows: bytes | None = None
    old_file: bytes | None = None
    new_file: bytes | None = None
    old_after: dict[int, tuple[str, ...]] = {}
    new_after: dict[int, tuple[str, ...]] = {}

    @property
    def is_literal(self) -> bool:
        """Whether the block holds files in place of operations."""
        return self.old_file is not None or self.new_file is not None

    def reversed(self) -> TableBlock:
        """Return the block that leads back."""
        head = self.head
        return TableBlock(
            head=msgspec.structs.replace(head, old=head.new, new=head.old),
            runs=inverted(self.runs, head.old.rows),
            old_records=self.new_records,
            new_records=self.old_records,
            old_rows=self.new_rows,
            new_rows=self.old_rows,
            old_file=self.new_file,
            new_file=self.old_file,
            old_after=self.new_after,
            new_after=self.old_after,
        )


class AppliedTable(NamedTuple):
    """How a block was applied.

    Attributes
    ----------
    exact : bool
        Whether the table was the one that the patch was made from; else it was applied by key.
    added, removed, changed : int
        Rows.
    """

    exact: bool
    added: int
    removed: int
    changed: int


def as_text(data: bytes) -> Text:
    """Return bytes as text where they are UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return Encoded(b64encode(data).decode("ascii"))


def as_bytes(text: Text) -> bytes:
    """Return what `as_text` was given.

    Raises
    ------
    MalformedPatchError
        If it isn't base64.
    """
    if isinstance(text, str):
        return text.encode("utf-8", "surrogatepass")
    return decode_base64(text.base64)


def decode_base64(text: str) -> bytes:
    """Decode base64.

    Raises
    ------
    MalformedPatchError
        If it isn't base64.
    """
    try:
        return b64decode(text, validate=True)
    except ValueError as error:
        raise MalformedPatchError("the patch is damaged: what should be base64 is not") from error


def encode_lines(items: Iterable[TableHead | Operation]) -> Iterator[bytes]:
    """Yield the lines of a block, its first one left out."""
    for item in items:
        yield msgspec.json.encode(item) + b"\n"


def decode_block(lines: Iterator[bytes]) -> TableBlock:
    """Read a block from the lines after its first one, up to its end.

    Raises
    ------
    MalformedPatchError
        If it is damaged or not complete.
    UnsupportedPatchError
        If a newer dsvc made it.
    """
    try:
        first = next(lines, b"")
        if msgspec.json.decode(first, type=_Version).version != VERSION:
            raise UnsupportedPatchError("the patch was made by a newer dsvc")
        head = msgspec.json.decode(first, type=TableHead)
        operations: list[Operation] = []
        for line in lines:
            operation = msgspec.json.decode(line, type=Operation)
            if operation.op == "end":
                return _block(head, operations)
            operations.append(operation)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedPatchError(f"the patch is damaged: {error}") from error
    raise MalformedPatchError("the patch is not complete: a table has no end")


def _block(head: TableHead, operations: Iterable[Operation]) -> TableBlock:
    runs: list[Run] = []
    after: dict[str, dict[int, tuple[str, ...]]] = {"remove": {}, "insert": {}}
    texts: dict[str, list[bytes]] = {"remove": [], "insert": []}
    data: dict[str, bytes] = {}
    for operation in operations:
        if operation.op in ("old", "new", "old-file", "new-file"):
            data[operation.op] = decode_base64(operation.data or "")
            continue
        if operation.op in ("copy", "insert"):
            runs.append(Run(operation.op == "copy", operation.start, operation.count))
        if operation.after is not None and operation.op in after:
            after[operation.op][operation.start] = tuple(operation.after)
        if operation.records is not None and operation.op in texts:
            texts[operation.op] += map(as_bytes, operation.records)
    block = TableBlock(
        head=head,
        runs=runs,
        old_records=texts["remove"],
        new_records=texts["insert"],
        old_rows=data.get("old"),
        new_rows=data.get("new"),
        old_file=data.get("old-file"),
        new_file=data.get("new-file"),
        old_after=after["remove"],
        new_after=after["insert"],
    )
    _check(block)
    return block


def _check(block: TableBlock) -> None:
    """Refuse runs that don't fit together."""
    if block.is_literal:
        return
    head, at, copied = block.head, 0, []
    for run in block.runs:
        if run.length <= 0 or run.start < 0 or (not run.copied and run.start != at):
            raise MalformedPatchError("the patch is damaged: its records are out of order")
        if run.copied:
            copied.append((run.start, run.start + run.length))
        at += run.length
    copied.sort()
    overlap = any(end > start for (_one, end), (start, _other) in pairwise(copied))
    if at != head.new.rows or overlap or (copied and copied[-1][1] > head.old.rows):
        raise MalformedPatchError("the patch is damaged: its records don't add up")
    if head.kind.format.is_text:
        taken = sum(end - start for start, end in copied)
        if len(block.new_records) != at - taken or len(block.old_records) != head.old.rows - taken:
            raise MalformedPatchError("the patch is damaged: records are missing")
