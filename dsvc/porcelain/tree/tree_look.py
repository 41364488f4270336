"""One path of the working tree, against what is expected there and what shall be there."""

from __future__ import annotations

import os
import stat as stat_module
from collections.abc import Collection
from enum import Enum
from typing import NamedTuple

from dsvc.fs.beneath import Beneath, NotAFolderError
from dsvc.model.manifest import MODE_DIRECTORY, MODE_SYMLINK, Entry
from dsvc.model.paths import display_path
from dsvc.porcelain.tree.stat_cache import StatCache, pack_stat
from dsvc.porcelain.tree.tree_scan import parents
from dsvc.store.ingest import FileStat, hash_file


class Transition(NamedTuple):
    """A path, what is expected there, what shall be there; None is nothing."""

    path: bytes
    old: Entry | None
    new: Entry | None


class Obstacle(NamedTuple):
    """Uncommitted work in the way of a transition."""

    path: bytes
    reason: str


class Look(Enum):
    """What stands at a path of a transition."""

    ABSENT = "absent"
    EXPECTED = "expected"
    DONE = "done"


class TreeLook:
    """Looks at paths before anything is written.

    Parameters
    ----------
    tree : Beneath
        The working tree.
    cache : StatCache
        Spares reading files that are known.
    removed : collection of bytes
        Paths that will go, so that they are in nobody's way.
    """

    def __init__(self, tree: Beneath, cache: StatCache, removed: Collection[bytes]) -> None:
        self._tree = tree
        self._rows = _CachedRows(cache)
        self._removed = removed
        self.in_the_way: dict[bytes, str] = {}
        """Uncommitted files where a folder goes, or in a folder where a file goes, and why they must go."""
        self.gives_way: set[bytes] = set()
        """Committed files where an empty folder goes."""

    def look(self, t: Transition) -> Look | Obstacle:
        """Say what stands at a path, or what uncommitted work is in the way."""
        try:
            folder, name = self._tree.split(t.path)
            stat = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return Look.ABSENT
        except NotAFolderError:
            if t.new is not None and not any(p in self._removed for p in parents(t.path)):
                self._look_above(t.path)
            return Look.ABSENT
        if stat_module.S_ISDIR(stat.st_mode):
            return self._look_at_folder(t)
        seen = FileStat.of(stat)
        known = self._rows.get(t.path)
        if t.new is not None and t.new.mode == MODE_DIRECTORY:
            if t.old is not None and _holds(folder, name, seen, t.old, known):
                self.gives_way.add(t.path)
            else:
                self.in_the_way[t.path] = "it stands where a folder goes"
            return Look.ABSENT
        if t.new is not None and _holds(folder, name, seen, t.new, known):
            return Look.DONE
        if t.old is not None and _holds(folder, name, seen, t.old, known):
            return Look.EXPECTED
        reason = "it has changes that are not committed" if t.old is not None else "it is not tracked"
        return Obstacle(t.path, reason)

    def _look_above(self, path: bytes) -> None:
        """Note the file that stands where a folder of `path` goes."""
        for folder in reversed(list(parents(path))):
            stat = self._tree.lstat(folder)
            if stat is not None and not stat_module.S_ISDIR(stat.st_mode):
                self.in_the_way[folder] = f"it stands where the folder of {display_path(path)} goes"
                return

    def _look_at_folder(self, t: Transition) -> Look:
        if t.new is None:
            return Look.ABSENT
        if t.new.mode == MODE_DIRECTORY:
            return Look.DONE
        pending = [t.path]
        while pending:
            at = pending.pop()
            with os.scandir(self._tree.folder(at)) as found:
                for item in found:
                    path = at + b"/" + os.fsencode(item.name)
                    if item.is_dir(follow_symlinks=False):
                        pending.append(path)
                    elif path not in self._removed:
                        self.in_the_way[path] = f"it stands where the file {display_path(t.path)} goes"
        return Look.ABSENT


class _CachedRows:
    """Rows of the stat cache by path, one shard at a time."""

    def __init__(self, cache: StatCache) -> None:
        self._cache = cache
        self._folder: bytes | None = None
        self._rows: dict[bytes, tuple[bytes, Entry]] = {}

    def get(self, path: bytes) -> tuple[bytes, Entry] | None:
        """Stat and entry of a path."""
        folder, _, name = path.rpartition(b"/")
        if folder != self._folder:
            shard = self._cache.shard(folder)
            self._rows = {} if shard is None else {n: (s, e) for n, s, e in shard.rows()}
            self._folder = folder
        return self._rows.get(name)


def _holds(folder: int, name: bytes, seen: FileStat, entry: Entry, known: tuple[bytes, Entry] | None) -> bool:
    """Whether the file at hand has an entry's content and mode."""
    if seen.size != entry.size or entry.mode == MODE_DIRECTORY:
        return False
    if known is not None and known[0] == pack_stat(seen):
        return known[1].same_content(entry)
    if stat_module.S_ISLNK(seen.mode):
        import blake3

        return (
            entry.mode == MODE_SYMLINK
            and blake3.blake3(os.readlink(name, dir_fd=folder)).digest() == entry.digest
        )
    if not stat_module.S_ISREG(seen.mode) or entry.mode != seen.entry_mode:
        return False
    return hash_file(name, folder, seen)[0] == entry.digest
