"""blame: who last changed a file, or a row and each of its cells, and who added it."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from dsvc.history.commit_codec import Commit
from dsvc.model.ids import CommitId
from dsvc.porcelain.lineage.blame_lineage import traced
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.row_target import FoundRow, RowTarget, find_file, find_row, parse_target
from dsvc.porcelain.tree.file_versions import FileVersion, FileVersions

if TYPE_CHECKING:
    from dsvc.diff.row_trace import TracedRow
    from dsvc.diff.table_delta import KeySource, Row
    from dsvc.model.manifest import Entry
    from dsvc.porcelain.lineage.lineage_trace import TraceResult
    from dsvc.porcelain.tables.row_indexes import RowIndexes
    from dsvc.table.index.row_index import RowIndex


@dataclass(frozen=True, slots=True, kw_only=True)
class BlameResult:
    """Outcome of `blame`; a commit that is None: what was done is not committed.

    Attributes
    ----------
    target : RowTarget
        What was asked for.
    entry : Entry
        The file.
    introduced : Commit or None
        Where the file or the row appeared; after a gap, where it appeared again.
    changed : Commit or None
        Where its content, or a cell of the row, was changed last.
    commits : tuple of (Commit or None)
        Of a file: every commit that changed its content, newest first.
    row : BlamedRow or None
        The row, where the target names one.
    trace : TraceResult or None
        Where it came from, through runs and from sources; None where no lineage is recorded.
    """

    target: RowTarget
    entry: Entry
    introduced: Commit | None
    changed: Commit | None
    commits: tuple[Commit | None, ...] = ()
    row: BlamedRow | None = None
    trace: TraceResult | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BlamedRow:
    """A row and its cells.

    Attributes
    ----------
    position : int
        Number of the record, 0-based.
    key : tuple of str
        Columns by which it was known again; empty: its content and occurrence, so that a row that changed is
        another row.
    key_from : KeySource
        Who says that they are the key.
    values : dict
        The row.
    cells : dict of str to (Commit or None)
        Who gave each column's cell its value.
    """

    position: int
    key: tuple[str, ...]
    key_from: KeySource
    values: Row
    cells: dict[str, Commit | None]


def blame(repo: Workspace, target: str | RowTarget, *, key: Sequence[str] | None = None) -> BlameResult:
    """Find who last changed a file, or a row and each of its cells, and who added it.

    Every line of history is followed, and renames of the file and of columns. At a merge a cell that equals
    one parent's is that parent's, the first parent's where it equals several; one that equals none was
    changed by the merge. An absent column reads as null.

    Parameters
    ----------
    target : str or RowTarget
        ``[REV:]PATH[#ROW]``, the path being that from the root; REV may be ``STAGED`` or ``WORKTREE``.
    key : sequence of str or None
        Columns by which a row is known again, in place of those of ``dsvc.toml`` and of the target; empty:
        its content.

    Raises
    ------
    NotFoundError, NoSuchRowError, NoSuchColumnError
        If there is no such revision, file, row or column.
    DuplicateKeyError
        If several rows have the key.
    NotATableError, TableLimitError
        If the file can't be read as a table, and a row was asked for.
    MissingDataError, CorruptDataError, MalformedInputError
        If a commit, a manifest or a table on the way is damaged.
    """
    wanted = parse_target(target) if isinstance(target, str) else target
    versions = FileVersions(repo)
    if wanted.row is None:
        entry, worktree = find_file(repo, wanted)
        start = versions.start(wanted.revision, entry, worktree=worktree)
        return _blame_file(versions, wanted, start, traced(repo, wanted, entry, None))
    from dsvc.porcelain.tables.row_indexes import RowIndexes

    indexes = RowIndexes(repo)
    found = find_row(repo, wanted, key=key, indexes=indexes)
    start = versions.start(wanted.revision, found.entry, worktree=wanted.revision == "WORKTREE")
    walk = _RowWalk(repo, versions, indexes)
    walk.run(start, found)
    row = BlamedRow(
        position=found.position,
        key=found.key,
        key_from=found.key_from,
        values=found.values(),
        cells={name: walk.cells[name] for name in found.version.index.names},
    )
    return BlameResult(
        target=wanted,
        entry=found.entry,
        introduced=walk.introduced,
        changed=walk.changed(start),
        row=row,
        trace=traced(repo, wanted, found.entry, found),
    )


def _blame_file(
    versions: FileVersions, target: RowTarget, start: FileVersion, trace: TraceResult | None
) -> BlameResult:
    commits = tuple(each.commit for each in versions.changes(start))
    introduced = versions.first(start).commit
    return BlameResult(
        target=target,
        entry=start.entry,
        introduced=introduced,
        changed=commits[0],
        commits=commits,
        trace=trace,
    )


# Rows


@dataclass(slots=True)
class _Task:
    """A row in a version, with what is asked of it there.

    Attributes
    ----------
    columns : dict of str to str
        Columns of the target whose cells came from here, to their names here.
    presence : bool
        Whether the row's appearance is asked for.
    """

    version: FileVersion
    row: TracedRow
    columns: dict[str, str] = field(default_factory=dict)
    presence: bool = False


class _Place(NamedTuple):
    """The row in a version before, and what columns are called there if not the same."""

    version: FileVersion
    row: TracedRow
    names: dict[str, str]


class _RowWalk:
    """Follows each cell of a row to the commit that gave it its value."""

    def __init__(self, repo: Workspace, versions: FileVersions, indexes: RowIndexes) -> None:
        self._repo = repo
        self._versions = versions
        self._indexes = indexes
        self.cells: dict[str, Commit | None] = {}
        self.introduced: Commit | None = None
        self._pending: dict[tuple[CommitId, bytes], _Task] = {}
        self._order: list[tuple[int, int, tuple[CommitId, bytes]]] = []
        self._branched = False
        self._pushed = 0

    def run(self, start: FileVersion, found: FoundRow) -> None:
        from dsvc.diff.row_trace import TracedRow

        index = found.version.index
        row = TracedRow.find(index, found.row, found.key)
        self._settle(_Task(start, row, {name: name for name in index.names}, presence=True))
        while self._order:
            place = heapq.heappop(self._order)[2]
            # The same version may have been asked again before its turn came.
            task = self._pending.pop(place, None)
            if task is not None:
                self._settle(task)

    def _settle(self, task: _Task) -> None:
        """Hand what is asked on to the versions before; what none of them has was done here."""
        older = self._versions.before(task.version)
        self._branched |= len(older) > 1
        places = [place for version in older if (place := self._place(task, version)) is not None]
        for number, place in enumerate(places):
            same = self._equal(task, place)
            if same or number == 0:
                self._push(place, same, presence=task.presence and number == 0)
            for name in same:
                del task.columns[name]
        for name in task.columns:
            self.cells[name] = task.version.commit
        if task.presence and not places:
            self.introduced = task.version.commit

    def _place(self, task: _Task, version: FileVersion) -> _Place | None:
        if version.entry.digest == task.version.entry.digest:
            return _Place(version, task.row, {})
        index = self._index(version, task.row.index)
        found = None if index is None else task.row.step(index)
        return None if found is None else _Place(version, found.row, found.names)

    def _index(self, version: FileVersion, base: RowIndex) -> RowIndex | None:
        """Index of a version; None where it can't be read as a table."""
        from dsvc.porcelain.tables.table_diff import known_table
        from dsvc.table.origin.source import NotATableError, TableLimitError

        found = self._indexes.cached(version.entry.digest)
        if found is not None:
            return found
        table = known_table(self._repo, version.entry)
        try:
            return None if table is None else self._indexes.get(table, base)
        except (NotATableError, TableLimitError):
            return None

    def _equal(self, task: _Task, place: _Place) -> dict[str, str]:
        """Columns asked for whose cells are the same there, with their names there."""
        if place.row is task.row:
            return dict(task.columns)
        here, there = task.row.cells(), place.row.cells()
        names = {name: place.names.get(at, at) for name, at in task.columns.items()}
        return {
            name: names[name]
            for name, at in task.columns.items()
            if here.get(at, 0) == there.get(names[name], 0)
        }

    def _push(self, place: _Place, columns: dict[str, str], *, presence: bool) -> None:
        if not columns and not presence:
            return
        commit = place.version.commit
        assert commit is not None
        key = (commit.id, place.version.entry.path)
        known = self._pending.get(key)
        if known is None:
            known = self._pending[key] = _Task(place.version, place.row)
            self._pushed += 1
            heapq.heappush(self._order, (-place.version.seconds, self._pushed, key))
        known.columns |= columns
        known.presence |= presence

    def changed(self, start: FileVersion) -> Commit | None:
        """Tell which of the commits that gave cells their values is the last."""
        commits = {commit.id: commit for commit in self.cells.values() if commit is not None}
        if None in self.cells.values() or not commits:
            return None if self.cells else self.introduced
        if not self._branched or len(commits) == 1:
            # On one line of history the walk meets the last one first.
            return next(iter(commits.values()))
        for commit in self._all(start):
            if commit.id in commits:
                return commit
        raise AssertionError("a commit that is no ancestor")

    def _all(self, start: FileVersion) -> Iterator[Commit]:
        """Yield every commit that the walk may have met, children before their parents."""
        starts = [start] if start.commit is not None else self._versions.before(start)
        ids = [each.commit.id for each in starts if each.commit is not None]
        return self._repo.history.log(ids)
