"""cat and ls: read any version without a checkout."""

from __future__ import annotations

import errno
import io
import os
import stat as stat_module
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from dsvc.fs.beneath import Beneath, NotAFolderError
from dsvc.fs.files import storage_error
from dsvc.model.errors import NotFoundError, UsageError
from dsvc.model.manifest import MODE_DIRECTORY, MODE_SYMLINK, Entry
from dsvc.model.paths import check_structure, display_path
from dsvc.porcelain.state.values import Listing
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tree.close_paths import close_paths
from dsvc.porcelain.tree.worktree_side import entries_now
from dsvc.store.chunk_map import ChunkMap, Extent
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.ingest import open_file as open_regular
from dsvc.store.manifest_ranges import FolderTotals, children
from dsvc.store.manifest_tree import Manifest
from dsvc.store.materialize import read_content

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BUFFER_BYTES: Final = 64 * 1024
MAX_LINKS: Final = 40
"""Links that are followed for one path, as many as Linux follows."""


class IsAFolderError(UsageError):
    """A folder was asked for its bytes."""

    code = "is-a-folder"


class StoredFile(io.RawIOBase):
    """A stored file, read by range; each chunk is checked before its bytes are given out.

    Holes read as zeros. Memory stays at about a chunk (512 KiB at most) whatever the file's length.

    Parameters
    ----------
    store : ChunkStore
        Where it lies; not to be used by another thread meanwhile.
    entry : Entry
        The file.
    """

    def __init__(self, store: ChunkStore, entry: Entry) -> None:
        super().__init__()
        self._chunks = ChunkMap(store, entry)
        self._size = entry.size
        self._position = 0
        self._extent: Extent | None = None
        self._data: bytes | memoryview = b""

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """Position in bytes."""
        self._check_open()
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move, also beyond the end, where nothing is read; returns the new position.

        Raises
        ------
        ValueError
            If that is before the start, or `whence` is unknown.
        """
        self._check_open()
        if whence not in (os.SEEK_SET, os.SEEK_CUR, os.SEEK_END):
            raise ValueError(f"whence {whence} is unknown")
        position = offset + (0, self._position, self._size)[whence]
        if position < 0:
            raise ValueError(f"position {position} is before the start")
        self._position = position
        return position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read at most to the end of a chunk; returns the number of bytes, 0 at the end.

        Raises
        ------
        MissingDataError, ErasedError, CorruptDataError, MalformedInputError
            If the bytes can't be had.
        """
        self._check_open()
        target = memoryview(buffer).cast("B")
        if self._position >= self._size or not target:
            return 0
        extent = self._load()
        start = self._position - extent.start
        count = min(len(target), extent.chunk.length_bytes - start)
        if extent.chunk.id is None:
            target[:count] = bytes(count)
        else:
            target[:count] = self._data[start : start + count]
        self._position += count
        return count

    def readall(self) -> bytes:
        """Read the rest."""
        rest = bytearray(max(0, self._size - self._position))
        view, done = memoryview(rest), 0
        while count := self.readinto(view[done:]):
            done += count
        view.release()
        return bytes(rest)

    def _load(self) -> Extent:
        extent = self._extent
        if extent is None or not extent.start <= self._position < extent.end:
            extent = self._chunks.at(self._position)
            self._data = self._chunks.read(extent)
            self._extent = extent
        return extent

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("the file is closed")

    def close(self) -> None:
        """Close, and let the chunk at hand go."""
        self._data, self._extent = b"", None
        super().close()


def open_file(repo: Workspace, path: bytes, rev: str | None = None) -> BinaryIO:
    """Open a file of any version for reading.

    A path that is a symlink, or leads through one, is followed inside the version; `rev` ``WORKTREE`` opens
    what is in the working tree now, untracked files too.

    Parameters
    ----------
    path : bytes
        Relative to the working tree, ``/``-separated.
    rev : str or None
        A revision, ``STAGED`` or ``WORKTREE``; None is HEAD.

    Returns
    -------
    BinaryIO
        An `io.BufferedReader`: seekable, each chunk checked before its bytes are given out.

    Raises
    ------
    NotFoundError
        If there is no such revision or path, or a link leads to nothing inside the version.
    IsAFolderError
        If it is a folder.
    MissingDataError, ErasedError, CorruptDataError, MalformedInputError
        If a chunk can't be had; also while reading.
    """
    if not path:
        raise IsAFolderError("the root is a folder", hint="dsvc ls lists it")
    if rev == "WORKTREE":
        return _open_now(repo, path)
    manifest = repo.manifest_of(rev)
    entry = resolve_entry(manifest, path, rev or "HEAD")
    return cast(BinaryIO, io.BufferedReader(StoredFile(repo.store, entry), BUFFER_BYTES))


def resolve_entry(manifest: Manifest, path: bytes, where: str) -> Entry:
    """Find the regular file that a path of a version means, links followed.

    Parameters
    ----------
    where : str
        Name of the version, for messages.

    Raises
    ------
    NotFoundError
        If there is none.
    IsAFolderError
        If it is a folder.
    """
    at = path
    for _ in range(MAX_LINKS):
        entry = manifest.get(at)
        if entry is not None and entry.is_file:
            return entry
        if entry is None or entry.mode == MODE_DIRECTORY:
            if entry is not None or next(manifest.entries(at), None) is not None:
                raise _is_folder(at)
            entry = _link_above(manifest, at)
            if entry is None:
                raise _no_path(manifest, path, at, where)
        target = read_content(manifest.store, entry)
        rest = at[len(entry.path) :]
        at = _joined(entry.path.rpartition(b"/")[0], target + rest)
        if not at:
            raise NotFoundError(
                f"{display_path(path)} in {where} is a link to {display_path(target)}, outside the version",
                details={"path": display_path(path)},
            )
    raise NotFoundError(f"{display_path(path)} in {where} leads through too many links")


def _link_above(manifest: Manifest, path: bytes) -> Entry | None:
    """Symlink that stands where a folder above `path` is expected, nearest to the root."""
    end = path.find(b"/")
    while end > 0:
        entry = manifest.get(path[:end])
        if entry is not None:
            return entry if entry.mode == MODE_SYMLINK else None
        end = path.find(b"/", end + 1)
    return None


def _joined(folder: bytes, target: bytes) -> bytes:
    """Path that a link in `folder` leads to; empty where that is absolute or outside."""
    if target.startswith(b"/"):
        return b""
    names = folder.split(b"/") if folder else []
    for name in target.split(b"/"):
        if name == b"..":
            if not names:
                return b""
            names.pop()
        elif name not in (b"", b"."):
            names.append(name)
    return b"/".join(names)


def _is_folder(path: bytes) -> IsAFolderError:
    name = display_path(path)
    return IsAFolderError(
        f"{name} is a folder", hint=f"dsvc ls lists it: dsvc ls {name}", details={"path": name}
    )


def _no_path(manifest: Manifest, asked: bytes, path: bytes, where: str) -> NotFoundError:
    """Make the error for a path that isn't there; the hint names what is close."""
    name = display_path(asked)
    if path != asked:
        return NotFoundError(
            f"{name} in {where} is a link to {display_path(path)}, which is not there", details={"path": name}
        )
    close = close_paths(manifest, path)
    hint = (
        f"did you mean {' or '.join(map(display_path, close))}?" if close else "dsvc ls lists what there is"
    )
    return NotFoundError(f"there is no {name} in {where}", hint=hint, details={"path": name})


def _open_now(repo: Workspace, path: bytes) -> BinaryIO:
    """Open a file of the working tree; links are followed inside it, and nowhere else."""
    at = path
    try:
        with Beneath(repo.root) as tree:
            for _ in range(MAX_LINKS):
                check_structure(at)
                link = _link_on_disk(tree, at)
                if link is None:
                    return _open_regular(tree, at)
                at = _joined(link.rpartition(b"/")[0], tree.readlink(link) + at[len(link) :])
                if not at:
                    raise NotFoundError(f"{display_path(path)} is a link out of the working tree")
    except (FileNotFoundError, NotAFolderError) as error:
        raise NotFoundError(
            f"there is no {display_path(path)} in the working tree", details={"path": display_path(path)}
        ) from error
    except OSError as error:
        raise storage_error(error, "open", path) from error
    raise NotFoundError(f"{display_path(path)} leads through too many links")


def _link_on_disk(tree: Beneath, path: bytes) -> bytes | None:
    """First part of a path that is a symlink, or None."""
    end = 0
    while end < len(path):
        end = path.find(b"/", end + 1)
        end = len(path) if end < 0 else end
        found = tree.lstat(path[:end])
        if found is not None and stat_module.S_ISLNK(found.st_mode):
            return path[:end]
    return None


def _open_regular(tree: Beneath, path: bytes) -> BinaryIO:
    folder, name = tree.split(path)
    try:
        fd = open_regular(name, folder)
    except OSError as error:
        if error.errno == errno.EISDIR:
            raise _is_folder(path) from error
        if error.errno == errno.ENXIO:
            raise UsageError(f"{display_path(path)} is not a regular file") from error
        raise
    return open(fd, "rb", buffering=BUFFER_BYTES)


def ls(
    repo: Workspace, rev: str | None = None, path: bytes = b"", *, recursive: bool = False
) -> Iterator[Listing]:
    """List a folder of any version, or the file that `path` is; nothing is read but the manifest.

    Folders come with the number of entries and the bytes below them; this costs a few nodes for each, not a
    look at what is below. Of ``WORKTREE`` tracked paths are listed.

    Parameters
    ----------
    rev : str or None
        A revision, ``STAGED`` or ``WORKTREE``; None is HEAD.
    recursive : bool
        Every file below instead, and empty folders.

    Raises
    ------
    NotFoundError
        If there is no such revision or path.
    """
    path = path.rstrip(b"/")
    now = rev == "WORKTREE"
    manifest = repo.manifest_of("STAGED" if now else rev)
    if path and next(manifest.entries(path), None) is None:
        raise _no_path(manifest, path, path, rev or "HEAD")
    if now:
        entries = entries_now(repo, path)
        return map(_listing, entries) if recursive else _grouped(entries, path)
    if recursive:
        return map(_listing, manifest.entries(path))
    exact = manifest.get(path) if path else None
    if exact is not None and exact.mode != MODE_DIRECTORY:
        return iter([_listing(exact)])
    return (
        Listing(path=item.path, entry=None, files=item.files, size=item.size)
        if isinstance(item, FolderTotals)
        else _listing(item)
        for item in children(manifest, path)
    )


def _listing(entry: Entry) -> Listing:
    if entry.mode == MODE_DIRECTORY:
        return Listing(path=entry.path, entry=None, files=0, size=0)
    return Listing(path=entry.path, entry=entry, files=1, size=entry.size)


def _grouped(entries: Iterator[Entry], folder: bytes) -> Iterator[Listing]:
    """Entries in order, those of each sub-folder as one line."""
    start = len(folder) + 1 if folder else 0
    group: Listing | None = None
    for entry in entries:
        end = entry.path.find(b"/", start)
        if entry.path == folder and entry.mode == MODE_DIRECTORY:
            continue
        if end < 0:
            if group is not None:
                yield group
                group = None
            yield _listing(entry)
            continue
        path = entry.path[:end]
        if group is not None and group.path != path:
            yield group
            group = None
        files, size = (group.files, group.size) if group is not None else (0, 0)
        group = Listing(path=path, entry=None, files=files + 1, size=size + entry.size)
    if group is not None:
        yield group


__all__ = ["IsAFolderError", "StoredFile", "close_paths", "ls", "open_file", "resolve_entry"]
