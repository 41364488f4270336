"""Feedback and repair: ranking causes, recomputing what a repair touches, proving it.

`python -m benchmarks feedback` measures every part that is there; `--part causes` only that one, and keeps
what is stored of the others.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

from benchmarks.peers.dsvc import Dsvc
from benchmarks.results import Reading, SpecialResult, now, this_machine

TMPFS = Path("/dev/shm")
PARTS = ("causes", "repair", "proof")
"""Each is a module ``feedback_PART`` with a function ``measure_PART(place, scale, rounds)`` of readings.

The name of each reading begins with its part and a blank.
"""


def _part(name: str) -> Callable[[Path, float, int], Iterator[Reading]] | None:
    module = f"benchmarks.feedback_{name}"
    if find_spec(module) is None:
        return None
    found: Callable[[Path, float, int], Iterator[Reading]] = getattr(import_module(module), f"measure_{name}")
    return found


def measure_all(
    *, folder: Path | None, scale: float, rounds: int, parts: Sequence[str] = PARTS
) -> SpecialResult:
    """All parts, or some, one after the other."""
    place = folder or TMPFS
    there = {name: found for name in parts if (found := _part(name)) is not None}
    readings = list(chain.from_iterable(part(place, scale, rounds) for part in there.values()))
    settings = {f"{name}: rounds, scale": f"{rounds}, {scale:g}" for name in there}
    # Of a machine that does other things too, times say less.
    settings |= {f"{name}: load average": f"{os.getloadavg()[2]:.1f}" for name in there}
    return SpecialResult(
        kind="feedback",
        version=Dsvc().version() or "?",
        at=now(),
        machine=this_machine(),
        readings=readings,
        settings=settings,
    )
