"""gc: free what no version, log or staged state needs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dsvc.fs import files, locks
from dsvc.fs.boot import boot_seconds
from dsvc.fs.owner import Owner, in_use, owner_of
from dsvc.fs.temporary_folder import discard_tree
from dsvc.model.ids import CommitId, NodeId
from dsvc.porcelain.state.operation_note import NORMALIZE, read_note
from dsvc.porcelain.state.pending_runs import folder as pending_folder
from dsvc.porcelain.state.pending_runs import pending_runs
from dsvc.porcelain.state.staging import decode_staged, read_checked
from dsvc.porcelain.tree import held_files, merge_state
from dsvc.store import prune
from dsvc.store.layout import Layout

if TYPE_CHECKING:
    from dsvc.history.history import History
    from dsvc.porcelain.state.workspace import Workspace
    from dsvc.porcelain.tree.tree_scan import Progress

LEFTOVER_SECONDS: Final = 3600.0
"""Age at which a temporary file goes although its process may be alive; a folder, if none holds it."""

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True, kw_only=True)
class GcResult:
    """What gc did, or with a dry run would do.

    Attributes
    ----------
    candidates : int
        Objects that nothing needs.
    bytes : int
        Their bytes before compression.
    deleted : int
        Packs deleted for good, those of older runs included.
    trashed : int
        Packs moved to the trash; with ``undo`` brought back from there.
    freed_bytes : int
        Bytes that deleted packs had on the disk.
    run : str or None
        Name of the run in the trash.
    leftovers : int
        Temporary files removed that killed processes had left.
    """

    candidates: int
    bytes: int
    deleted: int
    trashed: int
    freed_bytes: int = 0
    run: str | None = None
    leftovers: int = 0


def gc(
    repo: Workspace,
    *,
    grace_seconds: float | None = None,
    dry_run: bool = False,
    undo: bool = False,
    progress: Progress | None = None,
) -> GcResult:
    """Collect what nothing reaches.

    Parameters
    ----------
    grace_seconds : float or None
        Age at which trash is deleted; None takes the setting ``gc.grace``, 0 deletes at once.
    dry_run : bool
        Only say what would happen; changes nothing.
    undo : bool
        Bring back what the newest run put into the trash.

    Raises
    ------
    LockedError
        If another gc runs, or writers don't end in time.
    NotFoundError
        If there is nothing to undo.
    DsvcError
        If anything reachable can't be read; nothing was deleted then.
    """
    hold = locks.share if dry_run else locks.hold
    with hold(repo.layout.lock("gc"), what="gc", timeout=repo.lock_timeout):
        if undo:
            return _undo(repo)
        grace = grace_of(repo) if grace_seconds is None else grace_seconds
        repo.store.forget()
        done = prune.collect(
            repo.store,
            lambda: roots(repo, progress, undo_seconds=grace),
            lambda: exclusive(repo),
            grace_seconds=grace,
            dry_run=dry_run,
        )
        left = 0 if dry_run else _remove_leftovers(repo)
    return GcResult(
        candidates=done.candidates,
        bytes=done.bytes,
        deleted=done.deleted,
        trashed=done.trashed,
        freed_bytes=done.freed_bytes,
        run=done.run,
        leftovers=left,
    )


def _remove_leftovers(repo: Workspace) -> int:
    with exclusive(repo):
        return len(remove_leftovers(repo.layout, repo.history))


def _undo(repo: Workspace) -> GcResult:
    with exclusive(repo):
        run = prune.newest_run(repo.store.backend)
        packs = repo.store.backend.recover(run)
        repo.store.forget()
    return GcResult(candidates=0, bytes=0, deleted=0, trashed=len(packs), run=run)


def grace_of(repo: Workspace) -> float:
    """Grace by the repository's settings, in seconds."""
    text = repo.config.get("gc.grace") or "14d"
    return float(int(text[:-1]) * _UNITS[text[-1]])


@contextmanager
def exclusive(repo: Workspace) -> Iterator[None]:
    """Keep writers out of the store: none is between its first lookup and its commit point."""
    with locks.hold(repo.layout.lock("store"), what="store", timeout=repo.lock_timeout):
        yield


# Roots


def roots(
    repo: Workspace, progress: Progress | None = None, *, undo_seconds: float = float("inf")
) -> Iterator[bytes]:
    """Root of every manifest that must live.

    Those of all commits that refs, reflogs and the operation log name, with their ancestors; those that the
    operation log keeps for ``undo``; the staged state; an unfinished merge.

    Parameters
    ----------
    undo_seconds : float
        How long the bytes before a `normalize` are kept.

    Raises
    ------
    DsvcError
        If any of these can't be read: an unreadable root is never taken for an absent one.
    """
    done = 0
    seen: set[CommitId] = set()
    for commit in starting_points(repo):
        for root in commit_roots(repo.history, commit, seen):
            yield root
            done += 1
            if progress is not None:
                progress("marking", done, None)
    yield from kept_for_undo(repo.history, time.time() - undo_seconds)
    yield from work_roots(repo.layout)


def starting_points(repo: Workspace) -> Iterator[CommitId]:
    """Commits from which everything reachable is kept; may repeat."""
    from dsvc.history.refs import OPERATIONS

    refs = repo.history.refs
    tips = refs.list("refs/")
    head = refs.head().commit
    if head is not None:
        yield head
    for name, tip in tips.items():
        if name != OPERATIONS:
            yield repo.history.peel(tip)
    for name in {"HEAD", *tips, *reflog_names(repo.layout)}:
        for entry in refs.reflog(name):
            yield from (repo.history.peel(id_) for id_ in (entry.old, entry.new) if id_ is not None)
    for operation in repo.history.operations:
        for name, old, new in operation.refs:
            if name != OPERATIONS:
                yield from (repo.history.peel(CommitId.parse(i)) for i in (old, new) if i is not None)
        for place in (operation.head_before, operation.head_after):
            if place and not place.startswith("refs/"):
                yield CommitId.parse(place)
    state = merge_state.current(repo)
    if state is not None and state.theirs is not None:
        yield CommitId.parse(state.theirs)


def reflog_names(layout: Layout) -> Iterator[str]:
    """Names under which reflogs lie, those of deleted refs too."""
    logs = os.path.join(layout.git, "logs")
    for folder, _, names in os.walk(logs):
        for name in names:
            relative = os.path.relpath(os.path.join(folder, name), logs)
            if relative.startswith("refs/"):
                yield relative


def commit_roots(history: History, start: CommitId, seen: set[CommitId]) -> Iterator[bytes]:
    """Manifest roots of a commit and its ancestors, without those in `seen`, which grows."""
    pending = [start]
    while pending:
        id_ = pending.pop()
        if id_ in seen:
            continue
        seen.add(id_)
        commit = history.read_commit(id_)
        yield bytes(commit.manifest)
        if commit.lineage is not None:
            yield bytes(commit.lineage)
        pending.extend(commit.parents)


def kept_for_undo(history: History, since: float = float("-inf")) -> Iterator[bytes]:
    """Manifest roots that the operation log keeps: staged states, and files that were overwritten.

    What `normalize` replaced is kept for a while only: the new file was proven to hold the same, and with the
    old ones beside them the versions would take more than before.
    """
    for operation in history.operations:
        expired = operation.verb == NORMALIZE and operation.seconds < since
        for text in (operation.staged_before, operation.staged_after, operation.discarded):
            if text is not None and not (expired and text == operation.discarded):
                yield bytes(NodeId.parse(text))
        if not expired:
            yield from (bytes(root) for root in read_note(operation.note).roots())


def work_roots(layout: Layout) -> Iterator[bytes]:
    """Manifest roots of the staged state, of an unfinished merge, of runs pending and going on.

    Raises
    ------
    CorruptDataError
        If one of the files is damaged.
    """
    body = read_checked(os.path.join(layout.work, "staged"), "staged state")
    if body is not None:
        found = decode_staged(body, os.path.join(layout.work, "staged"))
        yield bytes(found.base_root)
        yield bytes(found.root)
    state = merge_state.load(layout)
    if state is not None:
        yield from (bytes(NodeId(root)) for root in (state.before, state.after, state.base) if root)
    yield from (bytes(id_) for id_ in pending_runs(layout))
    yield from (bytes(root) for root in held_files.held_roots(layout))


# What killed processes left


def leftovers(layout: Layout) -> list[str]:
    """Temporary files and folders of processes that are gone; files also from an hour on.

    Raises
    ------
    StorageError
        If a folder can't be listed.
    """
    found = held_files.abandoned(layout)
    for folder in _folders(layout):
        try:
            entries = list(os.scandir(folder))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise files.storage_error(error, "list", folder) from error
        for entry in entries:
            owner = owner_of(entry.name)
            if owner is not None and _is_left(entry, owner):
                found.append(entry.path)
    return sorted(found)


def _folders(layout: Layout) -> Iterator[str]:
    yield from (layout.temporary, layout.root, layout.work, pending_folder(layout), layout.git)
    yield os.path.join(layout.git, "objects")
    for folder, _, _ in os.walk(layout.cache):
        yield folder


def _is_left(entry: os.DirEntry[str], owner: Owner) -> bool:
    if owner is Owner.GONE:
        return True
    # A command may run in a folder for days, in another container too.
    if entry.is_dir(follow_symlinks=False) and in_use(entry.path):
        return False
    try:
        written = entry.stat(follow_symlinks=False).st_mtime
    except FileNotFoundError:
        return False
    if owner is Owner.UNKNOWN and written < boot_seconds():
        return True
    return time.time() - written > LEFTOVER_SECONDS


def remove_leftovers(layout: Layout, history: History) -> list[str]:
    """Remove what killed processes left; the caller holds the exclusive lock."""
    removed = leftovers(layout)
    for path in removed:
        if os.path.isdir(path) and not os.path.islink(path):
            discard_tree(path)
        else:
            files.unlink(path, missing_ok=True)
    return removed + history.remove_leftovers()
