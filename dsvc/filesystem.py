"""An fsspec file system over any version: ``dsvc://REV/PATH``, without a checkout.

Registered under ``dsvc``, so that whoever opens URLs with fsspec (pandas, Polars, Arrow, DuckDB, Hugging Face
datasets, Dask) reads versions. Read-only.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, BinaryIO, ClassVar, NamedTuple, NoReturn
from urllib.parse import quote, unquote

from fsspec import AbstractFileSystem
from fsspec.spec import make_instance

from dsvc.model.errors import NotFoundError
from dsvc.model.manifest import MODE_SYMLINK, Entry
from dsvc.porcelain.repository import open_repository
from dsvc.porcelain.state.values import Listing
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tree.read import IsAFolderError, ls, open_file, resolve_entry

_NOT_COMMITS = ("WORKTREE", "STAGED")


class NoSuchFileError(NotFoundError, FileNotFoundError):
    """There is no such revision or path; also a `FileNotFoundError`, as readers of files expect."""

    code = "no-such-file"


class FolderOpenedError(IsAFolderError, IsADirectoryError):
    """A folder was opened; also an `IsADirectoryError`, as readers of files expect."""

    code = "folder-opened"


class _Place(NamedTuple):
    """A path at a revision; `prefix` is how the URL wrote the revision."""

    prefix: str
    revision: str
    path: bytes

    def name(self, path: bytes) -> str:
        """Name of a path of the same version, as the file system calls it."""
        return f"{self.prefix}/{os.fsdecode(path)}" if path else self.prefix


class DsvcFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """Any version of a repository as a read-only file system.

    ``dsvc://HEAD~1/data/train.parquet`` is a file of the commit before HEAD; ``WORKTREE`` and ``STAGED`` are
    revisions too. A revision may hold slashes (``dsvc://feature/x/train.csv``): the shortest front part that
    is a revision is taken for it, and ``%2F`` is a slash that certainly belongs to it.

    Parameters
    ----------
    repo : str or None
        A folder in the repository's working tree. Without it the repository is the one around the current
        folder: a URL has no other way to say which.
    trusted : bool
        Whether it is read even if it is another user's.

    Raises
    ------
    NoRepositoryError
        If there is no repository.
    UnsafeRepositoryError
        If it is another user's, and isn't trusted.
    """

    protocol: ClassVar[str] = "dsvc"
    root_marker: ClassVar[str] = ""
    # The current folder may change, and an instance is made quickly.
    cachable: ClassVar[bool] = False

    def __init__(self, repo: str | None = None, *, trusted: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.root = open_repository(repo or ".", vouches=lambda *_: trusted).root
        self._trusted = trusted
        self._lock = threading.RLock()
        self._used: tuple[int, Workspace] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Be pickled with the repository found, since another process may be in another folder."""
        return make_instance, (type(self), (), {"repo": self.root, "trusted": self._trusted})

    @contextmanager
    def _workspace(self) -> Iterator[Workspace]:
        """Give the repository to one thread at a time; a forked process opens its own."""
        with self._lock, _as_file_errors():
            if self._used is None or self._used[0] != os.getpid():
                self._used = os.getpid(), Workspace(self.root)
            yield self._used[1]

    def _place(self, repo: Workspace, path: str) -> _Place:
        parts = self._strip_protocol(path).split("/")
        error: NotFoundError | None = None
        for count in range(1, len(parts) + 1):
            prefix = "/".join(parts[:count])
            revision = unquote(prefix)
            try:
                if revision not in _NOT_COMMITS:
                    repo.manifest_of(revision)
            except NotFoundError as found:
                error = error or found
                continue
            return _Place(prefix, revision, os.fsencode("/".join(parts[count:])))
        raise error or NotFoundError(f"{path!r} names no revision")

    def ls(self, path: str, detail: bool = True, **_options: Any) -> list[Any]:
        """List a folder; the root holds ``HEAD``, branches and tags."""
        with self._workspace() as repo:
            if not self._strip_protocol(path):
                found = self._revisions(repo)
            else:
                place = self._place(repo, path)
                # A work tree's listing hashes what changed; it is read whole, so that it's one state.
                found = [self._info(repo, place, item) for item in ls(repo, place.revision, place.path)]
        return found if detail else [item["name"] for item in found]

    def info(self, path: str, **_options: Any) -> dict[str, Any]:
        """Describe a path: ``name``, ``type``, ``size``; of a file also ``ETag``, which is its BLAKE3."""
        with self._workspace() as repo:
            if not self._strip_protocol(path):
                return _folder("")
            place = self._place(repo, path)
            if not place.path:
                return _folder(place.prefix)
            first = next(ls(repo, place.revision, place.path), None)
            if first is None or first.path != place.path:
                return _folder(place.name(place.path))
            return self._info(repo, place, first)

    def _revisions(self, repo: Workspace) -> list[dict[str, Any]]:
        from dsvc.porcelain.versions import branch, tag

        names = [ref.name for ref in (*branch.branches(repo), *tag.tags(repo))]
        return [_folder(quote(name, safe="")) for name in dict.fromkeys(["HEAD", *names])]

    def _info(self, repo: Workspace, place: _Place, item: Listing) -> dict[str, Any]:
        entry: Entry | None = item.entry
        name = place.name(item.path)
        if entry is None:
            return _folder(name)
        if entry.mode == MODE_SYMLINK:
            try:
                version = "STAGED" if place.revision == "WORKTREE" else place.revision
                entry = resolve_entry(repo.manifest_of(version), item.path, place.revision)
            except (NotFoundError, IsAFolderError):
                return {"name": name, "size": entry.size, "type": "other", "islink": True}
        return {"name": name, "size": entry.size, "type": "file", "ETag": entry.digest.hex()}

    def _open(self, path: str, mode: str = "rb", **_options: Any) -> BinaryIO:
        """Open a file; each chunk is checked before its bytes are given out."""
        if mode not in ("rb", "r"):
            self._refuse(path)
        with self._workspace() as repo:
            place = self._place(repo, path)
        with _as_file_errors():
            # A store of its own for each file, since files are read by several threads.
            return open_file(Workspace(self.root), place.path, place.revision)

    def modified(self, path: str) -> datetime:
        """When the version was committed; now for what is not."""
        with self._workspace() as repo:
            place = self._place(repo, path)
            if place.revision in _NOT_COMMITS:
                return datetime.now(UTC)
            commit = repo.history.read_commit(repo.history.revisions.resolve(place.revision))
            return datetime.fromtimestamp(commit.committer.seconds, UTC)

    created = modified

    def ukey(self, path: str) -> str:
        """Identify the content: its BLAKE3."""
        return str(self.info(path).get("ETag", path))

    def _refuse(self, path: str, *_args: Any, **_options: Any) -> NoReturn:
        raise OSError(errno.EROFS, "versions are read-only", path)

    mkdir = makedirs = rmdir = rm = rm_file = _rm = cp_file = touch = mv = _refuse


def _folder(name: str) -> dict[str, Any]:
    return {"name": name, "size": 0, "type": "directory"}


@contextmanager
def _as_file_errors() -> Iterator[None]:
    """Raise what readers of files catch, and our callers too."""
    try:
        yield
    except (NoSuchFileError, FolderOpenedError):
        raise
    except NotFoundError as error:
        raise NoSuchFileError(error.message, hint=error.hint, details=error.details) from error
    except IsAFolderError as error:
        raise FolderOpenedError(error.message, hint=error.hint, details=error.details) from error


__all__ = ["DsvcFileSystem", "FolderOpenedError", "NoSuchFileError"]
