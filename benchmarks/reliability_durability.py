"""What `core.durability` full costs beside none: `add` of 10,000 files of 100 KB, and commits alone, on ext4.

On a loop image of ext4 on the disk that holds the benchmark's folder; where nothing can be mounted, in that
folder. The files are read from the page cache: what is measured are the writes.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks import measure
from benchmarks.measure import Measurement
from benchmarks.peers.dsvc import Dsvc, program
from benchmarks.results import Reading
from benchmarks.rounds import generate, say, workspace
from benchmarks.site import BENCH, Site

IMAGE_BYTES = 12 * 10**9
LEVELS = ("full", "commit", "none")
COMMITS = 5


@contextmanager
def ext4(folder: Path) -> Iterator[tuple[Path, bool]]:
    """A new ext4 in an image on the disk, and True; where none can be mounted, the folder, and False."""
    image, mounted = folder / "image", folder / "mounted"
    mounted.mkdir()
    with image.open("wb") as made:
        made.truncate(IMAGE_BYTES)
    commands = (["mkfs.ext4", "-qF", str(image)], ["mount", "-o", "loop", str(image), str(mounted)])
    try:
        for command in commands:
            subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        yield folder, False
        return
    try:
        yield mounted, True
    finally:
        subprocess.run(["umount", str(mounted)], check=True)


def measure_durability(_place: Path, scale: float, rounds: int) -> Iterator[Reading]:
    """All levels in turns on the same files, each in a new repository."""
    adds: dict[str, list[Measurement]] = {level: [] for level in LEVELS}
    commits: dict[str, list[Measurement]] = {level: [] for level in LEVELS}
    plain: list[float] = []
    with workspace(BENCH / "work") as own, ext4(own) as (folder, on_image):
        yield Reading(name="durability on a loop image of ext4", value=int(on_image), unit="count")
        site = Site(folder / "site")
        site.create()
        Dsvc().configure(site)
        generate("images", folder / "master", scale)
        (folder / "master" / "v1").rename(site.data)
        for number in range(rounds):
            for level in [*LEVELS[number % len(LEVELS) :], *LEVELS[: number % len(LEVELS)]]:
                add, *rest = _passage(site, level)
                adds[level].append(add)
                commits[level] += rest
            plain.append(_plain_copy(site.tree / ".dsvc" / "packs", folder / "copy"))
    say(f"reliability: durability: the packs written by hand, each flushed once: {median(plain):.2f} s")
    yield Reading(name="durability plain copy wall", value=round(median(plain), 4), unit="s")
    for level in LEVELS:
        for name, taken in (("add", adds[level]), ("commit", commits[level])):
            wall, cpu = (median(getattr(one, part) for one in taken) for part in ("wall_s", "cpu_s"))
            say(f"reliability: durability {level}: {name} {wall:.3f} s, {cpu:.3f} s of processor time")
            yield Reading(name=f"durability {name} {level} wall", value=round(wall, 4), unit="s")
            yield Reading(name=f"durability {name} {level} cpu", value=round(cpu, 4), unit="s")


def _passage(site: Site, level: str) -> Iterator[Measurement]:
    """The first `add` of all files, then some commits of one changed file each."""
    shutil.rmtree(site.tree / ".dsvc", ignore_errors=True)
    _run(site, "init")
    _run(site, "config", "core.durability", level)
    # What was written before must not be flushed by what is measured.
    os.sync()
    yield _run(site, "add", "-A")
    _run(site, "commit", "-m", "all")
    changed = site.data / "changed.txt"
    for number in range(COMMITS):
        changed.write_text(f"{number}\n")
        _run(site, "add", "-A")
        os.sync()
        yield _run(site, "commit", "-m", f"commit {number}")


def _plain_copy(packs: Path, target: Path) -> float:
    """Seconds to write the same bytes with one flush a file: what the disk itself takes."""
    os.sync()
    begun = time.perf_counter()
    shutil.copytree(packs, target)
    for path in target.rglob("*.pack"):
        with path.open("rb+") as written:
            os.fsync(written.fileno())
    taken = time.perf_counter() - begun
    shutil.rmtree(target)
    return taken


def _run(site: Site, *words: str) -> Measurement:
    return measure.run([*program(), *words], cwd=site.tree, env=site.environment(), log=site.log)
