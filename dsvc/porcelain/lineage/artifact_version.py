"""An artifact by path and digest: where in the history it stands, and its records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from dsvc.lineage.artifacts import folder_digest, relative
from dsvc.model.errors import MissingDataError
from dsvc.model.ids import CommitId, NodeId
from dsvc.model.paths import display_path
from dsvc.porcelain.runs.run_artifacts import ArtifactFiles, artifacts_of_folder
from dsvc.porcelain.state.revisions import newest_commits
from dsvc.porcelain.state.workspace import Workspace

if TYPE_CHECKING:
    from dsvc.model.manifest import Entry
    from dsvc.porcelain.tables.row_indexes import KnownTable, RowIndexes
    from dsvc.store.manifest_tree import Manifest
    from dsvc.table.index.row_index import RowIndex


class ArtifactGoneError(MissingDataError):
    """No version that is kept has an artifact any more."""

    code = "artifact-gone"


def find_artifact(
    repo: Workspace, path: bytes, digest: bytes, near: Sequence[CommitId] = ()
) -> ArtifactFiles:
    """Find an artifact in the history: a file, or the files of a folder.

    Parameters
    ----------
    path, digest : bytes
        Of a folder, digest of the listing of its files, or of those that are no tables.
    near : sequence of CommitId
        Commits that are looked at first.

    Raises
    ------
    ArtifactGoneError
        If no commit that a ref leads to has it.
    MissingDataError, CorruptDataError, MalformedInputError
        If a commit or a manifest can't be read.
    """
    seen: set[NodeId] = set()
    for root in _roots(repo, near):
        if root not in seen:
            seen.add(root)
            found = artifact_in(repo.manifest(root), path, digest)
            if found is not None:
                return found
    raise ArtifactGoneError(
        f"no version has {display_path(path)} with the content blake3:{digest.hex()[:12]}",
        details={"path": display_path(path), "digest": digest.hex()},
    )


def artifact_in(manifest: Manifest, path: bytes, digest: bytes) -> ArtifactFiles | None:
    """Artifact of one version; None where it has another content there, or nothing."""
    entry = manifest.get(path) if path else None
    if entry is not None and entry.is_file:
        return ArtifactFiles(path, False, (entry,)) if entry.digest == digest else None
    for files in folder_artifacts(path, manifest.entries(path)):
        if files.artifact().digest == digest:
            return files
    return None


def folder_artifacts(path: bytes, entries: Iterable[Entry]) -> list[ArtifactFiles]:
    """Artifacts that a folder may be: its files that are no tables, as runs see it, or all of them."""
    every = tuple(entry for entry in entries if entry.is_file)
    if not every:
        return []
    rest = artifacts_of_folder(path, every)[0]
    whole = ArtifactFiles(path, True, every)
    return [rest, whole] if rest.folder and len(rest.entries) < len(every) else [whole]


def digest_of_folder(path: bytes, entries: Iterable[Entry]) -> bytes:
    """Digest of the listing of all files of a folder."""
    return folder_digest((each.path, each.mode, each.digest) for each in relative(entries, path))


def _roots(repo: Workspace, near: Sequence[CommitId]) -> Iterator[NodeId]:
    for commit in near:
        yield repo.history.read_commit(commit).manifest
    for each in repo.history.log(newest_commits(repo)):
        yield each.manifest
    # What no commit took yet.
    yield repo.staged().root


class ArtifactTable:
    """A table at one content, with its row index; made once for all that is asked of it.

    Parameters
    ----------
    table : KnownTable
    indexes : RowIndexes
    """

    def __init__(self, table: KnownTable, indexes: RowIndexes) -> None:
        self.source, self.kind = table
        self.index: RowIndex = indexes.get(table)


def open_table(repo: Workspace, entry: Entry, indexes: RowIndexes) -> ArtifactTable | None:
    """Open a stored file as a table; None where it is none.

    Raises
    ------
    NotATableError, TableLimitError
        If it can't be read as the table that it seems to be.
    """
    from dsvc.porcelain.tables.table_diff import known_table

    table = known_table(repo, entry)
    return None if table is None else ArtifactTable(table, indexes)
