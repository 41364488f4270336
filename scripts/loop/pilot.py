"""The pilot: train a small classifier, try it on the test set, and say which training labels it doubts.

It writes what `dsvc feedback import` reads: a line on the evaluation, one for each row of the test set with
what the model made of it, and one for each training row, good or bad. A label is looked at if a model that
has not seen the row (cross-validation) is at least 70% sure of the other one. It is wrong if the stars that
the reader gave say so too.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

SEED, SURE = 7, 0.7
output, name = sys.argv[1:]


def read(path: str) -> list[dict[str, Any]]:
    """Read a table in JSON Lines."""
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


train, gold = read("release/train.jsonl"), read("test/gold.jsonl")
texts = [row["text"] for row in train]
labels = np.array([row["label"] == "positive" for row in train])
truth = np.array([row["stars"] >= 3 for row in gold])
stars = {row["id"]: row["stars"] for row in read("data/unique.jsonl")}
words = TfidfVectorizer(analyzer="char", ngram_range=(1, 2), min_df=2, sublinear_tf=True)
vectors = words.fit_transform(texts)
model = LogisticRegression(C=4.0, solver="liblinear", random_state=SEED)
held_out = cross_val_predict(model, vectors, labels, cv=3, method="predict_proba")[:, 1]
right = model.fit(vectors, labels).predict(words.transform([row["text"] for row in gold])) == truth

lines: list[dict[str, object]] = [
    {
        "suite": "书评情感",
        "model": name,
        "kind": "training",
        "seed": str(SEED),
        "eval_set": "HEAD:test/gold.jsonl",
        "evaluated": "listed",
        "metrics": [
            {"name": "accuracy", "value": float(right.mean()), "n": len(gold), "higher_is_better": True}
        ],
    }
]
for row, is_right in zip(gold, right, strict=True):
    where = {"path": "test/gold.jsonl", "row": {"id": row["id"]}}
    lines.append({**where, "metric": "accuracy", "value": int(is_right)})
for row, label, positive in zip(train, labels, held_out, strict=True):
    line: dict[str, object] = {"path": "release/train.jsonl", "row": {"id": row["id"]}}
    sure = 1 - positive if label else positive
    given = stars[row["id"]]
    if sure >= SURE and label != (given >= 3):
        line |= {"symptom": "wrong-label", "severity": "P1", "evidence": f"{given} stars; {sure:.0%} sure"}
    else:
        line["passed"] = True
    lines.append(line)
with open(output, "w", encoding="utf-8") as stream:
    stream.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
wrong = sum("symptom" in line for line in lines)
print(f"{name}: accuracy {right.mean():.3f} on {len(gold)} reviews; {wrong} of {len(train)} labels are wrong")
