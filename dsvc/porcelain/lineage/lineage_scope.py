"""What a question about lineage looks at: the files, the runs and the sources of a version, or of all."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from dsvc.lineage.builder import LineageBuilder
from dsvc.lineage.graph import ArtifactNode
from dsvc.lineage.graph_index import RunIndex
from dsvc.model.ids import CommitId
from dsvc.model.manifest import Entry
from dsvc.porcelain.records.lineage_facts import known_sources
from dsvc.porcelain.state.commit_lineage import lineage_of
from dsvc.porcelain.state.moment import Moment
from dsvc.porcelain.state.pending_runs import pending_runs
from dsvc.porcelain.state.revisions import commit_of, newest_commits
from dsvc.porcelain.state.workspace import Workspace

if TYPE_CHECKING:
    from dsvc.store.manifest_tree import Manifest


class Files(Protocol):
    """The files of one version or of several."""

    def has(self, path: bytes, digest: bytes) -> bool:
        """Whether a file stands there with this content."""

    def entries(self, folder: bytes = b"") -> Iterator[Entry]:
        """Yield the files below a folder."""


class StoredFiles:
    """Files of some commits, or of the staged state.

    Parameters
    ----------
    manifests : sequence of Manifest
    """

    def __init__(self, manifests: Sequence[Manifest]) -> None:
        self._manifests = manifests

    def has(self, path: bytes, digest: bytes) -> bool:
        """Whether a file stands there with this content."""
        found = (manifest.get(path) for manifest in self._manifests)
        return any(entry is not None and entry.digest == digest for entry in found)

    def entries(self, folder: bytes = b"") -> Iterator[Entry]:
        """Yield the files below a folder; each content of a path once."""
        if len(self._manifests) == 1:
            yield from self._manifests[0].entries(folder)
            return
        seen: set[tuple[bytes, bytes]] = set()
        for manifest in self._manifests:
            for entry in manifest.entries(folder):
                if (entry.path, entry.digest) not in seen:
                    seen.add((entry.path, entry.digest))
                    yield entry


class TreeFiles:
    """Files of the working tree: what is tracked, and what pending runs made.

    Parameters
    ----------
    repo : Workspace
    made : iterable of bytes
        Paths that pending runs made.
    """

    def __init__(self, repo: Workspace, made: Iterable[bytes]) -> None:
        from dsvc.fs.beneath import Beneath
        from dsvc.porcelain.tree.worktree_side import entries_now, entry_now

        found = {entry.path: entry for entry in entries_now(repo, b"")}
        with Beneath(repo.root) as tree:
            for path in made:
                entry = None if path in found else entry_now(tree, path, None)
                if entry is not None:
                    found[path] = entry
        self._entries = dict(sorted(found.items()))

    def has(self, path: bytes, digest: bytes) -> bool:
        """Whether a file stands there with this content."""
        entry = self._entries.get(path)
        return entry is not None and entry.digest == digest

    def entries(self, folder: bytes = b"") -> Iterator[Entry]:
        """Yield the files below a folder."""
        prefix = folder + b"/" if folder else b""
        return (entry for entry in self._entries.values() if entry.path.startswith(prefix))


class LineageScope:
    """What a question about lineage looks at.

    Parameters
    ----------
    repo : Workspace
    revision : str or None
        A revision, ``STAGED`` or ``WORKTREE``; None: everything that refs and pending runs lead to.
    moment : Moment or None
        What was recorded of sources later is not known; None: all is.

    Attributes
    ----------
    commits : tuple of CommitId
        Whose lineage it is.
    runs : tuple of RunId
        Runs of these; of what is not committed yet the pending ones too.
    builder : LineageBuilder
        The graph of these runs.

    Raises
    ------
    NotFoundError
        If there is no such revision.
    MissingDataError, CorruptDataError, MalformedInputError
        If a run or a source can't be read.
    """

    def __init__(self, repo: Workspace, revision: str | None, moment: Moment | None = None) -> None:
        self._repo = repo
        self.revision = revision
        self.commits = tuple(_commits(repo, revision))
        trees = {tree.root: tree for tree in (lineage_of(repo, commit) for commit in self.commits)}
        runs = {run for tree in trees.values() for run in tree.runs()}
        pending = pending_runs(repo.layout) if revision in (None, "STAGED", "WORKTREE") else []
        self.pending = tuple(run for run in pending if run not in runs)
        self.runs = (*sorted(runs), *self.pending)
        sources = known_sources(repo, trees.values(), moment=moment)
        for error in sources.unreadable.values():
            raise error
        index = RunIndex(repo.store, self.runs, os.path.join(repo.layout.cache, "lineage"))
        self.builder = LineageBuilder(index, sources)

    @property
    def empty(self) -> bool:
        """Whether nothing is recorded."""
        return not self.runs and not self.builder.sources

    def files(self) -> Files:
        """Files of the version; of all, where none was named."""
        repo = self._repo
        if self.revision == "WORKTREE":
            index = self.builder.index
            outputs = [each for run in self.pending for each in index.runs[run].outputs]
            made = (
                member.path
                for each in outputs
                for member in self.builder.files(ArtifactNode(each.path, each.digest))
            )
            return TreeFiles(repo, dict.fromkeys(made))
        if self.revision == "STAGED":
            return StoredFiles([repo.manifest_of("STAGED")])
        roots = dict.fromkeys(repo.history.read_commit(commit).manifest for commit in self.commits)
        return StoredFiles([repo.manifest(root) for root in roots])


def _commits(repo: Workspace, revision: str | None) -> Iterable[CommitId]:
    if revision is None:
        return newest_commits(repo)
    commit = commit_of(repo, revision)
    return () if commit is None else (commit,)
