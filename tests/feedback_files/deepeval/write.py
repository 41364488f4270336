"""Evaluate the reviews with deepeval and a metric of our own: python write.py FOLDER; see README.md."""

import json
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
os.environ.update(DEEPEVAL_TELEMETRY_OPT_OUT="YES", DEEPEVAL_RESULTS_FOLDER=sys.argv[1], ERROR_REPORTING="NO")

from deepeval import evaluate  # noqa: E402
from deepeval.evaluate.configs import AsyncConfig, DisplayConfig, ErrorConfig  # noqa: E402
from deepeval.metrics import BaseConversationalMetric, BaseMetric  # noqa: E402
from deepeval.test_case import ConversationalTestCase, LLMTestCase, Turn  # noqa: E402
from predict import predict  # noqa: E402


class SameLabel(BaseMetric):
    """1 where the label is the expected one; an error for an empty answer."""

    def __init__(self):
        self.threshold = 0.5
        self.async_mode = False
        self.include_reason = True
        self.evaluation_model = None
        self.strict_mode = False

    def measure(self, test_case, *args, **kwargs):
        if not test_case.actual_output:
            raise ValueError("no answer")
        self.score = float(test_case.actual_output == test_case.expected_output)
        self.reason = None if self.score else f"应为 {test_case.expected_output}"
        self.success = self.score >= self.threshold
        return self.score

    async def a_measure(self, test_case, *args, **kwargs):
        return self.measure(test_case)

    def is_successful(self):
        return bool(self.success)

    @property
    def __name__(self):
        return "Same Label"


class Length(SameLabel):
    """Whether the input is short."""

    def measure(self, test_case, *args, **kwargs):
        self.threshold = 0.3
        self.score = min(1.0, 10 / len(test_case.input))
        self.reason = f"{len(test_case.input)} characters"
        self.success = self.score >= self.threshold
        return self.score

    @property
    def __name__(self):
        return "Short Input"


class Polite(BaseConversationalMetric):
    """Whether no turn shouts."""

    def __init__(self):
        self.threshold = 0.5
        self.async_mode = False
        self.evaluation_model = None
        self.strict_mode = False

    def measure(self, test_case, *args, **kwargs):
        self.score = 0.0 if any("!" in turn.content for turn in test_case.turns) else 1.0
        self.reason = "shouts" if not self.score else "calm"
        self.success = self.score >= self.threshold
        return self.score

    async def a_measure(self, test_case, *args, **kwargs):
        return self.measure(test_case)

    def is_successful(self):
        return bool(self.success)

    @property
    def __name__(self):
        return "Polite"


def cases(rows):
    for row in rows:
        yield LLMTestCase(
            name=row["dsvc_ref"],
            input=row["text"],
            actual_output="" if row["id"] == 8 and "--errors" in sys.argv else predict(row["text"]),
            expected_output=row["label"],
            metadata={"dsvc_ref": row["dsvc_ref"], "lang": row["lang"]},
        )


rows = [json.loads(line) for line in (HERE.parent / "reviews.jsonl").read_text("utf-8").splitlines()]
settings = {
    "async_config": AsyncConfig(run_async=False),
    "display_config": DisplayConfig(show_indicator=False, print_results=False),
    "error_config": ErrorConfig(ignore_errors=True),
    "hyperparameters": {"model": "predict.py", "prompt": "情感"},
    "identifier": "reviews",
}
if "--conversations" in sys.argv:
    talks = [
        ConversationalTestCase(
            name=row["dsvc_ref"],
            turns=[
                Turn(role="user", content=row["text"]),
                Turn(role="assistant", content=predict(row["text"])),
            ],
            metadata={"dsvc_ref": row["dsvc_ref"]},
        )
        for row in rows[-3:]
    ]
    evaluate(test_cases=talks, metrics=[Polite()], **settings)
else:
    evaluate(test_cases=list(cases(rows)), metrics=[SameLabel(), Length()], **settings)
