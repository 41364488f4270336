"""Evaluations and defects recorded by hand, as an import would."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dsvc.lineage.row_set import encode_rows
from dsvc.model.defect import DefectVerb, FlaggedRows
from dsvc.model.feedback import (
    DefectSeverity,
    EvaluatedRows,
    EvaluationRun,
    FeedbackRecord,
    Metric,
    Subject,
)
from dsvc.model.ids import CommitId
from dsvc.model.manifest import Entry
from dsvc.porcelain.records import defect_chain, feedback_chain
from dsvc.porcelain.repository import Repository
from dsvc.store.content import NO_FACTS
from dsvc.store.ingest import store_bytes


def record_feedback(
    repo: Repository,
    commit: CommitId,
    subject: Entry | bytes,
    *,
    evaluated: Sequence[tuple[Entry, Sequence[int] | None]] = (),
    metrics: Sequence[Metric] = (),
    run: EvaluationRun | None = None,
    suite: str = "客服",
) -> str:
    """Record an evaluation of a file, or of a folder at a path; returns its id."""
    path, digest = (subject, bytes(32)) if isinstance(subject, bytes) else (subject.path, subject.digest)
    read = repo.history.read_commit(commit)
    rows = tuple(
        EvaluatedRows(
            path=entry.path,
            digest=entry.digest,
            rows=None if chosen is None else encode_rows(np.array(chosen, np.int64)),
            count=(entry.rows or 0) if chosen is None else len(chosen),
        )
        for entry, chosen in evaluated
    )
    record = FeedbackRecord(
        subject=Subject(
            target=f"{commit}:", commit=str(commit), manifest=read.manifest.hex(), path=path, digest=digest
        ),
        run=run or EvaluationRun(tool="plain"),
        suite=suite,
        model="小模型",
        importer="jsonl",
        evidence="run.jsonl",
        evidence_digest=bytes(32),
        metrics=tuple(metrics),
        evaluated=rows,
        samples=0,
        passed=0,
        observations=1,
        resolved_rows=1,
        unresolved=0,
        imported_at="",
        by="",
    )
    with repo.changing():
        file = store_bytes(repo.store, b"run.jsonl", b"{}\n", None, lambda *_: NO_FACTS)
        entry = file.entry(b"run.jsonl", 0o100644)
        stored = feedback_chain.store(repo, record, {"run.jsonl": entry}, [], [], {})
        repo.store.publish()
        if stored.change is not None:
            repo.record("feedback import", changes=[stored.change], objects=stored.prepared.objects)
    return stored.id


def open_defect(
    repo: Repository,
    feedback: str,
    entry: Entry,
    rows: Sequence[int],
    symptom: str = "wrong-label",
    severity: DefectSeverity = DefectSeverity.P2,
) -> str:
    """Open a defect on rows of a file; returns its id."""
    flagged = flagged_rows(entry, rows)
    fields = {
        "feedback": feedback,
        "path": entry.path,
        "symptom": symptom,
        "severity": severity,
        "rows": (flagged,),
    }
    with repo.changing():
        id_ = defect_chain.new_defect_id(repo, feedback, entry.path, symptom)
        done = defect_chain.prepare(repo, id_, DefectVerb.OPEN, None, fields)
        defect_chain.record(repo, "defect open", [done], [id_])
    return id_


def extend_defect(repo: Repository, id_: str, feedback: str, entry: Entry, rows: Sequence[int]) -> None:
    """Add rows that a later evaluation flagged."""
    with repo.changing():
        defect_chain.operate(
            repo,
            id_,
            DefectVerb.EXTEND,
            feedback=feedback,
            severity=DefectSeverity.P2,
            rows=(flagged_rows(entry, rows),),
        )


def flagged_rows(entry: Entry, rows: Sequence[int]) -> FlaggedRows:
    data = encode_rows(np.array(sorted(rows), np.int64))
    return FlaggedRows(path=entry.path, digest=entry.digest, rows=data, count=len(set(rows)))
