"""How fast every stored byte is checked, on one core, beside the peers on the same data.

dsvc compares both hashes of everything, XXH3 of the stored blocks and BLAKE3 of chunks, and of files in
several chunks those of the whole file. `git fsck` hashes with SHA-1, `restic check --read-data` with SHA-256,
`borg check --verify-data` with its own ids.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks import measure
from benchmarks.measure import Measurement
from benchmarks.peers import Driver
from benchmarks.peers.borg import Borg
from benchmarks.peers.dsvc import Dsvc
from benchmarks.peers.git import Git
from benchmarks.peers.restic import Restic
from benchmarks.results import Reading
from benchmarks.rounds import generate, say, workspace
from benchmarks.site import Site, tree_size

# Parts of the full size of each: the peers take long to store the second.
WORKLOADS = {"images": 1.0, "jsonl": 0.25}


def one_core() -> list[str]:
    """Words before a command that keep it and its threads on one core."""
    return ["taskset", "--cpu-list", str(max(os.sched_getaffinity(0)))]


def measure_fsck(place: Path, scale: float, rounds: int) -> Iterator[Reading]:
    """Each workload is committed once by each tool; then they check it in turns."""
    tools: tuple[Driver, ...] = (Dsvc(), Git(), Restic(), Borg(name="borg", compression="zstd,3"))
    there = [tool for tool in tools if tool.version() is not None]
    for workload, part in WORKLOADS.items():
        with workspace(place) as own:
            yield from _workload(workload, own, there, part * scale, rounds)


def _workload(workload: str, own: Path, tools: list[Driver], scale: float, rounds: int) -> Iterator[Reading]:
    generate(workload, own / "master", scale)
    data = own / "master" / "v1"
    size = tree_size(data)[0]
    yield Reading(name=f"fsck {workload} bytes", value=size, unit="bytes")
    for tool in tools:
        _commit(tool, Site(own / tool.name), data)
    taken: dict[str, list[Measurement]] = {tool.name: [] for tool in tools}
    for number in range(rounds):
        turn = number % len(tools)
        for tool in [*tools[turn:], *tools[:turn]]:
            taken[tool.name].append(_check(tool, Site(own / tool.name)))
    for name, each in taken.items():
        wall, cpu = (median(getattr(one, part) for one in each) for part in ("wall_s", "cpu_s"))
        peak = max(one.peak_bytes for one in each)
        say(f"reliability: check of {workload}, {name}: {wall:.2f} s, {cpu:.2f} s of processor time")
        yield Reading(name=f"fsck {workload} {name} wall", value=round(wall, 4), unit="s")
        yield Reading(name=f"fsck {workload} {name} cpu", value=round(cpu, 4), unit="s")
        yield Reading(name=f"fsck {workload} {name} peak", value=peak, unit="bytes")


def _commit(tool: Driver, site: Site, data: Path) -> None:
    """Store the data; the files themselves go on to the next tool, a check doesn't look at them."""
    site.create()
    tool.configure(site)
    data.rename(site.data)
    environment = {**site.environment(), **tool.environment(site)}
    for argv in [*tool.init(site), *(tool.add(site) or []), *tool.commit(site, 1)]:
        measure.run(argv, cwd=site.tree, env=environment, log=site.log)
    site.data.rename(data)


def _check(tool: Driver, site: Site) -> Measurement:
    environment = {**site.environment(), **tool.environment(site)}
    total = measure.NOTHING
    for argv in tool.check_data(site) or []:
        total = total.then(measure.run([*one_core(), *argv], cwd=site.tree, env=environment, log=site.log))
    return total
