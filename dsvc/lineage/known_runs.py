"""The runs of a lineage by what they read and made, each read once and only when something is asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, NamedTuple

from dsvc.lineage.graph import ArtifactNode, artifact_nodes
from dsvc.lineage.run_tree import RunTree
from dsvc.model.errors import DsvcError
from dsvc.model.manifest import Entry
from dsvc.model.run_record import Artifact, Role, Run, RunId
from dsvc.store.chunk_store import ChunkStore

if TYPE_CHECKING:
    from dsvc.lineage.run_summary import RunSummary


class ReadFile(NamedTuple):
    """A file that a run read: which, in which role, and its rows where it is a table."""

    node: ArtifactNode
    role: Role
    records: int | None
    size: int


_new_read = partial(tuple.__new__, ReadFile)


class _Trees(Mapping[RunId, RunTree]):
    """Runs that can be read, each read when it is asked for."""

    def __init__(self, store: ChunkStore, ids: Sequence[RunId], unreadable: dict[RunId, DsvcError]) -> None:
        self._store, self._ids, self._unreadable = store, frozenset(ids), unreadable
        self._in_order = ids
        self._known: dict[RunId, RunTree] = {}
        self._listings: dict[bytes, list[Entry]] = {}

    def __getitem__(self, id_: RunId) -> RunTree:
        if id_ not in self._known:
            if id_ not in self._ids or id_ in self._unreadable:
                raise KeyError(id_)
            tree = RunTree(self._store, id_, self._listings)
            try:
                _ = tree.run
            except DsvcError as error:
                self._unreadable[id_] = error
                raise KeyError(id_) from error
            self._known[id_] = tree
        return self._known[id_]

    def __iter__(self) -> Iterator[RunId]:
        return (id_ for id_ in self._in_order if id_ in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class KnownRuns:
    """Runs, and which files each made.

    Parameters
    ----------
    store : ChunkStore
        Where they are.
    ids : iterable of RunId
        Which; one that can't be read is in `unreadable`.
    cache : str or None
        Where summaries of runs are kept, so that only those are read that can have made what is asked for:
        of others it isn't told whether they can be read. None: each is read with the first question.
    """

    def __init__(self, store: ChunkStore, ids: Iterable[RunId], cache: str | None = None) -> None:
        self._store = store
        self.ids = tuple(dict.fromkeys(ids))
        self.unreadable: dict[RunId, DsvcError] = {}
        self.trees: Mapping[RunId, RunTree] = _Trees(store, self.ids, self.unreadable)
        self._cache = cache
        self._members: dict[tuple[bytes, bytes, Role], tuple[ReadFile, ...]] = {}
        self._reads: dict[RunId, tuple[ReadFile, ...]] = {}
        self._groups: dict[frozenset[RunId], dict[ArtifactNode, tuple[RunId, ...]]] = {}

    def run(self, id_: RunId) -> Run:
        """Record of a run that can be read."""
        return self.trees[id_].run

    # What they made

    @cached_property
    def _made(self) -> dict[ArtifactNode, tuple[RunId, ...]]:
        found: dict[ArtifactNode, tuple[RunId, ...]] = {}
        for id_ in self.ids:
            self._take(id_, found)
        return found

    def _take(self, id_: RunId, found: dict[ArtifactNode, tuple[RunId, ...]]) -> None:
        """Add what a run made."""
        tree = self.trees.get(id_)
        if tree is None:
            return
        try:
            nodes = [node for n in range(len(tree.run.outputs)) for node in self._output(tree, n)]
        except DsvcError as error:
            self.unreadable[id_] = error
            return
        # What it read and left as it was, it didn't make.
        read = {each.node for each in self.reads(id_)} if nodes else set()
        for node in nodes:
            if node not in read:
                found[node] = (*found.get(node, ()), id_)

    @cached_property
    def _summaries(self) -> Mapping[RunId, RunSummary]:
        from dsvc.lineage.graph_index import RunIndex

        return RunIndex(self._store, self.ids, self._cache, self.unreadable).runs

    @cached_property
    def _writers(self) -> dict[bytes, list[RunId]]:
        found: dict[bytes, list[RunId]] = {}
        for id_ in self.ids:
            for output in self._summaries[id_].outputs if id_ in self._summaries else ():
                found.setdefault(output.path, []).append(id_)
        return found

    def _made_near(self, path: bytes) -> dict[ArtifactNode, tuple[RunId, ...]]:
        """What was made by the runs that wrote a path, by itself or with a folder."""
        ids = frozenset(id_ for each in _with_folders(path) for id_ in self._writers.get(each, ()))
        found = self._groups.get(ids)
        if found is None:
            found = self._groups[ids] = {}
            for id_ in sorted(ids, key=self.ids.index):
                self._take(id_, found)
        return found

    def _output(self, tree: RunTree, number: int) -> list[ArtifactNode]:
        artifact = tree.run.outputs[number]
        if not artifact.folder:
            return [ArtifactNode(artifact.path, artifact.digest)]
        prefix = _prefix(artifact)
        listing = tree.listing(b"outputs/%d" % number, artifact)
        return [ArtifactNode(prefix + entry.path, entry.digest) for entry in listing]

    @cached_property
    def _by_digest(self) -> dict[bytes, list[ArtifactNode]]:
        found: dict[bytes, list[ArtifactNode]] = {}
        for node in self._made:
            found.setdefault(node.digest, []).append(node)
        return found

    @cached_property
    def _by_path(self) -> dict[bytes, RunId]:
        return {node.path: ids[-1] for node, ids in self._made.items()}

    @cached_property
    def _read_paths(self) -> frozenset[bytes]:
        if self._cache is not None:
            used = (each for run in self._summaries.values() for each in run.inputs)
            return frozenset(each.path for each in used if not each.lookup)
        inputs = (each for tree in self.trees.values() for each in tree.run.inputs)
        return frozenset(each.path for each in inputs if each.role is Role.INPUT)

    def makers(self, node: ArtifactNode) -> tuple[RunId, ...]:
        """Runs that made a file with this content at this path."""
        if self._cache is None:
            return self._made.get(node, ())
        return self._made_near(node.path).get(node, ())

    def copies(self, digest: bytes) -> list[ArtifactNode]:
        """Files of this content that some run made, wherever."""
        return self._by_digest.get(digest, [])

    def maker_of_path(self, path: bytes) -> RunId | None:
        """A run that made a file at this path, with any content."""
        return self._by_path.get(path)

    def reads_path(self, path: bytes) -> bool:
        """Whether some run has read a path for its rows, by itself or with a folder."""
        return any(at in self._read_paths for at in _with_folders(path))

    def reads(self, id_: RunId) -> tuple[ReadFile, ...]:
        """Files that a run read, those of folders one by one.

        Where a folder's files can't be read the run is in `unreadable`, and has read nothing.
        """
        if id_ not in self._reads:
            tree = self.trees[id_]
            try:
                files = [
                    f for n, each in enumerate(tree.run.inputs) for f in self._input(tree, n, each, each.role)
                ]
            except DsvcError as error:
                self.unreadable[id_] = error
                files = []
            self._reads[id_] = tuple(files)
        return self._reads[id_]

    def _input(self, tree: RunTree, number: int, artifact: Artifact, role: Role) -> tuple[ReadFile, ...]:
        if not artifact.folder:
            node = ArtifactNode(artifact.path, artifact.digest)
            return (ReadFile(node, role, artifact.records, artifact.size),)
        place = (artifact.path, artifact.digest, role)
        if place not in self._members:
            prefix = _prefix(artifact)
            listing = tree.listing(b"inputs/%d" % number, artifact)
            nodes = artifact_nodes(
                (prefix + each.path for each in listing), (each.digest for each in listing)
            )
            facts = ((role, each.rows, each.size) for each in listing)
            self._members[place] = tuple(
                _new_read((node, *more)) for node, more in zip(nodes, facts, strict=True)
            )
        return self._members[place]


def _prefix(folder: Artifact) -> bytes:
    return folder.path + b"/" if folder.path else b""


def _with_folders(path: bytes) -> Iterator[bytes]:
    """Yield a path and the folders that it lies in, up to the working tree itself."""
    while path:
        yield path
        path = path.rpartition(b"/")[0]
    yield b""
