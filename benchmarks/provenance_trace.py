"""Where one row came from: `dsvc trace` through ten runs and a hundred commits."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import StepFailed
from benchmarks.provenance_peers import write_data
from benchmarks.provenance_pipeline import SCRIPTS
from benchmarks.results import Reading
from benchmarks.rounds import say, workspace
from benchmarks.site import copy_over
from benchmarks.tables_site import Medians, TableSite

ROWS = 200_000
RUNS = 10
COMMITS = 100
CALLS = 10
RAW = "data/t.parquet"
SOURCE = (
    *("source", "add", "raw", "--path", RAW, "--title", "Made rows", "--license", "CC0-1.0"),
    *("--acquisition", "self_generated", "--legal-basis", "licence"),
)


def made(number: int) -> str:
    """The table that a run has made; 0: what they start from."""
    return f"data/step{number}.parquet" if number else RAW


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
        site.dsvc(*SOURCE)
        row = site.call(str(site.tree), module="provenance_history")
        target = f"{made(RUNS)}#id={row}"
        shutil.rmtree(site.tree / ".dsvc" / "cache" / "lineage", ignore_errors=True)
        site.forget_indexes()
        medians.took("first", site.dsvc("trace", "--json", target))
        _check(site)
        for _ in range(CALLS):
            medians.took("again", site.dsvc("trace", "--json", target))
        _check(site)
        medians.took("file_again", site.dsvc("trace", "--json", made(RUNS)))
        medians.calls(
            "call", site.call("trace", str(site.tree), target, str(CALLS), module="provenance_calls")
        )
    medians.value("rows", rows, "count")
    yield from medians.readings()
