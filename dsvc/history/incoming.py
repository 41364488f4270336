"""Objects that git holds apart: what a push brings, before the hook ``pre-receive`` has let it in."""

from __future__ import annotations

from dsvc.history.git_object import GitObject
from dsvc.history.odb import MAX_MATCHES, ObjectDatabase
from dsvc.model.errors import MissingDataError
from dsvc.model.ids import CommitId


class WithIncoming:
    """An object database, and beside it the objects that a push brings.

    Parameters
    ----------
    own, incoming : ObjectDatabase
        Asked in this order.
    """

    def __init__(self, own: ObjectDatabase, incoming: ObjectDatabase) -> None:
        self._own = own
        self._incoming = incoming

    def read(self, id: CommitId) -> GitObject:  # noqa: A002
        """Read type and bytes of an object; errors as `dsvc.history.odb.ObjectDatabase.read`."""
        try:
            return self._own.read(id)
        except MissingDataError:
            return self._incoming.read(id)

    def expand(self, prefix: str) -> list[CommitId]:
        """List the ids that begin with `prefix`; errors as `dsvc.history.odb.ObjectDatabase.expand`."""
        return sorted({*self._own.expand(prefix), *self._incoming.expand(prefix)})[:MAX_MATCHES]

    def has(self, id: CommitId) -> bool:  # noqa: A002
        """Whether the object is there."""
        return self._own.has(id) or self._incoming.has(id)
