"""Reading git objects: the protocol of every reader, and its errors."""

from __future__ import annotations

from typing import Final, Protocol

from dsvc.history.git_object import TYPES, GitObject, object_id
from dsvc.model.errors import CorruptDataError, MissingDataError
from dsvc.model.ids import CommitId

MAX_MATCHES: Final = 100
"""How many ids `ObjectDatabase.expand` returns at most; more than one is ambiguous anyway."""


class MissingObjectError(MissingDataError):
    """A git object that something names is not there."""


class CorruptObjectError(CorruptDataError):
    """The bytes of a git object are wrong."""


def missing(id: CommitId) -> MissingObjectError:  # noqa: A002
    """Make the error for an object that is not there."""
    return MissingObjectError(
        f"git object {id} is missing", hint="run dsvc fsck", details={"object": str(id)}
    )


def corrupt(id: CommitId, why: str) -> CorruptObjectError:  # noqa: A002
    """Make the error for an object whose bytes are wrong."""
    return CorruptObjectError(
        f"git object {id} is corrupt: {why}", hint="run dsvc fsck", details={"object": str(id)}
    )


def verified(id: CommitId, kind: str, data: bytes) -> GitObject:  # noqa: A002
    """Return `(kind, data)` if that is what `id` names.

    Raises
    ------
    CorruptObjectError
        If it isn't.
    """
    if kind not in TYPES:
        raise corrupt(id, f"unknown type {kind[:20]!r}")
    found = object_id(kind, data)
    if found != id:
        raise corrupt(id, f"its bytes are those of {found}")
    return kind, data


class ObjectDatabase(Protocol):
    """Reads git objects; nothing is believed before its hash was checked."""

    def read(self, id: CommitId) -> GitObject:  # noqa: A002
        """Read type and bytes of an object.

        Raises
        ------
        MissingDataError
            If it is not there.
        CorruptDataError
            If its bytes are wrong.
        MalformedInputError
            If `id` is not an id, or the object is larger than any that dsvc writes.
        """
        ...

    def expand(self, prefix: str) -> list[CommitId]:
        """List the ids that begin with `prefix`, sorted, at most `MAX_MATCHES`.

        Raises
        ------
        MalformedInputError
            If `prefix` is not 1 to 40 lower-case hexadecimal digits.
        """
        ...

    def has(self, id: CommitId) -> bool:  # noqa: A002
        """Whether the object is there; its bytes are not looked at."""
        ...
