"""Refs: read without a lock, moved several at a time by compare-and-swap."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

import msgspec

from dsvc.fs import files, locks
from dsvc.history import ref_lock
from dsvc.history.ref_files import RefFiles
from dsvc.history.ref_name import HEADS, check_ref_format, check_ref_name, short_name
from dsvc.history.ref_transaction import HEAD, RefMover, Transaction
from dsvc.history.reflog import ReflogEntry, Reflogs, encode_line
from dsvc.history.signature import Signature
from dsvc.model.errors import (
    ConcurrentChangeError,
    CorruptDataError,
    LockedError,
    MalformedInputError,
    StorageError,
    UsageError,
)
from dsvc.model.ids import CommitId

__all__ = ["OPERATIONS", "Head", "RefChange", "RefConflictError", "ReflogEntry", "Refs", "check_ref_name"]

OPERATIONS: Final = "refs/dsvc/operations"
"""The operation log: a chain that is its own history, so it has no reflog."""
_MAX_DEPTH: Final = 5

Entries = list[ReflogEntry]


class RefConflictError(UsageError):
    """A ref can't have this name beside another one: one's name would be a folder of the other's."""


class RefMovedError(ConcurrentChangeError):
    """A ref is not where the caller saw it; nothing was changed."""


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """Where HEAD stands.

    Attributes
    ----------
    branch : str or None
        Full name of the branch, ``refs/heads/main``; None where HEAD is detached.
    commit : CommitId or None
        Its commit; None where the branch has none yet.
    """

    branch: str | None
    commit: CommitId | None

    @property
    def text(self) -> str:
        """The branch's full name, or the id of a detached HEAD."""
        return self.branch or str(self.commit)


class RefChange(NamedTuple):
    """One move: `old` None says that the ref must not exist, `new` None deletes it."""

    ref: str
    old: CommitId | None
    new: CommitId | None


class Refs:
    """The refs of a bare repository.

    Parameters
    ----------
    git_dir : str
        The bare repository.
    lock_path : str
        Lock file that dsvc's writers of refs wait for; never removed.
    durable : bool
        Whether a move is flushed before it is reported.
    lock_timeout : float
        Seconds to wait for other writers.
    """

    def __init__(self, git_dir: str, lock_path: str, *, durable: bool, lock_timeout: float = 10.0) -> None:
        self._files = RefFiles(git_dir)
        self._reflogs = Reflogs(git_dir, durable=durable)
        self._mover = RefMover(self._files, self._reflogs, durable=durable)
        self._lock_path = lock_path
        self._timeout = lock_timeout
        self._mutex = threading.RLock()
        self._depth = 0

    def head(self) -> Head:
        """Read HEAD as `head_as_is`; `MissingDataError` where its branch is gone and the log knows better."""
        found = self.head_as_is()
        if found.commit is None:
            self._reflogs.expect_none(HEAD, found.text)
        return found

    def head_as_is(self) -> Head:
        """Read HEAD; a branch that isn't there has no commit yet.

        Raises as `get`, and `CorruptDataError` where there is no HEAD.
        """
        pending = self._mover.pending()
        value = self._files.loose(HEAD)
        if value is None:
            raise CorruptDataError(f"{self._files.path(HEAD)} is missing", hint="is this a dsvc repository?")
        if pending is not None and pending.head is not None and _text(value) == pending.head[0]:
            after = pending.head[1]
            value = after.removeprefix("ref: ") if after.startswith("ref: ") else CommitId.parse(after)
        if isinstance(value, CommitId):
            return Head(branch=None, commit=value)
        if not value.startswith(HEADS):
            raise MalformedInputError(f"HEAD points to {value[:200]!r}, which is not a branch")
        return Head(branch=value, commit=self._follow(value, pending))

    def get(self, ref: str) -> CommitId | None:
        """Read a ref by its full name, or ``HEAD``; None where it does not exist.

        Raises
        ------
        CorruptDataError
            If its file is empty.
        MalformedInputError
            If the name or the value is malformed, or names point to each other in a circle.
        """
        if ref == HEAD:
            return self.head().commit
        check_ref_format(ref)
        return self._follow(ref, self._mover.pending())

    def _follow(self, ref: str, pending: Transaction | None) -> CommitId | None:
        name = ref
        for _ in range(_MAX_DEPTH):
            value = self._files.raw(name)
            if pending is not None:
                value = pending.after(name, value)
            if value is None or isinstance(value, CommitId):
                return value
            name = value
        raise MalformedInputError(f"{ref} points to other refs in a circle, or too deep")

    def list(self, prefix: str = "refs/") -> dict[str, CommitId]:
        """List the refs whose full names begin with `prefix`, sorted by name.

        Raises
        ------
        CorruptDataError, MalformedInputError
            As `get`, for the first that is wrong: a listing with one left out would let ``gc`` lose data.
        """
        pending = self._mover.pending()
        names = self._files.names(prefix)
        if pending is not None:
            names.update(name for name, _, _ in pending.refs if name.startswith(prefix))
        found = {}
        for name in sorted(names):
            value = self._follow(name, pending)
            if value is not None:
                found[name] = value
        return found

    def reflog(self, ref: str, limit: int | None = None) -> Entries:
        """List the moves of a ref (full name or ``HEAD``), newest first; a deleted one keeps its log.

        Raises
        ------
        MalformedInputError
            If the name is malformed.
        """
        if ref != HEAD:
            check_ref_format(ref)
        return self._reflogs.read(ref, limit)

    def inherit_reflog(self, ref: str, source: str) -> None:
        """Give a ref that is about to be renamed from `source` its log; see `Reflogs.inherit`.

        Raises
        ------
        LockedError
            If another writer doesn't end in time.
        StorageError
            If the system refuses.
        """
        with self.locked():
            self._reflogs.inherit(ref, source)

    @contextmanager
    def locked(self, timeout: float | None = None) -> Iterator[None]:
        """Keep dsvc's other writers of refs away for the length of the block; may be nested.

        What a killed writer left is finished first.

        Raises
        ------
        LockedError
            If another writer doesn't end in time.
        """
        with self._mutex:
            if self._depth:
                self._depth += 1
                try:
                    yield
                finally:
                    self._depth -= 1
                return
            seconds = self._timeout if timeout is None else timeout
            with locks.hold(self._lock_path, what="refs", timeout=seconds):
                self._mover.recover()
                self._depth = 1
                try:
                    yield
                finally:
                    self._depth = 0

    def recover(self) -> None:
        """Finish what a killed writer left, unless a writer is at work or nothing may be written here."""
        if not self._mover.unfinished():
            return
        try:
            with self.locked(timeout=0.0):
                pass
        except (LockedError, StorageError):
            # Readers take the pending values from the journal anyway.
            return

    def update(
        self,
        changes: Sequence[RefChange],
        *,
        message: str,
        who: Signature,
        head: str | CommitId | None = None,
        head_old: str | None = None,
    ) -> None:
        """Move refs, and HEAD where asked, together: all of them or none, also if the process is killed.

        Parameters
        ----------
        changes : sequence of RefChange
            Each ref once, by its full name.
        message : str
            What the reflogs say.
        who : Signature
            Who and when, for the reflogs.
        head : str, CommitId or None
            Full name of the branch that HEAD shall stand on, or a commit to detach it at; None leaves HEAD.
        head_old : str or None
            Where HEAD must stand now (as `Head.text`), if that matters.

        Raises
        ------
        ConcurrentChangeError
            If a ref or HEAD is not where the caller says; nothing moved.
        RefConflictError
            If one name would be a folder of another.
        LockedError
            If another writer doesn't end in time.
        MalformedInputError
            If a name may not be made.
        """
        self._check_names(changes, head)
        with self.locked():
            transaction = self._plan(changes, message, who, head, head_old)
            self._mover.prepare(transaction)
            try:
                for ref, old, _ in changes:
                    self.expect(ref, old)
            except BaseException:
                self._mover.abandon(transaction)
                raise
            self._mover.commit(transaction)

    def _check_names(self, changes: Sequence[RefChange], head: str | CommitId | None) -> None:
        if len({change.ref for change in changes}) != len(changes):
            raise UsageError("a ref is named twice in one update")
        for ref, old, new in changes:
            (check_ref_name if old is None and new is not None else check_ref_format)(ref)
            for value in (old, new):
                if value is not None:
                    CommitId.parse(value)
        if isinstance(head, CommitId):
            CommitId.parse(head)
        elif head is not None:
            if not head.startswith(HEADS):
                raise UsageError(f"HEAD can only stand on a branch, not on {head[:200]!r}")
            check_ref_name(head)

    def _plan(
        self,
        changes: Sequence[RefChange],
        message: str,
        who: Signature,
        head: str | CommitId | None,
        head_old: str | None,
    ) -> Transaction:
        before = self.head_as_is()
        if head_old is not None and before.text != head_old:
            raise RefMovedError(
                f"HEAD is at {before.text}, not at {head_old}: another command moved it",
                hint="run the command again",
                details={"ref": HEAD, "expected": head_old, "found": before.text},
            )
        made = [change.ref for change in changes if change.old is None and change.new is not None]
        self._check_folders(made)
        moved = {change.ref: change for change in changes if change.old != change.new}
        logs = [
            (ref, encode_line(change.old, change.new, who, message).decode("utf-8"))
            for ref, change in moved.items()
            if ref != OPERATIONS
        ]
        branch = before.branch if head is None else None if isinstance(head, CommitId) else head
        after = moved[branch].new if branch in moved else self.get(branch) if branch else None
        if isinstance(head, CommitId):
            after = head
        if (head is not None and after is not None) or before.branch in moved:
            logs.append((HEAD, encode_line(before.commit, after, who, message).decode("utf-8")))
        return Transaction(
            refs=tuple((ref, _plain(old), _plain(new)) for ref, old, new in changes),
            head=None if head is None else (_text_of(before), _text(head)),
            logs=tuple(logs),
        )

    def _check_folders(self, made: Sequence[str]) -> None:
        if not made:
            return
        for ref in made:
            parts = ref.split("/")
            above = ["/".join(parts[:end]) for end in range(2, len(parts))]
            others = [name for name in above if name in made or self._files.raw(name) is not None]
            others += sorted(self._files.names(ref + "/"))[:1]
            if others:
                raise RefConflictError(
                    f"there can't be both {short_name(ref)} and {short_name(others[0])}: "
                    "one name would be a folder of the other",
                    hint="choose another name, or delete or rename the other one first",
                    details={"ref": ref, "other": others[0]},
                )

    def expect(self, ref: str, value: CommitId | None) -> None:
        """Check that a ref is still at `value`.

        Raises
        ------
        ConcurrentChangeError
            If it isn't.
        MalformedInputError
            If it points to another ref.
        """
        check_ref_format(ref)
        found = self._files.raw(ref)
        if found is not None and not isinstance(found, CommitId):
            raise MalformedInputError(f"{ref} points to {found[:200]!r}; dsvc does not move it")
        if found != value:
            raise RefMovedError(
                f"{ref} is {_say(found)}, not {_say(value)}: another command moved it; nothing was changed",
                hint="look at what is there now (dsvc log), then run the command again",
                details={"ref": ref, "expected": value, "found": found},
            )

    def remove_stale_locks(self) -> Sequence[str]:
        """Remove lock files that other tools left behind (older than 10 s); returns their paths.

        Raises
        ------
        LockedError
            If another writer doesn't end in time.
        """
        removed = []
        with self.locked():
            for folder, _, names in os.walk(self._files.path("refs")):
                removed += [os.path.join(folder, name) for name in names if name.endswith(ref_lock.SUFFIX)]
            removed += [self._files.path(name + ref_lock.SUFFIX) for name in (HEAD, "packed-refs")]
            removed = [path for path in removed if ref_lock.is_stale(path)]
            for path in removed:
                files.unlink(path, missing_ok=True)
        return removed


def _plain(value: CommitId | None) -> str | None:
    return None if value is None else str(value)


def _say(value: CommitId | None) -> str:
    return "missing" if value is None else value[:12]


def _text(value: CommitId | str) -> str:
    return str(value) if isinstance(value, CommitId) else f"ref: {value}"


def _text_of(head: Head) -> str:
    return f"ref: {head.branch}" if head.branch else str(head.commit)
