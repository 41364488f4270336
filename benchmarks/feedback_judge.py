"""The figures that feedback and repair must reach."""

from collections.abc import Iterator

from benchmarks.feedback_repair_judge import judge_proof, judge_repair
from benchmarks.feedback_trials import PLANTED_TRIALS
from benchmarks.results import SpecialResult
from benchmarks.verdict import TOLERANCE, Verdict, at_most, missing, seconds

LEAST_NAMED = 0.95
MOST_WRONG = 0.02


def judge_feedback(result: SpecialResult | None) -> list[Verdict]:
    """Every figure of feedback and repair."""
    return [*_causes(result), *judge_repair(result), *judge_proof(result)]


def _causes(result: SpecialResult | None) -> Iterator[Verdict]:
    ranking = None if result is None else result.value("causes ranking")
    figure = "cause ranking, 1,000,000 rows, 10,000 flagged, 200 candidates"
    yield at_most(figure, ranking, 3.0, seconds, tolerance=TOLERANCE)
    for name in PLANTED_TRIALS:
        figure, bound = f"cause {name}: the right one is named", "at least 95 of 100 trials"
        trials = None if result is None else result.value("causes trials")
        named = None if result is None else result.value(f"causes named: {name}")
        if trials is None or named is None:
            yield missing(figure, bound)
            continue
        measured = f"{named:.0f} of {trials:.0f}"
        yield Verdict(figure=figure, bound=bound, measured=measured, met=named >= LEAST_NAMED * trials)
    yield _none(result)
    few = None if result is None else result.value("causes too few: 12 of 200")
    figure, bound = "12 flagged of 200 rows", "are said to be too few"
    yield (
        missing(figure, bound)
        if few is None
        else Verdict(figure=figure, bound=bound, measured="said" if few else "not said", met=bool(few))
    )


def _none(result: SpecialResult | None) -> Verdict:
    figure = "no cause planted, 20,000 rows, level 0.01: one is named"
    bound = "at most 20 of 1,000 trials"
    trials = None if result is None else result.value("causes trials, none planted")
    named = None if result is None else result.value("causes named: none planted")
    if trials is None or named is None:
        return missing(figure, bound)
    measured = f"{named:.0f} of {trials:,.0f}"
    return Verdict(figure=figure, bound=bound, measured=measured, met=named <= MOST_WRONG * trials)
