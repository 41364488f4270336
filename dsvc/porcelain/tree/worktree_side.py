"""The working tree as one side of a comparison: what differs is hashed now, nothing is stored."""

from __future__ import annotations

import os
import stat as stat_module
from collections.abc import Iterator, Sequence
from typing import Final

import blake3
import xxhash

from dsvc.fs.beneath import Beneath, NotAFolderError
from dsvc.fs.files import storage_error
from dsvc.model.errors import StorageError
from dsvc.model.manifest import MODE_DIRECTORY, MODE_SYMLINK, ChunkClass, Entry, Kind
from dsvc.model.paths import display_path
from dsvc.porcelain.state.staging import Staged
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tree.file_entry import entry_unstored
from dsvc.porcelain.tree.status import scan_tree
from dsvc.porcelain.tree.tree_scan import Progress
from dsvc.store.ingest import UnstableFileError

Overlay = dict[bytes, Entry | None]
"""Tracked paths whose working tree state differs from the staged one: what is there now, None if gone."""

_EMPTY: Final = blake3.blake3(b"").digest()


def overlay(
    repo: Workspace, staged: Staged, paths: Sequence[bytes], *, progress: Progress | None = None
) -> Overlay:
    """Compare the working tree with the staged state; files that the stat cache proves equal aren't read.

    Parameters
    ----------
    paths : sequence of bytes
        Limit to these; none is the whole tree. A path that is nowhere has nothing that differs.

    Raises
    ------
    StorageError
        If a tracked file can't be read.
    UnstableFileError
        If a file changes each time it is read.
    """
    manifest = repo.manifest(staged.root)
    with Beneath(repo.root) as tree:
        scope = [p for p in paths if not p or tree.lstat(p) or next(manifest.entries(p), None)]
        if paths and not scope:
            return {}
        found = scan_tree(repo, staged, scope, untracked="no", progress=progress)
        gone: Overlay = dict.fromkeys(found.missing)
        for path, reason in found.skipped:
            entry = manifest.get(path)
            if entry is not None and path not in gone:
                raise StorageError(
                    f"cannot compare {display_path(path)}: {reason}", details={"path": display_path(path)}
                )
        now = {path: entry_now(tree, path, manifest.get(path)) for path, _, _ in found.changed}
    return gone | now


def entry_now(tree: Beneath, path: bytes, old: Entry | None) -> Entry | None:
    """Hash what stands at a path of the working tree; None where there is neither a file nor a link.

    Parameters
    ----------
    old : Entry or None
        What is staged there: how it is cut is kept, as `add` would keep it.

    Raises
    ------
    StorageError, UnstableFileError
        If it can't be read whole.
    """
    try:
        folder, name = tree.split(path)
        stat = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat_module.S_ISLNK(stat.st_mode):
            target = os.readlink(name, dir_fd=folder)
            digests = blake3.blake3(target).digest(), xxhash.xxh3_128_digest(target)
            return Entry(path, MODE_SYMLINK, len(target), *digests, 0, None, Kind.TEXT)
        if not stat_module.S_ISREG(stat.st_mode):
            return None
        return entry_unstored(path, name, folder, old)
    except (FileNotFoundError, NotAFolderError):
        return None
    except OSError as error:
        raise storage_error(error, "read", path) from error


def entries_now(repo: Workspace, folder: bytes) -> Iterator[Entry]:
    """Tracked paths of the working tree under a folder, in order, as they are now; raises as `overlay`."""
    staged = repo.staged()
    over = overlay(repo, staged, [folder] if folder else [])
    for entry in repo.manifest(staged.root).entries(folder):
        found = over.get(entry.path, entry)
        if found is not None:
            yield found


class FileBytes:
    """Bytes of an open file by slices, as `dsvc.diff.content.BufferContent` takes them.

    A mapped file would end the process if someone shortened it meanwhile; this raises an error.

    Parameters
    ----------
    fd : int
        The file; the caller closes it.
    size : int
        How long it is supposed to be.
    """

    def __init__(self, fd: int, size: int) -> None:
        self._fd = fd
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, part: slice) -> bytes:
        start, stop, _ = part.indices(self._size)
        pieces: list[bytes] = []
        while start < stop:
            piece = os.pread(self._fd, stop - start, start)
            if not piece:
                raise UnstableFileError("a file was shortened while it was compared")
            pieces.append(piece)
            start += len(piece)
        return b"".join(pieces)


def is_stored(repo: Workspace, entry: Entry) -> bool:
    """Whether an entry's content can be had from the store, so that the working tree needn't be read."""
    if entry.size == 0 or entry.mode == MODE_DIRECTORY:
        return True
    return entry.chunks is not None or repo.store.has(entry.digest)


def chunk_class(entry: Entry | None) -> ChunkClass:
    """How the other side of a comparison should be cut, so that equal stretches give equal chunks."""
    return ChunkClass.TEXT if entry is None else ChunkClass(entry.chunk_class)
