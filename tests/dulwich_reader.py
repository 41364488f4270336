"""Reads objects with dulwich: a second opinion of a differential test."""

from __future__ import annotations

import os
import zlib
from typing import Final

from dulwich.errors import ChecksumMismatch, FileFormatException
from dulwich.object_store import DiskObjectStore
from dulwich.objects import ObjectID

from dsvc.history.git_object import MAX_BYTES, GitObject
from dsvc.history.loose_reader import check_prefix
from dsvc.history.odb import MAX_MATCHES, corrupt, missing, verified
from dsvc.model.errors import MalformedInputError
from dsvc.model.ids import CommitId

_KINDS: Final = {1: "commit", 2: "tree", 3: "blob", 4: "tag"}


class DulwichReader:
    """An object database over dulwich.

    Parameters
    ----------
    git_dir : str
        The bare repository.
    """

    def __init__(self, git_dir: str) -> None:
        self._store = DiskObjectStore(os.path.join(git_dir, "objects"), loose_object_size_limit=MAX_BYTES)

    def close(self) -> None:
        """Close the packs."""
        self._store.close()

    def read(self, id: CommitId) -> GitObject:  # noqa: A002
        """Read type and bytes of an object.

        Raises
        ------
        MissingDataError, CorruptDataError, MalformedInputError
            As `dsvc.history.odb.ObjectDatabase.read`.
        """
        name = ObjectID(CommitId.parse(id).encode("ascii"))
        try:
            if name not in self._store:
                raise missing(id)
            kind, data = self._store.get_raw(name)
        except KeyError as error:
            raise missing(id) from error
        except (ChecksumMismatch, FileFormatException, zlib.error, ValueError, AssertionError) as error:
            raise corrupt(id, str(error)) from error
        if len(data) > MAX_BYTES:
            raise MalformedInputError(f"git object {id} has {len(data)} bytes; at most {MAX_BYTES} are read")
        return verified(id, _KINDS.get(kind, "?"), data)

    def expand(self, prefix: str) -> list[CommitId]:
        """List the ids that begin with `prefix`, sorted.

        Raises
        ------
        MalformedInputError
            If `prefix` is not 1 to 40 lower-case hexadecimal digits.
        """
        check_prefix(prefix)
        found = {CommitId(name.decode("ascii")) for name in self._store}
        return sorted(name for name in found if name.startswith(prefix))[:MAX_MATCHES]

    def has(self, id: CommitId) -> bool:  # noqa: A002
        """Whether the object is there."""
        return ObjectID(CommitId.parse(id).encode("ascii")) in self._store
