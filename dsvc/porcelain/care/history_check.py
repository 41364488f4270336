"""Checks of the history for fsck: git objects, refs, reflogs, the operation log; going on after a defect."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from dsvc.history.loose_reader import LooseReader
from dsvc.history.ref_files import RefFiles
from dsvc.history.reflog import parse_line
from dsvc.history.refs import OPERATIONS
from dsvc.model.errors import DsvcError, MalformedInputError, UnsupportedFormatError
from dsvc.model.ids import CommitId, NodeId
from dsvc.porcelain.state.operation_note import NORMALIZE
from dsvc.store.defects import Defect, by_error
from dsvc.store.manifest_tree import Manifest

if TYPE_CHECKING:
    from dsvc.history.commit_codec import Commit
    from dsvc.porcelain.state.workspace import Workspace

T = TypeVar("T")


class HistoryCheck:
    """Checks a repository's history and gathers the manifests that it names.

    Attributes
    ----------
    defects : list of Defect
        What was found.
    roots : dict of bytes to str
        Manifest roots, with what names each first.
    lineages : dict of bytes to None
        Those among them that are lineages of commits.
    objects, bytes : int
        Git objects checked, and the length of their files.
    """

    def __init__(self, repo: Workspace) -> None:
        self._repo = repo
        self._history = repo.history
        self.defects: list[Defect] = []
        self.roots: dict[bytes, str] = {}
        self.lineages: dict[bytes, None] = {}
        self.objects = self.bytes = 0
        self._logged = False
        self._seen: set[CommitId] = set()
        self._reported: set[tuple[str, str]] = set()

    def _report(self, number: str, what: str, message: str) -> None:
        if (number, what) not in self._reported:
            self._reported.add((number, what))
            self.defects.append(Defect(id=number, object=what, message=message))

    def _try(self, what: str, read: Callable[[], T], *, malformed: str = "F043") -> T | None:
        try:
            return read()
        except DsvcError as error:
            number = by_error(error, missing="F041", wrong="F042", malformed=malformed)
            if isinstance(error, UnsupportedFormatError):
                number = malformed
            self._report(number, what, error.message)
            return None

    def check(self) -> None:
        """Check everything."""
        self._loose_objects()
        for what, start in self._starts():
            self._commits(what, start)
        self._operations()

    # Objects

    def _loose_objects(self) -> None:
        objects = os.path.join(self._repo.layout.git, "objects")
        reader = LooseReader(self._repo.layout.git)
        for folder in sorted(os.listdir(objects)) if os.path.isdir(objects) else ():
            if len(folder) != 2:
                continue
            for rest in sorted(os.listdir(os.path.join(objects, folder))):
                path = os.path.join(objects, folder, rest)
                what = f"git:{folder}{rest}"
                try:
                    id_ = CommitId.parse(folder + rest)
                except MalformedInputError:
                    continue
                self.objects += 1
                self.bytes += os.path.getsize(path)
                self._try(what, lambda id_=id_: reader.read_loose(id_))  # type: ignore[misc]

    # Refs and logs

    def _starts(self) -> Iterator[tuple[str, CommitId]]:
        refs = self._history.refs
        head = self._try("HEAD", refs.head, malformed="F040")
        if head is not None and head.commit is not None:
            yield "HEAD", head.commit
        raw = RefFiles(self._repo.layout.git)
        names = self._try("refs", lambda: raw.names("refs/"), malformed="F040") or set()
        for name in sorted(names):
            tip = self._try(name, lambda name=name: refs.get(name), malformed="F040")  # type: ignore[misc]
            if tip is not None and name != OPERATIONS:
                yield name, tip
        yield from self._reflogs()
        if self._logged and OPERATIONS not in names:
            self._report("F041", OPERATIONS, "the operation log is missing")

    def _agrees(self, name: str, last: CommitId | None) -> None:
        """Compare a ref with the end of its log, which every move of it is written to."""
        if not name.startswith("refs/") or name.startswith("refs/dsvc/deleted/"):
            return
        now = self._try(name, lambda: self._history.refs.get(name), malformed="F040")
        self._logged = True
        if now is None and last is not None:
            self._report("F041", name, f"{name} is missing; its log says that it is at {last[:12]}")
        elif now is not None and now != last:
            where = last[:12] if last else "deleted"
            self._report("F046", name, f"{name} is at {now[:12]}; its log says {where}")

    def _reflogs(self) -> Iterator[tuple[str, CommitId]]:
        logs = os.path.join(self._repo.layout.git, "logs")
        for folder, _, names in sorted(os.walk(logs)):
            for name in sorted(names):
                path = os.path.join(folder, name)
                yield from self._reflog(os.path.relpath(path, logs), path)

    def _reflog(self, name: str, path: str) -> Iterator[tuple[str, CommitId]]:
        before: CommitId | None = None
        with open(path, "rb") as stream:
            for number, line in enumerate(stream, 1):
                entry = parse_line(line.rstrip(b"\n"))
                if entry is None:
                    self._report("F045", f"reflog:{name}:{number}", f"line {number} is torn or malformed")
                    continue
                # A renamed branch begins under its new name at the end of the log that it brought along.
                goes_on = entry.old == before or (entry.old is None and entry.new == before)
                if number > 1 and not goes_on and before is not None:
                    self._report(
                        "F045", f"reflog:{name}:{number}", f"line {number} does not go on from the one before"
                    )
                before = entry.new
                for id_ in (entry.old, entry.new):
                    if id_ is not None:
                        yield f"reflog:{name}:{number}", id_
        self._agrees(name, before)

    def _commits(self, what: str, start: CommitId) -> None:
        peeled = self._try(what, lambda: self._history.peel(start))
        pending = [] if peeled is None else [peeled]
        while pending:
            id_ = pending.pop()
            if id_ in self._seen:
                continue
            self._seen.add(id_)
            commit = self._try(f"commit:{id_}", lambda id_=id_: self._history.verify_commit(id_))  # type: ignore[misc]
            if commit is not None:
                self.roots.setdefault(bytes(commit.manifest), f"commit:{id_}")
                if commit.lineage is not None:
                    self.roots.setdefault(bytes(commit.lineage), f"lineage of commit:{id_}")
                    self.lineages[bytes(commit.lineage)] = None
                self._totals(commit)
                pending.extend(commit.parents)

    def _totals(self, commit: Commit) -> None:
        """Compare a commit with its manifest, where that can be read; the manifest check says if not."""
        try:
            totals = Manifest(self._repo.store, commit.manifest, trees=True).totals()
        except DsvcError:
            return
        if totals != (commit.files, commit.bytes):
            self._report(
                "F044",
                f"commit:{commit.id}",
                f"it says {commit.files} files, {commit.bytes} bytes, its manifest {totals[0]}, {totals[1]}",
            )

    def _operations(self) -> None:
        iterator = iter(self._history.operations)
        while True:
            operation = self._try("refs/dsvc/operations", lambda: next(iterator, None))
            if operation is None:
                return
            what = f"operation:{operation.id}"
            for name, old, new in operation.refs:
                for id_ in (old, new) if name != OPERATIONS else ():
                    if id_ is not None:
                        self._commits(what, CommitId.parse(id_))
            # gc may have taken what a normalization replaced.
            discarded = None if operation.verb == NORMALIZE else operation.discarded
            for text in (operation.staged_before, operation.staged_after, discarded):
                if text is not None:
                    self.roots.setdefault(bytes(NodeId.parse(text)), what)
