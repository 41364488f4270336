"""Apply a patch of a table by key, where the table is not the version that the patch was made from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import BinaryIO, Final, NamedTuple

from dsvc.diff.patch_format import AppliedTable, PatchConflictError, TableBlock, as_bytes
from dsvc.model.table_kind import TableFormat, TableKind
from dsvc.table.origin.memory_source import MemorySource
from dsvc.table.origin.source import TableSource
from dsvc.table.reading.record_access import Cells, Key, RecordAccess, access, key_of
from dsvc.table.splice.splice import CellEdit, Donor, Segment, Splice, splice

MAX_NAMED: Final = 20


class SideRows(NamedTuple):
    """The removed or the inserted records of a block.

    Attributes
    ----------
    source : MemorySource
        A table of them.
    by_key : dict
        Number in `source` and cells, by key.
    keys : list
        Key of each record, in order.
    """

    source: MemorySource
    by_key: dict[Key, tuple[int, Cells]]
    keys: list[Key]


def side_rows(block: TableBlock, kind: TableKind, *, new: bool, name: str) -> SideRows:
    """Read the removed (not `new`) or the inserted records of a block.

    Raises
    ------
    PatchConflictError
        If one has no key, or two have the same one.
    """
    side = block.head.new if new else block.head.old
    records = block.new_records if new else block.old_records
    rows = block.new_rows if new else block.old_rows
    if kind.format.is_text:
        rows = _small_text(as_bytes(side.head or ""), records, kind)
    # What is at hand is not compressed.
    source, plain = MemorySource(name, rows or b""), TableKind(kind.format)
    table = access(source, plain)
    count = len(records) if kind.format.is_text else len(table.digests)
    cells = table.rows(range(count))
    keys: list[Key] = []
    by_key: dict[Key, tuple[int, Cells]] = {}
    for number in range(count):
        key = key_of(cells.get(number), block.head.key)
        if key is None or key in by_key:
            raise PatchConflictError(f"{name}: the patch has rows without a key of their own")
        keys.append(key)
        by_key[key] = number, cells[number]
    return SideRows(source, by_key, keys)


def _small_text(head: bytes, records: Sequence[bytes], kind: TableKind) -> bytes:
    """Make a table of a few records; the last one of a file may lack what separates it from others."""
    if kind.format is TableFormat.JSON:
        return b"[" + b",\n".join(_element(record) for record in records) + b"]"
    return head + b"".join(record if record.endswith(b"\n") else record + b"\n" for record in records)


def _element(record: bytes) -> bytes:
    return record[: record.rfind(b"}") + 1]


class KeyedPatch:
    """A block on a table that has changed since.

    Parameters
    ----------
    block : TableBlock
        The change.
    current : TableSource
        The table as it is now.

    Raises
    ------
    PatchConflictError
        If there is no key, columns change, or a key is there twice.
    """

    def __init__(self, block: TableBlock, current: TableSource, kind: TableKind) -> None:
        self._name = current.name
        self._block = block
        self._kind = kind
        self._current = current
        if not block.head.key or block.head.old.columns != block.head.new.columns:
            why = "its columns change" if block.head.key else "it has no key"
            raise self._conflict([f"the table is another one by now, and {why}"])
        self._old = side_rows(block, kind, new=False, name=current.name)
        self._new = side_rows(block, kind, new=True, name=current.name)
        self._table: RecordAccess = access(current, kind)
        if any(name not in dict(self._table.columns) for name in block.head.key if self._table.columns):
            raise self._conflict(["the table has no such key any more"])
        self._places, self._length = self._find()

    def _conflict(self, reasons: Sequence[str]) -> PatchConflictError:
        shown = "; ".join(reasons[:MAX_NAMED])
        more = f" (and {len(reasons) - MAX_NAMED} more)" if len(reasons) > MAX_NAMED else ""
        return PatchConflictError(
            f"the patch doesn't apply to {self._name}: {shown}{more}",
            hint="nothing was written",
            details={"path": self._name, "conflicts": list(reasons)},
        )

    def _find(self) -> tuple[dict[Key, int], int]:
        """Where the keys that the block speaks of stand in the table, and how many records it has."""
        anchors = set(self._block.new_after.values())
        wanted = {*self._old.by_key, *self._new.by_key, *anchors}
        places: dict[Key, int] = {}
        number = -1
        for number, key in enumerate(self._table.keys(self._block.head.key)):
            if key in wanted and key is not None:
                if key in places:
                    raise self._conflict([f"the key {_show(key)} is there twice"])
                places[key] = number
        return places, number + 1

    def write(self, output: BinaryIO) -> AppliedTable:
        """Write the new table.

        Raises
        ------
        PatchConflictError
            If what the block changes is not as it was.
        """
        old, new = self._old.by_key, self._new.by_key
        removed = [key for key in old if key not in new]
        changed = [key for key in old if key in new and self._touched(key, old[key][1])]
        added = [key for key in self._new.keys if key not in old]
        self._check(added)
        segments, rows = self._segments({self._places[key] for key in removed}, added)
        edits = sorted(edit for key in changed for edit in self._edits(key, rows[self._places[key]]))
        plain = TableKind(self._kind.format)
        donors = [Donor(self._current, self._kind), Donor(self._new.source, plain)]
        splice(Splice(donors=donors, segments=segments, edits=edits), output)
        return AppliedTable(False, len(added), len(removed), len(changed))

    def _check(self, added: Sequence[Key]) -> None:
        reasons = [f"{_show(key)} is there already" for key in added if key in self._places]
        reasons += [f"{_show(key)} is not there" for key in self._old.by_key if key not in self._places]
        here = self._table.rows(self._places[key] for key in self._old.by_key if key in self._places)
        for key, (_number, was) in self._old.by_key.items():
            if key not in self._places:
                continue
            now = here.get(self._places[key], {})
            for name in self._touched(key, was):
                if was.get(name) != now.get(name):
                    reasons.append(f"{_show(key)}: {name} is {now.get(name)}, not {was.get(name)}")
        if reasons:
            raise self._conflict(reasons)

    def _touched(self, key: Key, was: Cells) -> list[str]:
        """Columns that must be as they were: of a row that goes all, else those that change."""
        if key not in self._new.by_key:
            return list(was)
        now = self._new.by_key[key][1]
        return [name for name in {**was, **now} if was.get(name) != now.get(name)]

    def _segments(self, removed: set[int], added: Sequence[Key]) -> tuple[list[Segment], dict[int, int]]:
        """The new table by rows of this one and of the patch, and where rows of this one end up."""
        follow: dict[int, list[int]] = {}
        last: int = self._length - 1
        wanted = set(added)
        at = 0
        for run in self._block.runs:
            if run.copied:
                continue
            anchor = self._block.new_after.get(run.start)
            place = -1 if run.start == 0 else self._places.get(anchor, last) if anchor else last
            for number in range(at, at + run.length):
                key = self._new.keys[number]
                if key in wanted:
                    follow.setdefault(place, []).append(number)
                else:
                    # A changed row stands where it stood; what follows it in the patch follows it here.
                    place = self._places[key]
            at += run.length
        return self._laid_out(removed, follow)

    def _laid_out(
        self, removed: set[int], follow: dict[int, list[int]]
    ) -> tuple[list[Segment], dict[int, int]]:
        segments = [Segment(1, number, 1) for number in follow.get(-1, ())]
        moved: dict[int, int] = {}
        interesting = sorted({*removed, *(place for place in follow if place >= 0)})
        shown = {self._places[key] for key in self._old.by_key}
        at = 0
        for place in interesting:
            end = place if place in removed else place + 1
            segments += [Segment(0, at, end - at)] if end > at else []
            segments += [Segment(1, number, 1) for number in follow.get(place, ())]
            at = place + 1
        segments += [Segment(0, at, self._length - at)] if self._length > at else []
        out = 0
        for donor, start, count in segments:
            if donor == 0:
                moved.update(
                    {place: out + place - start for place in shown if start <= place < start + count}
                )
            out += count
        return segments, moved

    def _edits(self, key: Key, row: int) -> Iterator[CellEdit]:
        number, now = self._new.by_key[key]
        for name in self._touched(key, self._old.by_key[key][1]):
            yield CellEdit(row, name, 1, number, name if name in now else None)


def _show(key: Key) -> str:
    return ", ".join(key)
