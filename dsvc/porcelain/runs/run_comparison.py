"""Whether a run that was done again made the same: byte for byte, or row for row in another order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from dsvc.lineage.run_tree import RunTree
from dsvc.model.errors import MalformedInputError
from dsvc.model.manifest import Entry, Kind
from dsvc.porcelain.runs.scratch import Scratch, scratch_table
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.table_diff import known_table

if TYPE_CHECKING:
    from dsvc.porcelain.tables.row_indexes import KnownTable
    from dsvc.table.index.row_index import Hashes, Numbers, RowIndex


class Sameness(StrEnum):
    """How two outputs are the same."""

    BYTES = "bytes"
    ROWS = "rows"


class OutputDifference(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a run made differently, the second time.

    Attributes
    ----------
    path : bytes
    expected, found : bytes or None
        Digest as recorded, and as it came out now; None where there was, or is, no such file.
    rows_added, rows_removed : int or None
        Of a table: rows that are there now and were not, and the reverse; None where that can't be said.
    """

    path: bytes
    expected: bytes | None
    found: bytes | None
    rows_added: int | None = None
    rows_removed: int | None = None


class Comparison(NamedTuple):
    """What came of comparing; `by` is None where something differs."""

    by: Sameness | None
    differences: tuple[OutputDifference, ...]


def compare_scratch(repo: Workspace, run: RunTree, scratch: Scratch, before: Iterable[Entry]) -> Comparison:
    """Compare what a run made with what stands in a scratch folder.

    Parameters
    ----------
    before : iterable of Entry
        Files that were put there before it ran.

    Raises
    ------
    MissingDataError, ErasedError, CorruptDataError
        If a recorded table is needed and can't be read from the store.
    TableLimitError
        If a table is beyond the limits.
    """
    expected = files_made(run)
    found = {path: entry for path in expected if (entry := scratch.entry(path)) is not None}
    known = {entry.path: entry.digest for entry in before}
    for artifact in run.run.outputs:
        for path in scratch.below(artifact.path) if artifact.folder else ():
            entry = None if path in expected else scratch.entry(path)
            if entry is not None and known.get(path) != entry.digest:
                found[path] = entry
    return _compare(repo, expected, found, lambda entry: scratch_table(scratch, entry))


def compare_runs(repo: Workspace, run: RunTree, again: RunTree) -> Comparison:
    """Compare what two recorded runs made; raises as `compare_scratch`."""
    return _compare(repo, files_made(run), files_made(again), lambda entry: known_table(repo, entry))


def files_made(run: RunTree) -> dict[bytes, Entry]:
    """Files that a run made, by path."""
    return {entry.path: entry for entry in run.files_made()}


def _compare(
    repo: Workspace,
    expected: Mapping[bytes, Entry],
    found: Mapping[bytes, Entry],
    table: Callable[[Entry], KnownTable | None],
) -> Comparison:
    by = Sameness.BYTES
    differences = []
    for path in sorted({*expected, *found}):
        old, new = expected.get(path), found.get(path)
        if old is not None and new is not None and old.digest == new.digest:
            continue
        rows = None
        if old is not None and new is not None and old.kind == Kind.TABLE:
            rows = _rows(repo, known_table(repo, old), table(new))
        if rows is not None and rows.same:
            by = Sameness.ROWS
            continue
        differences.append(
            OutputDifference(
                path=path,
                expected=None if old is None else old.digest,
                found=None if new is None else new.digest,
                rows_added=None if rows is None else rows.added,
                rows_removed=None if rows is None else rows.removed,
            )
        )
    return Comparison(None if differences else by, tuple(differences))


class _Rows(NamedTuple):
    same: bool
    added: int
    removed: int


def _rows(repo: Workspace, before: KnownTable | None, after: KnownTable | None) -> _Rows | None:
    """Compare two versions of a table as multisets of rows; None where one can't be read as such."""
    if before is None or after is None or before.kind != after.kind:
        return None
    from dsvc.porcelain.tables.row_indexes import RowIndexes

    indexes = RowIndexes(repo)
    try:
        first = indexes.get(before)
        second = indexes.get(after, first)
    except MalformedInputError:
        return None
    added, removed = (len(rows) for rows in unmatched(all_hashes(second), all_hashes(first)))
    named_alike = set(first.names) == set(second.names)
    same = not added and not removed and named_alike and not first.malformed and not second.malformed
    return _Rows(same, added, removed)


def all_hashes(index: RowIndex) -> Hashes:
    """Hashes of a table's rows, in order."""
    from dsvc.table.index.row_index import row_hashes

    return row_hashes(index.cells(), index.rows)


def unmatched(first: Hashes, second: Hashes) -> tuple[Numbers, Numbers]:
    """Find what two multisets of hashes don't share.

    Returns
    -------
    tuple of ndarray of int64
        Places in `first` without a partner in `second`, and the reverse; of equal ones the later are left.
    """
    import numpy as np

    def left(own: Hashes, other: Hashes) -> Numbers:
        order = np.argsort(own, kind="stable")
        ranked = own[order]
        # The n-th of equal hashes has a partner if the other side has n of them.
        occurrence = np.arange(len(ranked)) - np.searchsorted(ranked, ranked, side="left")
        there = np.sort(other)
        count = np.searchsorted(there, ranked, side="right") - np.searchsorted(there, ranked, side="left")
        return np.sort(order[occurrence >= count])

    return left(first, second), left(second, first)
