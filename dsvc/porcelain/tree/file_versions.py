"""One file through history: where it stood in the commits before, renames followed, merges included."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from dsvc.diff.manifest_diff import detect_renames, diff_manifests
from dsvc.history.commit_codec import Commit
from dsvc.model.ids import CommitId, NodeId
from dsvc.model.manifest import Entry
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tree import merge_state

if TYPE_CHECKING:
    from dsvc.store.manifest_tree import Manifest

_CACHED_MANIFESTS: Final = 16
_NOW: Final = 1 << 62


class FileVersion(NamedTuple):
    """A file in one commit.

    Attributes
    ----------
    commit : Commit or None
        None: staged or in the working tree, not committed.
    entry : Entry
        The file.
    worktree : bool
        Whether it is the one in the working tree.
    """

    commit: Commit | None
    entry: Entry
    worktree: bool = False

    @property
    def seconds(self) -> int:
        """When it was committed; what is not committed is newer than all that is."""
        return _NOW if self.commit is None else self.commit.committer.seconds


class FileVersions:
    """Walks from a version of a file to those before it.

    Parameters
    ----------
    repo : Workspace
        Whose history.
    """

    def __init__(self, repo: Workspace) -> None:
        self._repo = repo
        self._manifest = lru_cache(maxsize=_CACHED_MANIFESTS)(repo.manifest)
        self._known: dict[tuple[CommitId | None, bytes], list[FileVersion]] = {}

    def start(self, revision: str, entry: Entry, *, worktree: bool = False) -> FileVersion:
        """Version to begin at: `entry` at a revision, ``STAGED`` or ``WORKTREE``."""
        if worktree or revision in ("STAGED", "WORKTREE"):
            return FileVersion(None, entry, worktree)
        commit = self._repo.history.read_commit(self._repo.history.revisions.resolve(revision))
        return FileVersion(commit, entry)

    def before(self, version: FileVersion) -> list[FileVersion]:
        """The file in the parents of a version's commit, in their order; parents without it are left out.

        A parent that has the same bytes under another path, which the commit removed, has it there.

        Raises
        ------
        MissingDataError, CorruptDataError, MalformedInputError
            If a commit or a manifest is damaged.
        """
        key = (None if version.commit is None else version.commit.id, version.entry.path)
        if key not in self._known:
            parents = self._parents(version.commit)
            found = (self._in_parent(version, parent) for parent in parents)
            self._known[key] = [each for each in found if each is not None]
        return self._known[key]

    def _parents(self, commit: Commit | None) -> tuple[CommitId, ...]:
        if commit is not None:
            return commit.parents
        head = self._repo.history.refs.head().commit
        if head is None:
            return ()
        state = merge_state.current(self._repo)
        if state is not None and state.verb == "merge" and state.theirs is not None:
            return head, CommitId.parse(state.theirs)
        return (head,)

    def _in_parent(self, version: FileVersion, parent: CommitId) -> FileVersion | None:
        commit = self._repo.history.read_commit(parent)
        root = self._root(version.commit)
        if commit.manifest == root and not version.worktree:
            return FileVersion(commit, version.entry)
        manifest = self._manifest(commit.manifest)
        entry = manifest.get(version.entry.path)
        if entry is None:
            entry = self._renamed_from(manifest, root, version.entry.path)
        return FileVersion(commit, entry) if entry is not None and entry.is_file else None

    def _root(self, commit: Commit | None) -> NodeId:
        return self._repo.staged().root if commit is None else commit.manifest

    def _renamed_from(self, before: Manifest, root: NodeId, path: bytes) -> Entry | None:
        changes = detect_renames(list(diff_manifests(before, self._manifest(root))))
        return next((c.old for c in changes if c.path == path and c.old_path is not None), None)

    def changes(self, version: FileVersion) -> Iterator[FileVersion]:
        """Yield the versions whose content no parent has, newest first.

        Of a merge that took one side's file as it was, only that side is followed, as `log` does.

        Raises
        ------
        MissingDataError, CorruptDataError, MalformedInputError
            As `before`.
        """
        pending = [(-version.seconds, 0, version)]
        seen = {(version.commit and version.commit.id, version.entry.path)}
        number = 0
        while pending:
            here = heapq.heappop(pending)[2]
            older = self.before(here)
            same = next((each for each in older if each.entry.same_content(here.entry)), None)
            if same is None:
                yield here
            for each in older if same is None else [same]:
                place = (each.commit and each.commit.id, each.entry.path)
                if place not in seen:
                    seen.add(place)
                    number += 1
                    heapq.heappush(pending, (-each.seconds, number, each))

    def first(self, version: FileVersion) -> FileVersion:
        """Go back to where the file appeared, by the first parent that has it; raises as `before`."""
        while older := self.before(version):
            version = older[0]
        return version
