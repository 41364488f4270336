"""Data of the runs that are recorded: `python -m benchmarks.provenance_data FOLDER CASE ROWS`.

`filter` is one table of ROWS rows in five columns. `join` is ROWS orders of a fifth as many users, and
`pipeline` the same small as CSV: people with a group, and groups.
"""

import csv
import random
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

LABELS = ("accept", "defer", "escalate", "reject", "review", "skip", "spam", "unknown")
GROUPS = 200


def _scores(rows: int, seed: int) -> pa.Table:
    """A key, a number, a word, a score and a note of some twenty characters."""
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "id": pa.array(np.arange(rows)),
            "user": pa.array(rng.integers(0, max(1, rows // 5), rows)),
            "label": pa.array(LABELS).take(pa.array(rng.integers(0, len(LABELS), rows))),
            "score": pa.array(rng.random(rows)),
            "note": pa.array([f"note {number:x} of it" for number in rng.integers(0, 1 << 40, rows)]),
        }
    )


def write_filter(folder: Path, rows: int) -> None:
    """One table."""
    pq.write_table(_scores(rows, 1), folder / "t.parquet")


def write_join(folder: Path, rows: int) -> None:
    """Orders, and users that have several each."""
    pq.write_table(_scores(rows, 2), folder / "orders.parquet")
    rng = np.random.default_rng(3)
    users = np.arange(max(1, rows // 5))
    columns = {
        "user": users,
        "age": rng.integers(18, 90, len(users)),
        "city": rng.integers(0, 400, len(users)),
    }
    pq.write_table(pa.table(columns), folder / "users.parquet")


def write_pipeline(folder: Path, rows: int) -> None:
    """People and groups as CSV."""
    rng = random.Random("pipeline")
    with (folder / "people.csv").open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(("id", "group", "score", "text"))
        for number in range(rows):
            text = f"Person {rng.randrange(1 << 30):x} SAID {rng.choice(LABELS).upper()}"
            writer.writerow((number, rng.randrange(GROUPS), rng.randrange(100), text))
    with (folder / "groups.csv").open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(("group", "title"))
        writer.writerows((number, f"Group {number}") for number in range(GROUPS))


def main() -> None:
    """Write the data of one case."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True)
    cases = {"filter": write_filter, "join": write_join, "pipeline": write_pipeline}
    cases[sys.argv[2]](folder, int(sys.argv[3]))


if __name__ == "__main__":
    main()
