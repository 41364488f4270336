"""What follows when rows of an artifact change or go: rows downstream, and runs that are to be done again.

Rows are followed along the newest run that made each artifact of a version, through row maps and copies.
Where a run left rows out as duplicates of one that changes or goes, one of them may come back; so may those
of which it wasn't recorded what they are duplicates of. They count in the input that they stand in, for
nothing stands for them downstream yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dsvc.lineage.builder import LineageBuilder
from dsvc.lineage.fates import DUPLICATE
from dsvc.lineage.graph import ArtifactNode, EdgeKind, Node, RunNode
from dsvc.lineage.links import distinct
from dsvc.lineage.row_account import RowAccount
from dsvc.lineage.row_flow import Reached, RowFlow, maps_rows
from dsvc.lineage.run_summary import RunSummary
from dsvc.model.run_record import RunId
from dsvc.porcelain.lineage.lineage_scope import Files

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

NONE: Numbers = np.zeros(0, np.int64)


class Touched(NamedTuple):
    """Rows of an artifact that change or go.

    Attributes
    ----------
    rows : ndarray of int64
        Their numbers, ascending.
    removed : ndarray of int64
        Those of them that go, as far as that can be told.
    certain : bool
        Whether that is sure: no run was on the way that looks at other rows too.
    unknown : bool
        Whether any other row may change as well, since it isn't known which became which.
    arriving : int
        Rows that may come: of each group of duplicates whose survivor changes or goes, one.
    """

    rows: Numbers
    removed: Numbers = NONE
    certain: bool = True
    unknown: bool = False
    arriving: int = 0


ANY_ROW = Touched(NONE, certain=False, unknown=True)


class Way(NamedTuple):
    """A run that is to be done again, or a file that is to be copied again.

    Attributes
    ----------
    run : RunId or None
        None: a copy.
    inputs : mapping of int to Touched
        What changes of the run's inputs, by their place.
    outputs : tuple of ArtifactNode
        What it makes anew of what the version needs.
    origin : bytes
        Of a copy: the file that it is one of.
    copies : tuple of bytes
        Of a copy: the files.
    """

    run: RunId | None
    inputs: Mapping[int, Touched]
    outputs: tuple[ArtifactNode, ...]
    origin: bytes = b""
    copies: tuple[bytes, ...] = ()


@dataclass(slots=True)
class Consequences:
    """What follows.

    Attributes
    ----------
    artifacts : dict of ArtifactNode to Touched
        What was asked about, and everything downstream that changes; each after what it is made of.
    returning : dict of ArtifactNode to ndarray
        Rows of them, not touched themselves, that were left out as duplicates of rows that are.
    ways : list of Way
        In the order in which they are to be done.
    """

    artifacts: dict[ArtifactNode, Touched]
    returning: dict[ArtifactNode, Numbers] = field(default_factory=dict)
    ways: list[Way] = field(default_factory=list)


def consequences(
    builder: LineageBuilder, flow: RowFlow, files: Files, starts: Mapping[ArtifactNode, Touched]
) -> Consequences:
    """Follow rows of some artifacts of a version to everything that came of them and that it still needs.

    Parameters
    ----------
    builder : LineageBuilder
        The graph of the version; all that could have come of the starts is resolved already.
    files : Files
        The version's.
    starts : mapping of ArtifactNode to Touched
        Artifacts that change, by themselves.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If a run or a row map can't be read.
    """
    return _Following(builder, flow, files, starts).follow()


class _Following:
    def __init__(
        self, builder: LineageBuilder, flow: RowFlow, files: Files, starts: Mapping[ArtifactNode, Touched]
    ) -> None:
        self._builder = builder
        self._flow = flow
        self._starts = starts
        self._found = Consequences(dict(starts))
        self._below: set[Node] = set(starts)
        for start in starts:
            self._below |= builder.graph.descendants(start)
        self._needed = self._needed_nodes(files)

    def follow(self) -> Consequences:
        graph = self._builder.graph
        for node in graph.ordered(each for each in graph.nodes() if each in self._needed):
            if isinstance(node, RunNode):
                self._through(node)
            elif isinstance(node, ArtifactNode) and node not in self._starts:
                for origin in self._origins(node):
                    self._copy(origin, node)
        return self._found

    # What the version needs

    def _needed_nodes(self, files: Files) -> set[Node]:
        """Nodes on the ways from the starts to what the version has."""
        needed: set[Node] = set(self._starts)
        pending = [node for node in self._below if self._is_there(files, node)]
        while pending:
            node = pending.pop()
            if node not in needed:
                needed.add(node)
                if isinstance(node, RunNode):
                    pending += [each for each in self._builder.graph.parents(node) if each in self._below]
                elif isinstance(node, ArtifactNode):
                    pending += [*self._maker(node), *self._origins(node)]
        return needed

    def _is_there(self, files: Files, node: Node) -> bool:
        if not isinstance(node, ArtifactNode) or node not in self._builder.facts:
            return False
        return any(files.has(member.path, member.digest) for member in self._builder.files(node))

    def _maker(self, node: ArtifactNode) -> list[Node]:
        """The newest run that made an artifact, if it read anything downstream of the starts."""
        newest = [RunNode(id_) for id_ in self._builder.makers(node)[:1]]
        return [each for each in newest if each in self._below]

    def _origins(self, node: ArtifactNode) -> list[ArtifactNode]:
        """What an artifact is a copy of that no run made."""
        if self._builder.makers(node):
            return []
        parents = self._builder.graph.parents(node).items()
        copied = [each for each, kind in parents if kind is EdgeKind.COPIED and each in self._below]
        return [each for each in copied if isinstance(each, ArtifactNode)]

    # Along the ways

    def _through(self, node: RunNode) -> None:
        run, artifacts = self._builder.index.runs[node.id], self._found.artifacts
        places = [ArtifactNode(each.path, each.digest) for each in run.inputs]
        touched = {number: artifacts[place] for number, place in enumerate(places) if place in artifacts}
        if not touched:
            return
        arriving = sum(each.arriving for each in touched.values())
        for number, each in touched.items():
            groups, rows = _duplicates(self._flow, run, number, each)
            arriving += groups
            if len(rows):
                known = self._found.returning.get(places[number], NONE)
                self._found.returning[places[number]] = distinct(np.concatenate([known, rows]))
        rowwise = self._flow.run(node.id).run.rowwise
        made = {number: ArtifactNode(each.path, each.digest) for number, each in enumerate(run.outputs)}
        outputs = {}
        for number, place in made.items():
            if place in self._needed and place not in self._starts and self._maker(place) == [node]:
                came = _forth(self._flow, run, number, touched, arriving, rowwise=rowwise)
                if came is not None:
                    outputs[place] = came
        artifacts.update(outputs)
        if outputs:
            self._found.ways.append(Way(node.id, touched, tuple(outputs)))

    def _copy(self, origin: ArtifactNode, node: ArtifactNode) -> None:
        if origin not in self._found.artifacts:
            return
        touched = self._found.artifacts[origin]
        came = _copied(self._flow, origin, node, touched)
        known = self._found.artifacts.get(node)
        self._found.artifacts[node] = came if known is None else _both(known, came)
        pairs = _copies(self._builder, origin, node, touched)
        for path in dict.fromkeys(start for start, _ in pairs):
            ends = tuple(end for start, end in pairs if start == path)
            self._found.ways.append(Way(None, {}, (node,), path, ends))


def _both(one: Touched, other: Touched) -> Touched:
    return Touched(
        distinct(np.concatenate([one.rows, other.rows])),
        distinct(np.concatenate([one.removed, other.removed])),
        one.certain and other.certain,
        one.unknown or other.unknown,
        one.arriving + other.arriving,
    )


def _duplicates(flow: RowFlow, run: RunSummary, number: int, touched: Touched) -> tuple[int, Numbers]:
    """Rows of an input that a run left out for others that change or go; and how many may come back.

    Of a duplicate whose survivor was not recorded any row that changes or goes may be it.
    """
    account = flow.account(run, number)
    if account is None or touched.unknown or not len(touched.rows):
        return 0, NONE
    free = ~np.isin(account.dropped, touched.rows)
    stray = free & (account.survivors < 0) & _is_duplicate(account)
    found, before = account.dropped[stray], np.union1d(touched.rows, account.dropped[stray])
    groups = min(len(found), len(touched.rows))
    groups += len(distinct(account.survivors[free & np.isin(account.survivors, touched.rows)]))
    while len(before):
        hit = free & np.isin(account.survivors, before) & ~np.isin(account.dropped, found)
        before = account.dropped[hit]
        found = distinct(np.concatenate([found, before]))
    return groups, found


def _is_duplicate(account: RowAccount) -> NDArray[np.bool_]:
    named = np.array([reason == DUPLICATE for reason in account.reasons], np.bool_)
    return named[account.reason_of] if len(named) else np.zeros(len(account.dropped), np.bool_)


def _forth(
    flow: RowFlow,
    run: RunSummary,
    output: int,
    touched: Mapping[int, Touched],
    arriving: int,
    *,
    rowwise: bool,
) -> Touched | None:
    """Rows of an output that change or go; None where it surely stays as it is."""
    if any(each.unknown or not maps_rows(run, output, number) for number, each in touched.items()):
        return ANY_ROW
    records = run.outputs[output].records or 0
    rows = _rows(flow.forth(run, output, {n: _reached(each.rows) for n, each in touched.items()}), records)
    gone = _rows(flow.forth(run, output, {n: _reached(each.removed) for n, each in touched.items()}), records)
    for number in range(len(run.inputs)) if len(gone) else ():
        links = flow.links(run, output, number) if maps_rows(run, output, number) else None
        if links is not None:
            # What also came from rows that stay, stays.
            stay = links.parents(gone)
            removed = touched[number].removed if number in touched else NONE
            gone = np.setdiff1d(gone, stay.outputs[~np.isin(stay.inputs, removed)])
    certain = rowwise and all(each.certain for each in touched.values())
    only_removed = all(len(each.rows) == len(each.removed) for each in touched.values())
    if certain and only_removed and not len(rows) and not arriving:
        return None
    return Touched(rows, gone, certain, arriving=arriving)


def _copied(flow: RowFlow, origin: ArtifactNode, node: ArtifactNode, touched: Touched) -> Touched:
    if touched.unknown:
        return ANY_ROW
    rows = flow.copied_forth(origin, node, _reached(touched.rows))
    if (origin, node) not in flow.builder.carried:
        return touched
    if rows.rows is None:
        # A file of a folder changed: which of its rows is not known.
        return ANY_ROW
    return Touched(rows.rows)


def _copies(
    builder: LineageBuilder, origin: ArtifactNode, node: ArtifactNode, touched: Touched
) -> list[tuple[bytes, bytes]]:
    """Files that are copies under another name: of which, and which."""
    pairs = builder.carried.get((origin, node))
    if pairs is None:
        return [(origin.path, node.path)] if origin.path != node.path else []
    starts = {member.number: member.path for member in builder.files(origin)}
    ends = {member.number: member.path for member in builder.files(node)}
    of_folder = builder.facts[origin].folder is not None
    changed = set(touched.rows.tolist())
    found = []
    for pair in pairs:
        start, end = starts[pair.start or 0], ends[pair.end or 0]
        if start != end and (not of_folder or touched.unknown or pair.start in changed):
            found.append((start, end))
    return sorted(set(found))


def _reached(rows: Numbers) -> Reached:
    return Reached(rows, True)


def _rows(reached: Reached, records: int) -> Numbers:
    return np.arange(records, dtype=np.int64) if reached.rows is None else reached.rows
