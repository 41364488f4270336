"""What recording costs beside DataLad and DVC: the same pipeline, run, run again, and brought up to date."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import StepFailed
from benchmarks.peers import datalad, environment
from benchmarks.provenance_pipeline import RECORDERS, STAGES, Recorder
from benchmarks.results import Reading
from benchmarks.rounds import SETTLE_S, say, workspace
from benchmarks.site import Site
from benchmarks.tables_site import PROJECT, Medians

ROWS = 10_000
NEW_ROW = "{number},7,99,One MORE\n"
TITLE = "pipeline"


def write_data(folder: Path, case: str, rows: int) -> None:
    """Write data with `provenance_data.py`, in a process of its own."""
    argv = [sys.executable, "-m", "benchmarks.provenance_data", str(folder), case, str(rows)]
    subprocess.run(argv, check=True, cwd=PROJECT)


def _phases(recorder: Recorder, data: Path, rows: int, medians: Medians) -> None:
    recorder.prepare(data)
    time.sleep(SETTLE_S)
    medians.took(f"{recorder.name}_run", recorder.run(recorder.record()))
    medians.took(f"{recorder.name}_commit", recorder.run(recorder.commit()))
    time.sleep(SETTLE_S)
    medians.took(f"{recorder.name}_rerun", recorder.run(recorder.again()))
    people = recorder.site.data / "people.csv"
    lines = people.read_text()
    people.unlink()  # a link into the store of the annex is replaced, as `datalad unlock` would
    people.write_text(lines + NEW_ROW.format(number=rows))
    time.sleep(SETTLE_S)
    medians.took(f"{recorder.name}_refresh", recorder.run(recorder.refresh()))
    _check(recorder, rows)


def _check(recorder: Recorder, rows: int) -> None:
    """Every step was made anew with the new row."""
    for stage in STAGES:
        made = (recorder.site.tree / stage.output).read_text().splitlines()
        if not made[-1].startswith(f"{rows},"):
            raise StepFailed(f"{recorder.name}: {stage.output} was not brought up to date: {made[-1]}")


def measure_peers(folder: Path, scale: float, rounds: int) -> Iterator[Reading]:
    """All recorders take turns; one that fails is left out, and said."""
    datalad.install_datalad()
    environment.install("dvc")
    rows = max(100, round(ROWS * scale))
    medians = Medians(TITLE)
    failed: set[str] = set()
    with workspace(folder) as own:
        write_data(own / "data", "pipeline", rows)
        for turn in range(rounds):
            first = turn % len(RECORDERS)
            for kind in (*RECORDERS[first:], *RECORDERS[:first]):
                site = Site(own / kind.name)
                try:
                    if kind.name not in failed:
                        _phases(kind(site), own / "data", rows, medians)
                except StepFailed as error:
                    failed.add(kind.name)
                    say(f"{TITLE}: {kind.name} FAILED: {error}")
                finally:
                    _remove(site)
    medians.value("rows", rows, "count")
    yield from medians.readings()


def _remove(site: Site) -> None:
    """Remove a site; git-annex takes the right to write from its files and folders."""
    subprocess.run(["chmod", "-R", "u+w", str(site.root)], check=False)
    site.remove()


def versions(folder: Path) -> dict[str, str]:
    """Versions of the peers."""
    found = {kind.name: kind(Site(folder)).version() for kind in RECORDERS}
    return {name: version or "not installed" for name, version in found.items() if name in {"datalad", "dvc"}}
