"""fsck: check every invariant over every object, and bring back what can be brought back."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dsvc.fs import files, locks
from dsvc.fs.beneath import Beneath, NotAFolderError
from dsvc.model.errors import DsvcError, MissingDataError, StorageError
from dsvc.model.ids import CommitId
from dsvc.model.manifest import Entry
from dsvc.porcelain.care.gc import exclusive, leftovers, work_roots
from dsvc.porcelain.care.history_check import HistoryCheck
from dsvc.porcelain.care.last_whole import last_whole
from dsvc.porcelain.feedback.feedback_check import FeedbackCheck
from dsvc.porcelain.lineage.lineage_check import LineageCheck
from dsvc.porcelain.records.request_chain import expect_salt
from dsvc.porcelain.repair.repair_check import RepairCheck
from dsvc.porcelain.state import sparse
from dsvc.porcelain.state.config import Config
from dsvc.porcelain.state.pending_runs import pending_runs
from dsvc.porcelain.state.staging import read_checked
from dsvc.porcelain.tree import merge_state
from dsvc.store.defects import Defect, exit_code
from dsvc.store.repair import Repair, Repaired
from dsvc.store.scrub import PackReport, check_packs
from dsvc.store.tree_check import TreeCheck

if TYPE_CHECKING:
    from dsvc.porcelain.state.workspace import Workspace
    from dsvc.porcelain.tree.tree_scan import Progress


_NO_NODE = frozenset({"F020", "F021", "F024", "F025"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FsckResult:
    """What was checked and found; after a repair, what is still wrong.

    Attributes
    ----------
    ok : bool
        Whether there is no defect.
    objects : int
        Chunks, nodes and git objects looked at.
    bytes : int
        Bytes of the files that they lie in.
    defects : tuple of Defect
        Everything that is wrong.
    leftovers : tuple of str
        Temporary files that killed processes left; no defect, `gc` removes them.
    erased : int
        Chunks of versions that were erased on purpose; no defect, reading them says so.
    repaired : Repaired or None
        What a repair did.
    last_whole : Mapping of str to CommitId
        Branches whose commit is missing or lacks something, with the newest whole commit of their logs.
    """

    ok: bool
    objects: int
    bytes: int
    defects: tuple[Defect, ...]
    leftovers: tuple[str, ...] = ()
    erased: int = 0
    repaired: Repaired | None = None
    last_whole: Mapping[str, CommitId] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0 for none, else the first that applies of 30 (wrong), 31 (missing), 41 (malformed), 22."""
        return exit_code(self.defects)


@dataclass(slots=True)
class _Findings:
    reports: list[PackReport] = field(default_factory=list)
    defects: list[Defect] = field(default_factory=list)
    missing: set[bytes] = field(default_factory=set)
    lists: list[Entry] = field(default_factory=list)
    roots: list[bytes] = field(default_factory=list)
    objects: int = 0
    bytes: int = 0
    erased: int = 0


def fsck(
    repo: Workspace, *, read_data: bool = False, repair: bool = False, progress: Progress | None = None
) -> FsckResult:
    """Check a repository.

    Parameters
    ----------
    read_data : bool
        Whether every stored byte is read and compared with checksums and ids.
    repair : bool
        Whether damaged and missing objects are looked for in other packs, the trash and the working tree,
        and what is damaged beyond that is put aside. Nothing is deleted.

    Raises
    ------
    LockedError
        If gc, or with `repair` any writer, doesn't end in time.
    StorageError
        If a repair can't be written; nothing was taken away then.
    """
    with ExitStack() as stack:
        if repair:
            stack.enter_context(locks.hold(repo.layout.lock("gc"), what="gc", timeout=repo.lock_timeout))
            stack.enter_context(exclusive(repo))
        else:
            _share(repo, stack)
        found = _examine(repo, read_data, progress)
        repaired = None
        if repair and found.defects:
            repaired = _repair(repo, found)
            found = _examine(repo, read_data, progress)
            while rebuilt := _rebuilt(repo, found):
                # With a node the nodes below it, and with a list its chunks, are known to be missing.
                found = _examine(repo, read_data, progress)
                again = _repair(repo, found)
                repaired = _both(repo, repaired, again, rebuilt)
                found = _examine(repo, read_data, progress) if again.healed else found
        left = tuple(leftovers(repo.layout))
        whole = last_whole(repo) if found.defects else {}
    return FsckResult(
        ok=not found.defects,
        objects=found.objects,
        bytes=found.bytes,
        defects=tuple(found.defects),
        leftovers=left,
        erased=found.erased,
        repaired=repaired,
        last_whole=whole,
    )


def _share(repo: Workspace, stack: ExitStack) -> None:
    """Keep gc out, where that can be done: a read-only disk has no gc to keep out."""
    try:
        stack.enter_context(locks.share(repo.layout.lock("store"), what="store", timeout=repo.lock_timeout))
    except StorageError:
        return


def _examine(repo: Workspace, read_data: bool, progress: Progress | None) -> _Findings:
    found = _Findings()
    repo.store.forget()
    _settings(repo, found)
    for report in check_packs(repo.store.backend, read_data=read_data):
        found.reports.append(report)
        found.defects += report.defects
        found.objects += report.objects
        found.bytes += report.bytes
        if progress is not None:
            progress("checking", found.bytes, None)
    history = HistoryCheck(repo)
    history.check()
    found.defects += history.defects
    found.objects += history.objects
    found.bytes += history.bytes
    found.roots = [*history.roots, *_work(repo, found)]
    tree = TreeCheck(repo.store, read_data=read_data)
    for number, root in enumerate(found.roots):
        tree.check([root])
        if progress is not None:
            progress("checking", number + 1, len(found.roots))
    found.defects += tree.defects
    found.missing = set(tree.missing)
    found.lists = list(tree.lists.values())
    found.erased = len(tree.erased)
    lineage = LineageCheck(repo)
    lineage.check(history.lineages)
    found.defects += lineage.defects
    for loop in (FeedbackCheck(repo), RepairCheck(repo)):
        loop.check()
        found.defects += loop.defects
    return found


def _note(found: _Findings, number: str, what: str, message: str) -> None:
    found.defects.append(Defect(id=number, object=what, message=message))


def _settings(repo: Workspace, found: _Findings) -> None:
    """The configuration, and that every folder is there."""
    try:
        config = Config(repo.layout.config)
        config.check_format()
        list(config.items())
    except DsvcError as error:
        _note(found, "F052", "config", error.message)
    for folder in (*repo.layout.folders(), repo.layout.git):
        name = os.path.relpath(folder, repo.layout.root)
        try:
            os.listdir(folder)
        except FileNotFoundError:
            _note(found, "F051", name, f"the folder {name} is missing")
        except OSError as error:
            _note(found, "F053", name, f"the folder {name} can't be read: {error.strerror}")


def _work(repo: Workspace, found: _Findings) -> list[bytes]:
    """The files under work, and the salt; returns the manifests they name."""
    checks: dict[str, Callable[[], object]] = {
        "salt": lambda: expect_salt(repo),
        "work/merge": lambda: merge_state.load(repo.layout),
        "work/sparse": lambda: sparse.load(repo.layout),
        "work/runs": lambda: pending_runs(repo.layout),
        "work/staged": lambda: read_checked(os.path.join(repo.layout.work, "staged"), "staged state"),
    }
    for name, read in checks.items():
        try:
            read()
        except MissingDataError as error:
            _note(found, "F051", name, error.message)
        except DsvcError as error:
            _note(found, "F050", name, error.message)
    try:
        return list(work_roots(repo.layout))
    except DsvcError as error:
        if not any(defect.id == "F050" for defect in found.defects):
            _note(found, "F050", "work", error.message)
        return []


# Repair


def _repair(repo: Workspace, found: _Findings) -> Repaired:
    for folder in repo.layout.folders():
        files.make_folders(folder)
    for defect in found.defects:
        if defect.id == "F050" and defect.object.startswith("work/"):
            _put_aside(os.path.join(repo.layout.root, defect.object))
    with Beneath(repo.root) as tree:
        work = Repair(repo.store, lambda entry, offset, length: _read_range(tree, entry, offset, length))
        return work.run(found.reports, found.missing, found.roots)


def _rebuilt(repo: Workspace, found: _Findings) -> set[bytes]:
    """Make nodes and chunk lists again that are nowhere else; returns those that are there again."""
    lost = {
        bytes.fromhex(defect.object.partition(":")[2])
        for defect in found.defects
        if defect.id in _NO_NODE and defect.object.startswith(("node:", "list:"))
    }
    if not lost:
        return set()
    from dsvc.porcelain.care.node_rebuild import rebuild_nodes

    return rebuild_nodes(repo, lost, found.lists)


def _both(repo: Workspace, one: Repaired, other: Repaired, rebuilt: set[bytes]) -> Repaired:
    """What two repairs did, and what was made again between them."""
    lost = {*one.lost, *other.lost}
    return Repaired(
        healed=one.healed + other.healed + len(rebuilt),
        lost=tuple(sorted(id_ for id_ in lost if not repo.store.has(bytes.fromhex(id_)))),
        packs=one.packs + other.packs,
        quarantined=one.quarantined + other.quarantined,
    )


def _put_aside(path: str) -> None:
    """Take a damaged file out of the way; it is kept under another name."""
    if not os.path.lexists(path):
        return
    number = 1
    while os.path.lexists(f"{path}.damaged{number}"):
        number += 1
    files.rename(path, f"{path}.damaged{number}")
    files.sync_folder(os.path.dirname(path))


def _read_range(tree: Beneath, entry: Entry, offset: int, length: int) -> bytes | None:
    """Read a range of a file of the working tree, following no link; the caller checks what it gets."""
    try:
        folder, name = tree.split(entry.path)
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        if not entry.is_file:
            return os.readlink(name, dir_fd=folder)[offset : offset + length]
        fd = os.open(name, flags, dir_fd=folder)
    except (OSError, NotAFolderError):
        return None
    try:
        return os.pread(fd, length, offset)
    except OSError:
        return None
    finally:
        os.close(fd)
