"""Reads packed objects with libgit2: the second opinion of a differential test.

Loose files are left to `dsvc.history.loose_reader`: libgit2 never returns from one that is cut off.
"""

from __future__ import annotations

import os
from typing import Final

import pygit2

from dsvc.history.git_object import MAX_BYTES, GitObject
from dsvc.history.loose_reader import check_prefix
from dsvc.history.odb import MAX_MATCHES, corrupt, missing, verified
from dsvc.model.errors import MalformedInputError
from dsvc.model.ids import CommitId

_KINDS: Final = {1: "commit", 2: "tree", 3: "blob", 4: "tag"}


class Pygit2Reader:
    """An object database over libgit2; it reads the objects alone, no configuration of any user.

    Parameters
    ----------
    git_dir : str
        The bare repository.
    loose : bool
        Whether loose files are read too; only where they are known to be whole.
    objects : str or None
        Folder of the objects, where that isn't the repository's own.
    """

    def __init__(self, git_dir: str, *, loose: bool = False, objects: str | None = None) -> None:
        objects = objects or os.path.join(git_dir, "objects")
        self._odb = pygit2.Odb()
        self._odb.add_backend(pygit2.OdbBackendPack(objects), 2)
        if loose:
            self._odb.add_backend(pygit2.OdbBackendLoose(objects, -1, False), 1)

    def read(self, id: CommitId) -> GitObject:  # noqa: A002
        """Read type and bytes of an object.

        Raises
        ------
        MissingDataError, CorruptDataError, MalformedInputError
            As `dsvc.history.odb.ObjectDatabase.read`.
        """
        oid = pygit2.Oid(hex=CommitId.parse(id))
        if oid not in self._odb:
            raise missing(id)
        try:
            _, size = self._odb.read_header(oid)
            if size > MAX_BYTES:
                raise MalformedInputError(
                    f"git object {id} declares {size} bytes; at most {MAX_BYTES} are read"
                )
            kind, data = self._odb.read(oid)
        except (pygit2.GitError, KeyError, ValueError, OSError) as error:
            raise corrupt(id, str(error)) from error
        return verified(id, _KINDS.get(int(kind), "?"), data)

    def expand(self, prefix: str) -> list[CommitId]:
        """List the ids that begin with `prefix`, sorted.

        Raises
        ------
        MalformedInputError
            If `prefix` is not 1 to 40 lower-case hexadecimal digits.
        """
        check_prefix(prefix)
        found = {CommitId(str(oid)) for oid in self._odb if str(oid).startswith(prefix)}
        return sorted(found)[:MAX_MATCHES]

    def has(self, id: CommitId) -> bool:  # noqa: A002
        """Whether the object is there."""
        return pygit2.Oid(hex=CommitId.parse(id)) in self._odb
