"""Label the rows of a JSONL file by words in their texts: `jsonl_label.py IN OUT`."""

import json
import re
import sys

WORD = re.compile(r"[^\W\d_]+")
SENTENCE = re.compile(r"[.!?]+(?:\s|$)")
GOOD = frozenset(("clear", "fast", "fresh", "good", "great", "kind", "quiet", "warm"))
BAD = frozenset(("broken", "cold", "dirty", "late", "loud", "poor", "slow", "wrong"))
STRICT = frozenset(("law", "medicine"))


def label(topic: str, words: list[str]) -> tuple[str, float]:
    """Say whether a text is for or against something, and how much so."""
    score = sum((word in GOOD) - (word in BAD) for word in words) / max(1, len(words))
    bound = 0.15 if topic in STRICT else 0.05
    if abs(score) < bound:
        return "neutral", round(score, 4)
    return ("positive" if score > 0 else "negative"), round(score, 4)


def main(source: str, target: str) -> None:
    """Write each row with its label and some numbers."""
    with open(source, encoding="utf-8") as lines, open(target, "w", encoding="utf-8") as out:
        for line in lines:
            row = json.loads(line)
            words = [word.casefold() for word in WORD.findall(row["text"])]
            row["label"], row["score"] = label(row["topic"], words)
            row["words"] = len(words)
            row["sentences"] = len(SENTENCE.findall(row["text"])) or 1
            row["variety"] = round(len(set(words)) / max(1, len(words)), 3)
            out.write(json.dumps(row, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
