"""The lineage that a commit gets: its parents', the sources as they are, the runs that its files need."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final, NamedTuple

from dsvc.diff.manifest_diff import diff_manifests
from dsvc.lineage.lineage_tree import LineageTree
from dsvc.lineage.run_tree import RunTree
from dsvc.model.detection_run import DetectionRun
from dsvc.model.ids import CommitId, NodeId
from dsvc.model.run_record import RunId
from dsvc.porcelain.state.pending_runs import add_pending, pending_runs
from dsvc.porcelain.state.workspace import Workspace
from dsvc.store.manifest_tree import EMPTY_ROOT

SOURCE_REFS: Final = "refs/dsvc/sources/"


class CommitLineage(NamedTuple):
    """What a commit will say of its lineage.

    Attributes
    ----------
    root : NodeId or None
        Root of its lineage manifest.
    taken : tuple of RunId
        Pending runs that it takes.
    """

    root: NodeId | None
    taken: tuple[RunId, ...] = ()


def source_heads(repo: Workspace) -> dict[str, NodeId]:
    """Manifest of each source as it is now, by id."""
    refs = repo.history.refs.list(SOURCE_REFS)
    return {
        name.removeprefix(SOURCE_REFS): repo.history.read_commit(tip).manifest for name, tip in refs.items()
    }


def lineage_of(repo: Workspace, commit: CommitId | None) -> LineageTree:
    """Lineage of a commit."""
    root = None if commit is None else repo.history.read_commit(commit).lineage
    return LineageTree(repo.store, root)


def plan_lineage(
    repo: Workspace, parents: Sequence[CommitId], root: NodeId, *, relatives: Iterable[CommitId] = ()
) -> CommitLineage:
    """Put together the lineage of a commit that is about to be made; what is new is stored, not published.

    Parameters
    ----------
    root : NodeId
        Its manifest.
    relatives : iterable of CommitId
        Commits that are no parents, whose runs its files may descend from: one that is amended or picked.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If a run or a source can't be read.
    """
    trees = [lineage_of(repo, parent) for parent in parents]
    first = trees[0] if trees else LineageTree(repo.store, None)
    known = set(first.runs())
    united = {run for tree in trees[1:] if tree.root != first.root for run in tree.runs()} - known
    pending = pending_runs(repo.layout)
    others = {run for commit in relatives for run in lineage_of(repo, commit).runs()}
    candidates = (others | set(pending)) - known - united
    needed = _needed(repo, parents, root, candidates) if candidates else set()
    taken = tuple(run for run in pending if run in needed or run in known or run in united)
    return CommitLineage(first.extended([*united, *needed], source_heads(repo)), taken)


def with_detections(repo: Workspace, lineage: CommitLineage, runs: Iterable[DetectionRun]) -> CommitLineage:
    """Add what detectors said of the files that a commit brings; what is new is stored, not published."""
    return lineage._replace(root=LineageTree(repo.store, lineage.root).with_detections(runs))


def _needed(
    repo: Workspace, parents: Sequence[CommitId], root: NodeId, candidates: Collection[RunId]
) -> set[RunId]:
    """Runs from which files of a manifest descend, by digest; others stay where they are."""
    before = repo.history.read_commit(parents[0]).manifest if parents else EMPTY_ROOT
    manifest = repo.manifest(root)
    changed = {c.new.digest for c in diff_manifests(repo.manifest(before), manifest) if c.new is not None}
    makers: dict[bytes, set[RunId]] = {}
    wanted: set[bytes] = set()
    for id_ in candidates:
        tree = RunTree(repo.store, id_)
        for entry in tree.files_made():
            makers.setdefault(entry.digest, set()).add(id_)
            now = manifest.get(entry.path)
            if entry.digest in changed or (now is not None and now.digest == entry.digest):
                wanted.add(entry.digest)
    needed: set[RunId] = set()
    while wanted:
        for id_ in makers.get(wanted.pop(), set()) - needed:
            needed.add(id_)
            read = RunTree(repo.store, id_).files_read()
            wanted.update(entry.digest for entry in read if entry.digest in makers)
    return needed


def return_runs(repo: Workspace, left: CommitId | None, now: CommitId | None) -> None:
    """Let the runs of a commit that a branch leaves for an older one wait for the next commit."""
    if left is None or left == now or repo.history.read_commit(left).lineage is None:
        return
    lost = set(lineage_of(repo, left).runs()) - set(lineage_of(repo, now).runs())
    for id_ in sorted(lost):
        add_pending(repo.layout, id_, durable=repo.keeps_records)
