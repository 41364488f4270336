"""Indexing a table in lines by a version that differs in many places: only records that differ are read.

Between stretches of bytes that both versions hold there are gaps. In a gap the records at the front and at
the back that are the same bytes on both sides are passed over; the rest of all gaps is read as one table, and
put into the other version's index.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dsvc.table.index.index_builder import MemoryStripe, build_index
from dsvc.table.index.index_splice import Cut, Replacement, opened_pieces, spliced_index
from dsvc.table.index.row_index import RowIndex
from dsvc.table.origin.memory_source import MemorySource
from dsvc.table.origin.source import NotATableError
from dsvc.table.text.records import TextRecords
from dsvc.table.text.text_donor import TextDonor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsvc.model.table_kind import TableKind
    from dsvc.table.index.index_reuse import Like, Run
    from dsvc.table.origin.source import TableSource

    Numbers = NDArray[np.int64]


class _Side(NamedTuple):
    """The gaps of one version, joined behind the table's header.

    Attributes
    ----------
    text : bytes
    froms : ndarray of int64, shape (gaps,)
        Where each gap begins in the version.
    begins : ndarray of int64, shape (gaps + 1,)
        Where each begins in `text`; at last its length.
    starts : ndarray of int64, shape (records,)
        Where each record begins in `text`.
    firsts : ndarray of int64, shape (gaps + 1,)
        Number of the first record of each gap; at last their number.
    """

    text: bytes
    froms: Numbers
    begins: Numbers
    starts: Numbers
    firsts: Numbers


class _Gap(NamedTuple):
    """Bytes of the old and of the new version between stretches that both hold."""

    old_start: int
    old_end: int
    start: int
    end: int


class _Change(NamedTuple):
    """What differs.

    Attributes
    ----------
    replacement : Replacement
    fresh : ndarray of int64
        Records of the new version's gaps that are read.
    behind : ndarray of int64, shape (gaps,)
        Row of the old version behind what differs in each gap.
    """

    replacement: Replacement
    fresh: Numbers
    behind: Numbers


def index_by_gaps(source: TableSource, kind: TableKind, like: Like, runs: Sequence[Run]) -> RowIndex | None:
    """Index a table; None where that can't be.

    Parameters
    ----------
    runs : sequence of Run
        Pieces of the other index that are in this table too, ascending.

    Raises
    ------
    NotATableError, TableLimitError
        If what differs can't be read.
    """
    base, whole = like.index, TextRecords(source, kind)
    gaps = _gaps(base, like.source.size, source.size, runs, len(whole.header))
    old = _side(like.source, kind, whole, [(gap.old_start, gap.old_end) for gap in gaps])
    new = _side(source, kind, whole, [(gap.start, gap.end) for gap in gaps])
    rows = _rows_of(base, gaps)
    if old is None or new is None or len(old.starts) != int((rows[:, 1] - rows[:, 0]).sum()):
        return None
    change = _changed(old, new, rows)
    fresh = _index_of(source.name, kind, whole, new, change.fresh)
    if fresh is None or fresh.rows != len(change.fresh):
        return None
    opened = opened_pieces(base, change.replacement)
    # Of a piece that is cut anew it must be known where its records are: the gaps hold all of it.
    place = np.searchsorted(rows[:, 0], base.starts[opened], side="right") - 1
    if (place < 0).any() or (base.starts[opened + 1] > rows[place, 1]).any():
        return None
    moved = [gap.end - gap.old_end for gap in gaps]
    shifts = np.array([len(whole.header) - int(base.pieces["offset"][0]), *moved], np.int64)
    offsets = _Offsets(base, change.behind, shifts, _records(base, rows, new, change, opened))
    found = spliced_index(base, fresh, change.replacement, source, kind, offsets)
    return None if found is None else _in_memory(found)


def _in_memory(index: RowIndex) -> RowIndex:
    """The same index without the files of the other one, so that it can be handed to another process."""
    pieces = index.pieces.copy()
    pieces["file"] = pieces["stripe"] = 0
    pieces["start"] = index.starts[:-1]
    return RowIndex(index.columns, pieces, [[MemoryStripe(index.cells())]], (), index.evidence)


def _gaps(base: RowIndex, old_size: int, size: int, runs: Sequence[Run], at: int) -> list[_Gap]:
    """The gaps before, between and behind runs; each takes the piece behind it along.

    Where the row that ended a piece is another one now, the piece behind it is cut anew too.
    """
    offsets = base.pieces["offset"]
    found = []
    old_at = int(offsets[0])
    for run in runs:
        if (int(offsets[run.first]), run.start) == (old_at, at):
            end, shift = int(offsets[run.first]), 0
        else:
            end, shift = int(offsets[run.first + 1]), run.start - int(offsets[run.first])
            found.append(_Gap(old_at, end, at, end + shift))
        old_at, at = int(offsets[run.last]), run.end
    return [*found, _Gap(old_at, old_size, at, size)]


def _rows_of(base: RowIndex, gaps: Sequence[_Gap]) -> Numbers:
    """First row of each gap of the old version, and the row behind its last."""
    offsets = base.pieces["offset"]
    firsts = np.searchsorted(offsets, np.array([gap.old_start for gap in gaps]))
    lasts = np.searchsorted(offsets, np.array([gap.old_end for gap in gaps]))
    found: Numbers = np.stack([base.starts[firsts], base.starts[lasts]], axis=1)
    return found


def _side(
    source: TableSource, kind: TableKind, whole: TextRecords, spans: Sequence[tuple[int, int]]
) -> _Side | None:
    """Read the gaps of one version; None where one of them doesn't hold whole records."""
    parts = []
    with source.open() as stream:
        for start, end in spans:
            stream.seek(start)
            parts.append(stream.read(end - start))
    if any(part and not part.endswith(b"\n") for part in parts[:-1]):
        return None
    text = b"".join([whole.header, *parts])
    begins = len(whole.header) + np.cumsum([0, *map(len, parts)])
    with TextDonor(MemorySource(source.name, text), kind) as donor:
        starts, ends = donor.starts, donor.ends
        if not _are_alike(donor.table, whole):
            return None
    firsts = np.searchsorted(starts, begins)
    inside = firsts[1:] > firsts[:-1]
    # A quote may go on from one gap into the next.
    if (ends[firsts[1:][inside] - 1] > begins[1:][inside]).any():
        return None
    return _Side(text, np.array([start for start, _ in spans], np.int64), begins, starts, firsts)


def _changed(old: _Side, new: _Side, rows: Numbers) -> _Change:
    """Pass over the records at the front and the back of gaps that are the same."""
    touched, fresh, before, behind = [], [], [], []
    views = [np.frombuffer(side.text, np.uint8) for side in (old, new)]
    for gap in range(len(old.froms)):
        front, back = _alike(old, new, views[0], views[1], gap)
        first, last = int(rows[gap, 0]) + front, int(rows[gap, 1]) - back
        mine = np.arange(new.firsts[gap] + front, new.firsts[gap + 1] - back)
        touched.append(np.arange(first, last))
        fresh.append(mine)
        before.append(np.full(len(mine), last))
        behind.append(last)
    numbers = np.concatenate(fresh)
    change = Replacement(np.concatenate(touched), np.arange(len(numbers)), np.concatenate(before))
    return _Change(change, numbers, np.array(behind, np.int64))


def _alike(
    old: _Side, new: _Side, before: NDArray[np.uint8], after: NDArray[np.uint8], gap: int
) -> tuple[int, int]:
    """How many records at the front and at the back of a gap are the same bytes."""
    one, other = (
        view[side.begins[gap] : side.begins[gap + 1]] for side, view in ((old, before), (new, after))
    )
    starts, other_starts = (
        side.starts[side.firsts[gap] : side.firsts[gap + 1]] - side.begins[gap] for side in (old, new)
    )
    count, records = min(len(one), len(other)), min(len(starts), len(other_starts))
    same = _same(one[::-1][:count], other[::-1][:count])
    behind = [(len(view) - each)[::-1][:records] for view, each in ((one, starts), (other, other_starts))]
    # The piece behind the gap comes first: it is the one that must stay.
    back = _leading((behind[0] == behind[1]) & (behind[0] <= same))
    same = _same(one[:count], other[:count])
    ends = [np.append(each[1:], len(view)) for view, each in ((one, starts), (other, other_starts))]
    front = _leading((ends[0][:records] == ends[1][:records]) & (ends[0][:records] <= same))
    return min(front, records - back), back


def _same(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> int:
    """How many bytes at the front are the same."""
    differs = np.flatnonzero(one != other)
    return int(differs[0]) if len(differs) else len(one)


def _leading(flags: NDArray[np.bool_]) -> int:
    """How many at the front are true."""
    return len(flags) if flags.all() else int(np.argmin(flags))


def _are_alike(one: TextRecords, other: TextRecords) -> bool:
    """Whether two texts are written in the same way."""
    return (one.header, one.dialect) == (other.header, other.dialect)


def _index_of(
    name: str, kind: TableKind, whole: TextRecords, side: _Side, records: Numbers
) -> RowIndex | None:
    """Index some records of the gaps, read in the way in which the whole table is."""
    ends = np.append(side.starts[1:], len(side.text))
    parts = [
        side.text[start:end]
        for start, end in zip(side.starts[records].tolist(), ends[records].tolist(), strict=True)
    ]
    if not parts or any(not part.endswith(b"\n") for part in parts[:-1]):
        return None
    own = MemorySource(name, b"".join([whole.header, *parts]))
    try:
        fresh = build_index(own, kind)
    except NotATableError:
        return None
    return fresh if _are_alike(TextRecords(own, kind), whole) else None


def _records(base: RowIndex, rows: Numbers, new: _Side, change: _Change, opened: Numbers) -> Numbers:
    """Where the records begin that are in pieces which are cut anew, in their order."""
    gap = np.searchsorted(new.firsts, np.arange(len(new.starts)), side="right") - 1
    at: Numbers = new.starts - new.begins[gap] + new.froms[gap]
    is_fresh = np.zeros(len(new.starts), np.bool_)
    is_fresh[change.fresh] = True
    # Those that are not read are rows of the other version, in its order.
    stay = np.concatenate([np.arange(first, last) for first, last in rows.tolist()])
    stay = stay[~np.isin(stay, change.replacement.touched)]
    is_open = np.zeros(len(base.pieces), np.bool_)
    is_open[opened] = True
    wanted = np.ones(len(new.starts), np.bool_)
    wanted[~is_fresh] = is_open[np.searchsorted(base.starts, stay, side="right") - 1]
    return at[wanted]


class _Offsets:
    """Tells where the pieces of the new table begin."""

    def __init__(self, base: RowIndex, behind: Numbers, shifts: Numbers, records: Numbers) -> None:
        self._base = base
        self._behind = behind
        self._shifts = shifts
        self._records = records

    def __call__(self, cut: Cut) -> Numbers:
        found = np.empty(len(cut.old), np.int64)
        stays = cut.old >= 0
        old = cut.old[stays]
        gap = np.searchsorted(self._behind, self._base.starts[old], side="right")
        found[stays] = self._base.pieces["offset"][old] + self._shifts[gap]
        found[~stays] = self._records[cut.place[~stays]]
        return found
