"""Join the rows of a CSV file with those of another: `csv_join.py ROWS OTHERS COLUMN OUT`."""

import csv
import sys


def main(source: str, others: str, column: str, target: str) -> None:
    """Write each row with the columns of the other that has the same value in `column`."""
    with open(others, encoding="utf-8", newline="") as lines:
        more = csv.DictReader(lines)
        names = [name for name in more.fieldnames or () if name != column]
        found = {row[column]: row for row in more}
    with open(source, encoding="utf-8", newline="") as lines, open(target, "w", newline="") as out:
        rows = csv.DictReader(lines)
        writer = csv.DictWriter(out, [*(rows.fieldnames or ()), *names])
        writer.writeheader()
        writer.writerows({**row, **found[row[column]]} for row in rows if row[column] in found)


if __name__ == "__main__":
    main(*sys.argv[1:])
