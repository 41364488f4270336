"""What part of `add` BLAKE3 takes: with it, and with a cheap stub in its place, taking turns, from memory."""

import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.cost import STUB, add_once
from benchmarks.measure import Measurement
from benchmarks.peers.dsvc import program
from benchmarks.results import Reading
from benchmarks.rounds import generate, say, workspace

WORKLOADS = {"images": 1.0, "jsonl": 0.25}
"""Parts of the full size of each."""


def measure_blake3(place: Path, scale: float, rounds: int) -> Iterator[Reading]:
    """The median of the rounds, after one that isn't counted."""
    for workload, part_of_size in WORKLOADS.items():
        real: list[Measurement] = []
        stub: list[Measurement] = []
        with workspace(place) as own:
            generate(workload, own / "master", part_of_size * scale)
            for _ in range(rounds + 1):
                real.append(add_once(own, program(), None))
                stub.append(add_once(own, [sys.executable, "-P", STUB], None))
        for part in ("wall", "cpu"):
            more, less = (median(getattr(one, f"{part}_s") for one in all_[1:]) for all_ in (real, stub))
            say(f"reliability: add of {workload}: {more:.2f} s, without BLAKE3 {less:.2f} s ({part})")
            yield Reading(name=f"blake3 {workload} with {part}", value=round(more, 4), unit="s")
            yield Reading(name=f"blake3 {workload} without {part}", value=round(less, 4), unit="s")
            yield Reading(
                name=f"blake3 {workload} share {part}", value=round((more - less) / more, 4), unit="share"
            )
