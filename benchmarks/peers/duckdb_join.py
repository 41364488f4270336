"""What somebody would write by hand: a full outer join of two Parquet files on `id`, counted with DuckDB.

`python duckdb_join.py OLD NEW` prints the counts as `dsvc diff --json` does; run by dsvc's interpreter.
"""

import json
import sys

import duckdb

COLUMNS = ("text", "label", "score", "lang")


def main(old: str, new: str) -> None:
    differs = {name: f"a.id = b.id AND a.{name} IS DISTINCT FROM b.{name}" for name in COLUMNS}
    counts = ", ".join(f"count(*) FILTER ({test})" for test in differs.values())
    changes = " OR ".join(differs.values())
    row = duckdb.execute(
        f"""SELECT count(*) FILTER (a.id IS NULL), count(*) FILTER (b.id IS NULL),
        count(*) FILTER ({changes}), count(*) FILTER (a.id = b.id AND NOT ({changes})), {counts}
        FROM read_parquet(?) a FULL OUTER JOIN read_parquet(?) b ON a.id = b.id""",
        [old, new],
    ).fetchone()
    assert row is not None
    added, removed, changed, unchanged, *cells = row
    by_column = {name: count for name, count in zip(COLUMNS, cells, strict=True) if count}
    found = {"added": added, "removed": removed, "changed": changed, "unchanged": unchanged}
    print(json.dumps({"rows": found, "cells_changed": sum(cells), "by_column": by_column}))


if __name__ == "__main__":
    main(*sys.argv[1:])
