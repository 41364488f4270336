"""Every version of every file that is kept: by commits, runs, sources, logs and work in progress."""

from __future__ import annotations

from collections.abc import Iterator

from dsvc.lineage.run_tree import RunTree
from dsvc.model.ids import NodeId
from dsvc.model.manifest import Entry
from dsvc.model.run_record import RunId
from dsvc.porcelain.care.gc import roots
from dsvc.porcelain.state.operation_note import read_note
from dsvc.porcelain.state.pending_runs import pending_runs
from dsvc.porcelain.state.workspace import Workspace
from dsvc.store.manifest_tree import EMPTY_ROOT, Child, read_node

_RUNS = b"runs/"


class StoredVersions:
    """Walks all manifests that gc would keep, each node once.

    Parameters
    ----------
    repo : Workspace

    Attributes
    ----------
    runs : set of RunId
        Runs that were met so far.
    """

    def __init__(self, repo: Workspace) -> None:
        self._repo = repo
        self._seen: set[bytes] = {bytes(EMPTY_ROOT)}
        self.runs: set[RunId] = set()

    def files(self) -> Iterator[Entry]:
        """Yield files with content, with paths in the working tree; one may come several times.

        Raises
        ------
        DsvcError
            If anything that is kept can't be read: what can't be read is never taken for nothing.
        """
        known = {*pending_runs(self._repo.layout), *self._noted()}
        for id_ in sorted(known):
            yield from self._run(id_)
        waiting = {bytes(id_) for id_ in known}
        for root in roots(self._repo):
            if bytes(root) not in waiting:
                yield from self._manifest(bytes(root))

    def _noted(self) -> Iterator[RunId]:
        for operation in self._repo.history.operations:
            yield from read_note(operation.note).runs

    def _manifest(self, root: bytes) -> Iterator[Entry]:
        pending = [root]
        while pending:
            id_ = pending.pop()
            if id_ in self._seen:
                continue
            self._seen.add(id_)
            _, items = read_node(self._repo.store, NodeId(id_))
            for item in items:
                if isinstance(item, Child):
                    pending.append(item.id)
                elif not item.is_tree:
                    if item.is_file and item.size:
                        yield item
                elif item.path.startswith(_RUNS):
                    yield from self._run(RunId(item.digest))
                else:
                    pending.append(item.digest)

    def _run(self, id_: RunId) -> Iterator[Entry]:
        if id_ in self.runs:
            return
        self.runs.add(id_)
        tree = RunTree(self._repo.store, id_)
        for files in (tree.files_read(), tree.files_made(), tree.code_files()):
            yield from (each for each in files if each.is_file and each.size)
