"""Tidy the text of a CSV file: `csv_map.py IN OUT`."""

import csv
import sys


def main(source: str, target: str) -> None:
    """Write each row with its text in lower case."""
    with open(source, encoding="utf-8", newline="") as lines, open(target, "w", newline="") as out:
        rows = csv.DictReader(lines)
        writer = csv.DictWriter(out, rows.fieldnames or ())
        writer.writeheader()
        writer.writerows({**row, "text": row["text"].lower()} for row in rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
