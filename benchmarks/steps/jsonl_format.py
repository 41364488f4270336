"""Make prompts and answers of the labelled rows of a JSONL file: `jsonl_format.py IN OUT`."""

import hashlib
import json
import sys

PROMPT = "Topic: {topic}\nIs this positive, negative or neutral?\n{text}"


def split(number: int) -> str:
    """Say to which part of the data a row belongs, once and for all."""
    share = hashlib.sha256(f"split {number}".encode()).digest()[0] / 256
    return "test" if share < 0.05 else "valid" if share < 0.1 else "train"


def main(source: str, target: str) -> None:
    """Write each row as a model is trained on it."""
    with open(source, encoding="utf-8") as lines, open(target, "w", encoding="utf-8") as out:
        for line in lines:
            row = json.loads(line)
            made = {
                "id": row["id"],
                "split": split(row["id"]),
                "prompt": PROMPT.format(topic=row["topic"], text=row["text"]),
                "answer": row["label"],
                "weight": round(min(1.0, row["words"] / 20) * row["variety"], 3),
            }
            out.write(json.dumps(made, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
