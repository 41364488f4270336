"""Nothing a person wrote is thrown away: files are stored before a verb overwrites or removes them."""

from __future__ import annotations

import os
import stat as stat_module
from collections.abc import Iterable, Iterator

from dsvc.fs.beneath import Beneath, NotAFolderError
from dsvc.model.errors import WouldOverwriteError
from dsvc.model.ids import NodeId
from dsvc.model.manifest import Entry
from dsvc.model.paths import check_structure, display_path
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tree.file_entry import entry_of_bytes, entry_of_large_file
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.ingest import LARGE_BYTES, read_stable, store_symlink
from dsvc.store.large_file import Segment, store_segment
from dsvc.store.manifest_tree import EMPTY_ROOT


def store_file(
    store: ChunkStore, tree: Beneath, path: bytes, old: Entry | None = None, *, at: bytes | None = None
) -> Entry | None:
    """Store the file or symlink at a path as it is now; None where there is neither.

    Parameters
    ----------
    old : Entry or None
        What stood where it shall stand: how it is cut is kept.
    at : bytes or None
        Path of the entry, where it shall stand elsewhere.

    Raises
    ------
    UnstableFileError, StorageError
        If it can't be read whole.
    """
    try:
        folder, name = tree.split(path)
        stat = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except (FileNotFoundError, NotAFolderError):
        return None
    if stat_module.S_ISLNK(stat.st_mode):
        return store_symlink(store, at or path, os.readlink(name, dir_fd=folder))
    if not stat_module.S_ISREG(stat.st_mode):
        return None
    if stat.st_size < LARGE_BYTES:
        data, seen = read_stable(name, folder)
        return entry_of_bytes(store, at or path, seen.entry_mode, data, old)

    def segments(parts: Iterator[Segment], fd: int) -> dict[int, bytes]:
        return {part.number: store_segment(store, fd, part) for part in parts}

    return entry_of_large_file(store, at or path, name, folder, old, segments)[0]


def _is_special(stat: os.stat_result | None) -> bool:
    return stat is not None and not stat_module.S_ISDIR(stat.st_mode)


def keep_files(repo: Workspace, paths: Iterable[bytes]) -> tuple[NodeId | None, int]:
    """Store files that are about to go.

    Raises
    ------
    WouldOverwriteError, MalformedInputError
        If one is a FIFO, a socket or a device, or inside another repository: `undo` could not bring it back.

    Returns
    -------
    root : NodeId or None
        Manifest of them, for the operation log; None where there were none.
    count : int
        How many.
    """
    kept: dict[bytes, Entry] = {}
    with Beneath(repo.root) as tree:
        for path in paths:
            check_structure(path)
            entry = store_file(repo.store, tree, path)
            if entry is not None:
                kept[path] = entry
            elif _is_special(tree.lstat(path)):
                raise WouldOverwriteError(
                    f"{display_path(path)} is in the way; it can't be stored, so it isn't overwritten",
                    hint="move it away",
                    details={"paths": [display_path(path)]},
                )
    if not kept:
        return None, 0
    root = repo.manifest(EMPTY_ROOT).update(sorted(kept.items()))
    repo.store.publish()
    return root, len(kept)
