"""Seeded trials with planted causes, smaller than those of `benchmarks/feedback_causes.py`."""

from __future__ import annotations

import pytest

from benchmarks.feedback_trials import PLANTED_TRIALS, none, small_trial

ROWS = 3_000
SEEDS = range(20)


@pytest.mark.parametrize("name", PLANTED_TRIALS)
def test_what_was_planted_is_named(name: str) -> None:
    outcomes = [PLANTED_TRIALS[name](seed, ROWS).named() for seed in SEEDS]
    assert sum(named for named, _ in outcomes) >= 19
    # And hardly ever anything besides.
    assert sum(alone for _, alone in outcomes) >= 18


def test_where_nothing_was_planted_nothing_is_named() -> None:
    assert sum(not none(seed, ROWS).named()[1] for seed in SEEDS) <= 1


def test_twelve_flagged_of_two_hundred_are_too_few() -> None:
    ranking = small_trial().ranking()
    assert "12 flagged of 200 evaluated rows are too few" in (ranking.too_few or "")
    assert not any(each.is_cause for each in ranking.causes)
