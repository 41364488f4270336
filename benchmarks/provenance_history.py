"""A history with runs: `python -m benchmarks.provenance_history TREE`; prints the key of a row of the last.

A run stands in every tenth commit; the others add a line to a file of notes.
"""

import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.peers.dsvc import program
from benchmarks.provenance_trace import COMMITS, RUNS, made
from dsvc.porcelain.repository import Repository


def _run(tree: Path, number: int) -> None:
    source, target = made(number - 1), made(number)
    step = [sys.executable, "steps/parquet_step.py", str(number), source, target]
    words = ["run", "--quiet", "--name", f"step{number}", "-i", source, "-o", target]
    subprocess.run([*program(), *words, "--", *step], cwd=tree, check=True, stdout=sys.stderr)


def main() -> None:
    """Make the commits; the first, with the data, is there already."""
    tree = Path(sys.argv[1])
    repo = Repository.open(str(tree))
    notes = tree / "data" / "notes.csv"
    notes.write_text("id,note\n")
    for commit in range(COMMITS - 1):
        number, rest = divmod(commit, COMMITS // RUNS)
        if rest == 0:
            _run(tree, number + 1)
        with notes.open("a") as out:
            out.write(f"{commit},note of {commit}\n")
        repo.add(all=True)
        repo.commit(f"commit {commit + 2}")
    last = pq.read_table(tree / made(RUNS), columns=["id"])["id"]
    print(last[len(last) // 2].as_py())


if __name__ == "__main__":
    main()
