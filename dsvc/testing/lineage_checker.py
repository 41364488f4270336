"""The checker's part for provenance: runs and sources are whole, and none that was acknowledged is lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from dsvc.lineage.run_check import check_run, check_source
from dsvc.lineage.run_tree import RunTree
from dsvc.lineage.source_tree import SourceTree
from dsvc.model.ids import CommitId
from dsvc.model.manifest import Entry
from dsvc.model.run_record import Artifact, RunId
from dsvc.porcelain.records.source_chain import history, source_ids
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.state.commit_lineage import lineage_of
from dsvc.porcelain.state.pending_runs import pending_runs
from dsvc.store.materialize import read_content
from dsvc.testing.faults import BrokenPromiseError


class Provenance(NamedTuple):
    """What is recorded of where data came from, without times and ids that tell of times.

    Attributes
    ----------
    pending : frozenset of str
        Runs that wait for a commit.
    head : frozenset of str
        Runs and sources in the lineage of HEAD.
    sources : frozenset of str
        Sources as they are now.
    """

    pending: frozenset[str] = frozenset()
    head: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()

    @property
    def runs(self) -> frozenset[str]:
        """Every run that is known."""
        return self.pending | frozenset(each for each in self.head if each.startswith("run "))


def provenance(repo: Repository, commit: CommitId | None) -> Provenance:
    """Read everything that is recorded of the provenance of a commit, and of what waits for one.

    Raises
    ------
    BrokenPromiseError
        If a run or a source is not whole.
    DsvcError
        If one can't be read.
    """
    lineage = lineage_of(repo, commit)
    pinned = (_source(repo, tree, name) for name, tree in lineage.sources().items())
    return Provenance(
        pending=frozenset(_run(repo, id_) for id_ in pending_runs(repo.layout)),
        head=frozenset([*(_run(repo, id_) for id_ in lineage.runs()), *pinned]),
        sources=frozenset(_chain(repo, name) for name in source_ids(repo)),
    )


def check_provenance(found: Provenance, states: Sequence[Provenance]) -> None:
    """Check what a fault left: as before the command or as after it, never between.

    Parameters
    ----------
    states : sequence of Provenance
        What was recorded before the command, and what is after it.

    Raises
    ------
    BrokenPromiseError
        If it is otherwise.
    """
    if not any((found.head, found.sources) == (each.head, each.sources) for each in states):
        raise BrokenPromiseError(
            f"lineage and sources are those of no step: {sorted(found.head)}, {sorted(found.sources)}"
        )
    kept = frozenset.intersection(*(each.runs for each in states))
    if not kept <= found.runs:
        raise BrokenPromiseError(f"runs are lost: {sorted(kept - found.runs)}")
    known = frozenset().union(*(each.runs for each in states))
    if not found.runs <= known:
        raise BrokenPromiseError(f"runs that nobody recorded: {sorted(found.runs - known)}")


def _run(repo: Repository, id_: RunId) -> str:
    """A run in words, once all of it was read."""
    tree = RunTree(repo.store, id_)
    _refuse(f"run {id_.short()}", (flaw.message for flaw in check_run(tree)))
    run = tree.run
    _read(repo, tree.files_read())
    _read(repo, tree.files_made())
    _read(repo, tree.code_files())
    said = [" ".join(map(_artifact, side)) for side in (run.inputs, run.outputs)]
    return f"run {run.name} {run.kind.value}: {said[0]} > {said[1]}"


def _artifact(artifact: Artifact) -> str:
    return f"{artifact.path!r}@{artifact.digest.hex()[:12]}"


def _chain(repo: Repository, name: str) -> str:
    """Newest state of a source in words, once all of its chain was read."""
    states = [_source(repo, step.tree, name) for step in history(repo, name)]
    return states[0]


def _source(repo: Repository, tree: SourceTree, name: str) -> str:
    _refuse(f"source {name}", (flaw.message for flaw in check_source(tree, name)))
    _ = tree.operation
    record = tree.record
    for each in record.evidence:
        tree.evidence_bytes(each.name)
    files = list(tree.files.entries())
    _read(repo, files)
    rows = [f"{path!r}:{len(tree.rows(path) or b'')}" for path in sorted(tree.row_entries())]
    evidence = [each.name for each in record.evidence]
    return f"source {name} {record.status.value} {tree.files.root.short()} {evidence} {rows}"


def _refuse(what: str, flaws: Iterable[str]) -> None:
    found = list(flaws)
    if found:
        raise BrokenPromiseError(f"{what} is not whole: {'; '.join(found)}")


def _read(repo: Repository, entries: Iterator[Entry] | Sequence[Entry]) -> None:
    for entry in entries:
        if len(read_content(repo.store, entry)) != entry.size:
            raise BrokenPromiseError(f"{entry.path!r} of a run or a source is not whole")
