"""The figures that policy must reach."""

from collections.abc import Iterable

from benchmarks.results import SpecialResult
from benchmarks.verdict import TOLERANCE, Verdict, at_most, seconds

RATES = {"plain": "as they are", "escaped": "all that is not ASCII as \\uXXXX"}
LEAST_RATE = 40.0


def _checks(result: SpecialResult | None) -> Iterable[Verdict]:
    what = "100,000 files, 500 runs, 100 sources"
    for name, text, limit in (
        ("check", f"check of {what}", 2.0),
        ("check_hook", f"check as a commit hook on a small change, {what}", 0.5),
    ):
        for kind, how in (("wall", "whole process"), ("cpu", "processor time")):
            value = None if result is None else result.value(f"{name}_{kind}")
            yield at_most(f"{text}, {how}", value, limit, seconds, tolerance=TOLERANCE)


def _scans(result: SpecialResult | None) -> Iterable[Verdict]:
    for name, text in RATES.items():
        rate = None if result is None else result.value(f"scan_{name}_mb_each_second")
        figure = f"scan of JSONL for personal data and secrets, one core, characters {text}"
        yield Verdict(
            figure=figure,
            bound=f"at least {LEAST_RATE:.0f} MB/s",
            measured="not measured" if rate is None else f"{rate:.1f} MB/s",
            met=None if rate is None else rate >= LEAST_RATE,
        )


def judge_policy(result: SpecialResult | None) -> list[Verdict]:
    """Every figure of policy."""
    fold = None if result is None else result.value("fold")
    figure = "licence fold over 10,000 artifacts with 200 sources"
    asked = None if result is None else result.value("fold files with descents and questions")
    return [
        *_checks(result),
        *_scans(result),
        at_most(figure, fold, 1.0, seconds, tolerance=TOLERANCE),
        at_most(f"{figure}, with descents and questions", asked, 1.0, seconds, tolerance=TOLERANCE),
    ]
