"""Join blanks; leave out what is too short to judge, and whatever holds a way to reach somebody."""

import json
import os
import re
from pathlib import Path

CONTACT = re.compile(r"[\w.+-]+@[\w-]+\.\w|1[3-9]\d{9}|https?:|www\.|qq\D{0,3}\d{5}", re.IGNORECASE)

with (
    open("data/reviews.jsonl", encoding="utf-8") as source,
    open("data/clean.jsonl", "w", encoding="utf-8") as target,
    Path(os.environ["DSVC_RUN_DIR"], "drops.jsonl").open("w", encoding="utf-8") as drops,
):
    for number, line in enumerate(source):
        row = json.loads(line)
        text = " ".join(row["text"].split())
        reason = "too short" if len(text) < 6 else "names a contact" if CONTACT.search(text) else None
        if reason:
            drops.write(json.dumps({"input": "data/reviews.jsonl", "row": number, "reason": reason}) + "\n")
        else:
            target.write(json.dumps({**row, "text": text}, ensure_ascii=False) + "\n")
