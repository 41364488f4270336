"""Put the labelled reviews together, a tenth of them aside for tuning."""

import hashlib
import json

with (
    open("release/train.jsonl", "w", encoding="utf-8") as train,
    open("release/valid.jsonl", "w", encoding="utf-8") as valid,
):
    for part in ("first", "second"):
        with open(f"labelled/{part}.jsonl", encoding="utf-8") as source:
            for line in source:
                place = int(hashlib.sha256(b"tune " + json.loads(line)["id"].encode()).hexdigest(), 16) % 10
                (valid if place == 0 else train).write(line)
