"""Which rows of which artifact a repair changes, in the version that it starts from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import msgspec
import numpy as np

from dsvc.feedback.defect_state import DefectState
from dsvc.lineage.artifacts import folder_digest, relative
from dsvc.lineage.builder import LineageBuilder
from dsvc.lineage.graph import ArtifactNode, EdgeKind, Node, SourceNode
from dsvc.lineage.impact import impact
from dsvc.lineage.links import distinct
from dsvc.lineage.row_flow import NOTHING, WHOLE, Reached, RowFlow, united
from dsvc.lineage.row_set import decode_rows, encode_rows
from dsvc.model.defect import FlaggedRows
from dsvc.model.errors import MalformedInputError, NotFoundError, UsageError
from dsvc.model.ids import CommitId
from dsvc.model.manifest import Entry
from dsvc.model.paths import display_path
from dsvc.porcelain.lineage.lineage_impact import add_copies
from dsvc.porcelain.lineage.lineage_scope import Files, LineageScope
from dsvc.porcelain.records.source_chain import SOURCES
from dsvc.porcelain.state.workspace import Workspace
from dsvc.store.manifest_tree import Manifest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

NONE: Numbers = np.zeros(0, np.int64)


class NothingToRepairError(NotFoundError):
    """The version has none of the rows that a repair should change."""

    code: ClassVar[str] = "nothing-to-repair"


class SourceArtifactError(UsageError):
    """What a source delivered is never edited."""

    code: ClassVar[str] = "source-artifact"


class RowsUnknownError(UsageError):
    """It is not known which rows of an artifact rows of another came from."""

    code: ClassVar[str] = "rows-unknown"


class Base:
    """The version that a repair starts from: the newest commit of the current branch.

    Parameters
    ----------
    repo : Workspace
    commit : CommitId
    branch : str
        Full name of the branch, empty where HEAD is on none.

    Attributes
    ----------
    manifest : Manifest
    files : Files
    builder : LineageBuilder
    flow : RowFlow
    """

    def __init__(self, repo: Workspace, commit: CommitId, branch: str = "") -> None:
        self.repo = repo
        self.commit = commit
        self.branch = branch
        self.manifest: Manifest = repo.manifest(repo.history.read_commit(commit).manifest)
        scope = LineageScope(repo, str(commit))
        self.files: Files = scope.files()
        self.builder: LineageBuilder = scope.builder
        self.flow = RowFlow(repo.store, self.builder)

    @classmethod
    def current(cls, repo: Workspace) -> Base:
        """The newest commit of the branch that HEAD is on; raises NotFoundError where there is none."""
        head = repo.history.refs.head()
        if head.commit is None:
            raise NotFoundError("there is no commit yet")
        return cls(repo, head.commit, head.branch or "")

    def artifact(self, path: bytes, *, folder: bool = False) -> Artifact:
        """An artifact of the version.

        Raises
        ------
        NotFoundError
            If the version doesn't have it.
        """
        name = display_path(path)
        if folder:
            members = relative(self.manifest.entries(path), path)
            digest = folder_digest((each.path, each.mode, each.digest) for each in members)
            node = ArtifactNode(path, digest)
            if not members or node not in self.builder.facts:
                raise NotFoundError(f"no run read or made {name} as it is", details={"path": name})
            self.builder.resolve([node])
            return Artifact(node, None, len(members))
        entry = self.manifest.get(path)
        if entry is None or not entry.is_file:
            raise NotFoundError(f"the version has no file {name}", details={"path": name})
        node = self.builder.add_file(entry)
        self.builder.resolve([node])
        records = self.builder.facts[node].records
        return Artifact(node, entry, entry.rows if records is None else records)

    def resolve(self, nodes: Sequence[ArtifactNode]) -> None:
        """Find all that came of some artifacts, copies too."""
        self.builder.resolve(list(self.builder.graph.nodes()))
        folders = [folder for node in nodes for folder, _ in self.builder.holding(node)]
        add_copies(self.builder, self.files, [*nodes, *folders])


class Artifact(NamedTuple):
    """An artifact of a version: its node, its entry (None: a folder), and how many rows it has."""

    node: ArtifactNode
    entry: Entry | None
    records: int | None

    @property
    def name(self) -> str:
        """Its path, for people."""
        return display_path(self.node.path)


class FlaggedNow(NamedTuple):
    """Rows of a defect in a version.

    Attributes
    ----------
    artifact : Artifact
    rows : ndarray of int64
        Ascending.
    gone : tuple of FlaggedRows
        Those that the version doesn't have any more, as the defect knows them.
    """

    artifact: Artifact
    rows: Numbers
    gone: tuple[FlaggedRows, ...]


def flagged_now(base: Base, defect: DefectState) -> FlaggedNow:
    """Find a defect's rows in a version, by content, row maps and keys.

    Raises
    ------
    NothingToRepairError
        If none of them is there any more.
    MissingDataError, CorruptDataError, MalformedInputError
        If it can't be told.
    """
    folder = any(each.folder for each in defect.rows if each.path == defect.path)
    try:
        artifact = _artifact_now(base, defect.path, folder=folder)
    except NotFoundError as error:
        raise NothingToRepairError(
            f"nothing to repair: {error.message}", details={"defect": defect.id}
        ) from error
    found: list[Numbers] = [NONE]
    gone = []
    for each in defect.rows:
        rows = decode_rows(each.rows)
        now = rows
        if (each.path, each.digest) != artifact.node:
            from dsvc.porcelain.lineage.row_carry import carry_rows

            path, digest = artifact.node
            now = carry_rows(
                base.repo, each.path, each.digest, rows, digest, new_path=path, near=(base.commit,)
            ).rows
        lost = rows[now < 0]
        if len(lost):
            gone.append(msgspec.structs.replace(each, rows=encode_rows(lost), count=len(lost)))
        found.append(now[now >= 0])
    rows = distinct(np.concatenate(found))
    if len(rows) and int(rows[-1]) >= (artifact.records or 0):
        raise MalformedInputError(f"defect {defect.id} names rows that {artifact.name} doesn't have")
    if not len(rows):
        raise NothingToRepairError(
            f"nothing to repair: {artifact.name} has none of the rows of {defect.id} any more",
            hint=f"dsvc repair verify closes it; or dsvc defect reject {defect.id} --reason TEXT",
            details={"defect": defect.id, "path": artifact.name},
        )
    return FlaggedNow(artifact, rows, tuple(gone))


def _artifact_now(base: Base, path: bytes, *, folder: bool) -> Artifact:
    """The artifact of a defect, also where its file has another name by now."""
    try:
        return base.artifact(path, folder=folder)
    except NotFoundError:
        from dsvc.porcelain.tree.moved_file import moved_to

        moved = None if folder else moved_to(base.repo, base.commit, path)
        if moved is None:
            raise
        return base.artifact(moved)


def check_editable(base: Base, artifact: Artifact) -> None:
    """Refuse to edit what only a source speaks for.

    Raises
    ------
    SourceArtifactError
        If no run made the artifact, and a source covers it.
    """
    builder, node = base.builder, artifact.node
    if builder.makers(node) or any(builder.makers(folder) for folder, _ in builder.holding(node)):
        return
    sources = {each.id for each in builder.graph.parents(node) if isinstance(each, SourceNode)}
    sources |= {each.id for each in builder.sources.covering(node.path)}
    if not sources:
        return
    id_ = min(sources)
    raise SourceArtifactError(
        f"{artifact.name} is what source {id_} delivered, and is never edited",
        hint=f"--at a file that a run made of it; --exclude-source {id_}; or a new delivery: "
        f"dsvc source update {id_}",
        details={"path": artifact.name, "sources": sorted(sources)},
    )


def rows_behind(base: Base, start: ArtifactNode, rows: Numbers, target: Artifact) -> Numbers:
    """Rows of an ancestor that some rows of an artifact came from, ascending.

    Raises
    ------
    UsageError
        If it is no ancestor.
    RowsUnknownError
        If it isn't known which rows these are.
    """
    if target.node == start:
        return rows
    if target.node not in base.builder.graph.ancestors(start):
        raise UsageError(
            f"{display_path(start.path)} was not made of {target.name} as it is",
            hint=f"dsvc trace {display_path(start.path)} shows what it was made of",
            details={"path": target.name},
        )
    found = back_to(base.builder, base.flow, {start: Reached(rows, True)}, target.node)
    return known_rows(found, target)


def rows_of_source(base: Base, source_id: str, target: Artifact) -> Numbers:
    """Rows of an artifact that came from a source, ascending.

    Raises
    ------
    NoSuchSourceError
        If there is no such source.
    RowsUnknownError
        If it isn't known which rows these are.
    """
    if source_id not in base.builder.sources.all:
        raise SOURCES.missing(base.repo, source_id)
    node = SourceNode(source_id)
    base.builder.graph.add_source(node)
    add_copies(base.builder, base.files, [node])
    starts: Mapping[Node, Reached] = {node: WHOLE}
    return known_rows(impact(base.builder, base.flow, starts).reached.get(target.node, NOTHING), target)


def known_rows(reached: Reached, target: Artifact) -> Numbers:
    """Numbers of rows that were reached; raises RowsUnknownError where these are not known one by one."""
    rows = reached.rows
    if rows is None and target.records is not None:
        rows = np.arange(target.records, dtype=np.int64)
    if not reached.exact or rows is None:
        raise RowsUnknownError(
            f"it is not known which rows of {target.name} are meant: a run on the way has no row map",
            hint="repair where the rows are known, or rerun the step with a row map",
            details={"path": target.name},
        )
    return rows


def back_to(
    builder: LineageBuilder, flow: RowFlow, wanted: Mapping[ArtifactNode, Reached], target: ArtifactNode
) -> Reached:
    """Rows of an artifact from which rows of others came, along the newest runs that made these."""
    graph = builder.graph
    above: set[Node] = set(wanted)
    for start in wanted:
        above |= graph.ancestors(start)
    between = above & (graph.descendants(target) | {target})
    reached: dict[Node, Reached] = dict(wanted.items())

    def add(node: ArtifactNode, rows: Reached) -> None:
        reached[node] = united((reached.get(node, NOTHING), rows))

    for node in reversed(graph.ordered(each for each in graph.nodes() if each in between)):
        rows = reached.get(node, NOTHING)
        if not isinstance(node, ArtifactNode) or node == target or not rows:
            continue
        makers = builder.makers(node)[:1]
        for id_ in makers:
            run, output = builder.output(id_, node)
            for number, came in flow.back(run, output, rows).items():
                each = run.inputs[number]
                if not each.lookup:
                    add(ArtifactNode(each.path, each.digest), came)
        for parent, kind in graph.parents(node).items() if not makers else ():
            if kind is EdgeKind.COPIED and isinstance(parent, ArtifactNode):
                add(parent, flow.copied_back(parent, node, rows)[0])
    return reached.get(target, NOTHING)
