"""The runs of a lineage by what they read and made, each read once and only when something is asked."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import NamedTuple

from dsvc.lineage.graph import ArtifactNode
from dsvc.lineage.run_tree import RunTree
from dsvc.model.errors import DsvcError
from dsvc.model.run_record import Artifact, Role, Run, RunId
from dsvc.store.chunk_store import ChunkStore


class ReadFile(NamedTuple):
    """A file that a run read: which, in which role, and its rows where it is a table."""

    node: ArtifactNode
    role: Role
    records: int | None
    size: int


class KnownRuns:
    """Runs, and which files each made.

    Parameters
    ----------
    store : ChunkStore
        Where they are.
    ids : iterable of RunId
        Which; one that can't be read is in `unreadable`.
    """

    def __init__(self, store: ChunkStore, ids: Iterable[RunId]) -> None:
        self._store = store
        self.ids = tuple(dict.fromkeys(ids))
        self.unreadable: dict[RunId, DsvcError] = {}
        self._members: dict[tuple[bytes, bytes, Role], tuple[ReadFile, ...]] = {}
        self._reads: dict[RunId, tuple[ReadFile, ...]] = {}

    @cached_property
    def trees(self) -> dict[RunId, RunTree]:
        """Runs that can be read."""
        found = {}
        for id_ in self.ids:
            tree = RunTree(self._store, id_)
            try:
                _ = tree.run
            except DsvcError as error:
                self.unreadable[id_] = error
                continue
            found[id_] = tree
        return found

    def run(self, id_: RunId) -> Run:
        """Record of a run that can be read."""
        return self.trees[id_].run

    @cached_property
    def _made(self) -> dict[ArtifactNode, tuple[RunId, ...]]:
        found: dict[ArtifactNode, tuple[RunId, ...]] = {}
        for id_, tree in self.trees.items():
            try:
                nodes = [node for n in range(len(tree.run.outputs)) for node in self._output(tree, n)]
            except DsvcError as error:
                self.unreadable[id_] = error
                continue
            # What it read and left as it was, it didn't make.
            read = {each.node for each in self.reads(id_)} if nodes else set()
            for node in nodes:
                if node not in read:
                    found[node] = (*found.get(node, ()), id_)
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
        inputs = (each for tree in self.trees.values() for each in tree.run.inputs)
        return frozenset(each.path for each in inputs if each.role is Role.INPUT)

    def makers(self, node: ArtifactNode) -> tuple[RunId, ...]:
        """Runs that made a file with this content at this path."""
        return self._made.get(node, ())

    def copies(self, digest: bytes) -> list[ArtifactNode]:
        """Files of this content that some run made, wherever."""
        return self._by_digest.get(digest, [])

    def maker_of_path(self, path: bytes) -> RunId | None:
        """A run that made a file at this path, with any content."""
        return self._by_path.get(path)

    def reads_path(self, path: bytes) -> bool:
        """Whether some run has read a path for its rows, by itself or with a folder."""
        at = path
        while at not in self._read_paths:
            if not at:
                return False
            at = at.rpartition(b"/")[0]
        return True

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
            self._members[place] = tuple(
                ReadFile(ArtifactNode(prefix + entry.path, entry.digest), role, entry.rows, entry.size)
                for entry in tree.listing(b"inputs/%d" % number, artifact)
            )
        return self._members[place]


def _prefix(folder: Artifact) -> bytes:
    return folder.path + b"/" if folder.path else b""
