"""Errors: one subclass of `DsvcError` for each exit code; leaf classes stand beside the code that raises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


class DsvcError(Exception):
    """Root of every error that dsvc raises on purpose.

    Parameters
    ----------
    message : str
        What went wrong, one sentence, without a trailing full stop.
    hint : str or None
        What to do next.
    details : Mapping or None
        Facts for programs (paths, ids); JSON-serialisable values.

    Attributes
    ----------
    code : str
        Stable name of the error for programs, for instance ``would-overwrite``.
    exit_code : int
        What the command line exits with.
    """

    code: ClassVar[str] = "bug"
    exit_code: ClassVar[int] = 50

    def __init__(
        self, message: str, *, hint: str | None = None, details: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details: dict[str, object] = dict(details or {})


class UsageError(DsvcError):
    """The command line or the call is wrong."""

    code = "usage"
    exit_code = 2


class NoRepositoryError(DsvcError):
    """There is no dsvc repository here."""

    code = "no-repository"
    exit_code = 10


class LockedError(DsvcError):
    """Another process holds a lock that was waited for in vain."""

    code = "locked"
    exit_code = 11


class UnsupportedFormatError(DsvcError):
    """The repository needs a newer dsvc or a feature that this one lacks."""

    code = "unsupported-format"
    exit_code = 12


class ConcurrentChangeError(DsvcError):
    """A ref or the staged state moved meanwhile; nothing was changed."""

    code = "concurrent-change"
    exit_code = 13


class NotFoundError(DsvcError):
    """There is no such revision, path or object."""

    code = "not-found"
    exit_code = 14


class WouldOverwriteError(DsvcError):
    """Going on would overwrite uncommitted work; nothing was changed."""

    code = "would-overwrite"
    exit_code = 15


class MergeConflictError(DsvcError):
    """A merge left conflicts, or conflicts are still open."""

    code = "merge-conflict"
    exit_code = 16


class PolicyDeniedError(DsvcError):
    """A policy rule denies this."""

    code = "policy-denied"
    exit_code = 20


class PolicyIncompleteError(DsvcError):
    """Evidence that a policy rule needs is missing, or a detector did not run."""

    code = "policy-incomplete"
    exit_code = 21


class LineageBrokenError(DsvcError):
    """A data path has neither a source nor a run that made it."""

    code = "lineage-broken"
    exit_code = 22


class BlockingDefectError(DsvcError):
    """A blocking defect is open."""

    code = "blocking-defect"
    exit_code = 23


class CorruptDataError(DsvcError):
    """Stored bytes are wrong."""

    code = "corrupt-data"
    exit_code = 30


class MissingDataError(DsvcError):
    """Stored bytes are missing."""

    code = "missing-data"
    exit_code = 31


class ErasedError(DsvcError):
    """The bytes were erased on purpose."""

    code = "erased"
    exit_code = 32


class RemoteError(DsvcError):
    """A remote failed or refused."""

    code = "remote"
    exit_code = 40


class MalformedInputError(DsvcError):
    """Hostile or malformed input was refused."""

    code = "malformed-input"
    exit_code = 41


class StorageError(DsvcError):
    """The operating system refused to read or write (disk full, I/O error, no permission)."""

    code = "storage"
    exit_code = 33
