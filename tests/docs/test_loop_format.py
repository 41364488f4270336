"""docs/format.md and the code name the same fields of evaluations, defects, repairs and releases."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from dsvc.model import defect, feedback, metric_change, release, repair, repair_proof

PAGE = Path(__file__).resolve().parents[2] / "docs" / "format.md"
MAPS: dict[str, type[msgspec.Struct]] = {
    "record": feedback.FeedbackRecord,
    "subject": feedback.Subject,
    "run of an evaluation": feedback.EvaluationRun,
    "metric": feedback.Metric,
    "evaluated": feedback.EvaluatedRows,
    "observation": feedback.Observation,
    "unresolved": feedback.Unresolved,
    "selector": feedback.Selector,
    "operation on a defect": defect.DefectOperation,
    "rows": defect.FlaggedRows,
    "operation on a repair": repair.RepairOperation,
    "metric change": metric_change.MetricChange,
    "plan": repair.Plan,
    "action": repair.Action,
    "step of a plan": repair.PlanStep,
    "planned rows": repair.PlannedRows,
    "proof": repair_proof.Proof,
    "proof of an artifact": repair_proof.ArtifactProof,
    "operation on a release": release.ReleaseOperation,
    "unproved": repair_proof.Unproved,
}


def test_the_page_names_the_fields_in_their_order() -> None:
    page = PAGE.read_text(encoding="utf-8").partition("## Maps of evaluations")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([a-z ]+) \| (`.+`) \| (yes|no) \|$", page, re.MULTILINE)
    found = {name: (re.findall(r"`(\w+)`", fields), left == "yes") for name, fields, left in rows}
    assert found == {
        name: (list(kind.__struct_fields__), kind.__struct_config__.omit_defaults)
        for name, kind in MAPS.items()
    }
