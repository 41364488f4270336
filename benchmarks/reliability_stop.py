"""How soon a killed holder's locks are taken over, and how soon SIGTERM is obeyed.

A command is paused at a write, another one waits for its locks, and the first is killed: the time until the
second has ended counts, with its own work on 50 files. SIGTERM is sent to commands that are at work on
500 MB, at moments that a seed chose: the time until the process has ended counts.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

from benchmarks.measure import StepFailed
from benchmarks.peers.dsvc import Dsvc, program
from benchmarks.reliability_crash import STOPPED, VERBS, copied, operations, points, prepared, run
from benchmarks.results import Reading
from benchmarks.rounds import generate, say, workspace
from benchmarks.site import Site

FILES = 50
LARGE_SCALE = 0.5
SEED = 23
MOMENTS = 2
WAITS_S = 0.8
LIMIT_S = 60
OBEYED = (128 + signal.SIGTERM, -signal.SIGTERM)


def measure_stop(place: Path, scale: float, rounds: int) -> Iterator[Reading]:
    """Locks taken over, then SIGTERM."""
    yield from _taken_over(place, rounds)
    yield from _terminated(place, scale, rounds)


def _taken_over(place: Path, rounds: int) -> Iterator[Reading]:
    cases = 0
    for verb, words in VERBS.items():
        with workspace(place) as own:
            template, site = Site(own / "template"), Site(own / "site")
            prepared(verb, template, FILES)
            usual = median(run(copied(template, site), words).wall_s for _ in range(rounds))
            at = points(operations(copied(template, site), words))
            taken = [_take_over(copied(template, site), words, point) for point in at]
        waited = [each for each in taken if each is not None]
        cases += len(waited)
        if waited:
            say(f"reliability: {verb} killed, taken over in {max(waited):.2f} s (alone {usual:.2f} s)")
            yield Reading(name=f"stop lock {verb} worst", value=round(max(waited), 4), unit="s")
            yield Reading(name=f"stop lock {verb} median", value=round(median(waited), 4), unit="s")
            yield Reading(name=f"stop lock {verb} alone", value=round(usual, 4), unit="s")
    yield Reading(name="stop lock cases", value=cases, unit="count")


def _start(site: Site, argv: list[str]) -> subprocess.Popen[bytes]:
    with site.log.open("ab") as out:
        return subprocess.Popen(
            argv,
            cwd=site.tree,
            env=site.environment(),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leave nothing running, whatever went wrong."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _take_over(site: Site, words: list[str], point: int) -> float | None:
    """Seconds from the death of the holder to the end of the command that waited; None if it did not wait."""
    paused = site.root / "paused"
    holder = _start(site, [sys.executable, STOPPED, "pause", str(point), str(paused), "--", *words])
    try:
        while not paused.exists() and holder.poll() is None:
            time.sleep(0.01)
        waiting = _start(site, [*program(), *words])
        try:
            time.sleep(WAITS_S)
            waits = waiting.poll() is None
            os.killpg(holder.pid, signal.SIGKILL)
            begun = time.perf_counter()
            code = waiting.wait(LIMIT_S)
            taken = time.perf_counter() - begun
        finally:
            _end(waiting)
    finally:
        _end(holder)
    if code != 0:
        tail = site.log.read_text(errors="replace")[-1_000:]
        raise StepFailed(f"{' '.join(words)} after a killed one: exit {code}\n{tail}")
    return taken if waits else None


def _terminated(place: Path, scale: float, rounds: int) -> Iterator[Reading]:
    choice = random.Random(SEED)
    left = cases = 0
    with workspace(place) as own:
        site = Site(own / "site")
        site.create()
        Dsvc().configure(site)
        generate("images", own / "master", LARGE_SCALE * scale)
        (own / "master" / "v1").rename(site.data)
        for name, words, prepare in _large():
            prepare(site)
            usual = run(site, words).wall_s
            taken: list[float] = []
            for _ in range(MOMENTS * rounds):
                prepare(site)
                seconds, remained = _terminate(site, words, choice.uniform(0.1, 0.9) * usual)
                taken += [] if seconds is None else [seconds]
                left += remained
            prepare(site)
            run(site, words)
            cases += len(taken)
            say(f"reliability: SIGTERM in {name}: {max(taken, default=0):.2f} s, {len(taken)} times")
            if taken:
                yield Reading(name=f"stop term {name} worst", value=round(max(taken), 4), unit="s")
                yield Reading(name=f"stop term {name} median", value=round(median(taken), 4), unit="s")
    yield Reading(name="stop term cases", value=cases, unit="count")
    yield Reading(name="stop term processes left", value=left, unit="count")


def _large() -> list[tuple[str, list[str], Callable[[Site], object]]]:
    """Commands on much data, and what has to be before each."""

    def new(site: Site) -> None:
        shutil.rmtree(site.tree / ".dsvc", ignore_errors=True)
        run(site, ["init"])

    def staged(site: Site) -> None:
        (site.data / "more.txt").write_text(str(time.time_ns()))
        run(site, ["add", "-A"])

    def emptied(site: Site) -> None:
        if not any(site.tree.glob(".dsvc/git/refs/heads/*")):
            run(site, ["commit", "-m", "all"])
        shutil.rmtree(site.data, ignore_errors=True)

    return [
        ("add", ["add", "-A"], new),
        ("commit", ["commit", "-m", "all"], staged),
        ("restore", ["restore", "."], emptied),
        ("fsck", ["fsck", "--read-data"], lambda _: None),
        ("gc", ["gc", "--grace", "0s"], lambda _: None),
    ]


def _terminate(site: Site, words: list[str], delay: float) -> tuple[float | None, int]:
    """Seconds until the command has ended after SIGTERM, and whether any of its processes remained."""
    process = _start(site, [*program(), *words])
    try:
        time.sleep(delay)
        running = process.poll() is None
        begun = time.perf_counter()
        if running:
            process.send_signal(signal.SIGTERM)
        code = process.wait(LIMIT_S)
        taken = time.perf_counter() - begun
        remained = int(_remains(process.pid))
    finally:
        _end(process)
    if code not in (0, *OBEYED):
        raise StepFailed(f"{' '.join(words)} ended with {code} after SIGTERM")
    return (taken if running and code in OBEYED else None), remained


def _remains(group: int) -> bool:
    """Whether a process of the group is there a moment later; it is ended."""
    for _ in range(20):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.05)
    os.killpg(group, signal.SIGKILL)
    return True
