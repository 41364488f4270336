"""Records of evaluations, defects, repairs and releases, encoded: one of each kind."""

from __future__ import annotations

import msgspec
import numpy as np

from dsvc.lineage.row_set import encode_rows
from dsvc.model.defect import (
    DefectOperation,
    DefectVerb,
    FlaggedRows,
    encode_defect_operation,
)
from dsvc.model.feedback import (
    DefectSeverity,
    EvaluatedRows,
    EvaluationRun,
    FeedbackRecord,
    Metric,
    Observation,
    PilotKind,
    Selector,
    Subject,
    Unresolved,
)
from dsvc.model.feedback_codec import encode_feedback
from dsvc.model.metric_change import MetricChange
from dsvc.model.release import (
    ReleaseOperation,
    ReleaseVerb,
    encode_release_operation,
)
from dsvc.model.repair import (
    Action,
    ActionKind,
    Plan,
    PlannedRows,
    PlanStep,
    RepairOperation,
    RepairVerb,
    Scope,
    StepKind,
    encode_plan,
    encode_repair_operation,
)
from dsvc.model.repair_proof import (
    ArtifactProof,
    Proof,
    Unproved,
    UnprovedReason,
    encode_proof,
)
from dsvc.porcelain.recompute.recompute_correspondence import Correspondence
from dsvc.porcelain.records.feedback_chain import _encode_scores
from dsvc.porcelain.repair.repair_world import encode_correspondence
from dsvc.release.facts_codec import encode_facts
from tests.releasekit import full_facts

AT, BY = "2026-11-22T08:00:00Z", "Ann <ann@example.org>"
ROWS = encode_rows(np.array([1, 2, 9], np.int64))
FLAGGED = FlaggedRows(path=b"a.csv", digest=b"d" * 32, rows=ROWS, count=3)
RECORD = encode_feedback(
    FeedbackRecord(
        subject=Subject(
            target="c:a.csv",
            commit="c" * 40,
            manifest="a" * 64,
            path=b"a.csv",
            digest=b"d" * 32,
        ),
        run=EvaluationRun(tool="lm-eval", kind=PilotKind.TRAINING, extra={"b": "1", "a": "2"}),
        suite="试点",
        model="m",
        importer="jsonl",
        evidence="结果.jsonl",
        evidence_digest=b"e" * 32,
        metrics=(Metric(name="accuracy", value=0.5, n=4, stderr=0.1),),
        evaluated=(EvaluatedRows(path=b"a.csv", digest=b"d" * 32, rows=ROWS, count=3),),
        samples=4,
        passed=2,
        observations=2,
        resolved_rows=2,
        unresolved=1,
        imported_at="",
        by="",
    )
)
OBSERVATION = Observation(
    pointer="line 2",
    path=b"a.csv",
    digest=b"d" * 32,
    positions=(7,),
    keys=({"id": 7},),
    row_hashes=(b"h" * 32,),
    symptom="wrong-label",
    severity=DefectSeverity.P1,
    selector=Selector(row={"id": 7}),
    scores={"accuracy": 0.0},
    evidence="看",
)
FRAME = msgspec.msgpack.encode([OBSERVATION])
LOST = msgspec.msgpack.encode(
    [Unresolved(pointer="line 9", reason="no such row", selector=Selector(position=9))]
)
OPEN = DefectOperation(
    verb=DefectVerb.OPEN,
    clock=1,
    at=AT,
    by=BY,
    feedback="f" * 12,
    path=b"a.csv",
    symptom="wrong-label",
    severity=DefectSeverity.P1,
    rows=(FLAGGED,),
)
DEFECT = encode_defect_operation(OPEN)
VERIFIED = encode_defect_operation(
    DefectOperation(
        verb=DefectVerb.VERIFY, clock=2, at=AT, by=BY, repair="r-00000001", commit="c" * 40,
        feedback="e" * 12, metrics={"accuracy": (0.5, 0.9)}, others=("d-00000002",), due="2026-12-01",
    )
)  # fmt: skip
PLAN = encode_plan(
    Plan(
        defect="d-00000001",
        defect_head="c" * 40,
        base="b" * 40,
        manifest="a" * 64,
        scope=Scope.CAUSE,
        action=Action(kind=ActionKind.SET, values={"label": "good"}, key=("id",)),
        path=b"a.csv",
        digest=b"d" * 32,
        steps=(
            PlanStep(kind=StepKind.EDIT, name="repair", outputs=(b"a.csv",)),
            PlanStep(
                kind=StepKind.ROWS, name="clean", outputs=(b"b.csv",), run="1" * 64, command=("x",),
                rows=3, seconds=1.5,
            ),
        ),
        rows=(
            PlannedRows(
                path=b"a.csv", digest=b"d" * 32, records=10, flagged=ROWS,
                selected=encode_rows(np.array([3])), consequent=encode_rows(np.zeros(0, np.int64)),
                counts=(3, 1, 0),
            ),
        ),
        rows_affected=4,
        rows_recomputed=3,
        made_at=AT,
        by=BY,
        causes=("annotator who=li",),
        releases=("v1",),
        branch="refs/heads/main",
        subject=b"a.csv",
        gone=(FLAGGED,),
        left=ROWS,
        left_count=3,
    )
)  # fmt: skip
CHANGE = MetricChange(
    name="accuracy", before=0.5, after=0.9, low=0.1, high=0.6, method="mcnemar", improved=True
)
REPAIR = encode_repair_operation(
    RepairOperation(
        verb=RepairVerb.STEP, at=AT, by=BY, step=1, run="1" * 64, commit="c" * 40, metrics=(CHANGE,)
    )
)
PROOF = encode_proof(
    Proof(
        flagged_changed=3,
        selected_changed=1,
        consequent_changed=2,
        others_changed=0,
        conserved=True,
        files_unchanged=7,
        unproved=(Unproved(b"s.csv", UnprovedReason.NO_MAP),),
        artifacts=(
            ArtifactProof(
                path=b"a.csv", before=b"d" * 32, after=b"e" * 32, flagged_changed=3, others=(1, 2), came=3
            ),
        ),
        flaws=("x",),
    )
)
RELEASE = encode_release_operation(
    ReleaseOperation(
        verb=ReleaseVerb.CREATE, at=AT, by=BY, commit="c" * 40, signer="SHA256:x", consumers=("某公司",)
    )
)
FACTS = encode_facts(full_facts())
SCORES = _encode_scores(
    "accuracy", "任务", np.arange(48, dtype=np.uint8).reshape(3, 16), np.array([0.0, 1.0, 0.5])
)
CORRESPONDENCE = encode_correspondence(
    Correspondence(np.array([0, -1, 2, 5], np.int64), np.array([True, True, False, True]), 7)
)
