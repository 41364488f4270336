"""Keeping the stat cache in step when staged manifest or working tree change by other verbs than add."""

from __future__ import annotations

from collections.abc import Collection

from dsvc.diff.manifest_diff import diff_manifests
from dsvc.model.encoding import encode
from dsvc.model.errors import StorageError
from dsvc.model.ids import NodeId
from dsvc.model.manifest import MODE_DIRECTORY, Entry
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tree.stat_cache import UNKNOWN, StatCache, State


class Mirror:
    """The stat cache over one change; outside of it the cache counts as out of step.

    Parameters
    ----------
    repo : Workspace
        The repository.
    staged : NodeId
        Staged manifest before the change.
    """

    def __init__(self, repo: Workspace, staged: NodeId) -> None:
        self._repo = repo
        self._before = staged
        self.cache = StatCache(repo.layout.cache)
        self._state = self.cache.state(staged)
        self.cache.invalidate()

    def follow(
        self, staged: NodeId, *, written: Collection[bytes] = (), unknown: Collection[bytes] = ()
    ) -> None:
        """Declare the new staged manifest mirrored.

        Parameters
        ----------
        staged : NodeId
            Staged manifest after the change.
        written : collection of bytes
            Paths whose rows were set already.
        unknown : collection of bytes
            Tracked paths whose files now hold something else than what is staged.
        """
        if self._state is None:
            return
        rows: dict[bytes, list[tuple[bytes, Entry | None]]] = {}
        empty = set(self._state.empty)
        manifest = self._repo.manifest(staged)
        for change in diff_manifests(self._repo.manifest(self._before), manifest):
            for entry, here in ((change.old, False), (change.new, True)):
                if entry is not None and entry.mode == MODE_DIRECTORY:
                    (empty.add if here else empty.discard)(entry.path)
            folder, _, name = change.path.rpartition(b"/")
            new = change.new if change.new is not None and change.new.mode != MODE_DIRECTORY else None
            rows.setdefault(folder, [])
            if change.path not in written:
                rows[folder].append((name, new))
        for path in written:
            # Files that come back into a sparse tree were staged before too.
            rows.setdefault(path.rpartition(b"/")[0], [])
        for path in unknown:
            folder, _, name = path.rpartition(b"/")
            held = manifest.get(path)
            if held is None or held.mode != MODE_DIRECTORY:
                rows.setdefault(folder, []).append((name, held))
        try:
            folders = set(self._state.folders)
            for folder, names in rows.items():
                left = self._edit(folder, dict(names), set(unknown))
                (folders.add if left else folders.discard)(folder)
            files = manifest.totals()[0] - len(empty)
            self.cache.save_state(State(bytes(staged), sorted(folders), sorted(empty), files))
        except StorageError:
            return

    def _edit(self, folder: bytes, changes: dict[bytes, Entry | None], unknown: set[bytes]) -> bool:
        """Set rows of a folder; returns whether any is left."""
        shard = self.cache.shard(folder)
        if shard is None and self.cache.holds(folder):  # damaged: left to the next scan
            return True
        known = {} if shard is None else {n: (s, e) for n, s, e in shard.rows()}
        prefix = folder + b"/" if folder else b""
        edits = []
        for name, entry in changes.items():
            stat, before = known.get(name, (UNKNOWN, None))
            same = before is not None and entry is not None and encode(before) == encode(entry)
            edits.append((name, stat if same and prefix + name not in unknown else UNKNOWN, entry))
        if edits:
            self.cache.edit(folder, edits)
        shard = self.cache.shard(folder)
        if shard is not None and not len(shard):
            self.cache.save_shard(shard)
        return shard is not None and len(shard) > 0
