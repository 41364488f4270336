"""A table to repair, as JSON Lines: `python -m benchmarks.feedback_data FOLDER ROWS`.

`raw.jsonl` has texts of some words with what the web leaves in them; one in thirty is there a second time.
"""

import json
import random
import sys
from pathlib import Path

TOPICS = ("garden", "kitchen", "music", "sport", "travel", "weather")
WORDS_OF_TEXTS = """
answer bread broken bus city clear coffee cold dirty door evening fast fresh friend good great hotel house
kind late letter light loud market morning music night paper people poor price quiet rain river room school
shop slow song street summer table train tree walk warm water window winter word wrong
"""
NOISE = ("<b>now</b>", "R&amp;D", "https://example.org/a?b=1", "“so”", "Café", "me@example.org", "天气", "  ")
REPEATED = 30
ORDER = ("id", "topic", "text")


def write_raw(target: Path, rows: int) -> None:
    """Write the table."""
    choice = random.Random("repair")
    known = WORDS_OF_TEXTS.split()
    texts: list[str] = []
    with target.open("w", encoding="utf-8") as out:
        for number in range(rows):
            if texts and choice.randrange(REPEATED) == 0:
                text = choice.choice(texts)
            else:
                words = choice.choices(known, k=choice.randrange(9, 17))
                words[choice.randrange(len(words))] = choice.choice(NOISE)
                words[0] = words[0].upper()
                text = " ".join(words) + f". No {number:x}."
                texts.append(text)
            row = {"id": number, "topic": choice.choice(TOPICS).title(), "text": text}
            out.write(json.dumps(row, ensure_ascii=False) + "\n")


def set_topics(path: Path, numbers: set[int], topic: str) -> None:
    """Give some rows another topic, as a person would who edits the file with a script."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    for number in numbers:
        row = json.loads(lines[number])
        row["topic"] = topic
        lines[number] = json.dumps(row, ensure_ascii=False) + "\n"
    path.unlink()  # a link into the store of the annex is replaced, as `datalad unlock` would
    path.write_text("".join(lines), encoding="utf-8")


def main() -> None:
    """Write the data."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True)
    write_raw(folder / "raw.jsonl", int(sys.argv[2]))


if __name__ == "__main__":
    main()
