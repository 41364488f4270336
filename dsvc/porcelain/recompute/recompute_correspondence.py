"""Which row of a new version of an artifact stands where which row of the old one stood."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dsvc.lineage.matching import NO_PAIRS, Pairs, Rows, joined, pair_by_occurrence
from dsvc.porcelain.runs.run_artifacts import ArtifactFiles
from dsvc.porcelain.runs.run_rows import table_of
from dsvc.porcelain.state.workspace import Workspace
from dsvc.table.index.row_index import key_hashes, row_hashes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsvc.model.manifest import Entry
    from dsvc.porcelain.tables.row_indexes import KnownTable
    from dsvc.table.index.row_index import RowIndex

    Numbers = NDArray[np.int64]
    Flags = NDArray[np.bool_]

NONE = -1


class Correspondence(NamedTuple):
    """Which row of a new version stands where which row of the old stood.

    Rows are those that row maps count: of a table without malformed records, of a folder its files by path.

    Attributes
    ----------
    old_of : ndarray of int64, shape (rows of the new version,)
        The old row; -1 where there is none. No old row comes twice.
    changed : ndarray of bool, shape (rows of the new version,)
        Whether its content differs from the old row's, or there is none.
    old_rows : int
        Rows of the old version.
    """

    old_of: Numbers
    changed: Flags
    old_rows: int

    @property
    def rows(self) -> int:
        """Rows of the new version."""
        return len(self.old_of)

    @property
    def is_identity(self) -> bool:
        """Whether every row is as it was, where it was."""
        return (
            self.rows == self.old_rows
            and not self.changed.any()
            and bool((self.old_of == np.arange(self.rows)).all())
        )

    def affected(self) -> Numbers:
        """Rows of the new version that changed or are new, ascending."""
        return np.flatnonzero(self.changed)

    def removed(self) -> Numbers:
        """Rows of the old version that stand nowhere in the new one, ascending."""
        gone = np.ones(self.old_rows, np.bool_)
        gone[self.old_of[self.old_of >= 0]] = False
        return np.flatnonzero(gone)

    def touched(self) -> Numbers:
        """Rows of the old version that are gone or changed, ascending."""
        same = ~self.changed
        touched = np.ones(self.old_rows, np.bool_)
        touched[self.old_of[same]] = False
        return np.flatnonzero(touched)

    def new_of(self) -> Numbers:
        """For each old row the new one that stands for it; -1 where there is none."""
        found = np.full(self.old_rows, NONE, np.int64)
        here = np.flatnonzero(self.old_of >= 0)
        found[self.old_of[here]] = here
        return found

    def inverse(self) -> Correspondence:
        """The same from the other side: which old row stands where which new row does."""
        new_of = self.new_of()
        changed = np.ones(self.old_rows, np.bool_)
        known = new_of >= 0
        changed[known] = self.changed[new_of[known]]
        return Correspondence(new_of, changed, self.rows)

    def then(self, later: Correspondence) -> Correspondence:
        """Over two steps: from the old version of this one to the new version of a later one."""
        old_of = np.full(later.rows, NONE, np.int64)
        changed = np.ones(later.rows, np.bool_)
        known = np.flatnonzero(later.old_of >= 0)
        between = later.old_of[known]
        old_of[known] = self.old_of[between]
        changed[known] = later.changed[known] | self.changed[between]
        return Correspondence(old_of, changed, self.old_rows)

    @classmethod
    def identity(cls, rows: int) -> Correspondence:
        """Of a version that holds the same rows in the same order."""
        return cls(np.arange(rows, dtype=np.int64), np.zeros(rows, np.bool_), rows)

    @classmethod
    def unknown(cls, old_rows: int, rows: int) -> Correspondence:
        """Of a version none of whose rows stands for an old one."""
        return cls(np.full(rows, NONE, np.int64), np.ones(rows, np.bool_), old_rows)


class NewArtifact(NamedTuple):
    """A new version of an artifact, stored, and how its rows stand to those of the old one.

    Attributes
    ----------
    files : ArtifactFiles
    correspondence : Correspondence or None
        None where it isn't known, or there are no rows: everything counts as changed.
    """

    files: ArtifactFiles
    correspondence: Correspondence | None

    def is_same_as(self, digest: bytes) -> bool:
        """Whether it holds the very bytes of an artifact with this digest."""
        return self.files.artifact().digest == digest

    def is_as_before(self, digest: bytes) -> bool:
        """Whether it is the artifact with this digest, and no row of it counts as changed."""
        rows = self.correspondence
        return self.is_same_as(digest) and (rows is None or rows.is_identity)


def correspondence_of_splice(
    old_rows: int, touched: Numbers, before: Numbers, stands_for: Numbers
) -> Correspondence:
    """Of a table from which rows were taken and into which others were put.

    Parameters
    ----------
    touched : ndarray of int64
        Old rows that were taken out, ascending, each once.
    before : ndarray of int64, shape (n,)
        For each row that was put in, in order, the old row before which it stands; not descending.
    stands_for : ndarray of int64, shape (n,)
        The old row that it replaces, -1 where it is new. Of those that replace one row the first counts.
    """
    kept = np.ones(old_rows, np.bool_)
    kept[touched] = False
    at = places_of(touched, before)
    old_of = np.full(old_rows - len(touched) + len(before), NONE, np.int64)
    is_new = np.zeros(len(old_of), np.bool_)
    is_new[at] = True
    old_of[~is_new] = np.flatnonzero(kept)
    known = np.flatnonzero(stands_for >= 0)
    _, first = np.unique(stands_for[known], return_index=True)
    chosen = known[first]
    old_of[at[chosen]] = stands_for[chosen]
    return Correspondence(old_of, is_new, old_rows)


def places_of(touched: Numbers, before: Numbers) -> Numbers:
    """Numbers that rows which are put into a table have then; parameters as `correspondence_of_splice`."""
    return before - np.searchsorted(touched, before, side="left") + np.arange(len(before))


def correspondence_of_versions(
    repo: Workspace, old: ArtifactFiles, new: ArtifactFiles, *, key: Sequence[str] = ()
) -> Correspondence | None:
    """Find how the rows of two versions stand to each other, by their contents.

    Rows of a table are the same where they are equal, the first with the first; pieces that both versions
    have are not looked into. What is left is a changed row where both have its key. Files of a folder are
    the same by path, else by digest.

    Parameters
    ----------
    key : sequence of str
        Key columns; empty: a column that is unique in both versions, if there is one.

    Returns
    -------
    Correspondence or None
        None where one has no rows, or their formats can't be compared.

    Raises
    ------
    NotATableError, TableLimitError
        If a table can't be read.
    """
    if old.folder and new.folder:
        return of_folders(old.members(), new.members())
    first, second = table_of(repo, old), table_of(repo, new)
    if old.folder or new.folder or first is None or second is None:
        return None
    from dsvc.porcelain.tables.row_indexes import EMPTY_INDEX, RowIndexes

    indexes = RowIndexes(repo)

    def index(table: KnownTable, base: RowIndex | None = None, like: KnownTable | None = None) -> RowIndex:
        return indexes.get(table, base, like) if table.source.size else EMPTY_INDEX

    before = index(first)
    if first.source.digest == second.source.digest:
        return Correspondence.identity(before.rows)
    after = index(second, before, first)
    if first.kind.format.family is not second.kind.format.family:
        return None
    return compare_indexes(before, after, key)


def of_folders(old: Sequence[Entry], new: Sequence[Entry]) -> Correspondence:
    """Find how the files of a folder stand to each other; paths are relative to it, in order."""
    places = {entry.path: number for number, entry in enumerate(old)}
    found = Correspondence.unknown(len(old), len(new))
    free: dict[bytes, list[int]] = {}
    paths = {entry.path for entry in new}
    for number in reversed(range(len(old))):
        if old[number].path not in paths:
            free.setdefault(old[number].digest, []).append(number)
    for number, entry in enumerate(new):
        place = places.get(entry.path)
        if place is not None:
            found.old_of[number] = place
            found.changed[number] = old[place].digest != entry.digest
        elif free.get(entry.digest):
            # A file under another name is another record for whoever reads names.
            found.old_of[number] = free[entry.digest].pop()
    return found


def compare_indexes(old: RowIndex, new: RowIndex, key: Sequence[str] = ()) -> Correspondence:
    """Find how rows stand to each other by the row indexes of both versions; see above."""
    found = Correspondence.unknown(old.rows, new.rows)
    ours, theirs = _equal_pieces(old, new)
    same = Pairs(new.rows_of(theirs), old.rows_of(ours))
    rest_old, rest_new = _others(ours, len(old.pieces)), _others(theirs, len(new.pieces))
    if len(rest_old) and len(rest_new):
        left_old, left_new = old.rows_of(rest_old), new.rows_of(rest_new)
        cells_old, cells_new = old.cells(rest_old), new.cells(rest_new)
        equal = pair_by_occurrence(
            Rows(left_old, row_hashes(cells_old, len(left_old))),
            Rows(left_new, row_hashes(cells_new, len(left_new))),
            repeat=False,
        )
        same = joined([same, equal])
    found.old_of[same.outputs] = same.inputs
    found.changed[same.outputs] = False
    changed = _by_key(old, new, found, key)
    found.old_of[changed.outputs] = changed.inputs
    return found


def _equal_pieces(old: RowIndex, new: RowIndex) -> tuple[Numbers, Numbers]:
    """Pieces of both sides that are the same, the first with the first."""
    pairs = pair_by_occurrence(
        Rows(np.arange(len(old.pieces)), old.pieces["id"]),
        Rows(np.arange(len(new.pieces)), new.pieces["id"]),
        repeat=False,
    )
    order = np.argsort(pairs.outputs)
    ours, theirs = pairs.inputs[order], pairs.outputs[order]
    whole = old.pieces["rows"][ours] == new.pieces["rows"][theirs]
    return ours[whole], theirs[whole]


def _others(pieces: Numbers, count: int) -> Numbers:
    free = np.ones(count, np.bool_)
    free[pieces] = False
    return np.flatnonzero(free)


def _by_key(old: RowIndex, new: RowIndex, found: Correspondence, key: Sequence[str]) -> Pairs:
    """Rows without a partner whose key one row on the other side has that is without a partner too."""
    rows_old, rows_new = found.removed(), np.flatnonzero(found.old_of < 0)
    if not len(rows_old) or not len(rows_new):
        return NO_PAIRS
    if not key:
        from dsvc.diff.row_compare import guess_key

        key = guess_key(old, new)
    if not key or any(index.column(name) is None for index in (old, new) for name in key):
        return NO_PAIRS
    sides: list[Rows] = []
    for index, rows in ((old, rows_old), (new, rows_new)):
        cells = index.cells_at(rows, key)
        has_key = np.logical_and.reduce([hashes != 0 for hashes in cells.values()])
        sides.append(Rows(rows[has_key], key_hashes(cells, key)[has_key]))
    return pair_by_occurrence(sides[0], sides[1], repeat=False)


__all__ = [
    "Correspondence",
    "NewArtifact",
    "compare_indexes",
    "correspondence_of_splice",
    "correspondence_of_versions",
    "of_folders",
    "places_of",
]
