"""dsvc's calls in a process that has done the same before, and a check of a merge; each prints JSON.

`diff TREE OLD NEW ROUNDS`: seconds of each `repo.table_diff`, after one that is not counted.
`merge TREE...`: seconds of each `repo.merge("theirs")`, without that of the first tree.
`check ROWS OURS THEIRS MERGED`: how many rows of the merged file are not what they must be, or are missing.
"""

import json
import sys
import time

from dsvc.porcelain.repository import Repository


def diff(tree: str, old: str, new: str, rounds: str) -> list[float]:
    """Time the comparison of the one table that changed."""
    repo = Repository.open(tree)
    taken: list[float] = []
    for _ in range(int(rounds) + 1):
        result = repo.diff(old, new)
        (change,) = result.changes
        started = time.perf_counter()
        repo.table_diff(change, result)
        taken.append(time.perf_counter() - started)
    return taken[1:]


def merge(*trees: str) -> list[float]:
    """Time the same merge in copies of a repository."""
    taken: list[float] = []
    for tree in trees:
        repo = Repository.open(tree)
        started = time.perf_counter()
        outcome = repo.merge("theirs")
        taken.append(time.perf_counter() - started)
        if outcome.commit is None:
            raise SystemExit(f"the merge has conflicts: {outcome.conflicts}")
    return taken[1:]


def check(rows: str, ours: str, theirs: str, merged: str) -> int:
    """Compare a merged file with DuckDB: ours has edited even numbers, theirs odd ones, both have added."""
    import duckdb

    reader = {"parquet": "read_parquet", "csv": "read_csv", "jsonl": "read_json"}[merged.rpartition(".")[2]]
    wanted = " UNION ALL ".join(
        f"SELECT * FROM {reader}('{path}') WHERE id >= {rows} OR id % 2 = {side}"
        for side, path in enumerate((ours, theirs))
    )
    found = f"SELECT * FROM {reader}('{merged}')"
    row = duckdb.execute(
        f"SELECT (SELECT count(*) FROM (({wanted}) EXCEPT ALL ({found}))) + "
        f"(SELECT count(*) FROM (({found}) EXCEPT ALL ({wanted})))"
    ).fetchone()
    assert row is not None
    return int(row[0])


if __name__ == "__main__":
    print(json.dumps({"diff": diff, "merge": merge, "check": check}[sys.argv[1]](*sys.argv[2:])))
