"""Reliability: how fast everything is checked, what a crash costs afterwards, what durability costs.

`python -m benchmarks reliability` measures every part; `--part fsck,stop` only those, and keeps what is
stored of the others. What R16 and R18 to R24 come to is stored beside the readings, for docs/reliability.md.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from itertools import chain
from pathlib import Path

from benchmarks.peers.dsvc import Dsvc
from benchmarks.reliability_judge import BUSY, figures
from benchmarks.results import Reading, SpecialResult, now, this_machine

TMPFS = Path("/dev/shm")
SPARE = 1.0
PARTS = ("fsck", "million", "crash", "durability", "blake3", "sparse", "stop")
"""Each is a module ``reliability_PART`` with a function ``measure_PART(place, scale, rounds)`` of readings.

The name of each reading begins with its part and a blank.
"""


def _measured(name: str, place: Path, scale: float, rounds: int) -> list[Reading]:
    module = import_module(f"benchmarks.reliability_{name}")
    part: Callable[[Path, float, int], Iterator[Reading]] = getattr(module, f"measure_{name}")
    return list(part(place, scale, rounds))


def _beside() -> str:
    """What else ran: processes of others that wait for a core make times longer, and ratios uneven."""
    load = os.getloadavg()[1]
    busy = BUSY if load > len(os.sched_getaffinity(0)) + SPARE else "quiet"
    return f"{busy}, load average {load:.1f}"


def measure_all(
    *, folder: Path | None, scale: float, rounds: int, parts: Sequence[str] = PARTS
) -> SpecialResult:
    """All parts, or some, one after the other."""
    place = folder or TMPFS
    settings: dict[str, str] = {}
    readings: list[list[Reading]] = []
    for name in parts:
        readings.append(_measured(name, place, scale, rounds))
        settings[name] = f"rounds {rounds}, scale {scale:g}, {_beside()}"
    return SpecialResult(
        kind="reliability",
        version=Dsvc().version() or "?",
        at=now(),
        machine=this_machine(),
        readings=list(chain.from_iterable(readings)),
        settings=settings,
    )


def with_figures(result: SpecialResult) -> SpecialResult:
    """The same result, with what its readings come to."""
    result.figures = figures(result)
    return result
