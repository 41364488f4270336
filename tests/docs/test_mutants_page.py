"""docs/mutants.md says what was measured, and each reason for a survivor belongs to one."""

from __future__ import annotations

import importlib.util
import json
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mutants_page", ROOT / "scripts" / "mutants_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_made_of_the_results(script: ModuleType) -> None:
    assert script.PAGE.read_text(encoding="utf-8") == script.page(), "run scripts/mutants_page.py"


def test_reasons_are_for_survivors(script: ModuleType) -> None:
    modules = json.loads(script.RESULTS.read_text(encoding="utf-8"))["modules"]
    known = tomllib.loads(script.EQUIVALENT.read_text(encoding="utf-8")).get("equivalent", [])
    survivors = {
        (name, one["text"], one["change"]) for name, each in modules.items() for one in each["survivors"]
    }
    assert {(each["module"], each["text"], each["change"]) for each in known} <= survivors
    assert all(each["why"] for each in known)


@pytest.mark.parametrize(
    ("killed", "tried", "low", "high"),
    [(85, 100, 0.7672, 0.9069), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0)],
)
def test_intervals_are_those_of_the_books(
    script: ModuleType, killed: int, tried: int, low: float, high: float
) -> None:
    assert script.interval(killed, tried) == (pytest.approx(low, abs=5e-4), pytest.approx(high, abs=5e-4))
