"""Which files of the working tree are behind what they were made from: inputs or code are others by now."""

from __future__ import annotations

import stat as stat_module
from collections.abc import Iterator, Sequence
from enum import StrEnum
from functools import cached_property

import blake3
import msgspec

from dsvc.fs.beneath import Beneath, NotAFolderError
from dsvc.fs.files import storage_error
from dsvc.lineage.run_tree import RunTree
from dsvc.model.manifest import MODE_DIRECTORY
from dsvc.model.paths import is_within
from dsvc.model.run_record import RunId
from dsvc.porcelain.state.commit_lineage import lineage_of
from dsvc.porcelain.state.pending_runs import pending_runs
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tree.known_files import load_known
from dsvc.porcelain.tree.stat_cache import pack_stat
from dsvc.porcelain.tree.status import scan_tree
from dsvc.store.ingest import FileStat, hash_file

File = tuple[bytes, bytes]
"""A file as runs name it: its path, and its digest."""


class Cause(StrEnum):
    """What a file that is behind was made from: an input or code that changed, or an input that is behind."""

    INPUT = "input"
    CODE = "code"
    STALE = "stale"


class Because(msgspec.Struct, frozen=True):
    """Why a file is behind.

    Attributes
    ----------
    path : bytes
        What it was made from.
    recorded, now : bytes or None
        Digest that was read, and that it has by now; None where it was not there, or is gone.
    cause : Cause
    """

    path: bytes
    recorded: bytes | None
    now: bytes | None
    cause: Cause = Cause.INPUT


class StaleFile(msgspec.Struct, frozen=True):
    """A file that is behind, and the newest run that made it."""

    path: bytes
    run: RunId
    name: str
    because: tuple[Because, ...]


def stale(repo: Workspace, paths: Sequence[bytes] = ()) -> list[StaleFile]:
    """Files of the working tree that are behind their inputs, those that others were made from first.

    A file counts if it stands in the working tree as a run made it, where that run, and any other that made
    the same, read something that is different now, or is itself behind.

    Parameters
    ----------
    paths : sequence of bytes
        Only these files, and those below these folders; none: all.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If a run can't be read.
    StorageError
        If a file can't be read.
    """
    found = StaleCheck(repo).files()
    return [each for each in found if not paths or is_within(each.path, paths)]


class StaleCheck:
    """The runs of HEAD and those that wait for a commit, beside the working tree.

    Parameters
    ----------
    repo : Workspace
        The repository.
    """

    def __init__(self, repo: Workspace) -> None:
        head = repo.history.refs.head().commit
        ids = {*lineage_of(repo, head).runs(), *pending_runs(repo.layout)}
        found = [RunTree(repo.store, id_) for id_ in ids]
        self.runs = {t.id: t for t in sorted(found, key=lambda t: (t.run.ended_at, t.run.started_at, t.id))}
        self.tree = WorkingFiles(repo)
        self._read = {id_: list(tree.files_read()) for id_, tree in self.runs.items()}
        self._made = {id_: list(tree.files_made()) for id_, tree in self.runs.items()}
        self._because: dict[RunId, tuple[Because, ...]] = {}
        self._open: set[RunId] = set()

    @cached_property
    def _makers(self) -> dict[File, list[RunId]]:
        """Runs that made a file, oldest first; what one read and left as it was it didn't make."""
        found: dict[File, list[RunId]] = {}
        for id_ in self.runs:
            read = {(entry.path, entry.digest) for entry in self._read[id_]}
            for entry in self._made[id_]:
                if (entry.path, entry.digest) not in read:
                    found.setdefault((entry.path, entry.digest), []).append(id_)
        return found

    @cached_property
    def _place(self) -> dict[RunId, int]:
        return {id_: number for number, id_ in enumerate(self.runs)}

    def files(self) -> list[StaleFile]:
        """Files that are behind, in the order in which they can be made again."""
        found = []
        for id_ in self.ordered():
            for entry in self._made[id_]:
                makers = self._makers.get((entry.path, entry.digest), [])
                behind = bool(makers) and makers[-1] == id_ and all(self.because(each) for each in makers)
                if behind and self.tree.digest(entry.path) == entry.digest:
                    found.append(StaleFile(entry.path, id_, self.runs[id_].run.name, self.because(id_)))
        return found

    def because(self, id_: RunId) -> tuple[Because, ...]:
        """Why a run would read something else now; empty where it wouldn't."""
        if not self._because:
            for each in self.ordered():
                self._find(each)  # from the first on, so that a long chain is no deep recursion
        return self._because[id_]

    def _find(self, id_: RunId) -> tuple[Because, ...]:
        if id_ not in self._because:
            self._open.add(id_)
            self._because[id_] = tuple(self._reasons(self.runs[id_]))
            self._open.discard(id_)
        return self._because[id_]

    def _reasons(self, tree: RunTree) -> Iterator[Because]:
        made = {entry.path for entry in self._made[tree.id]}
        read: dict[bytes, bytes] = {}
        for entry in self._read[tree.id]:
            read.setdefault(entry.path, entry.digest)
            # Of a file that a run changes itself there is no reading what it was before.
            now = entry.digest if entry.path in made else self.tree.digest(entry.path)
            if now != entry.digest:
                yield Because(entry.path, entry.digest, now)
                continue
            makers = [each for each in self._makers.get((entry.path, entry.digest), []) if each != tree.id]
            if makers and not self._open & set(makers) and all(self._find(each) for each in makers):
                yield Because(entry.path, entry.digest, now, Cause.STALE)
        asked = (*tree.run.asked.inputs, *tree.run.asked.lookups)
        for folder in asked if any(each not in read for each in asked) else ():
            for path in self.tree.below(folder):
                if path not in read and path not in made:
                    yield Because(path, None, self.tree.digest(path))
        for entry in tree.code_files():
            now = self.tree.digest(entry.path)
            if now != entry.digest and entry.path not in made and entry.path not in read:
                yield Because(entry.path, entry.digest, now, Cause.CODE)

    def ordered(self) -> list[RunId]:
        """All runs, each after those that made what it read."""
        done: dict[RunId, None] = {}
        for start in self.runs:
            pending = [(start, False)]
            while pending:
                id_, ready = pending.pop()
                if ready:
                    done.setdefault(id_)
                elif id_ not in done:
                    pending.append((id_, True))
                    pending.extend((each, False) for each in self._before(id_) if each not in done)
        return list(done)

    def _before(self, id_: RunId) -> list[RunId]:
        """Runs that made what a run read; older ones only, so that there is no cycle."""
        return [
            each
            for entry in self._read[id_]
            for each in self._makers.get((entry.path, entry.digest), [])
            if self._place[each] < self._place[id_]
        ]

    def maker(self, path: bytes, digest: bytes | None) -> RunId | None:
        """Newest run that made a file with this content; None where none did."""
        makers = [] if digest is None else self._makers.get((path, digest), [])
        return makers[-1] if makers else None

    def keeps(self, path: bytes, digest: bytes) -> bool:
        """Whether a run read or made a file with this content, so that it can be had again."""
        return (path, digest) in self._kept

    @cached_property
    def _kept(self) -> set[File]:
        both = (*self._read.values(), *self._made.values())
        return {(entry.path, entry.digest) for entries in both for entry in entries}

    def upstream(self, paths: Sequence[bytes]) -> set[RunId]:
        """Runs that made what stands at some paths, or below them, and those before them."""
        wanted = {
            id_
            for (path, digest), makers in self._makers.items()
            if is_within(path, paths) and self.tree.digest(path) == digest
            for id_ in makers
        }
        pending = list(wanted)
        while pending:
            news = set(self._before(pending.pop())) - wanted
            wanted |= news
            pending.extend(news)
        return wanted


class WorkingFiles:
    """Digests of the working tree's files; only those that may have changed are read.

    Parameters
    ----------
    repo : Workspace
        The repository.
    """

    def __init__(self, repo: Workspace) -> None:
        staged = repo.staged()
        self._root = repo.root
        self._manifest = repo.manifest(staged.root)
        found = scan_tree(repo, staged, [], untracked="all")
        self._missing = set(found.missing)
        self._unsure = {path for path, _, _ in found.changed} | {path for path, _ in found.skipped}
        self._untracked = sorted(found.untracked)
        self._known = load_known(repo.layout.cache)
        self._digests: dict[bytes, bytes | None] = {}

    def digest(self, path: bytes) -> bytes | None:
        """BLAKE3 of what stands at a path; None where there is neither a file nor a link."""
        if path not in self._digests:
            self._digests[path] = self._digest(path)
        return self._digests[path]

    def _digest(self, path: bytes) -> bytes | None:
        if path in self._missing:
            return None
        entry = self._manifest.get(path)
        if entry is not None and entry.mode != MODE_DIRECTORY and path not in self._unsure:
            return entry.digest
        with Beneath(self._root) as tree:
            stat = tree.lstat(path)
            known = self._known.get(path)
            if known is not None and stat is not None and known.stat == pack_stat(FileStat.of(stat)):
                return known.entry.digest
            try:
                folder, name = tree.split(path)
                if stat is not None and stat_module.S_ISLNK(stat.st_mode):
                    return blake3.blake3(tree.readlink(path)).digest()
                if stat is None or not stat_module.S_ISREG(stat.st_mode):
                    return None
                return hash_file(name, folder)[0]
            except (FileNotFoundError, NotAFolderError):
                return None
            except OSError as error:
                raise storage_error(error, "read", path) from error

    def below(self, folder: bytes) -> Iterator[bytes]:
        """Tracked and new files below a folder, but ignored ones."""
        for entry in self._manifest.entries(folder):
            if entry.path not in self._missing and entry.mode != MODE_DIRECTORY:
                yield entry.path
        for path in self._untracked:
            if is_within(path, [folder]):
                yield path
