"""Write the configuration that promptfoo evaluates: python write.py FOLDER; see README.md."""

import json
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
out = Path(sys.argv[1])
rows = [json.loads(line) for line in (HERE.parent / "reviews.jsonl").read_text("utf-8").splitlines()]
tests = [
    {
        "description": f"review {row['id']}",
        "vars": {"text": row["text"], "label": row["label"], "dsvc_ref": row["dsvc_ref"]},
        "metadata": {"lang": row["lang"], "dsvc_ref": row["dsvc_ref"]},
        "assert": [
            {"type": "equals", "value": "{{label}}", "metric": "same_label"},
            {"type": "javascript", "value": "context.vars.text.length < 30", "metric": "short"},
        ],
    }
    for row in rows
]
config = {
    "description": "情感 reviews",
    "prompts": ["Is this positive or negative? {{text}}"],
    "providers": ["file://predict.js"],
    "tests": tests,
}
(out / "promptfooconfig.json").write_text(json.dumps(config, ensure_ascii=False), encoding="utf-8")
shutil.copyfile(HERE / "predict.js", out / "predict.js")
