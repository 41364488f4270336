"""A million small files: checked without their bytes, looked at, and looked at with every cache gone."""

import shutil
from collections.abc import Iterator
from hashlib import blake2b
from multiprocessing import get_context
from pathlib import Path

from benchmarks import measure
from benchmarks.peers.dsvc import Dsvc, program
from benchmarks.results import Reading
from benchmarks.rounds import say, workspace
from benchmarks.site import Site

FILES = 1_000_000
PER_FOLDER = 1_000
TEXT_BYTES = 900


def _folder_of_files(job: tuple[Path, int, int]) -> None:
    folder, first, count = job
    inside = folder / f"{first // PER_FOLDER:04d}"
    inside.mkdir(parents=True)
    for number in range(first, first + count):
        text = blake2b(str(number).encode(), digest_size=32).hexdigest()
        (inside / f"{number:07d}.txt").write_text((text * (TEXT_BYTES // len(text) + 1))[:TEXT_BYTES])


def write_files(folder: Path, count: int) -> None:
    """Write `count` files of different content, a thousand in each folder."""
    starts = range(0, count, PER_FOLDER)
    jobs = [(folder, start, min(PER_FOLDER, count - start)) for start in starts]
    with get_context("fork").Pool() as pool:
        pool.map(_folder_of_files, jobs)


def measure_million(place: Path, scale: float, rounds: int) -> Iterator[Reading]:
    """Each command once: they take their time."""
    count = max(PER_FOLDER, round(FILES * scale))
    tool = Dsvc()
    with workspace(place) as own:
        site = Site(own / tool.name)
        site.create()
        tool.configure(site)
        write_files(site.data, count)
        yield Reading(name="million files", value=count, unit="count")
        for name, words in (
            ("init", ["init"]),
            ("add", ["add", "-A"]),
            ("commit", ["commit", "-m", "all"]),
            ("fsck", ["fsck"]),
            ("status", ["status"]),
            ("status without caches", ["status"]),
            ("add without caches", ["add", "-A"]),
        ):
            if name.endswith("without caches"):
                shutil.rmtree(site.tree / ".dsvc" / "cache")
            argv = [*program(), *words]
            taken = measure.run(argv, cwd=site.tree, env=site.environment(), log=site.log)
            say(f"reliability: {count:,} files, {name}: {taken.wall_s:.1f} s, {taken.cpu_s:.1f} s processor")
            yield Reading(name=f"million {name} wall", value=round(taken.wall_s, 3), unit="s")
            yield Reading(name=f"million {name} cpu", value=round(taken.cpu_s, 3), unit="s")
            yield Reading(name=f"million {name} peak", value=taken.peak_bytes, unit="bytes")
