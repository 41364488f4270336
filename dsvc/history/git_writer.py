"""Writes git repositories and objects through the write seam."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Sequence
from typing import Final

from dsvc.fs import files
from dsvc.fs.flushing import Unflushed, sync_folders
from dsvc.history.git_object import TYPES, GitObject, frame, object_id
from dsvc.history.loose_reader import LooseReader
from dsvc.model.errors import CorruptDataError, MalformedInputError
from dsvc.model.ids import CommitId

# Git's own prefix of unfinished objects, so that git prune knows them too.
_TEMPORARY: Final = "tmp_obj_"

# Unreachable commits are what `undo` goes back to, so git must not expire them behind dsvc's back. The format
# is named in dsvc's own section: git's extensions.objectFormat needs version 1, which older tools refuse.
CONFIG: Final = """\
[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = true
\tlogAllRefUpdates = always
[gc]
\tauto = 0
\tpruneExpire = never
\treflogExpire = never
\treflogExpireUnreachable = never
[maintenance]
\tauto = false
[dsvc]
\tobjectFormat = sha1
"""


# Each after the one that it is in.
_FOLDERS: Final = (
    "objects", "objects/info", "objects/pack", "refs", "refs/heads", "refs/tags", "logs", "info"
)  # fmt: skip


class GitWriter:
    """Writes loose objects.

    Parameters
    ----------
    git_dir : str
        The bare repository.
    durable : bool
        Whether files and folders are flushed.
    """

    def __init__(self, git_dir: str, *, durable: bool) -> None:
        self._objects = os.path.join(git_dir, "objects")
        self._durable = durable
        self._reader = LooseReader(git_dir)

    def write(self, objects: Sequence[GitObject]) -> list[CommitId]:
        """Write `objects`; on return they are durable. What is there already and whole is kept.

        Returns
        -------
        list of CommitId
            Their ids, in order.

        Raises
        ------
        StorageError
            If the system refuses; then some of the objects may be there, none of them in part.
        """
        ids = []
        folders: dict[str, None] = {}
        pending: dict[str, str] = {}
        try:
            with Unflushed(durable=self._durable) as unflushed:
                for kind, data in objects:
                    if kind not in TYPES:
                        raise MalformedInputError(f"unknown type of object {kind[:20]!r}")
                    id_ = object_id(kind, data)
                    ids.append(id_)
                    folder = os.path.join(self._objects, id_[:2])
                    path = os.path.join(folder, id_[2:])
                    folders[folder] = None
                    if path in pending or self._kept(id_, path, unflushed):
                        continue
                    if files.make_folder(folder):
                        folders[self._objects] = None
                    pending[path] = temporary = self._temporary()
                    fd = files.open_new(temporary, mode=0o444)
                    unflushed.write(fd, temporary, zlib.compress(frame(kind, data), 1))
                unflushed.flush()
            for path in list(pending):
                files.rename(pending[path], path)
                del pending[path]
        finally:
            for temporary in pending.values():
                files.discard(temporary)
        if self._durable:
            sync_folders(folders)
        return ids

    def _kept(self, id_: CommitId, path: str, unflushed: Unflushed) -> bool:
        try:
            if self._reader.read_loose(id_) is None:
                return False
        except (CorruptDataError, MalformedInputError):
            return False
        if self._durable:
            # Whoever wrote it may not have flushed it.
            try:
                fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            except OSError:
                return False  # git has packed it meanwhile, or it can't be had: it's written anew
            unflushed.keep(fd, path)
        return True

    def _temporary(self) -> str:
        return os.path.join(self._objects, _TEMPORARY + files.temporary_name())

    def remove_temporary(self, *, min_age_seconds: float) -> list[str]:
        """Remove what killed writers left; the caller knows that no writer is at work.

        Returns
        -------
        list of str
            The paths that were removed.
        """
        removed = []
        before = time.time() - min_age_seconds
        with os.scandir(self._objects) as found:
            names = [e.path for e in found if e.name.startswith(_TEMPORARY) and e.stat().st_mtime <= before]
        for path in sorted(names):
            files.unlink(path, missing_ok=True)
            removed.append(path)
        return removed


def init_bare(git_dir: str, *, branch: str = "main", durable: bool = True) -> None:
    """Make an empty bare repository, or finish one whose making was cut off; a whole one stays as it is.

    Parameters
    ----------
    git_dir : str
        Where; its parent exists.
    branch : str
        Name of the branch that HEAD stands on.
    durable : bool
        Whether everything is flushed.
    """
    made = [git_dir, *(os.path.join(git_dir, name) for name in _FOLDERS)]
    for folder in made:
        files.make_folder(folder)
    for name in os.listdir(git_dir):
        if name.startswith("tmp-"):
            files.unlink(os.path.join(git_dir, name), missing_ok=True)
    # HEAD comes last: without it no tool takes the folder for a repository.
    for name, text in (("config", CONFIG), ("HEAD", f"ref: refs/heads/{branch}\n")):
        path = os.path.join(git_dir, name)
        if not os.path.isfile(path) or os.path.getsize(path) == 0:
            files.write_atomically(path, text.encode(), durable=durable)
    if durable:
        sync_folders([*made, os.path.dirname(git_dir) or "."])
