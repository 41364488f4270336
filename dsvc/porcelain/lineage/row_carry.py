"""Rows of one version of an artifact in another one: the same rows, wherever they stand.

First by equal content, the first of equal rows with the first; then by the row maps of the runs that lie
between both; then by key. What was selected once is reached so, and never evaluated again.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from dsvc.lineage.graph import ArtifactNode, RunNode
from dsvc.lineage.links import NO_LINKS, Links, compose_all, united
from dsvc.lineage.matching import Rows, pair_by_occurrence
from dsvc.lineage.record_rows import CONTENT, PATH, RecordRows, TableRows, rows_of_tables
from dsvc.lineage.row_flow import RowFlow, maps_rows
from dsvc.model.ids import CommitId
from dsvc.porcelain.lineage.artifact_version import find_artifact, open_table
from dsvc.porcelain.lineage.lineage_scope import LineageScope
from dsvc.porcelain.runs.run_artifacts import ArtifactFiles
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.row_indexes import RowIndexes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

GONE: Final = -1
_MAX_WAYS: Final = 64


class CarriedBy(IntEnum):
    """By what a row was found again."""

    NOTHING = 0
    CONTENT = 1
    MAP = 2
    KEY = 3


class Carried(NamedTuple):
    """Where rows stand in another version.

    Attributes
    ----------
    rows : ndarray of int64, shape (n,)
        For each row that was asked for its number there; `GONE` where it isn't any more.
    how : ndarray of uint8, shape (n,)
        By what it was found, a `CarriedBy`.
    """

    rows: Numbers
    how: NDArray[np.uint8]

    @property
    def found(self) -> Numbers:
        """Numbers of the rows that are still there, ascending, each once."""
        return np.unique(self.rows[self.rows != GONE])


def carry_rows(
    repo: Workspace,
    path: bytes,
    old_digest: bytes,
    rows: Numbers,
    new_digest: bytes,
    *,
    new_path: bytes | None = None,
    near: Sequence[CommitId] = (),
    by_map: bool = True,
) -> Carried:
    """Find rows of one content of an artifact in another one.

    Parameters
    ----------
    path, old_digest : bytes
        The artifact that the rows are of.
    rows : ndarray of int64
        Their numbers.
    new_digest : bytes
        Where they are looked for.
    new_path : bytes or None
        Where that stands; None: at the same path.
    near : sequence of CommitId
        Commits in which both are looked for first.
    by_map : bool
        Whether row maps of runs are asked.

    Raises
    ------
    ArtifactGoneError
        If no version that is kept has one of both.
    NotATableError, TableLimitError
        If one is a table that can't be read.
    MissingDataError, CorruptDataError, MalformedInputError
        If something that is needed can't be read.
    """
    rows = np.asarray(rows, np.int64)
    there = path if new_path is None else new_path
    if (path, old_digest) == (there, new_digest):
        return Carried(rows.copy(), np.full(len(rows), CarriedBy.CONTENT, np.uint8))
    carry = _Carry(rows)
    if not len(rows):
        return carry.result()
    old = find_artifact(repo, path, old_digest, near)
    new = find_artifact(repo, there, new_digest, near)
    sides = _records(repo, old, new)
    if sides is None:
        return carry.result()
    before, after = sides
    carry.by_content(before, after)
    if by_map and carry.open_places().size:
        carry.by_map(repo, ArtifactNode(path, old_digest), ArtifactNode(there, new_digest))
    if carry.open_places().size:
        carry.by_key(before, after, _key(repo, old, new))
    if old.folder and carry.open_places().size:
        # A file that is at no path it had before may have moved.
        before.content = after.content = (CONTENT,)
        carry.by_content(before, after)
    return carry.result()


class _Carry:
    """Rows that are looked for, and what was found of them so far."""

    def __init__(self, rows: Numbers) -> None:
        self._rows = rows
        self._found = np.full(len(rows), GONE, np.int64)
        self._how = np.full(len(rows), CarriedBy.NOTHING, np.uint8)

    def open_places(self) -> Numbers:
        """Places of the rows that were not found yet."""
        return np.flatnonzero(self._found == GONE)

    def result(self) -> Carried:
        return Carried(self._found, self._how)

    def _take(self, olds: Numbers, news: Numbers, how: CarriedBy) -> None:
        """Take pairs of rows, each old row at most once in them."""
        if not len(olds):
            return
        order = np.argsort(olds, kind="stable")
        olds, news = olds[order], news[order]
        places = self.open_places()
        at = np.minimum(np.searchsorted(olds, self._rows[places]), len(olds) - 1)
        hit = olds[at] == self._rows[places]
        self._found[places[hit]] = news[at[hit]]
        self._how[places[hit]] = how

    def by_content(self, before: RecordRows, after: RecordRows) -> None:
        if set(before.columns) != set(after.columns):
            return
        sides = [Rows(np.arange(each.rows, dtype=np.int64), each.row_hashes()) for each in (before, after)]
        pairs = pair_by_occurrence(sides[0], sides[1], repeat=False)
        self._take(pairs.inputs, pairs.outputs, CarriedBy.CONTENT)

    def by_map(self, repo: Workspace, old: ArtifactNode, new: ArtifactNode) -> None:
        links = links_between(repo, old, new)
        if links is None:
            return
        # Of rows that became several the first one stands for it.
        by_input = links.inverted()
        _, first = np.unique(by_input.outputs, return_index=True)
        self._take(by_input.outputs[first], by_input.inputs[first], CarriedBy.MAP)

    def by_key(self, before: RecordRows, after: RecordRows, key: tuple[str, ...]) -> None:
        if not key or not set(key) <= set(before.columns) & set(after.columns):
            return
        sides = []
        for each in (before, after):
            hashes, whole = each.key_hashes(key)
            numbers = np.flatnonzero(whole)
            values, first, counts = np.unique(hashes[numbers], return_index=True, return_counts=True)
            # A key that comes twice tells no row from another.
            sides.append(Rows(numbers[first[counts == 1]], values[counts == 1]))
        pairs = pair_by_occurrence(_ascending(sides[0]), _ascending(sides[1]), repeat=False)
        self._take(pairs.inputs, pairs.outputs, CarriedBy.KEY)


def _ascending(rows: Rows) -> Rows:
    return rows.at(np.argsort(rows.numbers))


def _records(repo: Workspace, old: ArtifactFiles, new: ArtifactFiles) -> list[RecordRows] | None:
    """Records of both; None where one has none, or they are of two kinds."""
    if old.folder and new.folder:
        return [_folder_rows(old), _folder_rows(new)]
    if old.folder or new.folder:
        return None
    indexes = RowIndexes(repo)
    tables = [open_table(repo, each.entries[0], indexes) for each in (old, new)]
    found = [TableRows(each.source, each.kind, each.index) for each in tables if each is not None]
    return rows_of_tables(found) if len(found) == 2 else None


def _folder_rows(files: ArtifactFiles) -> RecordRows:
    """Files of a folder, whose path is part of their content: one that moved is found by its digest later."""
    rows = RecordRows.of_folder(files.members())
    rows.content = rows.columns
    return rows


def _key(repo: Workspace, old: ArtifactFiles, new: ArtifactFiles) -> tuple[str, ...]:
    if old.folder:
        return (PATH,)
    from dsvc.diff.row_diff import choose_key
    from dsvc.porcelain.tables.table_rules import table_rules

    rules = table_rules(repo)
    configured = rules.for_path(new.path).key or rules.for_path(old.path).key
    if configured:
        return configured
    indexes = RowIndexes(repo)
    sides = [open_table(repo, each.entries[0], indexes) for each in (old, new)]
    if sides[0] is None or sides[1] is None:
        return ()
    return choose_key(sides[0].index, sides[1].index, None, ())[0]


def links_between(repo: Workspace, old: ArtifactNode, new: ArtifactNode) -> Links | None:
    """Links from rows of a later artifact to those of an earlier one, over all runs between them.

    Returns
    -------
    Links or None
        Later rows as `outputs`, earlier ones as `inputs`; None where no run leads there row by row.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If a run or a row map can't be read.
    """
    scope = LineageScope(repo, None)
    graph = scope.builder.graph
    if old not in graph or new not in graph:
        return None
    # Only what lies between both: of all ways from a file there may be very many.
    between = {old, new, *(graph.descendants(old) & graph.ancestors(new))}
    graph = graph.part(between)
    flow = RowFlow(repo.store, scope.builder)
    ways = []
    for nodes in graph.paths(old, new, _MAX_WAYS):
        steps = _steps(flow, nodes)
        if steps:
            ways.append(compose_all(steps))
    return united(ways) if ways else None


def _steps(flow: RowFlow, nodes: Sequence[object]) -> list[Links]:
    """Row maps along one way; empty where one is missing."""
    found: list[Links] = []
    for start, node, end in zip(nodes, nodes[1:], nodes[2:], strict=False):
        if not isinstance(node, RunNode):
            continue
        assert isinstance(start, ArtifactNode)
        assert isinstance(end, ArtifactNode)
        run, output = flow.builder.output(node.id, end)
        for number, read in enumerate(run.inputs):
            if (read.path, read.digest) == start and maps_rows(run, output, number):
                links = flow.links(run, output, number)
                found.append(NO_LINKS if links is None else links.all())
                break
        else:
            return []
    return found
