"""The figures that repairs and their proof must reach."""

from collections.abc import Iterator

from benchmarks.results import SpecialResult
from benchmarks.verdict import TOLERANCE, Verdict, at_most, count, missing, seconds

TIMES = 10
STEPS = ("clean", "label", "format")
AGAIN = (
    ("rerun", "recorded (`dsvc rerun --stale` and commit)"),
    ("bare", "by the scripts alone, nothing recorded"),
)
PEERS = (("dvc", "`dvc repro`"), ("datalad", "`datalad rerun`"))


def judge_repair(result: SpecialResult | None) -> Iterator[Verdict]:
    """Every figure of repairs."""
    what = "repair of 1,000 of 1,000,000 rows"

    def value(name: str) -> float | None:
        return None if result is None else result.value(name)

    rows = [value(f"repair rows recomputed: {name}") for name in STEPS]
    most = None if None in rows else max(each for each in rows if each is not None)
    yield at_most(f"{what}: rows that each of three row-wise runs computes", most, 1_000, count)
    taken = value("repair apply")
    for name, how in AGAIN:
        figure, bound = f"{what}, beside doing all again, {how}", f"at least {TIMES} times faster"
        other = value(f"repair {name}")
        if taken is None or other is None:
            yield missing(figure, bound)
        else:
            measured = f"{other / taken:.1f} times: {seconds(taken)} and {seconds(other)}"
            yield Verdict(figure=figure, bound=bound, measured=measured, met=other >= TIMES * taken)
    compared, same = value("repair tables compared"), value("repair tables same: apply, rows")
    figure, bound = f"{what}: what comes out", "the same, row for row"
    if compared is None or same is None:
        yield missing(figure, bound)
    else:
        measured = f"{same:.0f} of {compared:.0f} tables"
        yield Verdict(figure=figure, bound=bound, measured=measured, met=same == compared)
    yield from _peers(result, what)


def _peers(result: SpecialResult | None, what: str) -> Iterator[Verdict]:
    """Each peer beside ours; nothing is asked but that it is there."""
    for name, shown in PEERS:
        figure, bound = f"{what}, beside {shown}", "time and rows computed beside ours"
        tools = ("apply", name)
        names = [f"repair {tool}" for tool in tools] + [f"repair rows recomputed: {tool}" for tool in tools]
        found = [None if result is None else result.value(each) for each in names]
        known = [each for each in found if each is not None]
        if len(known) < len(found):
            yield missing(figure, bound)
            continue
        ours, theirs, our_rows, their_rows = known
        measured = f"{seconds(theirs)}, {their_rows:,.0f} rows; dsvc {seconds(ours)}, {our_rows:,.0f}"
        yield Verdict(figure=figure, bound=bound, measured=measured, met=True)


def judge_proof(result: SpecialResult | None) -> Iterator[Verdict]:
    """Every figure of the proof."""
    for name, how in (("within apply", "within `repair apply`"), ("call", "the call alone")):
        taken = None if result is None else result.value(f"proof {name}")
        figure = f"proof of a repair, five tables of 1,000,000 rows, {how}"
        yield at_most(figure, taken, 2.0, seconds, tolerance=TOLERANCE)
