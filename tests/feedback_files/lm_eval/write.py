"""Run lm-evaluation-harness with the model of predict.py: python write.py ARGUMENTS; see README.md."""

import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from lm_eval.__main__ import cli_evaluate  # noqa: E402
from lm_eval.api.model import LM  # noqa: E402
from lm_eval.api.registry import register_model  # noqa: E402
from predict import predict  # noqa: E402


@register_model("predict")
class Predict(LM):
    """Certain of what predict.py says; answers to review 3 with some more words."""

    def __init__(self, batch_size=None, max_batch_size=None, device=None):
        super().__init__()

    def loglikelihood(self, requests, **kwargs):
        return [(-0.25 if predict(each.args[0]) == each.args[1].strip() else -2.5, True) for each in requests]

    def loglikelihood_rolling(self, requests, **kwargs):
        return [0.0 for _ in requests]

    def generate_until(self, requests, **kwargs):
        return [
            f"I say {predict(each.args[0])}" if "battery" in each.args[0] else predict(each.args[0])
            for each in requests
        ]


rows = [json.loads(line) for line in (HERE.parent / "reviews.jsonl").read_text("utf-8").splitlines()]
for name, left_out in (("reviews.jsonl", ()), ("reviews_plain.jsonl", ("dsvc_ref",))):
    Path(name).write_text(
        "".join(
            json.dumps({k: v for k, v in row.items() if k not in left_out}, ensure_ascii=False) + "\n"
            for row in rows
        ),
        encoding="utf-8",
    )
cli_evaluate()
