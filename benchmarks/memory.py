"""Peak memory with one file of 20 GB, and with a sparse one of 100 GB.

The large file is written as a stream, on disk: three parts in four don't compress, the fourth does by half.
Version 2 overwrites three places and appends. The sparse file has 64 extents of 1 MiB, one more in version 2.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import measure
from benchmarks.measure import StepFailed
from benchmarks.peers.driver import Driver
from benchmarks.peers.dsvc import Dsvc
from benchmarks.results import Reading, SpecialResult, now, this_machine
from benchmarks.rounds import say, workspace
from benchmarks.site import BENCH, Site

BLOCK = 1 << 20
LARGE_BYTES = 20 * 10**9
SPARSE_BYTES = 100 * 10**9
EXTENTS = 64


def _large_blocks(size: int) -> Iterator[bytes]:
    rng = random.Random("large file")
    for number in range(size // BLOCK):
        yield rng.randbytes(BLOCK // 2).hex().encode() if number % 4 == 3 else rng.randbytes(BLOCK)


def _write_large(path: Path, size: int) -> None:
    with path.open("wb") as out:
        out.writelines(_large_blocks(size))


def _change_large(path: Path, size: int) -> None:
    rng = random.Random("large file changes")
    with path.open("r+b") as out:
        for place in (size // 7, size // 2, size * 8 // 9):
            out.seek(place)
            out.write(rng.randbytes(BLOCK // 16))
        out.seek(0, 2)
        out.write(rng.randbytes(BLOCK))


def _check_large(path: Path, size: int) -> bool:
    with path.open("rb") as found:
        return all(found.read(len(block)) == block for block in _large_blocks(size)) and not found.read(1)


def _extents(size: int) -> Iterator[tuple[int, bytes]]:
    rng = random.Random("sparse file")
    for number in range(EXTENTS):
        yield number * (size // EXTENTS) // BLOCK * BLOCK, rng.randbytes(BLOCK)


def _write_sparse(path: Path, size: int) -> None:
    with path.open("wb") as out:
        out.truncate(size)
        for place, block in _extents(size):
            out.seek(place)
            out.write(block)


def _change_sparse(path: Path, size: int) -> None:
    with path.open("r+b") as out:
        out.seek(size // 2 + 5 * BLOCK)
        out.write(random.Random("sparse file changes").randbytes(BLOCK))


def _check_sparse(path: Path, size: int) -> bool:
    """The size, the extents, and that the holes are holes (a little more than the extents is allowed)."""
    status = path.stat()
    if status.st_size != size or status.st_blocks * 512 > 2 * EXTENTS * BLOCK:
        return False
    with path.open("rb") as found:
        for place, block in _extents(size):
            found.seek(place)
            if found.read(BLOCK) != block:
                return False
        found.seek(size // 2 + 5 * BLOCK)
        return not any(found.read(BLOCK))


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A file: how it is written, changed and looked at."""

    name: str
    bytes: int
    write: Callable[[Path, int], None]
    change: Callable[[Path, int], None]
    check: Callable[[Path, int], bool]


LARGE = Kind(name="large", bytes=LARGE_BYTES, write=_write_large, change=_change_large, check=_check_large)
SPARSE = Kind(
    name="sparse", bytes=SPARSE_BYTES, write=_write_sparse, change=_change_sparse, check=_check_sparse
)


def measure_all(
    *, folder: Path | None, scale: float, rounds: int, tool: Driver | None = None
) -> SpecialResult:
    """Every step once (`rounds` is not used): a peak does not need repetition, and 20 GB take their time."""
    tool = tool or Dsvc()
    readings: list[Reading] = []
    for kind in (LARGE, SPARSE):
        with workspace(folder or BENCH / "work") as own:
            readings += _steps(
                tool, Site(own / tool.name), kind, max(4 * BLOCK * EXTENTS, int(kind.bytes * scale))
            )
    return SpecialResult(
        kind="memory",
        version=tool.version() or "?",
        at=now(),
        machine=this_machine(),
        settings={"scale": f"{scale:g}", "medium": "disk"},
        readings=readings,
    )


def _steps(tool: Driver, site: Site, kind: Kind, size: int) -> Iterator[Reading]:
    site.create()
    tool.configure(site)
    site.data.mkdir()
    path = site.data / f"{kind.name}.bin"
    kind.write(path, size)
    environment = {**site.environment(), **tool.environment(site)}
    for name, commands in (
        ("init", tool.init(site)),
        ("add", tool.add(site)),
        ("commit", tool.commit(site, 1)),
        ("change", None),
        ("add_2", tool.add(site)),
        ("commit_2", tool.commit(site, 2)),
        ("status", tool.status(site)),
        ("checkout", tool.checkout_first(site)),
    ):
        if name == "change":
            kind.change(path, size)
        for argv in commands or []:
            measured = measure.run(argv, cwd=site.tree, env=environment, log=site.log)
            say(f"memory: {kind.name} {name}: {measured.wall_s:.1f} s, {measured.peak_bytes / 2**20:.0f} MiB")
            yield Reading(name=f"{kind.name}_{name}", value=round(measured.wall_s, 3), unit="s")
            yield Reading(name=f"{kind.name}_{name}_peak", value=measured.peak_bytes, unit="bytes")
    if not kind.check(path, size):
        raise StepFailed(f"version 1 of the {kind.name} file did not come back")
