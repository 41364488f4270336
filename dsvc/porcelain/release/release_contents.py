"""Whether what a release consists of is whole: bytes of files, runs and sources, values of samples."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final

from blake3 import blake3

from dsvc.lineage.run_check import check_run, check_source
from dsvc.lineage.run_tree import RunTree
from dsvc.lineage.source_tree import SourceTree
from dsvc.model.feedback import Support
from dsvc.model.ids import CommitId, NodeId
from dsvc.model.manifest import Entry
from dsvc.model.paths import display_path
from dsvc.model.run_record import RunId
from dsvc.porcelain.records.feedback_chain import feedback_head, scores
from dsvc.porcelain.state.workspace import Workspace
from dsvc.release.facts import ReleasedFile, ReleaseFacts
from dsvc.store.chunk_list import chunks_of
from dsvc.store.materialize import content_parts

_ZEROS: Final = bytes(1 << 20)


def file_problems(repo: Workspace, facts: ReleaseFacts) -> Iterator[str]:
    """Read every file of a release, and compare its bytes with what the release says.

    Raises
    ------
    MissingDataError, ErasedError, CorruptDataError
        If the bytes of one can't be had.
    """
    manifest = repo.manifest(repo.history.read_commit(CommitId(facts.commit)).manifest)
    for file in facts.files:
        entry = manifest.get(file.path)
        shown = display_path(file.path)
        if entry is None:
            yield f"the version has no file {shown}"
        elif not _is_same(repo, entry, file):
            yield f"{shown} has other bytes than were released"


def _is_same(repo: Workspace, entry: Entry, file: ReleasedFile) -> bool:
    whole, other, size = blake3(), hashlib.sha256(), 0
    for part in content_parts(repo.store, entry):
        for data in _zeros(part) if isinstance(part, int) else (part,):
            whole.update(data)
            if file.sha256 is not None:
                other.update(data)
            size += len(data)
    digests = (whole.hexdigest(), entry.digest.hex(), entry.xxh3.hex(), size)
    if digests != (file.blake3, file.blake3, file.xxh3, file.size):
        return False
    return file.sha256 is None or other.hexdigest() == file.sha256


def _zeros(length: int) -> Iterator[bytes]:
    for begin in range(0, length, len(_ZEROS)):
        yield _ZEROS[: length - begin]


def lineage_problems(repo: Workspace, facts: ReleaseFacts) -> Iterator[str]:
    """Look whether all runs and sources that a release comes from hold what their records say.

    Raises
    ------
    MissingDataError, ErasedError, CorruptDataError, MalformedInputError
        If one can't be read.
    """
    for run in facts.lineage.runs:
        tree = RunTree(repo.store, RunId.parse(run.id))
        for flaw in check_run(tree):
            if flaw.error is not None:
                raise flaw.error
            yield f"run {run.id[:12]} ({run.name}): {flaw.message}"
        _check_bytes(repo, tree)
    for source in facts.lineage.sources:
        state = SourceTree(repo.store, NodeId.parse(source.digest))
        for flaw in check_source(state, source.id):
            if flaw.error is not None:
                raise flaw.error
            yield f"source {source.id}: {flaw.message}"


def _check_bytes(repo: Workspace, tree: RunTree) -> None:
    """See that the bytes that a run read and made are still there.

    Raises
    ------
    MissingDataError, ErasedError, CorruptDataError
        If some are not.
    """
    inputs, outputs = tree.files_read(), tree.files_made()
    for entry in (*inputs, *outputs):
        for chunk in chunks_of(repo.store, entry):
            if chunk.id is not None:
                repo.store.locate(chunk.id)


def metric_problems(repo: Workspace, facts: ReleaseFacts) -> Iterator[str]:
    """Compute metrics again from the values of samples that are kept.

    Raises
    ------
    NoSuchFeedbackError
        If an evaluation is not there any more.
    MissingDataError, CorruptDataError, MalformedInputError
        If one can't be read.
    """
    for evaluation in facts.evaluations:
        head = feedback_head(repo, evaluation.feedback)
        if head.record.metrics != evaluation.metrics:
            yield f"evaluation {evaluation.feedback} has other metrics than the release says"
        for metric in evaluation.metrics:
            if metric.support is not Support.RECOMPUTED or metric.slice is not None:
                continue
            from dsvc.feedback.metrics import disagrees, recompute

            _, values = scores(repo, evaluation.feedback, metric.name, metric.task)
            if metric.n is None or len(values) != metric.n:
                continue
            found = recompute(metric.name, values, metric.unit)
            if found is not None and disagrees(metric.value, found, len(values)):
                yield f"evaluation {evaluation.feedback}: {metric.name} is {found:.6g} by its samples"
