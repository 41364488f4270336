"""What BLAKE3 and full durability cost: `add` with and without each, taking turns.

dsvc has no switch for BLAKE3; `without_blake3.py` runs it with a stub in its place (on tmpfs). Durability is
`core.durability`, on disk. A cost is the part of the time of `add` that goes when it is left out.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks import measure
from benchmarks.measure import Measurement
from benchmarks.peers.dsvc import Dsvc, program
from benchmarks.results import Reading, SpecialResult, now, this_machine
from benchmarks.rounds import generate, say, workspace
from benchmarks.site import BENCH, Site, copy_over

TMPFS = Path("/dev/shm")
WORKLOADS = ("images", "small", "jsonl")
STUB = str(Path(__file__).with_name("without_blake3.py"))


def measure_all(*, folder: Path | None, scale: float, rounds: int) -> SpecialResult:
    """Both costs on three workloads; `folder` is the folder on disk."""
    readings: list[Reading] = []
    for workload in WORKLOADS:
        readings += _blake3(workload, TMPFS, scale, rounds)
        readings += _durability(workload, folder or BENCH / "work", scale, rounds)
    return SpecialResult(
        kind="cost",
        version=Dsvc().version() or "?",
        at=now(),
        machine=this_machine(),
        settings={"rounds": str(rounds), "scale": f"{scale:g}"},
        readings=readings,
    )


def _blake3(workload: str, folder: Path, scale: float, rounds: int) -> Iterator[Reading]:
    with_it: list[float] = []
    without: list[float] = []
    with workspace(folder) as own:
        generate(workload, own / "master", scale)
        for _ in range(rounds):
            with_it.append(add_once(own, program(), None).wall_s)
            without.append(add_once(own, [sys.executable, "-P", STUB], None).wall_s)
    yield from _readings(f"blake3_{workload}", with_it, without)


def _durability(workload: str, folder: Path, scale: float, rounds: int) -> Iterator[Reading]:
    full: list[float] = []
    none: list[float] = []
    with workspace(folder) as own:
        generate(workload, own / "master", scale)
        for _ in range(rounds):
            full.append(add_once(own, program(), "full").wall_s)
            none.append(add_once(own, program(), "none").wall_s)
    yield from _readings(f"durability_{workload}", full, none)


def add_once(own: Path, argv: list[str], durability: str | None) -> Measurement:
    """`add` of the data in `own`/master/v1, in a new repository."""
    site = Site(own / "site")
    try:
        site.create()
        Dsvc().configure(site)
        copy_over(own / "master" / "v1", site.data)
        environment = site.environment()
        setup = [[*argv, "init"]]
        if durability is not None:
            setup.append([*argv, "config", "core.durability", durability])
            os.sync()
        for command in setup:
            measure.run(command, cwd=site.tree, env=environment, log=site.log)
        return measure.run([*argv, "add", "-A"], cwd=site.tree, env=environment, log=site.log)
    finally:
        site.remove()


def _readings(name: str, with_it: list[float], without: list[float]) -> Iterator[Reading]:
    more, less = median(with_it), median(without)
    say(f"{name}: add {more:.2f} s with, {less:.2f} s without")
    yield Reading(name=f"{name}_with", value=round(more, 4), unit="s")
    yield Reading(name=f"{name}_without", value=round(less, 4), unit="s")
    yield Reading(name=name, value=round((more - less) / more, 4), unit="share")
