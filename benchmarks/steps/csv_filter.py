"""Keep the rows of a CSV file whose score is high enough: `csv_filter.py IN OUT`."""

import csv
import sys


def main(source: str, target: str) -> None:
    """Write the rows that stay."""
    with open(source, encoding="utf-8", newline="") as lines, open(target, "w", newline="") as out:
        rows = csv.DictReader(lines)
        writer = csv.DictWriter(out, rows.fieldnames or ())
        writer.writeheader()
        writer.writerows(row for row in rows if int(row["score"]) >= 30)


if __name__ == "__main__":
    main(*sys.argv[1:])
