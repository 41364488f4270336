"""Keep the first of the rows of a JSONL file with the same text: `jsonl_dedup.py IN OUT`."""

import json
import sys


def main(source: str, target: str) -> None:
    """Write each row whose text didn't come before."""
    seen = set()
    with open(source, encoding="utf-8") as lines, open(target, "w", encoding="utf-8") as out:
        for line in lines:
            text = json.loads(line)["text"].casefold()
            if text not in seen:
                seen.add(text)
                out.write(line)


if __name__ == "__main__":
    main(*sys.argv[1:])
