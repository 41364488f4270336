"""The figures that provenance must reach."""

from collections.abc import Iterable

from benchmarks.results import SpecialResult
from benchmarks.verdict import TOLERANCE, Verdict, at_most, count, missing, seconds

BYTES = {"filter": ("a filter of 2 M rows, each row", 1, 2.0), "join": ("a shuffled join, each link", 2, 4.0)}
PHASES = (("run", "run"), ("rerun", "run again"), ("refresh", "brought up to date with an input"))


def _value(result: SpecialResult | None, *names: str) -> float | None:
    """Sum of readings, None where one of them is missing."""
    found = [result.value(name) if result else None for name in names]
    known = [value for value in found if value is not None]
    return sum(known) if len(known) == len(found) else None


def _less(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _bytes(value: float) -> str:
    return f"{value:.2f} bytes"


def _recording(result: SpecialResult | None) -> Iterable[Verdict]:
    added = _value(result, "filter_added")
    figure = "run, a filter of 2 M rows by key: added beyond what add of the output costs"
    yield at_most(figure, added, 2.5, seconds, tolerance=TOLERANCE)
    after = _less(_value(result, "filter_add_after"), _value(result, "filter_add_again"))
    figure = "add after that run, beyond add with nothing to do"
    yield at_most(figure, after, 0.1, seconds, tolerance=TOLERANCE)
    for case, (what, links, limit) in BYTES.items():
        stored, rows = _value(result, f"{case}_stored"), _value(result, f"{case}_rows")
        each = None if stored is None or not rows else stored / (rows * links)
        yield at_most(f"run: bytes stored beyond those of add, {what}", each, limit, _bytes)


def overhead(result: SpecialResult | None, tool: str, *phases: str) -> float | None:
    """Seconds that a tool adds to the bare pipeline; a commit is nothing that is in the bare one."""
    own = _value(result, *(f"pipeline_{tool}_{phase}" for phase in phases))
    return _less(own, _value(result, f"pipeline_bare_{phases[0]}"))


def _peers(result: SpecialResult | None) -> Iterable[Verdict]:
    cases = [(peer, "dsvc", (phase,), what) for phase, what in PHASES for peer in ("datalad", "dvc")]
    cases.append(("dvc", "dsvc", ("run", "commit"), "run and committed"))
    cases.append(("datalad", "dsvc-each", ("run", "commit"), "run, each step committed"))
    for peer, tool, phases, what in cases:
        figure, bound = f"three-step pipeline, {what}: recording overhead", f"less than {peer}'s"
        own, other = overhead(result, tool, *phases), overhead(result, peer, *phases)
        if own is None or other is None:
            yield missing(figure, bound)
        else:
            measured = f"{seconds(own)}; {peer} {seconds(other)}"
            yield Verdict(figure=figure, bound=bound, measured=measured, met=own < other)


def _questions(result: SpecialResult | None) -> Iterable[Verdict]:
    for name, what in (("again", "whole process"), ("call", "call")):
        figure = f"trace of one row through 10 runs and 100 commits, {what}"
        yield at_most(figure, _value(result, f"trace_{name}"), 0.3, seconds, tolerance=TOLERANCE)
    for name, what in (("first", "whole process, no cache"), ("again", "whole process"), ("call", "call")):
        figure = f"impact of a source, 1,000 artifacts and 10 M rows, counts, {what}"
        yield at_most(figure, _value(result, f"impact_{name}"), 1.0, seconds, tolerance=TOLERANCE)
    for name in ("missed", "extra"):
        figure = f"rows to forget of 1,000 subjects, against plain Python: {name}"
        yield at_most(figure, _value(result, f"forget_{name}"), 0, count)


def judge_provenance(result: SpecialResult | None) -> list[Verdict]:
    """Every figure of provenance."""
    return [*_recording(result), *_peers(result), *_questions(result)]
