"""The index of a table that was put together of rows of others, from their indexes: no row is read again.

Pieces that nothing was taken from and nothing was put into stay what they are. The others are cut anew from
the hashes that are known of their rows. What is said of columns is what reading the table would say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from dsvc.model.table_kind import TableFormat, TableKind
from dsvc.table.index.index_builder import MemoryStripe, build_index, has_twins, unique_columns
from dsvc.table.index.row_index import PIECE, IndexColumn, RowIndex, cut, piece_ids, row_hashes
from dsvc.table.origin.memory_source import MemorySource
from dsvc.table.origin.source import NotATableError, TableSource

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]
    Numbers = NDArray[np.int64]

    Evidence = Mapping[tuple[str, str], int]
    Hashed = Mapping[str, Hashes]

_EARLY_ROWS: Final = 20_000
HEAD_ROWS: Final = 1000
"""Rows at the front that are read where the row that showed a column's type is gone."""


class Replacement(NamedTuple):
    """Rows that are taken out of a table, and rows of another that are put into it.

    Attributes
    ----------
    touched : ndarray of int64
        Rows that are taken out, ascending, each once.
    rows : ndarray of int64, shape (n,)
        Rows of the other table, in the order in which they are put in.
    before : ndarray of int64, shape (n,)
        For each the row before which it stands; not descending.
    """

    touched: Numbers
    rows: Numbers
    before: Numbers

    def new_number(self, rows: Numbers) -> Numbers:
        """Numbers that rows which stay have afterwards."""
        gone = np.searchsorted(self.touched, rows, side="left")
        return rows - gone + np.searchsorted(self.before, rows, side="right")

    def put_at(self) -> Numbers:
        """Numbers that the rows which are put in have afterwards."""
        gone = np.searchsorted(self.touched, self.before, side="left")
        return self.before - gone + np.arange(len(self.before))


Offsets = Callable[["Cut"], "Numbers"]
"""Gives the byte on which each piece of a new table in text begins."""


class Cut(NamedTuple):
    """The pieces of a new table.

    Attributes
    ----------
    pieces : ndarray of `PIECE`
    old : ndarray of int64
        For each the old piece that it is; -1: it was cut anew.
    place : ndarray of int64
        For those cut anew: the place of their first row among all rows in pieces that were.
    first : ndarray of int64
        For each the number of its first row.
    """

    pieces: NDArray[np.void]
    old: Numbers
    place: Numbers
    first: Numbers


def spliced_index(
    old: RowIndex,
    fresh: RowIndex,
    change: Replacement,
    source: TableSource,
    kind: TableKind,
    offsets: Offsets | None,
) -> RowIndex | None:
    """Index a table in which rows were replaced; None where it has to be read for that.

    Parameters
    ----------
    old, fresh : RowIndex
        Index of the table as it was, and of the one that rows were taken from.
    source, kind : TableSource, TableKind
        The table as it is now; of text in lines its front may be read.
    offsets : callable or None
        Of text: tells where its pieces begin.
    """
    rows = old.rows - len(change.touched) + len(change.rows)
    if old.malformed or fresh.malformed or not old.rows or not rows:
        return None
    if kind.format.is_text and offsets is None:
        return None
    names = list(dict.fromkeys((*old.names, *fresh.names)))
    found, stripe = _pieces(old, fresh, change, names)
    if offsets is not None:
        found.pieces["offset"] = offsets(found)
    known = _types(old, fresh, change, source, kind, found)
    if known is None:
        return None
    types, evidence = known
    index = RowIndex([], found.pieces, [*old.stripes, [stripe]], (), evidence)
    others = fresh.cells_at(change.rows, names)
    return RowIndex(_columns(old, index, others, types), found.pieces, index.stripes, (), evidence)


# Pieces


def _pieces(
    old: RowIndex, fresh: RowIndex, change: Replacement, names: Sequence[str]
) -> tuple[Cut, MemoryStripe]:
    """Pieces of the new table, those that were cut anew in a stripe of their own."""
    stays = np.ones(old.rows, np.bool_)
    stays[change.touched] = False
    opened = opened_pieces(old, change)
    closed = np.setdiff1d(np.arange(len(old.pieces)), opened, assume_unique=True)
    rows = old.rows_of(opened)
    alive = stays[rows]
    # What stays has odd places, what is put in before it the even one below.
    places = np.concatenate((rows[alive] * 2 + 1, change.before * 2))
    order = np.argsort(places, kind="stable")
    places = places[order]
    own, others = old.cells(opened, names), fresh.cells_at(change.rows, names)
    cells = {name: np.concatenate((own[name][alive], others[name]))[order] for name in names}
    made, cuts = np.zeros(0, PIECE), np.zeros(0, np.int64)
    if len(places):
        hashes = row_hashes(cells, len(places))
        found = np.union1d(cut(hashes), np.searchsorted(places, _regions(old, opened) * 2))
        cuts = found[found < len(places)].astype(np.int64)
        made = np.zeros(len(cuts), PIECE)
        made["id"] = piece_ids(hashes, cuts)
        made["rows"] = np.diff(np.append(cuts, len(places)))
        made["file"] = len(old.stripes)
        made["start"] = cuts
        made["offset"] = -1
    order = np.argsort(np.concatenate((old.starts[closed] * 2 + 1, places[cuts])), kind="stable")
    pieces = np.concatenate((old.pieces[closed], made))[order]
    before = np.concatenate((closed, np.full(len(cuts), -1)))[order]
    place = np.concatenate((np.full(len(closed), -1), cuts))[order]
    first = np.cumsum(pieces["rows"], dtype=np.int64) - pieces["rows"]
    return Cut(pieces, before, place, first), MemoryStripe(cells)


def opened_pieces(old: RowIndex, change: Replacement) -> Numbers:
    """Pieces of a table that are cut anew where rows are replaced, ascending."""
    open_ = np.zeros(len(old.pieces), np.bool_)
    for rows in (change.touched, np.minimum(change.before, old.rows - 1)):
        open_[np.searchsorted(old.starts, rows, side="right") - 1] = True
    # Where the row that ended a piece is gone, the next one goes on.
    ended = np.flatnonzero(np.isin(old.starts[1:-1] - 1, change.touched))
    open_[ended + 1] = True
    return np.flatnonzero(open_)


def _regions(old: RowIndex, opened: Numbers) -> Numbers:
    """Rows on which runs of pieces that are cut anew begin."""
    if not len(opened):
        return np.zeros(0, np.int64)
    first = opened[np.concatenate(([True], np.diff(opened) > 1))]
    return old.starts[first]


# Columns


def _types(
    old: RowIndex,
    fresh: RowIndex,
    change: Replacement,
    source: TableSource,
    kind: TableKind,
    found: Cut,
) -> tuple[dict[str, str], Evidence] | None:
    """Types of the columns and, of text, the rows that show them."""
    if not kind.format.is_text:
        types = {column.name: column.type for column in old.columns}
        return types, {}
    if kind.format in (TableFormat.JSON, TableFormat.JSONL) and any(c.type == "null" for c in old.columns):
        return None  # nothing says whether a row still has the key
    evidence = _evidence(old, fresh, change)
    if evidence is None:
        evidence = _with_head(old, fresh, change, source, kind, found)
        if evidence is None:
            return None
    from dsvc.table.hashes.text_hash import TextHasher

    hasher = TextHasher(source, kind)
    hasher.evidence.update(evidence)
    return hasher.types(), evidence


def _kept_evidence(old: RowIndex, fresh: RowIndex, change: Replacement) -> dict[tuple[str, str], int]:
    """What rows that stay or were put in show, by the first that shows it; in the old order of columns."""
    facts = list(old.evidence)
    rows = np.array([old.evidence[fact] for fact in facts], np.int64)
    gone = np.isin(rows, change.touched)
    now = change.new_number(rows)
    found = {fact: int(row) for fact, row, lost in zip(facts, now, gone, strict=True) if not lost}
    place = {int(row): int(at) for row, at in zip(change.rows[::-1], change.put_at()[::-1], strict=True)}
    for fact, row in fresh.evidence.items():
        if row in place:
            found[fact] = min(found.get(fact, place[row]), place[row])
    return found


def _evidence(old: RowIndex, fresh: RowIndex, change: Replacement) -> dict[tuple[str, str], int] | None:
    found = _kept_evidence(old, fresh, change)
    return found if set(old.evidence) <= set(found) else None


def _with_head(
    old: RowIndex,
    fresh: RowIndex,
    change: Replacement,
    source: TableSource,
    kind: TableKind,
    cut_: Cut,
) -> dict[tuple[str, str], int] | None:
    """The same, with what the first rows show."""
    if kind.format is TableFormat.JSON:
        return None
    from dsvc.table.origin.decompress import open_text

    behind = np.flatnonzero(cut_.first >= HEAD_ROWS)
    end = int(cut_.pieces["offset"][behind[0]]) if len(behind) else -1
    with open_text(source, kind) as stream:
        text = stream.read(end)
    try:
        head = build_index(MemorySource(source.name, text), TableKind(kind.format))
    except NotATableError:
        return None
    found = _kept_evidence(old, fresh, change)
    if head.malformed or not set(old.evidence) <= {*head.evidence, *found}:
        return None
    facts = {*head.evidence, *found}
    order = [fact for fact in (*head.evidence, *found) if fact in facts]
    return {fact: min(each[fact] for each in (head.evidence, found) if fact in each) for fact in order}


def _columns(old: RowIndex, index: RowIndex, fresh: Hashed, types: Mapping[str, str]) -> list[IndexColumn]:
    """What is said of columns; what is known of the old ones spares most looks at all their cells."""
    known = {column.name: column for column in old.columns}

    @cache
    def cells(name: str) -> Hashes:
        return index.cells(names=[name])[name]

    @cache
    def is_complete(name: str) -> bool:
        before = known.get(name)
        if before is not None and before.complete:
            return bool(fresh[name].all())
        return bool(cells(name).all())

    def is_unique(name: str) -> bool:
        if not is_complete(name):
            return False
        before = known.get(name)
        if before is not None and before.unique:
            return not _comes_again(fresh[name], cells(name))
        # Most columns that are no key show it early.
        return not has_twins(cells(name)[:_EARLY_ROWS]) and not has_twins(cells(name))

    unique = unique_columns(types, is_unique)
    return [IndexColumn(name, type_, is_complete(name), name in unique) for name, type_ in types.items()]


def _comes_again(some: Hashes, everything: Hashes) -> bool:
    """Whether one of some cells comes twice among all; the others are known to be unique."""
    ordered = np.sort(some)
    if not len(ordered):
        return False
    at = np.minimum(np.searchsorted(ordered, everything), len(ordered) - 1)
    return int((ordered[at] == everything).sum()) > len(ordered) or has_twins(ordered)
