"""DuckDB and Polars on the same work, each a whole process (docs/adr/0008-table-engine.md).

`python -m benchmarks.tables_engines OLD NEW [ROUNDS]` with two Parquet files as `tables_data.py` writes them.
`import` only loads the engine; `hash` gives 64 bits for each cell of OLD as arrays; `join` counts what
differs by a full join on `id`.
"""

import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks import measure

DUCKDB_IMPORT = "import duckdb"
POLARS_IMPORT = "import polars as pl"
DUCKDB_HASH = """
import duckdb
cells = ", ".join(f"hash({name})" for name in ("id", "text", "label", "score", "lang"))
for batch in duckdb.sql(f"SELECT {cells} FROM read_parquet('OLD')").to_arrow_reader(122_880):
    [column.to_numpy(zero_copy_only=False) for column in batch.columns]
"""
POLARS_HASH = """
import polars as pl
found = pl.scan_parquet("OLD").select(pl.all().hash()).collect(engine="streaming")
[found[name].to_numpy() for name in found.columns]
"""
POLARS_JOIN = """
import polars as pl
names = ("text", "label", "score", "lang")
old, new = pl.scan_parquet("OLD"), pl.scan_parquet("NEW")
both = pl.col("id").is_not_null() & pl.col("id_right").is_not_null()
differs = [both & pl.col(name).ne_missing(pl.col(name + "_right")) for name in names]
print(old.join(new, on="id", how="full").select(
    pl.col("id").is_null().sum().alias("added"), pl.col("id_right").is_null().sum().alias("removed"),
    pl.any_horizontal(differs).sum().alias("changed"),
    *(test.sum().alias(name) for name, test in zip(names, differs)),
).collect(engine="streaming").row(0))
"""
DUCKDB_JOIN = (Path(__file__).with_name("peers") / "duckdb_join.py").read_text()


def main(old: str, new: str, rounds: str = "3") -> None:
    """Print the median time, processor time and peak memory of each."""
    programs = {
        "import duckdb": DUCKDB_IMPORT,
        "import polars": POLARS_IMPORT,
        "hash duckdb": DUCKDB_HASH,
        "hash polars": POLARS_HASH,
        "join duckdb": DUCKDB_JOIN,
        "join polars": POLARS_JOIN,
    }
    taken: dict[str, list[measure.Measurement]] = {name: [] for name in programs}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(int(rounds)):
            for name, text in programs.items():
                argv = [sys.executable, "-I", "-c", text.replace("OLD", old).replace("NEW", new), old, new]
                log = Path(folder, name)
                taken[name].append(measure.run(argv, cwd=Path(folder), env={}, log=log))
    for name, runs in taken.items():
        wall, cpu, peak = (
            median(getattr(run, what) for run in runs) for what in ("wall_s", "cpu_s", "peak_bytes")
        )
        print(f"{name}: {wall:.3f} s, {cpu:.3f} s of processor time, {peak / 2**20:.0f} MiB")


if __name__ == "__main__":
    main(*sys.argv[1:])
