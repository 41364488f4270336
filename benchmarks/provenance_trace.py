"""Where one row came from: `dsvc trace` through ten runs and a hundred commits."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.measure import StepFailed
from benchmarks.provenance_peers import write_data
from benchmarks.provenance_pipeline import SCRIPTS
from benchmarks.results import Reading
from benchmarks.rounds import say, workspace
from benchmarks.site import copy_over
from benchmarks.tables_site import Medians, TableSite
from dsvc.porcelain.repository import Repository

ROWS = 200_000
RUNS = 10
COMMITS = 100
CALLS = 10
RAW = "data/t.parquet"
SOURCE = (
    *("source", "add", "raw", "--path", RAW, "--title", "Made rows", "--license", "CC0-1.0"),
    *("--acquisition", "self_generated", "--legal-basis", "licence"),
)


def _made(number: int) -> str:
    return f"data/step{number}.parquet" if number else RAW


def _make_history(site: TableSite) -> None:
    """A run in every tenth commit; the others add a line to a file of notes."""
    site.dsvc(*SOURCE)
    repo = Repository.open(str(site.tree))
    notes = site.data / "notes.csv"
    notes.write_text("id,note\n")
    for commit in range(COMMITS - 1):  # the first one brought the data
        number, rest = divmod(commit, COMMITS // RUNS)
        if rest == 0:
            source, target = _made(number), _made(number + 1)
            step = [sys.executable, "steps/parquet_step.py", str(number + 1), source, target]
            site.dsvc("run", "--name", f"step{number + 1}", "-i", source, "-o", target, "--", *step)
        with notes.open("a") as out:
            out.write(f"{commit},note of {commit}\n")
        repo.add(all=True)
        repo.commit(f"commit {commit + 2}")


def _check(site: TableSite) -> None:
    """The row goes back through all runs to the source."""
    traced = site.printed()
    runs = {step["run"]["id"] for step in traced["steps"] if step["run"]}
    rows = all(step["granularity"] == "row" for step in traced["steps"])
    sources = [source["id"] for source in traced["sources"]]
    if len(runs) != RUNS or not rows or sources != ["raw"] or not traced["complete"]:
        raise StepFailed(f"trace: not what it must be: {traced}")


def measure_trace(folder: Path, scale: float) -> Iterator[Reading]:
    """The first time, without row indexes and graph; then with both; and the call."""
    medians = Medians("trace")
    rows = max(1_000, round(ROWS * scale))
    with workspace(folder) as own:
        write_data(own / "master", "filter", rows)
        site = TableSite(own / "site")
        site.start()
        copy_over(SCRIPTS, site.tree / "steps")
        site.commit(own / "master")
        say(f"trace: {COMMITS} commits with {RUNS} runs")
        _make_history(site)
        last = pq.read_table(site.tree / _made(RUNS), columns=["id"])["id"]
        target = f"{_made(RUNS)}#id={last[len(last) // 2].as_py()}"
        shutil.rmtree(site.tree / ".dsvc" / "cache" / "lineage", ignore_errors=True)
        site.forget_indexes()
        medians.took("first", site.dsvc("trace", "--json", target))
        _check(site)
        for _ in range(CALLS):
            medians.took("again", site.dsvc("trace", "--json", target))
        _check(site)
        medians.took("file_again", site.dsvc("trace", "--json", _made(RUNS)))
        medians.calls(
            "call", site.call("trace", str(site.tree), target, str(CALLS), module="provenance_calls")
        )
    medians.value("rows", rows, "count")
    yield from medians.readings()
