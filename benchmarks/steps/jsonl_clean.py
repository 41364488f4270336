"""Clean the titles and texts of a JSONL file: `jsonl_clean.py IN OUT`."""

import html
import json
import re
import sys
import unicodedata

TAG = re.compile(r"<[^>]{1,80}>")
ADDRESS = re.compile(r"https?://\S+|\b[\w.+-]+@[\w.-]+")
QUOTES = str.maketrans("“”„’‘–—", '"""\'\'--')
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
BLANKS = re.compile(r"\s+")


def clean(text: str) -> str:
    """Take markup, addresses and odd characters out of a text."""
    text = unicodedata.normalize("NFKC", html.unescape(text)).translate(QUOTES)
    text = ADDRESS.sub("[link]", TAG.sub(" ", text))
    return BLANKS.sub(" ", CONTROL.sub(" ", text)).strip()


def main(source: str, target: str) -> None:
    """Write each row with clean text."""
    with open(source, encoding="utf-8") as lines, open(target, "w", encoding="utf-8") as out:
        for line in lines:
            row = json.loads(line)
            row["topic"] = clean(row["topic"]).lower()
            row["text"] = clean(row["text"])
            out.write(json.dumps(row, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
