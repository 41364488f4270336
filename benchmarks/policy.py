"""Policy: how fast files are scanned, licences folded, and versions judged.

`python -m benchmarks policy` measures every part that is there and stores them together.
"""

from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

from benchmarks.peers.dsvc import Dsvc
from benchmarks.results import Reading, SpecialResult, now, this_machine

TMPFS = Path("/dev/shm")
PARTS = ("scan", "fold", "check")
"""Each is a module ``policy_PART`` with a function ``measure_PART(place, scale, rounds)`` of readings."""


def _part(name: str) -> Callable[[Path, float, int], Iterator[Reading]] | None:
    module = f"benchmarks.policy_{name}"
    if find_spec(module) is None:
        return None
    found: Callable[[Path, float, int], Iterator[Reading]] = getattr(import_module(module), f"measure_{name}")
    return found


def measure_all(*, folder: Path | None, scale: float, rounds: int) -> SpecialResult:
    """All parts, one after the other."""
    place = folder or TMPFS
    parts = {name: found for name in PARTS if (found := _part(name)) is not None}
    readings = chain.from_iterable(part(place, scale, rounds) for part in parts.values())
    return SpecialResult(
        kind="policy",
        version=Dsvc().version() or "?",
        at=now(),
        machine=this_machine(),
        readings=list(readings),
        settings={"rounds": str(rounds), "scale": f"{scale:g}", "parts": ", ".join(parts)},
    )
