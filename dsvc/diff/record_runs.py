"""How one sequence of records becomes another: runs that are taken over, and records that are new."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple


class Run(NamedTuple):
    """Consecutive records of the new sequence.

    Attributes
    ----------
    copied : bool
        Whether they are taken over; else they are new.
    start, length : int
        Where they stand: in the old sequence where they are copied, else in the new one.
    """

    copied: bool
    start: int
    length: int


def match_runs(old: Sequence[Hashable], new: Sequence[Hashable]) -> list[Run]:
    """Describe `new` by runs of `old`; each old record is taken over once at most, moved ones too.

    Takes time in proportion to the number of records.
    """
    low, high = 0, min(len(old), len(new))
    while low < high and old[low] == new[low]:
        low += 1
    tail = 0
    while tail < high - low and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    places: dict[Hashable, list[int]] = {}
    for place in range(len(old) - tail - 1, low - 1, -1):
        places.setdefault(old[place], []).append(place)
    used = bytearray(len(old))
    runs: list[Run] = []
    _extend(runs, copied=True, start=0, count=low)
    cursor = low
    for at in range(low, len(new) - tail):
        found = _place(places, used, old, new[at], cursor, len(old) - tail)
        if found is None:
            _extend(runs, copied=False, start=at, count=1)
        else:
            used[found] = 1
            cursor = found + 1
            _extend(runs, copied=True, start=found, count=1)
    _extend(runs, copied=True, start=len(old) - tail, count=tail)
    return runs


def left_over(runs: Sequence[Run], length: int) -> list[tuple[int, int]]:
    """Return start and count of the stretches of the old sequence that no run takes over.

    Parameters
    ----------
    length : int
        How many records the old sequence has.
    """
    gaps, at = [], 0
    for start, count in sorted((run.start, run.length) for run in runs if run.copied):
        if start > at:
            gaps.append((at, start - at))
        at = start + count
    if length > at:
        gaps.append((at, length - at))
    return gaps


def inverted(runs: Sequence[Run], length: int) -> list[Run]:
    """Return the runs that lead back: from the new sequence to the old one.

    Parameters
    ----------
    length : int
        How many records the old sequence has.
    """
    pieces: list[tuple[int, Run]] = []
    at = 0
    for run in runs:
        if run.copied:
            pieces.append((run.start, Run(True, at, run.length)))
        at += run.length
    pieces += [(start, Run(False, start, count)) for start, count in left_over(runs, length)]
    back: list[Run] = []
    for _at, run in sorted(pieces):
        _extend(back, copied=run.copied, start=run.start, count=run.length)
    return back


def _place(
    places: dict[Hashable, list[int]],
    used: bytearray,
    old: Sequence[Hashable],
    record: Hashable,
    cursor: int,
    end: int,
) -> int | None:
    """Where an equal old record stands that is not taken yet: the next one, else the first."""
    if cursor < end and not used[cursor] and old[cursor] == record:
        return cursor
    waiting = places.get(record)
    while waiting and used[waiting[-1]]:
        waiting.pop()
    return waiting[-1] if waiting else None


def _extend(runs: list[Run], *, copied: bool, start: int, count: int) -> None:
    if not count:
        return
    if runs and runs[-1].copied is copied and runs[-1].start + runs[-1].length == start:
        runs[-1] = Run(copied, runs[-1].start, runs[-1].length + count)
    else:
        runs.append(Run(copied, start, count))
