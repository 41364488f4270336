"""Peak memory with a sparse file of 100 GB: 64 extents of 1 MiB, the rest is holes."""

from collections.abc import Iterator
from pathlib import Path

from benchmarks import measure
from benchmarks.measure import StepFailed
from benchmarks.memory import BLOCK, EXTENTS, SPARSE
from benchmarks.peers.dsvc import Dsvc, program
from benchmarks.results import Reading
from benchmarks.rounds import say, workspace
from benchmarks.site import Site


def measure_sparse(place: Path, scale: float, rounds: int) -> Iterator[Reading]:
    """Each command once: a peak does not need repetition."""
    size = max(4 * BLOCK * EXTENTS, int(SPARSE.bytes * scale))
    tool = Dsvc()
    with workspace(place) as own:
        site = Site(own / tool.name)
        site.create()
        tool.configure(site)
        site.data.mkdir()
        path = site.data / "sparse.bin"
        (site.data / "small.txt").write_text("here before\n")
        yield Reading(name="sparse bytes", value=size, unit="bytes")
        for name, words in (
            ("init", ["init"]),
            ("small add", ["add", "-A"]),
            ("small commit", ["commit", "-m", "small"]),
            ("add", ["add", "-A"]),
            ("commit", ["commit", "-m", "sparse"]),
            ("fsck", ["fsck", "--read-data"]),
            ("checkout away", ["checkout", "HEAD~1"]),
            ("checkout", ["checkout", "main"]),
        ):
            if name == "add":
                SPARSE.write(path, size)
            argv = [*program(), *words]
            taken = measure.run(argv, cwd=site.tree, env=site.environment(), log=site.log)
            say(f"reliability: sparse, {name}: {taken.wall_s:.1f} s, {taken.peak_bytes / 2**20:.0f} MiB")
            yield Reading(name=f"sparse {name} wall", value=round(taken.wall_s, 3), unit="s")
            yield Reading(name=f"sparse {name} cpu", value=round(taken.cpu_s, 3), unit="s")
            yield Reading(name=f"sparse {name} peak", value=taken.peak_bytes, unit="bytes")
        if not SPARSE.check(path, size):
            raise StepFailed("the sparse file did not come back")
