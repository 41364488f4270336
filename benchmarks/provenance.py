"""Provenance: what recording adds to a step, and how long the questions take that it answers."""

from itertools import chain
from pathlib import Path

from benchmarks.peers.dsvc import Dsvc
from benchmarks.provenance_forget import measure_forget
from benchmarks.provenance_impact import measure_impact
from benchmarks.provenance_peers import measure_peers, versions
from benchmarks.provenance_record import measure_recording
from benchmarks.provenance_trace import measure_trace
from benchmarks.results import SpecialResult, now, this_machine

TMPFS = Path("/dev/shm")


def measure_all(*, folder: Path | None, scale: float, rounds: int) -> SpecialResult:
    """Recording in rounds, then the questions."""
    place = folder or TMPFS
    readings = chain(
        measure_recording(place, scale, rounds),
        measure_peers(place, scale, rounds),
        measure_trace(place, scale),
        measure_impact(place, scale),
        measure_forget(place, scale),
    )
    return SpecialResult(
        kind="provenance",
        version=Dsvc().version() or "?",
        at=now(),
        machine=this_machine(),
        readings=list(readings),
        settings={"rounds": str(rounds), "scale": f"{scale:g}", **versions(place)},
    )
