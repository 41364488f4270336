"""What a crash costs the commands after it, and what is left of it after `gc`.

`add`, `commit`, `checkout` and `gc` are killed (SIGKILL, to all of their processes) half-way through their
writes, in the middle of each time that a lock file is there, and before the last write. Then `status`, and
the same command again, are measured beside those of a repository in which nothing was killed.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks import measure
from benchmarks.measure import Measurement, StepFailed
from benchmarks.peers.dsvc import Dsvc, program
from benchmarks.reliability_million import write_files
from benchmarks.results import Reading
from benchmarks.rounds import say, workspace
from benchmarks.site import Site
from dsvc.testing.checker import leftovers

FILES = 5_000
STOPPED = str(Path(__file__).with_name("stopped.py"))
VERBS = {
    "add": ["add", "-A"],
    "commit": ["commit", "--allow-empty", "-m", "second"],
    "checkout": ["checkout", "first"],
    "gc": ["gc", "--grace", "0s"],
}


def run(site: Site, words: list[str]) -> Measurement:
    """Run dsvc at a site."""
    return measure.run([*program(), *words], cwd=site.tree, env=site.environment(), log=site.log)


def operations(site: Site, words: list[str]) -> list[tuple[str, str]]:
    """The writes of a command that runs through, as (name, path)."""
    found = site.root / "operations"
    argv = [sys.executable, STOPPED, "list", str(found), "--", *words]
    measure.run(argv, cwd=site.tree, env=site.environment(), log=site.log)
    return [(name, path) for name, path in json.loads(found.read_text())]


def points(seen: list[tuple[str, str]]) -> list[int]:
    """Where to stop: half-way, in the midst of the time of the last lock file, before the last write."""
    locks = [number for number, (_, path) in enumerate(seen, 1) if path.endswith(".lock")]
    inside = [locks[len(locks) // 2]] if locks else []
    return sorted({max(1, len(seen) // 2), *inside, len(seen)})


def prepared(verb: str, site: Site, files: int) -> None:
    """A repository in which the verb has half of the files to work on."""
    site.create()
    Dsvc().configure(site)
    write_files(site.data, files)
    run(site, ["init"])
    run(site, ["add", "-A"])
    run(site, ["commit", "-m", "first"])
    run(site, ["tag", "first"])
    _change(site, "changed")
    if verb == "gc":
        # What was staged only is dead once other bytes are staged and nobody may undo it.
        run(site, ["add", "-A"])
        _change(site, "changed again")
    if verb != "add":
        run(site, ["add", "-A"])
    if verb in ("checkout", "gc"):
        run(site, ["commit", "-m", "second"])


def _change(site: Site, words: str) -> None:
    for path in sorted(site.data.rglob("*.txt"))[::2]:
        path.write_text(f"{words} {path.read_text()}")


class _After(NamedTuple):
    """The commands after a crash, or after none."""

    status: Measurement
    again: Measurement


def measure_crash(place: Path, scale: float, rounds: int) -> Iterator[Reading]:
    """Every verb, at every point; the worst of them stands for the verb."""
    files = max(20, round(FILES * scale))
    killed = left = 0
    for verb, words in VERBS.items():
        with workspace(place) as own:
            template = Site(own / "template")
            prepared(verb, template, files)
            site = Site(own / "site")
            seen = operations(copied(template, site), words)
            at = points(seen)
            plain = [_after(copied(template, site), words) for _ in range(rounds)]
            crashed: dict[int, list[_After]] = {point: [] for point in at}
            for _ in range(rounds):
                for point in at:
                    _kill(copied(template, site), words, point)
                    crashed[point].append(_after(site, words))
                    run(site, ["gc", "--grace", "0s"])
                    killed += 1
                    left += len(_left(site))
        yield from _readings(verb, plain, crashed)
    yield Reading(name="crash kills", value=killed, unit="count")
    yield Reading(name="crash files left", value=left, unit="count")


def copied(template: Site, site: Site) -> Site:
    """A copy whose files are known as unchanged, as they are in the original."""
    shutil.rmtree(site.root, ignore_errors=True)
    subprocess.run(["cp", "-a", str(template.root), str(site.root)], check=True)
    run(site, ["status"])
    return site


def _kill(site: Site, words: list[str], point: int) -> None:
    argv = [sys.executable, STOPPED, "kill", str(point), "--", *words]
    try:
        measure.run(argv, cwd=site.tree, env=site.environment(), log=site.log)
    except StepFailed as failed:
        if "exit -9" in str(failed):
            return
        raise
    raise StepFailed(f"{words[0]} was not killed at its write {point}")


def _after(site: Site, words: list[str]) -> _After:
    return _After(run(site, ["status"]), run(site, words))


def _left(site: Site) -> list[str]:
    """Temporary files, lock files, and what lies in the trash although there is no grace."""
    trash = site.tree / ".dsvc" / "trash"
    return [*leftovers(str(site.tree)), *(str(path) for path in trash.rglob("*") if path.is_file())]


def _readings(verb: str, plain: list[_After], crashed: dict[int, list[_After]]) -> Iterator[Reading]:
    for name in ("status", "again"):
        for part in ("wall", "cpu"):
            usual = median(getattr(getattr(one, name), f"{part}_s") for one in plain)
            worst = max(
                median(getattr(getattr(one, name), f"{part}_s") for one in each) for each in crashed.values()
            )
            say(f"reliability: {verb} killed: {name} {worst:.2f} s, else {usual:.2f} s ({part})")
            yield Reading(name=f"crash {verb} {name} {part}", value=round(worst, 4), unit="s")
            yield Reading(name=f"crash {verb} {name} usual {part}", value=round(usual, 4), unit="s")
