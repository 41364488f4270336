"""What differs between versions of an artifact that a repair made anew, and where its new rows came from.

What is new must descend from rows of the plan, by the row maps of the new runs: from one that changed
itself, from one that the plan names since it may come back, or, where many rows make one, from one that was
among those that a planned row was made of.

What is gone is in the plan, or was reached from rows of the plan, which is known of runs that look at all
rows only once they are done: it came from a row that was reached; a row that was made of some of the same
rows now has one among them that changed; or it is left out now as a duplicate of one that changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dsvc.feedback.proof import FileRecords, Records, Sets, compare, hashes_at
from dsvc.lineage.link_file import LinkFile
from dsvc.lineage.links import distinct
from dsvc.lineage.row_account import decode_account
from dsvc.lineage.row_set import decode_rows
from dsvc.lineage.run_tree import RunTree
from dsvc.model.repair import Plan, PlannedRows
from dsvc.model.run_record import RunId
from dsvc.model.table_kind import TableKind
from dsvc.porcelain.runs.run_artifacts import ArtifactFiles
from dsvc.porcelain.runs.run_rows import table_of
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.row_indexes import EMPTY_INDEX, KnownTable, RowIndexes
from dsvc.table.index.row_index import RowIndex, row_hashes
from dsvc.table.values.value_form import common_form

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

NONE: Numbers = np.zeros(0, np.int64)


class Difference(NamedTuple):
    """What differs between two versions of an artifact.

    Attributes
    ----------
    before, after : Records
    gone, came : ndarray of int64
        Rows before without an equal now, and rows now without one before; ascending.
    strange : ndarray of int64
        Of those that came the ones that descend from no row of the plan.
    reached : ndarray of int64
        Of those that are gone the ones that the plan doesn't have and that were reached from rows of it.
    mapped : bool
        Whether it is known where those came from.
    malformed : tuple of int
        Records that can't be read, before and now.
    """

    before: Records
    after: Records
    gone: Numbers
    came: Numbers
    strange: Numbers = NONE
    reached: Numbers = NONE
    mapped: bool = True
    malformed: tuple[int, int] = (0, 0)

    @property
    def fresh(self) -> Numbers:
        """Rows that came from rows of the plan."""
        return np.setdiff1d(self.came, self.strange)


class _Maker(NamedTuple):
    """The new run that made an artifact, which output it is; and the run that was done again, if any."""

    new: RunTree
    output: int
    old: RunTree | None


class Descent:
    """Compares versions along the runs of a repair.

    Parameters
    ----------
    repo : Workspace
    plan : Plan
    runs : mapping of int to RunId
        New runs, by the place of their step.
    """

    def __init__(self, repo: Workspace, plan: Plan, runs: Mapping[int, RunId]) -> None:
        self._repo = repo
        self._indexes = RowIndexes(repo)
        self._plan = {(each.path, each.digest): each for each in plan.rows}
        self._found: dict[tuple[bytes, bytes, bytes], Difference | None] = {}
        self._makers: dict[tuple[bytes, bytes], _Maker] = {}
        self.runs: list[tuple[RunTree, RunTree | None]] = []
        for number, id_ in runs.items():
            of = plan.steps[number].run
            new = RunTree(repo.store, id_)
            old = None if of is None else RunTree(repo.store, RunId.parse(of))
            self.runs.append((new, old))
            for output, each in enumerate(new.run.outputs):
                self._makers[each.path, each.digest] = _Maker(new, output, old)

    def planned(self, path: bytes, digest: bytes) -> PlannedRows | None:
        """Rows of the plan of an artifact as it was; None where the plan doesn't have it."""
        return self._plan.get((path, digest))

    def difference(self, old: ArtifactFiles, new: ArtifactFiles) -> Difference | None:
        """Compare two versions of an artifact; None where one has no rows.

        Raises
        ------
        NotATableError, TableLimitError
            If a table can't be read.
        MissingDataError, CorruptDataError, MalformedInputError
            If anything else can't be.
        """
        place = (old.path, old.artifact().digest, new.artifact().digest)
        if place not in self._found:
            self._found[place] = self._compared(old, new, place[1], place[2])
        return self._found[place]

    def _compared(
        self, old: ArtifactFiles, new: ArtifactFiles, before: bytes, after: bytes
    ) -> Difference | None:
        sides, tables = self._records(old, new)
        if sides is None:
            return None
        planned = self.planned(old.path, before)
        sets = NONE if planned is None else sets_of(planned).all
        gone, came = compare(*sides, sets)
        if tables is not None and len(came) and len(np.setdiff1d(gone, sets)):
            gone, came = _by_value(tables, sides, gone, came, sets)
        counts = [len(each.malformed) if isinstance(each, RowIndex) else 0 for each in sides]
        found = Difference(*sides, gone, came, malformed=(counts[0], counts[1]))
        others = np.setdiff1d(gone, sets) if planned is not None else NONE
        if (planned is not None and planned.unknown) or not len(came) + len(others):
            return found
        maker = self._maker(old.path, before, after)
        if maker is None:
            return found._replace(strange=came)
        return self._followed(found, maker, gone if planned is None else sets, others)

    def _records(
        self, old: ArtifactFiles, new: ArtifactFiles
    ) -> tuple[tuple[Records, Records] | None, tuple[KnownTable, KnownTable] | None]:
        if old.folder and new.folder:
            first, second = (
                FileRecords([(entry.path, entry.digest) for entry in each.members()]) for each in (old, new)
            )
            return (first, second), None
        tables = table_of(self._repo, old), table_of(self._repo, new)
        if old.folder or new.folder or tables[0] is None or tables[1] is None:
            return None, None
        if tables[0].kind.format.family is not tables[1].kind.format.family:
            return None, None
        before = self._index(tables[0])
        return (before, self._index(tables[1], before, tables[0])), (tables[0], tables[1])

    def _index(
        self, table: KnownTable, base: RowIndex | None = None, like: KnownTable | None = None
    ) -> RowIndex:
        return self._indexes.get(table, base, like) if table.source.size else EMPTY_INDEX

    # Where new rows came from

    def _maker(self, path: bytes, before: bytes, after: bytes) -> _Maker | None:
        """The run that made a new version; of a copy that of the original."""
        known = self._makers.get((path, after))
        if known is not None:
            return known
        for (_, digest), maker in self._makers.items():
            if digest == after and before in _digests_before(maker):
                return maker
        return None

    def _followed(self, found: Difference, maker: _Maker, planned: Numbers, others: Numbers) -> Difference:
        """Find the rows that came from none of the plan, and those that are gone and were reached."""
        known, mapped, reached = NONE, False, NONE
        for number in range(len(maker.new.run.inputs)):
            links = _links(maker.new, maker.output, number)
            if links is None:
                continue
            mapped = True
            read = self._read(maker, number)
            pairs = links.parents(found.came)
            fine = distinct(pairs.outputs[self._right(maker, number, read, pairs.inputs, planned)])
            known = np.union1d(known, fine)
            if len(others) and maker.old is not None:
                beside = pairs.inputs[np.isin(pairs.outputs, fine)]
                reached = np.union1d(reached, _reached(maker, number, read, others, beside))
        if not mapped:
            return found._replace(mapped=False)
        return found._replace(strange=np.setdiff1d(found.came, known), reached=reached)

    def _read(self, maker: _Maker, number: int) -> Difference | None:
        """What differs in an input of a run that was done again; None where nothing does, or no rows."""
        if maker.old is None:
            return None
        now, before = (tree.run.inputs[number] for tree in (maker.new, maker.old))
        if now.digest == before.digest:
            return None
        old, new = (
            ArtifactFiles(before.path, before.folder, tuple(tree.input_files(number)))
            for tree in (maker.old, maker.new)
        )
        return self.difference(old, new)

    def _right(
        self, maker: _Maker, number: int, read: Difference | None, rows: Numbers, planned: Numbers
    ) -> NDArray[np.bool_]:
        """Which rows of an input lead to what may be new.

        Parameters
        ----------
        rows : ndarray of int64
            Numbers in the input as it is now.
        planned : ndarray of int64
            Rows of the output before that may change.
        """
        now = maker.new.run.inputs[number]
        if maker.old is None:
            own = self.planned(now.path, now.digest)
            return np.isin(rows, NONE if own is None else sets_of(own).all)
        before = maker.old.run.inputs[number]
        targets = _parents(maker, number, planned)
        if now.digest == before.digest:
            return np.isin(rows, targets)
        if read is None:
            return np.zeros(len(rows), np.bool_)
        own = self.planned(before.path, before.digest)
        if own is not None and own.unknown:
            return np.ones(len(rows), np.bool_)
        back = sets_of(own).all if own is not None else _returning(maker.old, number, read.gone)
        wanted = hashes_at(read.before, np.union1d(targets, back))
        return np.isin(rows, read.fresh) | np.isin(hashes_at(read.after, rows), wanted)


def sets_of(planned: PlannedRows) -> Sets:
    """Rows of a plan, decoded."""
    return Sets(*(decode_rows(each) for each in (planned.flagged, planned.selected, planned.consequent)))


def _digests_before(maker: _Maker) -> set[bytes]:
    """Digests of what stood in place of an output."""
    path = maker.new.run.outputs[maker.output].path
    before = maker.new.run.inputs if maker.old is None else maker.old.run.outputs
    return {each.digest for each in before if each.path == path}


def _links(tree: RunTree, output: int, number: int) -> LinkFile | None:
    data = tree.part(b"maps/%d-%d" % (output, number))
    return None if data is None else LinkFile(data)


def _old_links(maker: _Maker, number: int) -> LinkFile | None:
    """Row map of what stood in place of an output."""
    assert maker.old is not None
    made = maker.new.run.outputs[maker.output]
    for output, each in enumerate(maker.old.run.outputs):
        if (each.path, each.folder) == (made.path, made.folder):
            return _links(maker.old, output, number)
    return None


def _parents(maker: _Maker, number: int, planned: Numbers) -> Numbers:
    """Rows of an input, as it was, that planned rows of an output were made of."""
    links = _old_links(maker, number)
    return NONE if links is None else distinct(links.parents(planned).inputs)


def _reached(
    maker: _Maker, number: int, read: Difference | None, others: Numbers, beside: Numbers
) -> Numbers:
    """Rows that are gone and were reached through an input, though the plan doesn't have them.

    Parameters
    ----------
    others : ndarray of int64
        Rows that are gone.
    beside : ndarray of int64
        Rows of the input, as it is now, that what may be new was made of.
    """
    links = _old_links(maker, number)
    if links is None:
        return NONE
    pairs = links.parents(others)
    hit = np.zeros(pairs.size, np.bool_)
    if read is not None:
        hit |= np.isin(pairs.inputs, read.reached)
    if not maker.new.run.rowwise:
        if read is None:
            hit |= np.isin(pairs.inputs, beside)
        else:
            rows = np.union1d(beside, _duplicates_of(maker.new, number, read.fresh))
            hit |= np.isin(hashes_at(read.before, pairs.inputs), hashes_at(read.after, rows))
    return distinct(pairs.outputs[hit])


def _duplicates_of(tree: RunTree, number: int, rows: Numbers) -> Numbers:
    """Rows of an input that were left out as duplicates of some rows."""
    data = tree.part(b"rows/%d" % number)
    if data is None:
        return NONE
    account = decode_account(data)
    return account.dropped[np.isin(account.survivors, rows)]


def _returning(tree: RunTree, number: int, gone: Numbers) -> Numbers:
    """Rows of an input that were left out as duplicates of rows that are gone."""
    found, before = NONE, gone
    while len(before):
        before = np.setdiff1d(_duplicates_of(tree, number, before), found)
        found = np.union1d(found, before)
    return found


def _by_value(
    tables: tuple[KnownTable, KnownTable],
    sides: tuple[Records, Records],
    gone: Numbers,
    came: Numbers,
    planned: Numbers,
) -> tuple[Numbers, Numbers]:
    """Leave out rows that only are written in another way: 25.0 where it was 25."""
    from dsvc.feedback.proof import unmatched
    from dsvc.table.values.value_hash import value_cells

    before, after = sides
    assert isinstance(before, RowIndex)
    assert isinstance(after, RowIndex)
    types: dict[str, list[tuple[str, TableKind]]] = {}
    for table, index in zip(tables, (before, after), strict=True):
        for column in index.columns:
            types.setdefault(column.name, []).append((column.type, table.kind))
    hashes = []
    for table, index, rows in zip(tables, (before, after), (gone, came), strict=True):
        forms = {name: common_form(types[name]) for name in index.names}
        hashes.append(row_hashes(value_cells(table.source, table.kind, index, rows, forms), len(rows)))
    left, more = unmatched(hashes[0], hashes[1], np.isin(gone, planned))
    return gone[left], came[more]
