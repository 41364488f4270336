"""What an ongoing source attests at a commit: files under its paths that came or changed since."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from dsvc.history.git_object import GitObject
from dsvc.history.refs import RefChange
from dsvc.lineage.lineage_tree import LineageTree
from dsvc.model.ids import NodeId
from dsvc.model.manifest import Entry
from dsvc.model.source_operation import SourceOperation, SourceVerb
from dsvc.porcelain.state.commit_lineage import CommitLineage
from dsvc.porcelain.state.workspace import Workspace


class Batches(NamedTuple):
    """What ongoing sources attest at a commit.

    Attributes
    ----------
    lineage : CommitLineage
        That of the commit, with the sources as they will be.
    changes : tuple of RefChange
        Moves of their refs, which go with that of the branch.
    objects : tuple of (str, bytes)
        Commits of their chains.
    """

    lineage: CommitLineage
    changes: tuple[RefChange, ...] = ()
    objects: tuple[GitObject, ...] = ()


def batches(repo: Workspace, root: NodeId, lineage: CommitLineage, news: Sequence[Entry]) -> Batches:
    """Prepare the operations that attest what ongoing sources bring.

    Parameters
    ----------
    root : NodeId
        Manifest of the commit.
    news : sequence of Entry
        Files that it adds or changes.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If a source that takes part can't be read.
    """
    from dsvc.porcelain.records.lineage_facts import known_sources

    tree = LineageTree(repo.store, lineage.root)
    sources = known_sources(repo, [tree])
    if not any(source.ongoing and source.in_force for source in sources.all.values()):
        return Batches(lineage)
    changes: list[RefChange] = []
    written: list[GitObject] = []
    heads: dict[str, NodeId] = {}
    for name, entries in _brought(repo, root, tree, news).items():
        operation = _operation(repo, name, entries)
        if operation is not None:
            change, objects, heads[name] = operation
            changes.append(change)
            written.extend(objects)
    # Nodes that were written just now can be read once they are published.
    repo.store.publish()
    return Batches(lineage._replace(root=tree.extended([], heads)), tuple(changes), tuple(written))


def _brought(
    repo: Workspace, root: NodeId, tree: LineageTree, news: Sequence[Entry]
) -> dict[str, list[Entry]]:
    """Files that nothing covers yet, by the ongoing source over their path."""
    from dsvc.lineage.closure import Closure
    from dsvc.lineage.coverage import Lack
    from dsvc.lineage.graph import ArtifactNode
    from dsvc.porcelain.records.lineage_facts import origins

    known = origins(repo, root, [tree])
    lacking = {
        ArtifactNode(each.path, each.digest)
        for each in Closure(known, news).uncovered
        if each.lack is Lack.OTHER_CONTENT
    }
    found: dict[str, list[Entry]] = {}
    for entry in news:
        if ArtifactNode(entry.path, entry.digest) in lacking:
            for source in known.sources.covering(entry.path):
                if source.ongoing and source.in_force:
                    found.setdefault(source.id, []).append(entry)
    return found


def _operation(
    repo: Workspace, name: str, entries: Sequence[Entry]
) -> tuple[RefChange, tuple[GitObject, ...], NodeId] | None:
    """Prepare one source's operation; None where it can't say which rows it means."""
    from dsvc.porcelain.records.source_chain import State, find_head, prepare, source_ref
    from dsvc.porcelain.sources.source_files import SourceRowsError, attested_rows

    now = find_head(repo, name)
    if now is None:
        return None
    state = State.of(now.tree)
    brought = {entry.path: entry for entry in entries}
    try:
        rows = attested_rows(repo, name, state.record.covers, brought)
    except SourceRowsError:
        return None
    time = repo.signature().rfc3339()
    kept = {path: entry for path, entry in state.rows.items() if path not in brought}
    state = State(
        msgspec.structs.replace(state.record, attested_at=time),
        repo.manifest(state.files).update(sorted(brought.items())),
        state.evidence,
        {**kept, **rows},
    )
    operation = SourceOperation(verb=SourceVerb.BATCH, time=time, changed=("files",))
    prepared, manifest = prepare(repo, state, operation, [now.commit])
    return RefChange(source_ref(name), now.commit, prepared.id), prepared.objects, manifest
