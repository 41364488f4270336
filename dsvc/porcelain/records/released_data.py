"""What of a release is data, and its files as what they are in the graph of lineage."""

from __future__ import annotations

from collections.abc import Sequence

from dsvc.lineage.closure import Closure
from dsvc.lineage.graph import ArtifactNode
from dsvc.model.ids import CommitId
from dsvc.model.manifest import Entry
from dsvc.porcelain.records.lineage_facts import origins
from dsvc.porcelain.records.release_files import released_entries
from dsvc.porcelain.state.commit_lineage import lineage_of
from dsvc.porcelain.state.workspace import Workspace
from dsvc.release.facts import ReleaseFacts


def selected_by_name(entries: Sequence[Entry], paths: Sequence[bytes]) -> frozenset[bytes]:
    """Files that a release selects by their own name: these are data whatever they are called."""
    return frozenset(paths) & {entry.path for entry in entries}


def artifact_digests(facts: ReleaseFacts) -> frozenset[bytes]:
    """Digests of the files of a release, and of all files and folders that it comes from."""
    runs = facts.lineage.runs
    made = (each.digest for run in runs for each in (*run.inputs, *run.outputs))
    return frozenset(bytes.fromhex(each) for each in (*(file.blake3 for file in facts.files), *made))


def file_nodes(facts: ReleaseFacts) -> frozenset[ArtifactNode]:
    """Files of a release, as nodes of the graph of lineage."""
    return frozenset(ArtifactNode(each.path, bytes.fromhex(each.blake3)) for each in facts.files)


def released_data(repo: Workspace, facts: ReleaseFacts) -> list[Entry]:
    """Files of a release that are data: what must come from somewhere, and what was selected by name.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If the version, or its lineage, can't be read.
    """
    commit = CommitId(facts.commit)
    root = repo.history.read_commit(commit).manifest
    entries = released_entries(repo, root, facts.paths)
    selected = selected_by_name(entries, facts.paths)
    return Closure(origins(repo, root, [lineage_of(repo, commit)], selected=selected), entries).entries
