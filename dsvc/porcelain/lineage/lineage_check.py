"""Checks of lineage for fsck: runs and sources hold what their records say, under their own names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from dsvc.lineage.lineage_tree import RUNS, SOURCES, is_detection
from dsvc.lineage.run_check import Flaw, Flawed, check_run, check_source
from dsvc.lineage.run_tree import RunTree
from dsvc.lineage.source_tree import SourceTree
from dsvc.model.detection_run import decode_detection_run
from dsvc.model.errors import DsvcError, MalformedInputError
from dsvc.model.ids import CommitId, NodeId
from dsvc.model.run_record import RunId
from dsvc.porcelain.state.commit_lineage import SOURCE_REFS
from dsvc.porcelain.state.pending_runs import pending_runs
from dsvc.store.defects import Defect
from dsvc.store.manifest_tree import Manifest
from dsvc.store.materialize import read_content

if TYPE_CHECKING:
    from dsvc.model.manifest import Entry
    from dsvc.porcelain.state.workspace import Workspace

_OF_RUN: Final = {Flaw.RECORD: "F060", Flaw.ARTIFACT: "F061", Flaw.MAP: "F062", Flaw.ACCOUNT: "F063"}
_OF_SOURCE: Final = {Flaw.RECORD: "F064", Flaw.EVIDENCE: "F065"}
_MISPLACED: Final = "F066"
_DETECTION: Final = "F067"


class LineageCheck:
    """Checks the lineages of commits, runs that wait for one, and the chains of sources; each thing once.

    Attributes
    ----------
    defects : list of Defect
        What was found.
    """

    def __init__(self, repo: Workspace) -> None:
        self._repo = repo
        self._seen: set[bytes] = set()
        self.defects: list[Defect] = []

    def check(self, lineages: Iterable[bytes]) -> None:
        """Check everything; what nodes and chunks are missing or damaged is said elsewhere.

        Parameters
        ----------
        lineages : iterable of bytes
            Roots of the lineages of commits.
        """
        for root in lineages:
            try:
                for entry in Manifest(self._repo.store, NodeId(root), trees=True).entries():
                    self._entry(root, entry)
            except DsvcError:
                continue
        try:
            waiting = pending_runs(self._repo.layout)
        except DsvcError:
            waiting = []
        for run in waiting:
            self._run(run)
        for name, tip in self._chains():
            self._chain(name, tip)

    def _report(self, numbers: dict[Flaw, str], what: str, flaws: Iterable[Flawed]) -> None:
        for flaw in flaws:
            self.defects.append(Defect(id=numbers[flaw.flaw], object=what, message=flaw.message))

    def _entry(self, root: bytes, entry: Entry) -> None:
        folder, _, name = entry.path.partition(b"/")
        if entry.is_tree and entry.path == RUNS + b"/" + entry.digest.hex().encode():
            self._run(RunId(entry.digest))
        elif entry.is_tree and folder == SOURCES and name:
            self._source(name.decode("utf-8", "replace"), NodeId(entry.digest))
        elif is_detection(entry):
            self._detection(entry)
        else:
            shown = entry.path[:200].decode("utf-8", "backslashreplace")
            where = f"lineage:{root.hex()}"
            defect = Defect(
                id=_MISPLACED, object=where, message=f"{shown} is no run, no source and no detection"
            )
            if defect not in self.defects:
                self.defects.append(defect)

    def _run(self, id_: RunId) -> None:
        if bytes(id_) not in self._seen:
            self._seen.add(bytes(id_))
            self._report(_OF_RUN, f"run:{id_.hex()}", check_run(RunTree(self._repo.store, id_)))

    def _source(self, name: str, root: NodeId) -> None:
        place = name.encode() + b"/" + bytes(root)
        if place not in self._seen:
            self._seen.add(place)
            flaws = check_source(SourceTree(self._repo.store, root), name)
            self._report(_OF_SOURCE, f"source:{name}", flaws)

    def _detection(self, entry: Entry) -> None:
        if entry.path not in self._seen:
            self._seen.add(entry.path)
            try:
                decode_detection_run(read_content(self._repo.store, entry))
            except MalformedInputError as error:
                self.defects.append(Defect(id=_DETECTION, object=entry.path.decode(), message=error.message))
            except DsvcError:
                return  # what is missing or damaged is said elsewhere

    def _chains(self) -> Iterator[tuple[str, CommitId]]:
        try:
            refs = self._repo.history.refs.list(SOURCE_REFS)
        except DsvcError:
            return
        for ref, tip in sorted(refs.items()):
            yield ref.removeprefix(SOURCE_REFS), tip

    def _chain(self, name: str, tip: CommitId) -> None:
        pending, seen = [tip], {tip}
        while pending:
            try:
                commit = self._repo.history.read_commit(pending.pop())
            except DsvcError:
                continue
            self._source(name, commit.manifest)
            pending.extend(parent for parent in commit.parents if parent not in seen)
            seen.update(commit.parents)
