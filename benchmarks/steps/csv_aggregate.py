"""One row for each value of a column: `csv_aggregate.py IN COLUMN OUT`."""

import csv
import sys
from collections import Counter


def main(source: str, column: str, target: str) -> None:
    """Count rows and add up their scores."""
    rows: Counter[str] = Counter()
    scores: Counter[str] = Counter()
    with open(source, encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            rows[row[column]] += 1
            scores[row[column]] += int(row["score"])
    with open(target, "w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow((column, "rows", "scores"))
        writer.writerows((value, rows[value], scores[value]) for value in sorted(rows))


if __name__ == "__main__":
    main(*sys.argv[1:])
