"""What the verbs return: plain values, paths as bytes relative to the working tree."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec

from dsvc.diff.delta import Change, ChangeKind
from dsvc.diff.table_conflict import TableConflict
from dsvc.history.commit_codec import Commit
from dsvc.model.ids import CommitId, NodeId
from dsvc.model.manifest import Entry
from dsvc.model.run_record import RunId

_Path = bytes
"""For the value that has a field of that name."""


class Skipped(NamedTuple):
    """A path that was not recorded, and why."""

    path: bytes
    reason: str


class PathChange(NamedTuple):
    """A path and how it differs: ``added``, ``modified``, ``removed``, ``renamed``, ``untracked``."""

    path: bytes
    change: str
    old_path: bytes | None = None


class Author(NamedTuple):
    """Who commits."""

    name: str
    email: str


class NormalizedFile(NamedTuple):
    """A file that `normalize` looked at, its sizes, and whether its bytes are others now."""

    path: bytes
    old_size: int
    new_size: int
    changed: bool


class NormalizeResult(msgspec.Struct, kw_only=True):
    """Outcome of `normalize`.

    Attributes
    ----------
    files : list of NormalizedFile
        Parquet files, and others that were asked for by name: they need nothing.
    skipped : list of Skipped
        Files that were left as they are because not all that they hold would come back.
    undo : str or None
        Operation that takes it back; None where nothing was rewritten.
    """

    files: list[NormalizedFile]
    skipped: list[Skipped]
    undo: str | None = None


class AddResult(msgspec.Struct, frozen=True, kw_only=True):
    """Outcome of `add`: numbers of paths, what was skipped, bytes.

    Attributes
    ----------
    bytes : int
        Logical bytes of the added and modified files.
    new_bytes : int
        Bytes of chunks that the store didn't have, before compression.
    stored_bytes : int
        Bytes the packs grew by.
    warnings : list of str
        For instance names that other systems refuse.
    normalized : list of NormalizedFile
        Parquet files that were rewritten first (``tables.normalize``).
    """

    added: int
    modified: int
    removed: int
    unchanged: int
    skipped: list[Skipped]
    bytes: int
    new_bytes: int
    stored_bytes: int
    paths: list[PathChange] = []
    warnings: list[str] = []
    normalized: list[NormalizedFile] = []


class CommitResult(msgspec.Struct, frozen=True, kw_only=True):
    """Outcome of `commit`, `merge` (without conflicts), `revert`, `cherry_pick`.

    Attributes
    ----------
    verdict : str or None
        ``PASS`` by the policy in force; None where none is, or where it wasn't asked.
    uncovered : int or None
        Paths of `commit` that neither a source nor a run covers; None where that wasn't asked.
    uncovered_is_least : bool
        Whether there may be more: without any lineage they are counted up to a thousand.
    uncovered_path : bytes or None
        One of them.
    warnings : tuple of str
        What could not be told.
    """

    commit: CommitId
    branch: str | None
    parents: tuple[CommitId, ...]
    manifest: NodeId
    files: int
    bytes: int
    verdict: str | None = None
    changes: dict[str, int] = {}
    uncovered: int | None = None
    uncovered_is_least: bool = False
    uncovered_path: _Path | None = None
    warnings: tuple[str, ...] = ()


class PendingRun(NamedTuple):
    """A run that waits for a commit."""

    id: RunId
    name: str


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Outcome of `status`; `operation` names a merge, revert or cherry-pick in progress."""

    branch: str | None
    head: CommitId | None
    staged: list[PathChange]
    unstaged: list[PathChange]
    untracked: list[PathChange]
    conflicts: list[ConflictSummary]
    skipped: list[Skipped]
    operation: str | None
    sparse: list[str]
    pending_runs: list[PendingRun] = []

    @property
    def clean(self) -> bool:
        """Whether nothing is staged, unstaged or conflicted."""
        return not (self.staged or self.unstaged or self.conflicts)


class ConflictSummary(NamedTuple):
    """A conflicted path: kind and, for tables, how many rows."""

    path: bytes
    kind: str
    rows: int | None = None


class ConflictDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One conflict with its three sides; None where a side has no such path."""

    path: bytes
    kind: str
    base: Entry | None
    ours: Entry | None
    theirs: Entry | None
    table: TableConflict | None = None


class LogEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A commit with the refs that point at it, and the runs that it adds to its first parent's."""

    commit: Commit
    refs: tuple[str, ...]
    runs: tuple[RunId, ...] = ()


class ShowResult(msgspec.Struct, frozen=True, kw_only=True):
    """A commit, what it changed against its first parent, its refs, and the runs that it adds."""

    commit: Commit
    refs: tuple[str, ...]
    changes: list[Change]
    runs: tuple[RunId, ...] = ()


class DiffResult(msgspec.Struct, frozen=True, kw_only=True):
    """Two sides and the changes between them, renames found.

    Attributes
    ----------
    source, target : str
        Commit ids, ``STAGED`` or ``WORKTREE``.
    """

    source: str
    target: str
    changes: list[Change]

    def summary(self) -> dict[str, int]:
        """Count changes by kind."""
        return {kind.value: sum(c.kind is kind for c in self.changes) for kind in ChangeKind}


class CheckoutResult(msgspec.Struct, frozen=True, kw_only=True):
    """Outcome of verbs that write the working tree; `undo` names the operation that takes it back."""

    head: CommitId | None
    branch: str | None
    written: int
    removed: int
    unchanged: int
    bytes: int
    undo: str | None = None
    saved: int = 0
    skipped: list[Skipped] = []


class MergeOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """Outcome of `merge`, `revert`, `cherry_pick`, `stash_pop`: a commit, or the conflicts left."""

    commit: CommitId | None
    conflicts: list[ConflictSummary]
    fast_forward: bool = False
    up_to_date: bool = False
    result: CommitResult | None = None


class ResetMode(StrEnum):
    """What `reset` moves besides the branch."""

    SOFT = "soft"
    MIXED = "mixed"
    HARD = "hard"


class RefInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A branch or tag."""

    name: str
    commit: CommitId
    current: bool = False
    message: str | None = None


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `ls`: a file, or a folder (entry None) with totals of what is below."""

    path: bytes
    entry: Entry | None
    files: int
    size: int


class UndoResult(msgspec.Struct, frozen=True, kw_only=True):
    """Outcome of `undo`."""

    undone: str
    verb: str
    operation: str
    restored: int
    arguments: Sequence[str] = ()
