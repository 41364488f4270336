"""How long the smallest commands take: the median of twenty runs each, and what they import."""

import subprocess
import sys
from pathlib import Path
from statistics import median

from benchmarks import measure
from benchmarks.peers.dsvc import Dsvc, program
from benchmarks.results import Reading, SpecialResult, now, this_machine
from benchmarks.rounds import say, workspace
from benchmarks.site import Site
from benchmarks.workloads import WORKLOADS

TMPFS = Path("/dev/shm")
RUNS = 20
WARM_UP = 2
COMMANDS = {"version": ["version"], "help": ["--help"], "status": ["status"]}


def measure_all(*, folder: Path | None, scale: float, rounds: int) -> SpecialResult:
    """Twenty runs of each command in a repository of 50 files; `scale` and `rounds` change nothing here."""
    tool = Dsvc()
    readings: list[Reading] = []
    with workspace(folder or TMPFS) as own:
        site = Site(own / "startup")
        site.create()
        environment = site.environment()
        tool.configure(site)
        WORKLOADS["small"].write(site.tree, 50, 1)
        for argv in [*tool.init(site), *tool.add(site), *tool.commit(site, 1)]:
            measure.run(argv, cwd=site.tree, env=environment, log=site.log)
        for name, words in COMMANDS.items():
            argv = [*program(), *words]
            taken = [
                measure.run(argv, cwd=site.tree, env=environment, log=site.log).wall_s
                for _ in range(WARM_UP + RUNS)
            ]
            readings.append(Reading(name=name, value=round(median(taken[WARM_UP:]), 4), unit="s"))
            imports = _imports(words, site, environment)
            readings.append(Reading(name=f"{name}_imports_pygit2", value=imports, unit="count"))
            say(f"startup: {name} {median(taken[WARM_UP:]):.3f} s, {imports} imports of pygit2")
    return SpecialResult(
        kind="startup",
        version=tool.version() or "?",
        at=now(),
        machine=this_machine(),
        settings={"runs": str(RUNS), "files in the repository": "50"},
        readings=readings,
    )


def _imports(words: list[str], site: Site, environment: dict[str, str]) -> int:
    """How many modules of pygit2 the command imports."""
    argv = [sys.executable, "-X", "importtime", "-m", "dsvc", *words]
    result = subprocess.run(argv, cwd=site.tree, env=environment, capture_output=True, text=True, check=True)
    names = (line.rpartition("|")[2].strip() for line in result.stderr.splitlines())
    return sum(name == "pygit2" or name.startswith("pygit2.") for name in names)
