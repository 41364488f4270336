"""100,000, 300,000 and 1,000,000 small files: times and memory of each step, and whether they are linear."""

from pathlib import Path

from benchmarks.peers.driver import Driver
from benchmarks.peers.dsvc import Dsvc
from benchmarks.results import Reading, Run, SpecialResult, now, this_machine
from benchmarks.rounds import Passage, generate, say, workspace
from benchmarks.site import Site

TMPFS = Path("/dev/shm")
COUNTS = (100_000, 300_000, 1_000_000)
GROWING = {"add": "add", "commit": "commit", "status": "status_unchanged", "checkout": "checkout"}


def measure_all(
    *, folder: Path | None, scale: float, rounds: int, tool: Driver | None = None
) -> SpecialResult:
    """One passage for each count; the data is moved into place, for it takes 5 GB. `rounds` is not used."""
    tool = tool or Dsvc()
    readings: list[Reading] = []
    runs: dict[int, Run] = {}
    for count in COUNTS:
        with workspace(folder or TMPFS) as own:
            generate("small", own / "master", scale * count / 100_000)
            site = Site(own / tool.name)
            runs[count] = Passage(tool, site, own / "master", 1, keep_master=False).go()
        say(f"million: {count}: {runs[count].steps} {runs[count].problem or ''}")
        readings += _readings(count, runs[count])
    readings += _growth(runs)
    return SpecialResult(
        kind="million",
        version=tool.version() or "?",
        at=now(),
        machine=this_machine(),
        settings={"scale": f"{scale:g}", "rounds": "1"},
        readings=readings,
    )


def _readings(count: int, run: Run) -> list[Reading]:
    found: list[Reading] = []
    for name, step in run.steps.items():
        short = name.removesuffix("_unchanged") if name.startswith("status") else name
        found.append(Reading(name=f"{count}_{short}", value=step.wall_s, unit="s"))
        found.append(Reading(name=f"{count}_{short}_peak", value=step.peak_bytes, unit="bytes"))
    if run.problem is None:
        peak = max(step.peak_bytes for step in run.steps.values())
        found.append(Reading(name=f"{count}_peak", value=peak, unit="bytes"))
        found.append(Reading(name=f"{count}_store", value=run.sizes["commit_1"].bytes, unit="bytes"))
    return found


def _growth(runs: dict[int, Run]) -> list[Reading]:
    """The time at the largest count against that at the smallest, in proportion: 1 is linear."""
    smallest, largest = runs[COUNTS[0]].steps, runs[COUNTS[-1]].steps
    factor = COUNTS[-1] / COUNTS[0]
    return [
        Reading(
            name=f"growth_{name}",
            value=round(largest[step].wall_s / smallest[step].wall_s / factor, 4),
            unit="x",
        )
        for name, step in GROWING.items()
        if step in smallest and step in largest
    ]
