"""What could have caused bad rows: everything that the lineage of an artifact's rows knows, row by row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from dsvc.feedback.candidate_rows import Membership
from dsvc.feedback.causes import Candidate
from dsvc.lineage.artifacts import folder_digest, relative
from dsvc.lineage.builder import LineageBuilder
from dsvc.lineage.graph import ArtifactNode, Node, RunNode, SourceNode
from dsvc.lineage.links import Links, ordered
from dsvc.lineage.row_flow import RowFlow
from dsvc.lineage.row_ways import NO_WAY, Way, all_together, ways_of
from dsvc.lineage.run_summary import RunSummary
from dsvc.model.defect import CauseKind
from dsvc.model.errors import NotFoundError
from dsvc.model.ids import CommitId
from dsvc.model.manifest import Entry
from dsvc.model.paths import display_path
from dsvc.porcelain.feedback.cause_columns import ColumnsOnTheWay, UnreadTable
from dsvc.porcelain.feedback.cause_pools import Pools
from dsvc.porcelain.lineage.lineage_scope import LineageScope
from dsvc.porcelain.state.workspace import Workspace

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

_FACTS: Final = {
    "annotator": CauseKind.ANNOTATOR,
    "reviewer": CauseKind.REVIEWER,
    "rules": CauseKind.RULES,
    "batch": CauseKind.BATCH,
}
_PEOPLE: Final = frozenset({"annotator", "reviewer"})
_MOST_FILES: Final = 50
"""Files of a folder that are candidates one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateRows:
    """Candidates, and the rows of the artifact that they were asked for.

    Attributes
    ----------
    records : int
        Rows of the artifact.
    rows : ndarray of int64 or None
        Rows that were asked about; the candidates count these, from 0. None: all.
    candidates : tuple of Candidate
    ancestors : mapping of ArtifactNode to Membership
        Artifacts that rows came from, and the artifact itself, each with those of the rows that did.
    left_out : tuple of str
        Columns, and parts such as the annotator, with so many values that not each was looked at.
    unread : tuple of UnreadTable
        Tables on the way that can't be read, so that their columns are not among the candidates.
    """

    records: int
    rows: Numbers | None
    candidates: tuple[Candidate, ...]
    ancestors: Mapping[ArtifactNode, Membership]
    left_out: tuple[str, ...]
    unread: tuple[UnreadTable, ...]

    @property
    def size(self) -> int:
        """How many rows were asked about."""
        return self.records if self.rows is None else len(self.rows)

    def rows_of(self, names: Iterable[tuple[CauseKind, str]]) -> Numbers:
        """Rows of the artifact that at least one of some candidates covers, ascending."""
        wanted = set(names)
        mask = np.zeros(self.size, np.bool_)
        for each in self.candidates:
            if (each.kind, each.id) in wanted:
                mask |= each.rows.mask(self.size)
        found = np.flatnonzero(mask)
        return found if self.rows is None else np.sort(self.rows[found])


class CandidateCauses:
    """Finds candidates for artifacts of one commit.

    Parameters
    ----------
    repo : Workspace
    commit : CommitId

    Raises
    ------
    NotFoundError
        If there is no such commit.
    MissingDataError, CorruptDataError, MalformedInputError
        If its lineage can't be read.
    """

    def __init__(self, repo: Workspace, commit: CommitId) -> None:
        self._repo = repo
        self._manifest = repo.manifest(repo.history.read_commit(commit).manifest)
        self._scope = LineageScope(repo, str(commit))
        self._flow = RowFlow(repo.store, self._scope.builder)

    @property
    def builder(self) -> LineageBuilder:
        """The graph of the commit's lineage."""
        return self._scope.builder

    def entry(self, path: bytes) -> Entry | None:
        """File of the commit; None where it has none there."""
        return self._manifest.get(path)

    def files(self, folder: bytes, numbers: Sequence[int]) -> list[str]:
        """Paths of files of a folder, relative to it, by their numbers."""
        members = relative(self._manifest.entries(folder), folder)
        return [_name(members[number].path) for number in numbers]

    def tables(self, folder: bytes = b"") -> list[Entry]:
        """Tables with rows that the commit has below a folder, or at that very path."""
        entry = self._manifest.get(folder) if folder else None
        entries = self._manifest.entries(folder) if entry is None else [entry]
        return [each for each in entries if each.is_file and each.rows]

    def of(
        self, path: bytes, digest: bytes, *, folder: bool = False, rows: Numbers | None = None
    ) -> CandidateRows:
        """Find everything that rows of an artifact came from or have in common.

        Parameters
        ----------
        path, digest : bytes
            A file, or a folder whose files are the rows.
        rows : ndarray of int64 or None
            Numbers of the rows that are asked about, each once; None: all.

        Raises
        ------
        NotFoundError
            If the commit has no such artifact.
        MissingDataError, CorruptDataError, MalformedInputError
            If a run, a source, a row map or the artifact itself can't be read.
        """
        members = self._members(path, digest, folder=folder)
        records = len(members) if folder else 1 if members[0].rows is None else members[0].rows
        if rows is not None and len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < records:
            raise NotFoundError(
                f"{display_path(path)} has {records} rows, and one beyond them was asked about",
                details={"path": display_path(path), "rows": records},
            )
        asked = np.arange(records, dtype=np.int64) if rows is None else rows
        starts = _starts(self.builder, path, digest, members, asked, folder=folder)
        pools = Pools(len(asked))
        columns = ColumnsOnTheWay(self._repo, self._flow, pools)
        if not folder and members[0].rows is not None:
            columns.add_own(members[0], rows)
        origins = _Origins(self.builder, self._flow, pools, set(starts))
        for node, way in ways_of(self.builder, self._flow, starts):
            origins.take(node, way)
            if isinstance(node, ArtifactNode) and node not in starts:
                columns.add(node, way)
        origins.finish()
        return CandidateRows(
            records=records,
            rows=rows,
            candidates=tuple(pools.candidates()),
            ancestors={node: pools.members([rows])[1] for node, rows in origins.ways.items()},
            left_out=tuple(dict.fromkeys([*columns.left_out, *pools.left_out])),
            unread=tuple(columns.unread),
        )

    def _members(self, path: bytes, digest: bytes, *, folder: bool) -> list[Entry]:
        """Entries of an artifact: of a folder its files, in order."""
        if not folder:
            entry = self._manifest.get(path)
            if entry is not None and entry.digest == digest:
                return [entry]
            raise _no_artifact(path)
        members = list(self._manifest.entries(path))
        listed = relative(members, path)
        if not members or folder_digest((each.path, each.mode, each.digest) for each in listed) != digest:
            raise _no_artifact(path)
        return sorted(members, key=lambda each: each.path)


def _no_artifact(path: bytes) -> NotFoundError:
    name = display_path(path)
    return NotFoundError(f"the commit has no {name} with this content", details={"path": name})


def _starts(
    builder: LineageBuilder,
    path: bytes,
    digest: bytes,
    members: Sequence[Entry],
    asked: Numbers,
    *,
    folder: bool,
) -> dict[ArtifactNode, Way]:
    """Where the ways begin: at the artifact; where a run made it with a folder, at the folder's record."""
    node = ArtifactNode(path, digest)
    places = np.arange(len(asked), dtype=np.int64)
    if folder and node in builder.graph:
        return {node: Way(ordered(places, asked))}
    found: dict[ArtifactNode, list[Way]] = {}
    # Of a folder each file is asked about by itself, once.
    files = zip(asked.tolist(), places.reshape(-1, 1), strict=True) if folder else [(0, places)]
    for number, mine in files:
        entry = members[number]
        file = builder.add_file(entry)
        by_row = not folder and entry.rows is not None
        held = (
            []
            if builder.makers(file)
            else [each for each in builder.holding(file) if builder.makers(each[0])]
        )
        for holder, record in held:
            part = Way(Links(mine, np.full(len(mine), record, np.int64)))
            found.setdefault(holder, []).append(part)
        if not held:
            part = Way(ordered(mine, asked)) if by_row else Way(NO_WAY.links, mine)
            found.setdefault(file, []).append(part)
    return {each: all_together(parts) for each, parts in found.items()}


class _Origins:
    """Runs, sources, artifacts, parameters and facts, as the way back comes to them."""

    def __init__(
        self, builder: LineageBuilder, flow: RowFlow, pools: Pools, starts: set[ArtifactNode]
    ) -> None:
        self._builder = builder
        self._flow = flow
        self._pools = pools
        self._starts = starts
        self._side_by_side: set[ArtifactNode] = set()
        self._leaves: set[ArtifactNode] = set()
        self.ways: dict[ArtifactNode, Numbers] = {}
        self._runs: dict[RunNode, list[Numbers]] = {}

    def take(self, node: Node, way: Way) -> None:
        """Take in a step of the way back."""
        if isinstance(node, SourceNode):
            self._pools.add_rows(CauseKind.SOURCE, node.id, way.rows())
        elif isinstance(node, RunNode):
            self._runs.setdefault(node, []).append(way.rows())
        elif isinstance(node, ArtifactNode):
            self.ways[node] = way.rows()
        if isinstance(node, ArtifactNode) and node not in self._starts:
            if not any(
                isinstance(each, ArtifactNode | RunNode) for each in self._builder.graph.parents(node)
            ):
                self._leaves.add(node)
            self._files(node, way)

    def _files(self, node: ArtifactNode, way: Way) -> None:
        """Files of a folder, where rows came from several of them."""
        if self._builder.facts[node].folder is None or not way.links.size:
            return
        members = list(self._builder.files(node))
        if 1 < len(members) <= _MOST_FILES:
            texts = [_name(each.path) for each in members]
            codes = way.links.inputs.astype(np.int16)
            self._pools.add_values(CauseKind.ARTIFACT, "", way.links.outputs, codes, texts)
        elif len(members) > _MOST_FILES:
            self._pools.left_out.append(_name(node.path) + "/")

    def finish(self) -> None:
        """Make candidates of what only the whole way tells."""
        for run, parts in self._runs.items():
            summary = self._builder.index.runs[run.id]
            inputs = [ArtifactNode(each.path, each.digest) for each in summary.inputs if not each.lookup]
            if len(inputs) > 1:
                self._side_by_side.update(inputs)
            for rows in parts:
                self._pools.add_rows(CauseKind.RUN, run.id.hex(), rows)
        self._facts()
        self._parameters()
        chosen = self._side_by_side | (self._leaves if len(self._leaves) > 1 else set())
        nodes = sorted(node for node in chosen if node in self.ways)
        paths = [node.path for node in nodes]
        for node in nodes:
            several = paths.count(node.path) > 1
            id_ = f"{_name(node.path)}@{node.digest.hex()[:12]}" if several else _name(node.path)
            self._pools.add_rows(CauseKind.ARTIFACT, id_, self.ways[node])

    def _facts(self) -> None:
        """Who annotated and reviewed, by which rules, in which batch."""
        for run, parts in self._runs.items():
            facts = self._flow.run(run.id).run.facts
            for name, kind in _FACTS.items():
                text = facts.get(name, "")
                for value in text.split(",") if name in _PEOPLE else [text]:
                    for rows in parts if value.strip() else ():
                        self._pools.add_rows(kind, value.strip(), rows)

    def _parameters(self) -> None:
        """Parameters that runs of one name don't share."""
        by_name: dict[str, list[tuple[RunSummary, Mapping[str, str], list[Numbers]]]] = {}
        for run, parts in self._runs.items():
            summary = self._builder.index.runs[run.id]
            known = self._flow.run(run.id).run.parameters
            by_name.setdefault(summary.name, []).append((summary, known, parts))
        for name, runs in by_name.items():
            for parameter in sorted({each for _, known, _ in runs for each in known}):
                if len({known.get(parameter) for _, known, _ in runs}) < 2:
                    continue
                for _, known, parts in runs:
                    for rows in parts if parameter in known else ():
                        self._pools.add_rows(CauseKind.PARAM, f"{name}.{parameter}={known[parameter]}", rows)


def _name(path: bytes) -> str:
    """Path as an id: bytes that are no UTF-8 are escaped, so that ids stay different."""
    return path.decode("utf-8", "backslashreplace")


__all__ = ["CandidateCauses", "CandidateRows", "UnreadTable"]
