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
    names = sorted({name for node in closure.artifacts for name in closure.sources_of(node)})
    # A set of sources is a number with a bit for each: uniting two is one operation.
    bits = {name: _GAP << place for place, name in enumerate(names, 1)}
    found = {step: _own(closure, step, bits) for step in closure.parents}
    settled = set(closure.order)
    order = [*closure.order, *(step for step in closure.parents if step not in settled)]
    changed = True
    # Once more until nothing changes, for what comes from itself by a detour: a table sorted up and down.
    while changed:
        changed = False
        for step in order:
            united = found[step]
            for parent in closure.parents[step]:
                united |= found.get(parent, 0)
            changed = changed or united != found[step]
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


def _own(closure: Closure, step: Step, bits: dict[str, int]) -> int:
    """What a file has of itself: the sources that speak for it, and whether its own way back ends."""
    if not isinstance(step, ArtifactNode):
        return 0
    number = 0
    for name in closure.sources_of(step):
        number |= bits[name]
    origin = closure.artifacts[step]
    made_of_nothing = any(not closure.parents.get(run) for run in origin.runs)
    if origin.lack is not None or (made_of_nothing and not number):
        number |= _GAP
    return number
