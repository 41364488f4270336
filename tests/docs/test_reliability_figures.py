"""What docs/reliability.md says was measured is what the stored readings come to."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from benchmarks.reliability_judge import figures, judge_reliability
from benchmarks.results import RESULTS, Reading, SpecialResult, load_special

FIGURES = Path(__file__).resolve().parent.parent / "matrix" / "figures.toml"
# R16 is of the results of `make mutants`, R24 is counted by tests too.
ELSEWHERE = {"R16"}


def _stored() -> SpecialResult:
    result = load_special(RESULTS, "reliability")
    if result is None:
        pytest.skip("nothing is stored: python -m benchmarks reliability")
    return result


def test_stored_figures_are_those_of_the_readings() -> None:
    result = _stored()
    found, stored = figures(result), result.figures
    assert {name: found[name] for name in found if name not in ELSEWHERE} == {
        name: stored[name] for name in stored if name not in ELSEWHERE
    }


def test_every_figure_that_is_measured_has_a_text() -> None:
    wanted = {name for name, each in tomllib.loads(FIGURES.read_text()).items() if each.get("measured")}
    assert wanted - ELSEWHERE <= set(_stored().figures)


def _result(**values: float) -> SpecialResult:
    result = SpecialResult.nothing("reliability")
    result.readings = [Reading(name=name, value=value, unit="s") for name, value in values.items()]
    return result


def test_a_slow_command_after_a_crash_is_a_miss_and_a_fast_one_is_not() -> None:
    names = ("crash add status", "crash gc again")
    for after, text in ((1.4, "0.400 s"), (0.5, "0.000 s"), (2.5, "1.50 s")):
        values = {f"{name} usual wall": 1.0 for name in names} | {f"{name} wall": 1.0 for name in names}
        result = _result(**{**values, "crash gc again wall": after, "million add without caches wall": 30.0})
        assert figures(result)["R19"]["test"] == f"{text}; 30.0 s: {'**missed**' if after > 2 else 'met'}"


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    assert {verdict.met for verdict in judge_reliability(None)} == {None}
    assert figures(SpecialResult.nothing("reliability"))["R20"]["test"] == "not measured; not measured"
