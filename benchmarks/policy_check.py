"""The gate: how long `check` takes in a large repository, and at a commit that brings a few files.

`python -m benchmarks.policy_check [SCALE]` prints what `python -m benchmarks policy` measures of it. Whole
processes are measured, in a repository of 100,000 files, 500 runs and 100 sources under the default policy
(`benchmarks.policy_check_site`). One check has detectors look at every file again, as the first one does, and
is measured by itself; in the others what they said is known. Then, in each round, a source gets three files
and a run makes one: the commit gate is asked as the hook of `pre-commit` asks it, and `commit` asks it again
and commits.

No other tool has a gate that knows where data come from, so that there is nothing to compare this with.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median

from benchmarks import measure
from benchmarks.measure import Measurement
from benchmarks.peers.dsvc import Dsvc, program
from benchmarks.results import Reading
from benchmarks.rounds import say, workspace
from benchmarks.site import Site

FILES, RUNS, SOURCES = 100_000, 500, 100
HOOK = ["check", "--staged", "--stage", "commit", "--gate"]


class _Gate:
    """One repository, and the commands that are asked there."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._environment: Mapping[str, str] = site.environment()

    def build(self, files: int, runs: int, sources: int) -> None:
        self._site.create()
        tool = Dsvc()
        tool.configure(self._site)
        for argv in tool.init(self._site):
            self._measured(argv)
        counts = [str(files), str(runs), str(sources)]
        self._measured(
            [sys.executable, "-m", "benchmarks.policy_check_site", str(self._site.tree), *counts],
            cwd=Path.cwd(),
        )

    def ask(self, *words: str) -> Measurement:
        return self._measured([*program(), *words])

    def change(self, number: int) -> None:
        """Bring a few files: three of a source, and one that a run made of another source."""
        tree = self._site.tree
        for each in range(3):
            (tree / "raw" / "s000" / f"new-{number}-{each}.txt").write_text(f"a text, {number} {each}\n")
        made = tree / "made" / f"new-{number}"
        made.mkdir()
        (made / "of.txt").write_text(f"made of another source, {number}\n")
        self.ask("source", "update", "s000")
        target = f"made/new-{number}"
        self.ask("run", "--manual", "made by the benchmark", "-i", "raw/s001", "-o", target)
        self.ask("add", "raw/s000", target)

    def _measured(self, argv: list[str], cwd: Path | None = None) -> Measurement:
        where = cwd or self._site.tree
        return measure.run(argv, cwd=where, env=self._environment, log=self._site.log)


def _median(name: str, taken: list[Measurement]) -> Iterator[Reading]:
    wall, cpu = median(each.wall_s for each in taken), median(each.cpu_s for each in taken)
    say(f"policy: {name} {wall:.2f} s, {cpu:.2f} s of processor time")
    yield Reading(name=f"{name}_wall", value=round(wall, 3), unit="s")
    yield Reading(name=f"{name}_cpu", value=round(cpu, 3), unit="s")
    yield Reading(name=f"{name}_peak", value=max(each.peak_bytes for each in taken), unit="bytes")


def measure_check(place: Path, scale: float, rounds: int) -> Iterator[Reading]:
    """Build the repository, judge it whole, then what commits bring."""
    files, runs, sources = (
        max(least, int(count * scale)) for count, least in ((FILES, 100), (RUNS, 5), (SOURCES, 2))
    )
    with workspace(place) as own:
        gate = _Gate(Site(own / "policy-check"))
        gate.build(files, runs, sources)
        for name, count in (("files", files), ("runs", runs), ("sources", sources)):
            yield Reading(name=f"check_{name}", value=count, unit="count")
        yield from _median("check_rescan", [gate.ask("check", "--rescan")])
        yield from _median("check", [gate.ask("check") for _ in range(max(3, rounds))])
        hooks, commits = [], []
        for number in range(max(3, rounds)):
            gate.change(number)
            gate.ask(*HOOK)  # detectors look at the new files
            hooks.append(gate.ask(*HOOK))
            commits.append(gate.ask("commit", "-m", f"change {number}"))
        yield from _median("check_hook", hooks)
        yield from _median("check_commit", commits)


if __name__ == "__main__":
    scale = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    for reading in measure_check(Path("/dev/shm"), scale, 5):
        sys.stdout.write(f"{reading.name:40} {reading.value:>16} {reading.unit}\n")
