"""Runs of records: put together they give the new sequence, and inverted the old one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dsvc.diff.record_runs import Run, inverted, left_over, match_runs

SEQUENCES = st.lists(st.integers(0, 6), max_size=40)


def replay(old: list[int], new: list[int], runs: list[Run]) -> list[int]:
    out: list[int] = []
    for run in runs:
        out += (old if run.copied else new)[run.start : run.start + run.length]
    return out


@given(SEQUENCES, SEQUENCES)
def test_runs_lead_there_and_back(old: list[int], new: list[int]) -> None:
    runs = match_runs(old, new)
    assert replay(old, new, runs) == new
    assert replay(new, old, inverted(runs, len(old))) == old
    taken = [place for run in runs if run.copied for place in range(run.start, run.start + run.length)]
    left = [place for start, count in left_over(runs, len(old)) for place in range(start, start + count)]
    assert sorted(taken + left) == list(range(len(old)))


@given(SEQUENCES, SEQUENCES)
def test_nothing_is_written_that_could_be_copied(old: list[int], new: list[int]) -> None:
    fresh = sum(run.length for run in match_runs(old, new) if not run.copied)
    shared = sum(min(old.count(value), new.count(value)) for value in set(old))
    assert fresh == len(new) - shared


def test_few_changes_are_few_runs() -> None:
    old = list(range(1000))
    new = [-1, *old[1:500], *old[501:], 1000]
    assert match_runs(old, new) == [
        Run(False, 0, 1),
        Run(True, 1, 499),
        Run(True, 501, 499),
        Run(False, 999, 1),
    ]
