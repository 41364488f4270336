"""Keep the first of reviews that say the same, and say which one stands for those that go."""

import json
import os
from pathlib import Path

first: dict[str, int] = {}
with (
    open("data/clean.jsonl", encoding="utf-8") as source,
    open("data/unique.jsonl", "w", encoding="utf-8") as target,
    Path(os.environ["DSVC_RUN_DIR"], "drops.jsonl").open("w", encoding="utf-8") as drops,
):
    for number, line in enumerate(source):
        survivor = first.setdefault(json.loads(line)["text"], number)
        if survivor == number:
            target.write(line)
        else:
            gone = {"input": "data/clean.jsonl", "row": number, "reason": "duplicate", "survivor": survivor}
            drops.write(json.dumps(gone) + "\n")
