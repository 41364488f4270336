"""Moves several refs together, so that a crash leaves all of them old or all of them new.

A move is one file, written and flushed before anything else: ``dsvc-update.prepared`` says which lock files
are dsvc's, and its rename to ``dsvc-update.committed`` is the commit point. From then on readers take the new
values from it, and what is left to do is done again by the next writer, however often it is killed.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterable
from typing import Final

import msgspec

from dsvc.fs import files
from dsvc.fs.flushing import Unflushed, sync_folders
from dsvc.history import ref_lock
from dsvc.history.ref_files import MAX_PACKED_BYTES, RefFiles, read_bounded, without_packed
from dsvc.history.ref_name import check_ref_format
from dsvc.history.reflog import Reflogs
from dsvc.model.errors import DsvcError, LockedError, MalformedInputError, StorageError
from dsvc.model.ids import CommitId

PREPARED: Final = "dsvc-update.prepared"
COMMITTED: Final = "dsvc-update.committed"
PACKED: Final = "packed-refs"
HEAD: Final = "HEAD"
MAX_BYTES: Final = 16 * 1024 * 1024

_log = logging.getLogger(__name__)


class Transaction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What moves, and what the reflogs say about it.

    Attributes
    ----------
    refs : tuple of (str, str or None, str or None)
        Full name, id before, id after.
    head : tuple of (str, str) or None
        Content of HEAD before and after, without its line end.
    logs : tuple of (str, str)
        Ref and line of its reflog.
    """

    format: int = 1
    refs: tuple[tuple[str, str | None, str | None], ...]
    head: tuple[str, str] | None = None
    logs: tuple[tuple[str, str], ...] = ()

    @property
    def deleted(self) -> set[str]:
        """Refs that go."""
        return {name for name, _, new in self.refs if new is None}

    def after(self, name: str, value: CommitId | str | None) -> CommitId | str | None:
        """Value of a ref for readers, where its file still has `value`."""
        for ref, old, new in self.refs:
            if ref == name and value == old:
                return None if new is None else CommitId(new)
        return value

    def content(self, name: str) -> bytes:
        """Content of the lock file of `name`; empty for one that goes and for ``packed-refs``."""
        if name == HEAD and self.head is not None:
            return f"{self.head[1]}\n".encode()
        for ref, _, new in self.refs:
            if ref == name and new is not None:
                return f"{new}\n".encode("ascii")
        return b""

    def lock_names(self) -> list[str]:
        """Names whose lock files are taken, in order."""
        names = [name for name, _, _ in self.refs]
        if self.head is not None:
            names.append(HEAD)
        if self.deleted:
            names.append(PACKED)
        return names


def parse_transaction(data: bytes | None) -> Transaction | None:
    """Read a transaction, or None where there is none or it was never whole."""
    if data is None:
        return None
    try:
        found = msgspec.json.decode(data, type=Transaction)
        for name, old, new in found.refs:
            check_ref_format(name)
            for value in (old, new):
                if value is not None:
                    CommitId.parse(value)
        for name, _ in found.logs:
            if name != HEAD:
                check_ref_format(name)
    except (msgspec.DecodeError, UnicodeDecodeError, MalformedInputError, RecursionError):
        return None
    return found if found.format == 1 else None


class RefMover:
    """Carries transactions out and finishes those that were cut off; the caller holds dsvc's flock.

    Parameters
    ----------
    refs : RefFiles
        The files of the repository.
    reflogs : Reflogs
        Its logs.
    durable : bool
        Whether files and folders are flushed.
    """

    def __init__(self, refs: RefFiles, reflogs: Reflogs, *, durable: bool) -> None:
        self._refs = refs
        self._reflogs = reflogs
        self._durable = durable
        self._prepared = refs.path(PREPARED)
        self._committed = refs.path(COMMITTED)

    def pending(self) -> Transaction | None:
        """Read the transaction that is committed and not yet carried out, for readers without a lock."""
        return parse_transaction(read_bounded(self._committed, MAX_BYTES))

    def unfinished(self) -> bool:
        """Whether a writer was cut off, or is at work."""
        return os.path.exists(self._committed) or os.path.exists(self._prepared)

    def prepare(self, transaction: Transaction) -> None:
        """Write the plan, then take every lock; on an error nothing stays.

        Raises
        ------
        LockedError
            If another tool holds one of the refs.
        StorageError
            If the system refuses.
        """
        plan = msgspec.json.encode(transaction)
        files.fill(files.open_new(self._prepared), self._prepared, plan, durable=self._durable)
        taken: list[str] = []
        try:
            with Unflushed(durable=self._durable) as unflushed:
                for name in transaction.lock_names():
                    path = self._lock(name)
                    ref_lock.take(path, transaction.content(name), unflushed, durable=self._durable)
                    taken.append(path)
                    if not self._clear_folder(name):
                        raise ref_lock.held(self._refs.path(name))
                unflushed.flush()
        except BaseException:
            self._release(taken)
            raise

    def abandon(self, transaction: Transaction) -> None:
        """Give up a prepared transaction."""
        self._release([self._lock(name) for name in transaction.lock_names()])

    def commit(self, transaction: Transaction) -> None:
        """Commit what `prepare` prepared, and carry it out.

        Raises
        ------
        StorageError
            If it could not be committed; nothing moved. Trouble after the commit point raises nothing: the
            next writer goes on from there.
        """
        try:
            files.rename(self._prepared, self._committed)
            if self._durable:
                files.sync_folder(self._refs.git_dir)
        except BaseException:
            files.discard(self._committed)
            self.abandon(transaction)
            raise
        try:
            self._carry_out(transaction, recovering=False)
        except (StorageError, LockedError) as error:
            _log.warning("refs have moved; the rest is left to the next command: %s", error)
        except BaseException:
            # Stopped by a signal between two steps, when refs had moved for readers: the rest is done now.
            with contextlib.suppress(DsvcError, MemoryError):
                self.recover()
            raise

    def recover(self) -> None:
        """Finish or undo what a killed writer left.

        Raises
        ------
        LockedError
            If another tool holds a ref that is still to move.
        StorageError
            If the system refuses.
        """
        plan = read_bounded(self._prepared, MAX_BYTES)
        if plan is not None:
            # One that is not whole took no lock yet.
            transaction = parse_transaction(plan)
            if transaction is not None:
                self._remove_own_locks(transaction)
            files.unlink(self._prepared)
        plan = read_bounded(self._committed, MAX_BYTES)
        if plan is None:
            return
        transaction = parse_transaction(plan)
        if transaction is None:
            _log.warning("%s is malformed and is dropped", self._committed)
            files.unlink(self._committed)
            return
        self._remove_own_locks(transaction)
        rest = self._what_is_left(transaction)
        taken: list[str] = []
        try:
            with Unflushed(durable=self._durable) as unflushed:
                for name in rest.lock_names():
                    ref_lock.take(self._lock(name), rest.content(name), unflushed, durable=self._durable)
                    taken.append(self._lock(name))
                unflushed.flush()
            # What moved already may not be flushed yet.
            folders = [os.path.dirname(self._refs.path(name)) for name, _, _ in transaction.refs]
            self._carry_out(rest, recovering=True, folders=folders)
        except BaseException:
            for path in taken:
                files.discard(path)
            raise

    def _what_is_left(self, transaction: Transaction) -> Transaction:
        left, logged = [], set()
        for name, old, new in transaction.refs:
            value = self._refs.raw(name)
            if value == old:
                left.append((name, old, new))
            # One that moved on since is not ours any more.
            if value in (old, new):
                logged.add(name)
        head = transaction.head
        if head is not None and _head_text(self._refs) != head[0]:
            head = None
        logs = tuple(row for row in transaction.logs if row[0] in logged or row[0] == HEAD)
        return Transaction(refs=tuple(left), head=head, logs=logs)

    def _carry_out(self, transaction: Transaction, *, recovering: bool, folders: Iterable[str] = ()) -> None:
        touched = dict.fromkeys([self._refs.git_dir, *folders])
        with Unflushed(durable=self._durable) as unflushed:
            for name, line in transaction.logs:
                self._reflogs.append(name, line.encode("utf-8"), unflushed)
            unflushed.flush()
        if transaction.deleted:
            self._rewrite_packed(transaction.deleted)
        for name, old, new in transaction.refs:
            path = self._refs.path(name)
            if new is None:
                files.unlink(path, missing_ok=True)
                files.unlink(self._lock(name))
            elif new == old or (recovering and not self._clear_folder(name)):
                files.unlink(self._lock(name))
            else:
                files.rename(self._lock(name), path)
            touched[os.path.dirname(path)] = None
        if transaction.head is not None:
            files.rename(self._lock(HEAD), self._refs.path(HEAD))
        if self._durable:
            sync_folders(folder for folder in reversed(touched) if os.path.isdir(folder))
        files.unlink(self._committed)
        for name in transaction.deleted:
            self._remove_empty_parents(name)

    def _rewrite_packed(self, deleted: set[str]) -> None:
        path = self._refs.path(PACKED)
        if deleted.isdisjoint(self._refs.packed()):
            files.unlink(self._lock(PACKED))
            return
        data = without_packed(read_bounded(path, MAX_PACKED_BYTES) or b"", deleted)
        # The lock file is git's temporary file too; it was empty so far.
        files.unlink(self._lock(PACKED))
        with Unflushed(durable=self._durable) as unflushed:
            ref_lock.take(self._lock(PACKED), data, unflushed, durable=self._durable)
            unflushed.flush()
        files.rename(self._lock(PACKED), path)
        if self._durable:
            files.sync_folder(self._refs.git_dir)

    def _lock(self, name: str) -> str:
        return self._refs.path(name) + ref_lock.SUFFIX

    def _release(self, paths: Iterable[str]) -> None:
        for path in paths:
            files.discard(path)
        files.discard(self._prepared)

    def _remove_own_locks(self, transaction: Transaction) -> None:
        for name in transaction.lock_names():
            path = self._lock(name)
            try:
                data = read_bounded(path, MAX_PACKED_BYTES)
            except DsvcError:
                continue
            # The flock is ours, so a lock that the plan names was left by its dead writer, unless another
            # tool wrote something else into it.
            if data is not None and (name == PACKED or transaction.content(name).startswith(data)):
                files.unlink(path, missing_ok=True)

    def _clear_folder(self, name: str) -> bool:
        """Remove empty folders that stand where the file of a ref goes; whether the way is free."""
        path = self._refs.path(name)
        if name in (HEAD, PACKED) or not os.path.isdir(path):
            return True
        for folder, _, _ in os.walk(path, topdown=False):
            files.remove_folder(folder)
        return not os.path.isdir(path)

    def _remove_empty_parents(self, name: str) -> None:
        parts = name.split("/")[:-1]
        while len(parts) > 2 and files.remove_folder(self._refs.path("/".join(parts))):
            parts.pop()


def _head_text(refs: RefFiles) -> str | None:
    value = refs.loose(HEAD)
    return value if value is None or isinstance(value, CommitId) else f"ref: {value}"
