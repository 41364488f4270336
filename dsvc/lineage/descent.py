"""Which sources each file of a closure descends from, all of them in one pass, and where that isn't known."""

from __future__ import annotations

from typing import NamedTuple

from dsvc.lineage.closure import Closure, Step
from dsvc.lineage.graph import ArtifactNode

_GAP = 1


class Descent(NamedTuple):
    """What a file descends from.

    Attributes
    ----------
    sources : tuple of str
        By id.
    whole : bool
        Whether every way back ends in one of these.
    """

    sources: tuple[str, ...] = ()
    whole: bool = False


def descent_of(closure: Closure) -> dict[ArtifactNode, Descent]:
    """Say of every file of a closure which sources it descends from."""
    names = sorted(closure.reached)
    # A set of sources is a number with a bit for each: uniting two is one operation.
    bits = {name: _GAP << place for place, name in enumerate(names, 1)}
    found = _own(closure, bits)
    settled = set(closure.order)
    order = [step for step in closure.order if closure.parents[step]]
    order += [step for step in closure.parents if step not in settled]
    changed = True
    # Once more until nothing changes, for what comes from itself by a detour: a table sorted up and down.
    while changed:
        changed = False
        for step in order:
            united = found[step]
            # Of thousands of files that a run read most come from the same sources.
            for number in {found.get(parent, 0) for parent in closure.parents[step]}:
                united |= number
            changed = changed or (closure.tangled and united != found[step])
            found[step] = united
    known: dict[int, Descent] = {}
    result = {}
    for node in closure.artifacts:
        number = found[node]
        if number not in known:
            sources = tuple(name for name, bit in bits.items() if number & bit)
            known[number] = Descent(sources, bool(sources) and not number & _GAP)
        result[node] = known[number]
    return result


def _own(closure: Closure, bits: dict[str, int]) -> dict[Step, int]:
    """What each file has of itself: the sources that speak for it, and whether its own way back ends."""
    found: dict[Step, int] = dict.fromkeys(closure.runs, 0)
    numbers: dict[tuple[str, ...], int] = {}
    for node, origin in closure.artifacts.items():
        names = closure.sources_of(node)
        number = numbers.get(names)
        if number is None:
            number = numbers[names] = sum(bits[name] for name in set(names))
        if origin.lack is not None or (
            origin.runs and not number and any(not closure.parents.get(run) for run in origin.runs)
        ):
            # Made of nothing, or of something that nobody knows.
            number |= _GAP
        found[node] = number
    return found
