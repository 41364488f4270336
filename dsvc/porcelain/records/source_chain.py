"""The chain of a source: ``refs/dsvc/sources/ID``, one commit for each operation on it.

The manifest of such a commit is the state of the source then; see `records.operation_chain`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from dsvc.history.commit_codec import Commit
from dsvc.history.history import Prepared
from dsvc.lineage.source_merge import merge_records
from dsvc.lineage.source_tree import SourceTree, store_source
from dsvc.model.errors import NotFoundError
from dsvc.model.ids import CommitId, NodeId
from dsvc.model.manifest import Entry
from dsvc.model.source_operation import SourceOperation, SourceVerb
from dsvc.model.source_record import SourceRecord, check_source_id
from dsvc.porcelain.records.operation_chain import Chains, prepare_operation
from dsvc.porcelain.records.source_discovery import discover
from dsvc.porcelain.state.commit_lineage import SOURCE_REFS
from dsvc.porcelain.state.workspace import Workspace
from dsvc.store.manifest_tree import EMPTY_ROOT


class NoSuchSourceError(NotFoundError):
    """There is no source of that id."""

    code = "no-such-source"


SOURCES: Final = Chains(
    SOURCE_REFS, "source", check_source_id, NoSuchSourceError, "dsvc source list", guesses=True
)


class SourceHead(NamedTuple):
    """A state of a source: the commit of its chain, and what that holds."""

    commit: CommitId
    tree: SourceTree


class Step(NamedTuple):
    """One operation of a chain: its commit, what was done, the state after it."""

    commit: Commit
    operation: SourceOperation
    tree: SourceTree


def source_ref(source_id: str) -> str:
    """Full name of a source's ref.

    Raises
    ------
    UsageError, MalformedInputError
        If that is no id of a source.
    """
    return SOURCES.ref(source_id)


def find_head(repo: Workspace, source_id: str) -> SourceHead | None:
    """Newest state of a source, None where there is no such source."""
    tip = SOURCES.tip(repo, source_id)
    return None if tip is None else SourceHead(tip, tree_at(repo, tip))


def head(repo: Workspace, source_id: str) -> SourceHead:
    """Newest state of a source.

    Raises
    ------
    NoSuchSourceError
        If there is none, with ids that look like it.
    """
    tip = SOURCES.head(repo, source_id)
    return SourceHead(tip, tree_at(repo, tip))


def source_ids(repo: Workspace) -> list[str]:
    """Ids of all sources, in order."""
    return SOURCES.ids(repo)


def tree_at(repo: Workspace, commit: CommitId) -> SourceTree:
    """State of a source at a commit of its chain."""
    return SourceTree(repo.store, repo.history.read_commit(commit).manifest)


def history(repo: Workspace, source_id: str) -> Iterator[Step]:
    """Operations of a source, newest first.

    Raises
    ------
    NoSuchSourceError
        If there is no such source.
    MissingDataError, CorruptDataError, MalformedInputError
        If one can't be read.
    """
    for commit in SOURCES.steps(repo, source_id):
        tree = SourceTree(repo.store, commit.manifest)
        yield Step(commit, tree.operation, tree)


class State(NamedTuple):
    """What `append` makes a state of.

    Attributes
    ----------
    record : SourceRecord
    files : NodeId
        Manifest of the attested files.
    evidence : dict of str to Entry
        Stored evidence, by name.
    rows : dict of bytes to Entry
        Stored sets of rows, by the path of their file.
    """

    record: SourceRecord
    files: NodeId
    evidence: dict[str, Entry]
    rows: dict[bytes, Entry]

    @classmethod
    def of(cls, tree: SourceTree) -> State:
        """Take the state apart that a tree holds."""
        record = tree.record
        evidence = {each.name: entry for each in record.evidence if (entry := tree.evidence(each.name))}
        return cls(record, tree.files.root, evidence, tree.row_entries())


def append(
    repo: Workspace, state: State, operation: SourceOperation, parents: Sequence[CommitId]
) -> SourceHead:
    """Record an operation on a source; the caller holds `repo.changing()`.

    Parameters
    ----------
    parents : sequence of CommitId
        The states that it follows, the one that the ref names first; none for a new source.

    Raises
    ------
    ConcurrentChangeError
        If the ref isn't at the first of them any more; nothing was recorded.
    """
    prepared, _ = prepare(repo, state, operation, parents)
    SOURCES.append(
        repo,
        state.record.source_id,
        prepared,
        parents[0] if parents else None,
        verb=f"source {operation.verb}",
        arguments=[operation.reason] if operation.reason else [],
    )
    return SourceHead(prepared.id, tree_at(repo, prepared.id))


def prepare(
    repo: Workspace, state: State, operation: SourceOperation, parents: Sequence[CommitId]
) -> tuple[Prepared, NodeId]:
    """Prepare the commit of an operation, for a verb that moves other refs too; gives its manifest as well.

    What is stored is not published, and the ref not moved.
    """
    root = store_source(
        repo.store, state.record, operation, files=state.files, evidence=state.evidence, rows=state.rows
    )
    done = SOURCES.title(operation.verb, state.record.source_id, operation.reason)
    title = " ".join(state.record.title.split())[:200]
    manifest = SourceTree(repo.store, root).manifest
    return prepare_operation(repo, manifest, parents, f"{done}\n\n{title}"), root


# Chains that went two ways


def merge(repo: Workspace, source_id: str, theirs: CommitId) -> SourceHead:
    """Unite a source with another head of its chain, from a copy of the repository.

    Operations unite, withdrawn and blacklisted win, a field with two values is undetermined until it is set;
    of a file that both attested with other content the newer attestation holds.

    Raises
    ------
    NoSuchSourceError
        If there is no such source here.
    """
    with repo.changing():
        ours = head(repo, source_id)
        if repo.history.is_ancestor(theirs, ours.commit):
            return ours
        base = repo.history.merge_base(ours.commit, theirs)
        before = None if base is None else tree_at(repo, base)
        state = _united(repo, before, ours.tree, tree_at(repo, theirs))
        operation = SourceOperation(verb=SourceVerb.MERGE, time=repo.signature().rfc3339())
        return append(repo, state, operation, [ours.commit, theirs])


def _united(repo: Workspace, base: SourceTree | None, ours: SourceTree, theirs: SourceTree) -> State:
    record = merge_records(None if base is None else base.record, ours.record, theirs.record)
    sides = [State.of(ours), State.of(theirs)]
    stored = {entry.digest: entry for side in sides for entry in side.evidence.values()}
    evidence = {each.name: stored[each.digest] for each in record.evidence}
    row_sets = {tree.root: tree.row_entries() for tree in (ours, theirs)}
    # The newer attestation counts; at the same moment, one that doesn't depend on the side.
    older, newer = sorted((ours, theirs), key=lambda tree: (tree.record.attested_at, bytes(tree.root)))
    known = {} if base is None else {e.path: e for e in base.files.entries()}
    now = {entry.path: entry for entry in newer.files.entries()}
    then = {entry.path: entry for entry in older.files.entries()}
    files: dict[bytes, Entry] = {}
    rows: dict[bytes, Entry] = {}
    for path in sorted({*now, *then}):
        mine, other, old = now.get(path), then.get(path), known.get(path)
        picked, tree = (other, older) if mine == old and other != old else (mine, newer)
        if picked is None and old is None:
            picked, tree = other, older
        if picked is not None:
            files[path] = picked
            part = row_sets[tree.root].get(path)
            if part is not None:
                rows[path] = part
    root = repo.manifest(EMPTY_ROOT).update(sorted(files.items()))
    repo.store.publish()
    record = msgspec.structs.replace(record, discovered=discover(repo, root, ours.files.root))
    return State(record, root, evidence, rows)
