"""Write assessments, traces and an evaluation table with MLflow: python write.py FOLDER; see README.md."""

import json
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
OUT = Path(sys.argv[1]).resolve()
SCRATCH = OUT / "mlflow-scratch"
SCRATCH.mkdir(parents=True)
os.chdir(SCRATCH)
sys.path.insert(0, str(HERE.parent))
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

import mlflow  # noqa: E402
import pandas  # noqa: E402
from mlflow.entities import AssessmentSource  # noqa: E402
from predict import predict  # noqa: E402

mlflow.set_tracking_uri(f"sqlite:///{SCRATCH}/mlflow.db")
experiment = mlflow.create_experiment("reviews", artifact_location=str(SCRATCH / "artifacts"))
mlflow.set_experiment(experiment_id=experiment)
rows = [json.loads(line) for line in (HERE.parent / "reviews.jsonl").read_text("utf-8").splitlines()]


@mlflow.trace(name="classify")
def classify(text: str) -> str:
    """Label one review."""
    return predict(text)


assessments = []
for row in rows:
    answer = classify(row["text"])
    mlflow.flush_trace_async_logging()
    trace_id = mlflow.get_last_active_trace_id()
    mlflow.set_trace_tag(trace_id, "dsvc_ref", row["dsvc_ref"])
    right = answer == row["label"]
    mlflow.log_feedback(
        trace_id=trace_id,
        name="correct_label",
        value=right,
        rationale=None if right else f"应为 {row['label']}",
        source=AssessmentSource(source_type="CODE", source_id="predict.py"),
        metadata={"dsvc_ref": row["dsvc_ref"]},
    )
    if row["id"] in (2, 5):
        mlflow.log_feedback(
            trace_id=trace_id,
            name="quality",
            value="no" if row["id"] == 5 else "yes",
            rationale="语气不当" if row["id"] == 5 else None,
            source=AssessmentSource(source_type="HUMAN", source_id="annotator-2"),
        )
    if row["id"] == 6:
        mlflow.log_feedback(
            trace_id=trace_id,
            name="score",
            value=0.25,
            source=AssessmentSource(source_type="LLM_JUDGE", source_id="judge"),
        )
    if row["id"] == 7:
        mlflow.log_feedback(
            trace_id=trace_id,
            name="score",
            error=ValueError("judge gave no answer"),
            source=AssessmentSource(source_type="LLM_JUDGE", source_id="judge"),
        )
        mlflow.log_expectation(
            trace_id=trace_id,
            name="expected_label",
            value="negative",
            source=AssessmentSource(source_type="HUMAN", source_id="annotator-2"),
        )

mlflow.flush_trace_async_logging()
traces = mlflow.search_traces(locations=[experiment], return_type="list", order_by=["timestamp_ms ASC"])
for trace in traces:
    assessments += [each.to_dictionary() for each in trace.info.assessments]
(OUT / "assessments.json").write_text(json.dumps(assessments, ensure_ascii=False, indent=1), encoding="utf-8")
(OUT / "assessments.jsonl").write_text(
    "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in assessments), encoding="utf-8"
)
(OUT / "traces.jsonl").write_text("".join(each.to_json() + "\n" for each in traces), encoding="utf-8")

table = pandas.DataFrame(
    {
        "inputs": [row["text"] for row in rows],
        "dsvc_ref": [row["dsvc_ref"] for row in rows],
        "targets": [row["label"] for row in rows],
        "predictions": [predict(row["text"]) for row in rows],
    }
)
with mlflow.start_run(run_name="reviews"):
    mlflow.models.evaluate(
        data=table,
        targets="targets",
        predictions="predictions",
        extra_metrics=[
            mlflow.metrics.exact_match(),
            mlflow.models.make_metric(
                eval_fn=lambda predictions, targets: mlflow.metrics.MetricValue(
                    scores=[float(a == b) for a, b in zip(predictions, targets, strict=True)],
                    aggregate_results={"mean": 0.75},
                ),
                greater_is_better=True,
                name="same_label",
            ),
        ],
        evaluators="default",
    )
found = next((SCRATCH / "artifacts").rglob("eval_results_table.json"))
(OUT / "eval_results_table.json").write_bytes(found.read_bytes())
