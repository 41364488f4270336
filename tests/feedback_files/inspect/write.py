"""Evaluate the reviews with Inspect and a mock model: python write.py FOLDER; see README.md."""

import json
import os
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from inspect_ai import Task, eval, task  # noqa: A004, E402
from inspect_ai.dataset import Sample  # noqa: E402
from inspect_ai.log import read_eval_log, write_eval_log  # noqa: E402
from inspect_ai.model import ModelOutput, ModelUsage, get_model  # noqa: E402
from inspect_ai.scorer import Score, accuracy, match, mean, scorer, stderr  # noqa: E402
from inspect_ai.solver import generate, solver  # noqa: E402
from predict import predict  # noqa: E402

rows = [json.loads(line) for line in (HERE.parent / "reviews.jsonl").read_text("utf-8").splitlines()]


@scorer(metrics=[mean(), stderr()])
def brevity():
    """1 for a short review; nothing for an empty one."""

    async def score(state, target):
        length = len(state.input_text)
        return Score(value=round(min(1.0, 10 / length), 4), explanation=f"{length} characters")

    return score


@scorer(metrics={"same": [accuracy()], "known": [mean()]})
def parts():
    """Two values in one score, the first by letter."""

    async def score(state, target):
        right = state.output.completion == target.text
        same = "C" if right else "P" if "okay" in state.input_text else "I"
        return Score(value={"same": same, "known": right})

    return score


@solver
def fails_on_love():
    """Raise for review 8, so that the log has a sample with an error."""

    async def solve(state, generate):
        if "Love" in state.input_text and state.epoch == 1:
            raise ValueError("模型没有回答")
        return state

    return solve


@task
def reviews(fails=True):
    """The task: labels by a mock model that says what predict.py says."""
    samples = [
        Sample(
            id=f"review-{row['id']}" if row["id"] % 2 else row["id"],
            input=row["text"],
            target=row["label"],
            metadata={"dsvc_ref": row["dsvc_ref"], "lang": row["lang"]},
        )
        for row in rows
    ]
    return Task(
        dataset=samples,
        solver=[fails_on_love(), generate()] if fails else [generate()],
        scorer=[match(), brevity(), parts()],
        metadata={"数据": "reviews.jsonl"},
        version="2",
    )


def answer(messages, tools, tool_choice, config):
    output = ModelOutput.from_content("mockllm/model", predict(messages[-1].text))
    output.usage = ModelUsage(input_tokens=8, output_tokens=1, total_tokens=9)
    return output


os.chdir(sys.argv[1])
settings = {
    "model": get_model("mockllm/model", custom_outputs=answer),
    "fail_on_error": False,
    "seed": 7,
    "log_dir": "logs",
    "log_format": "eval",
    "display": "none",
    "max_samples": 1,
    "tags": ["demo"],
}
shutil.copy(eval(reviews(fails=False), **settings)[0].location.removeprefix("file://"), "live.eval")

log = read_eval_log(eval(reviews(), epochs=2, **settings)[0].location)
for sample in log.samples:
    sample.events = []
    if sample.error:
        sample.error.traceback = sample.error.traceback_ansi = ""
log.eval.task_file = None
for suffix in ("json", "eval"):
    write_eval_log(log, f"epochs.{suffix}")

# What Inspect itself reads of these files, for tests to hold ours against.
said = {}
for name in ("live.eval", "epochs.eval", "epochs.json"):
    log = read_eval_log(name)
    said[name] = {
        "task": log.eval.task,
        "model": log.eval.model,
        "created": log.eval.created,
        "run_id": log.eval.run_id,
        "metrics": {
            f"{score.name}/{metric.name}": metric.value
            for score in log.results.scores
            for metric in score.metrics.values()
        },
        "scored": {score.name: score.scored_samples for score in log.results.scores},
        "reductions": {
            each.scorer: {str(sample.sample_id): sample.value for sample in each.samples}
            for each in log.reductions
        },
        "samples": [
            {
                "id": sample.id,
                "epoch": sample.epoch,
                "ref": sample.metadata["dsvc_ref"],
                "error": sample.error and sample.error.message,
                "scores": {name: score.value for name, score in (sample.scores or {}).items()},
            }
            for sample in log.samples
        ],
    }
Path("inspect_reads.json").write_text(json.dumps(said, ensure_ascii=False, indent=1), encoding="utf-8")
