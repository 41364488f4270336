"""The working tree as a run sees it: its files stored, and told apart by their stats before and after."""

from __future__ import annotations

import os
import stat as stat_module
import time
from collections.abc import Iterator
from typing import NamedTuple

import blake3

from dsvc.fs.beneath import Beneath, NotAFolderError
from dsvc.fs.files import storage_error
from dsvc.model.errors import DsvcError, NotFoundError, UsageError
from dsvc.model.manifest import MODE_DIRECTORY, Entry
from dsvc.model.paths import check_structure, display_path
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tree import scan
from dsvc.porcelain.tree.ignore import IgnoreRules
from dsvc.porcelain.tree.known_files import load_known
from dsvc.porcelain.tree.safekeeping import store_file
from dsvc.porcelain.tree.stat_cache import RACY_NS, UNKNOWN, pack_stat, trusted_stat
from dsvc.porcelain.tree.status import scan_tree
from dsvc.porcelain.tree.tree_scan import file_system_now
from dsvc.store.chunk_list import chunks_of
from dsvc.store.ingest import LARGE_BYTES, FileStat, hash_file
from dsvc.store.manifest_tree import Manifest


class Taken(NamedTuple):
    """A file that is stored, and the stat that it had then; `UNKNOWN` where that proves nothing."""

    entry: Entry
    stat: bytes


class Seen(NamedTuple):
    """How a file looked at one moment: its stat, and its digest where a later change could keep the stat."""

    stat: bytes | None
    digest: bytes | None = None


class RunFiles:
    """Files of the working tree, for a run that begins or ends; the caller holds `Workspace.changing`.

    Parameters
    ----------
    repo : Workspace
        The repository.
    tree : Beneath
        Its working tree.

    Attributes
    ----------
    manifest : Manifest
        What is staged.
    differing : set of bytes
        Tracked paths whose files hold something else than what is staged, or are gone.
    """

    def __init__(self, repo: Workspace, tree: Beneath) -> None:
        self._repo = repo
        self._tree = tree
        self._ignore = IgnoreRules(tree)
        staged = repo.staged()
        self.manifest: Manifest = repo.manifest(staged.root)
        found = scan_tree(repo, staged, [], untracked="no", locked=True)
        self.differing = {path for path, _, _ in found.changed} | set(found.missing)
        self._unread = {path for path, _ in found.skipped}
        self._known = load_known(repo.layout.cache)
        self._now = file_system_now(repo.layout.temporary)

    def stat(self, path: bytes) -> bytes | None:
        """Stat of a file or link that a later one can be compared with; None where there is none."""
        found = self._tree.lstat(path)
        if found is None or stat_module.S_ISDIR(found.st_mode):
            return None
        return trusted_stat(FileStat.of(found), self._now)

    def see(self, path: bytes) -> Seen:
        """Note how a file looks now."""
        found = self._tree.lstat(path)
        if found is None or stat_module.S_ISDIR(found.st_mode):
            return Seen(None)
        stat = FileStat.of(found)
        is_safe = trusted_stat(stat, self._now) != UNKNOWN
        return Seen(pack_stat(stat), None if is_safe else self.content(path))

    def was_written(self, path: bytes, before: Seen | None) -> bool:
        """Whether a file was made or written since; also with the content that it had."""
        now = self.see(path).stat
        if now is None or before is None or before.stat != now:
            return now is not None
        return before.digest is not None and self.content(path) != before.digest

    def has_changed(self, path: bytes, before: Seen) -> bool:
        """Whether a file came, went or has other content since."""
        now = self.see(path).stat
        if now is None or before.stat is None:
            return now is not before.stat
        if now == before.stat and before.digest is None:
            return False
        return before.digest is None or self.content(path) != before.digest

    def is_folder(self, path: bytes) -> bool:
        """Whether a folder stands at a path."""
        found = self._tree.lstat(path) if path else None
        return not path or (found is not None and stat_module.S_ISDIR(found.st_mode))

    def content(self, path: bytes) -> bytes | None:
        """BLAKE3 of what a file or link holds now; None where there is neither.

        Raises
        ------
        UnstableFileError, StorageError
            If it can't be read whole.
        """
        found = self._tree.lstat(path)
        if found is None or not (stat_module.S_ISREG(found.st_mode) or stat_module.S_ISLNK(found.st_mode)):
            return None
        folder, name = self._tree.split(path)
        if stat_module.S_ISLNK(found.st_mode):
            return blake3.blake3(os.readlink(name, dir_fd=folder)).digest()
        return hash_file(name, folder)[0]

    def below(self, folder: bytes) -> Iterator[bytes]:
        """Files and links below a folder, but ignored ones that are not tracked; all where it is ignored.

        Raises
        ------
        StorageError
            If a folder can't be listed.
        """
        everything = any(self._ignore.ignored(at, is_folder=True) for at in _upwards(folder))
        pending = [folder]
        while pending:
            at = pending.pop()
            try:
                listing = scan.list_folder(self._tree, at)
            except (FileNotFoundError, NotAFolderError):
                continue
            except OSError as error:
                raise storage_error(error, "list", at or b".") from error
            prefix = at + b"/" if at else b""
            for name, _ in listing.rows:
                path = prefix + name
                if everything or self._is_tracked(path) or not self._ignore.ignored(path, is_folder=False):
                    check_structure(path)
                    yield path
            for name in listing.folders:
                if scan.refuse_folder(self._tree, at, name) is None and (
                    everything
                    or not self._ignore.ignored(prefix + name, is_folder=True)
                    or next(self.manifest.entries(prefix + name), None) is not None
                ):
                    pending.append(prefix + name)

    def _is_tracked(self, path: bytes) -> bool:
        entry = self.manifest.get(path)
        return entry is not None and entry.mode != MODE_DIRECTORY

    def take(self, path: bytes) -> Taken:
        """Store a file as it is now; one that is known to be stored as it is isn't read.

        Raises
        ------
        NotFoundError
            If there is no file.
        UsageError
            If it is no regular file and no link.
        UnstableFileError, StorageError
            If it can't be read whole.
        """
        check_structure(path)
        self._settle(path)
        stat = self.stat(path)
        tracked = self.manifest.get(path)
        if stat is not None and tracked is not None and tracked.mode != MODE_DIRECTORY:
            if path not in self.differing and path not in self._unread:
                return Taken(tracked, stat)
        else:
            tracked = None
        known = self._known.get(path)
        if known is not None and stat is not None and known.stat == stat and self._is_kept(known.entry):
            return Taken(known.entry, stat)
        entry = store_file(self._repo.store, self._tree, path, tracked)
        if entry is None:
            name = display_path(path)
            if self._tree.lstat(path) is None:
                raise NotFoundError(f"there is no file {name!r}", details={"path": name})
            raise UsageError(f"{name} is no file that can be stored", details={"path": name})
        return Taken(entry, stat if stat is not None and self.stat(path) == stat else UNKNOWN)

    def _is_kept(self, entry: Entry) -> bool:
        store = self._repo.store
        try:
            return all(chunk.id is None or store.has(chunk.id) for chunk in chunks_of(store, entry))
        except DsvcError:
            return False

    def _settle(self, path: bytes) -> None:
        """Let a large file that was written just now get old enough for its stat to prove something."""
        found = self._tree.lstat(path)
        if found is None or found.st_size < LARGE_BYTES:
            return
        wait = max(found.st_mtime_ns, found.st_ctime_ns) + RACY_NS - self._now
        if 0 <= wait <= 2 * RACY_NS:
            time.sleep((wait + RACY_NS) / 1e9)
            self._now = file_system_now(self._repo.layout.temporary)


def _upwards(path: bytes) -> Iterator[bytes]:
    while path:
        yield path
        path = path.rpartition(b"/")[0]
