"""The figures of reliability that are measured: R16 and R18 to R24 of docs/reliability.md."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.results import RESULTS, SpecialResult
from benchmarks.verdict import (
    MIB,
    TOLERANCE,
    Verdict,
    at_most,
    count,
    mebibytes,
    missing,
    percent,
    seconds,
    times,
)

VERBS = ("add", "commit", "checkout", "gc")
TERMINATED = ("add", "commit", "restore", "fsck", "gc")
# The parts that times of a figure come from; those of bytes and files don't depend on what else runs.
TIMED = {
    "R18": ("fsck", "million"),
    "R19": ("crash", "million"),
    "R20": ("durability",),
    "R21": ("blake3",),
    "R23": ("stop",),
}
BUSY = "other work ran beside it"
MUTANTS = RESULTS / "mutants.json"


def rate(result: SpecialResult, workload: str, tool: str = "dsvc", part: str = "cpu") -> float | None:
    """GB of data that a tool checks in a second."""
    size = result.value(f"fsck {workload} bytes")
    taken = result.value(f"fsck {workload} {tool} {part}")
    return None if size is None or not taken else size / taken / 1e9


def extra(result: SpecialResult, part: str = "wall") -> float | None:
    """The most seconds that a command took longer after a crash; less than none counts as none."""
    found = [
        max(0.0, after - usual)
        for verb in VERBS
        for name in ("status", "again")
        if (after := result.value(f"crash {verb} {name} {part}")) is not None
        and (usual := result.value(f"crash {verb} {name} usual {part}")) is not None
    ]
    return max(found, default=None)


def _largest(result: SpecialResult, names: Iterable[str]) -> float | None:
    found = [value for name in names if (value := result.value(name)) is not None]
    return max(found, default=None)


def _compared(result: SpecialResult, name: str) -> tuple[float, float] | None:
    full, none = (result.value(f"durability {name} {level} wall") for level in ("full", "none"))
    return None if full is None or none is None else (full, none)


def _checks(result: SpecialResult) -> list[Verdict]:
    figure = "`fsck --read-data`, one core, processor time, 10,000 files of 100 KB"
    speed = rate(result, "images")
    fast = missing(figure, "at least 1 GB/s")
    if speed is not None:
        fast = Verdict(
            figure=figure, bound=fast.bound, measured=f"{speed:.2f} GB/s", met=speed * TOLERANCE >= 1
        )
    value = result.value("million fsck cpu")
    return [
        fast,
        at_most("`fsck` of 1,000,000 chunks, processor time", value, 30, seconds, tolerance=TOLERANCE),
    ]


def _crashes(result: SpecialResult) -> list[Verdict]:
    anew = _largest(result, (f"million {name} without caches wall" for name in ("status", "add")))
    return [
        at_most("the next command after a crash takes longer by", extra(result), 1, seconds),
        at_most("caches of 1,000,000 files made anew", anew, 120, seconds, tolerance=TOLERANCE),
    ]


def _durability(result: SpecialResult) -> list[Verdict]:
    add, commit = _compared(result, "add"), _compared(result, "commit")
    ratio = None if add is None else add[0] / add[1]
    more = None if commit is None else max(0.0, commit[0] - commit[1])
    return [
        at_most("durability `full` beside `none`: add of 10,000 files of 100 KB", ratio, 1.5, times),
        at_most("durability `full` beside `none`: a commit takes longer by", more, 0.05, seconds),
    ]


def _blake3(result: SpecialResult) -> list[Verdict]:
    share = result.value("blake3 images share wall")
    return [at_most("part of BLAKE3 in `add` of 10,000 files of 100 KB", share, 0.15, percent)]


def _memory(result: SpecialResult) -> list[Verdict]:
    sparse = _largest(result, (f"sparse {name} peak" for name in ("add", "fsck", "checkout")))
    status = _largest(result, ("million status peak", "million status without caches peak"))
    return [
        at_most("memory of add, fsck and checkout, 100 GB sparse", sparse, 512 * MIB, mebibytes),
        at_most("memory of `status` of 1,000,000 files", status, 1024 * MIB, mebibytes),
    ]


def _stops(result: SpecialResult) -> list[Verdict]:
    lock = _largest(result, (f"stop lock {verb} worst" for verb in VERBS))
    term = _largest(result, (f"stop term {verb} worst" for verb in TERMINATED))
    return [
        at_most("a dead holder's lock taken over, at most", lock, 2, seconds),
        at_most("SIGTERM obeyed, at most", term, 2, seconds),
    ]


def _left(result: SpecialResult) -> list[Verdict]:
    return [at_most("files left after a crash and `gc`", result.value("crash files left"), 0, count)]


def _groups(result: SpecialResult) -> dict[str, list[Verdict]]:
    return {
        "R18": _checks(result),
        "R19": _crashes(result),
        "R20": _durability(result),
        "R21": _blake3(result),
        "R22": _memory(result),
        "R23": _stops(result),
        "R24": _left(result),
    }


def judge_reliability(result: SpecialResult | None) -> list[Verdict]:
    """Every figure of reliability that is measured here."""
    if result is None:
        result = SpecialResult.nothing("reliability")
    return [verdict for verdicts in _groups(result).values() for verdict in verdicts]


def _text(verdicts: Sequence[Verdict]) -> str:
    measured = "; ".join(verdict.measured for verdict in verdicts)
    if any(verdict.met is None for verdict in verdicts):
        return measured
    return f"{measured}: {'met' if all(verdict.met for verdict in verdicts) else '**missed**'}"


def _mutants() -> str | None:
    """The share of mutants that the tests noticed, each module counted with its number of mutants."""
    if not MUTANTS.exists():
        return None
    data: dict[str, Any] = json.loads(MUTANTS.read_text(encoding="utf-8"))
    tried = [each for each in data["modules"].values() if each["tried"]]
    every = sum(each["mutants"] for each in tried)
    if not every:
        return None
    share = sum(each["mutants"] * each["killed"] / each["tried"] for each in tried) / every
    text = f"{share * 100:.1f}% of {every:,} mutants, {sum(each['tried'] for each in tried):,} tried"
    return f"{text}: {'met' if share >= 0.85 else '**missed**'}"


def figures(result: SpecialResult) -> dict[str, dict[str, str]]:
    """What docs/reliability.md says of each figure."""
    found = {}
    for name, verdicts in _groups(result).items():
        busy = any(BUSY in result.settings.get(part, "") for part in TIMED.get(name, ()))
        found[name] = {"test": f"{_text(verdicts)}{f' ({BUSY})' if busy else ''}", "soak": "–"}
    if mutants := _mutants():
        found["R16"] = {"test": "`make coverage` fails below 100%", "soak": mutants}
    return found
