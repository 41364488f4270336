"""What a source reached: `dsvc impact` over 1,000 artifacts and 10 M rows, counts checked with the data."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import StepFailed
from benchmarks.results import Reading
from benchmarks.rounds import say, workspace
from benchmarks.tables_site import PROJECT, Medians, TableSite

ARTIFACTS = 1_000
ROWS = 12_000
ROOTS = 10
CALLS = 5
GRAPH = Path(".dsvc", "cache", "lineage")


def source(name: str) -> list[str]:
    """The words that record a source over the files of that name."""
    paths = [word for number in range(ROOTS) for word in ("--path", f"data/{name}{number}.parquet")]
    return [
        *("source", "add", name, *paths, "--title", "Made rows", "--license", "CC0-1.0"),
        *("--acquisition", "self_generated", "--legal-basis", "licence"),
    ]


def _check(site: TableSite, wanted: dict[str, int]) -> None:
    """As many artifacts and rows as the data says; the source's own files count too."""
    found = site.printed()
    counts = {"artifacts": len(found["artifacts"]), "rows": found["rows"]}
    expected = {"artifacts": wanted["artifacts"] + ROOTS, "rows": wanted["rows"] + wanted["roots"]}
    if counts != expected:
        raise StepFailed(f"impact: {counts}, but the data says {expected}")


def measure_impact(folder: Path, scale: float) -> Iterator[Reading]:
    """The first time, without a graph; then with it; and the call."""
    medians = Medians("impact")
    artifacts = max(20, round(ARTIFACTS * scale))
    with workspace(folder) as own:
        site = TableSite(own / "site")
        site.start()
        say(f"impact: {artifacts} artifacts")
        argv = [
            sys.executable,
            "-m",
            "benchmarks.provenance_graph",
            str(site.tree),
            str(artifacts),
            str(ROWS),
        ]
        environment = site.environment()
        made = subprocess.run(argv, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, check=True)
        wanted = json.loads(made.stdout.splitlines()[-1])
        for name in ("a", "b"):
            site.dsvc(*source(name))
        site.dsvc("commit", "--allow-empty", "-m", "sources")
        shutil.rmtree(site.tree / GRAPH, ignore_errors=True)
        medians.took("first", site.dsvc("impact", "--json", "source:a"))
        _check(site, wanted)
        for _ in range(CALLS):
            medians.took("again", site.dsvc("impact", "--json", "source:a"))
        _check(site, wanted)
        medians.calls(
            "call", site.call("impact", str(site.tree), "source:a", str(CALLS), module="provenance_calls")
        )
    medians.value("artifacts", wanted["artifacts"] + ROOTS, "count")
    medians.value("rows", wanted["rows"] + wanted["roots"], "count")
    yield from medians.readings()
