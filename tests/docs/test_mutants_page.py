"""docs/mutants.md says what was measured; each reason why no test could notice a mutant belongs to one."""

from __future__ import annotations

import importlib.util
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load("mutants_page")


def test_the_page_is_made_of_the_results(script: ModuleType) -> None:
    assert script.PAGE.read_text(encoding="utf-8") == script.page(), "run scripts/mutants_page.py"


def test_reasons_are_for_mutants_that_are_tried(script: ModuleType) -> None:
    known = tomllib.loads(script.EQUIVALENT.read_text(encoding="utf-8")).get("equivalent", [])
    assert all(each["why"] for each in known)
    of_module: dict[str, list[dict[str, str]]] = {}
    for each in known:
        of_module.setdefault(each["module"], []).append(each)
    tried = load("mutations").mutations
    for name, reasons in of_module.items():
        source = ROOT.joinpath(*name.split(".")).with_suffix(".py").read_text(encoding="utf-8")
        lines = source.splitlines()
        found = {(lines[one.line - 1].strip(), one.change) for one in tried(source)}
        assert {(each["text"], each["change"]) for each in reasons} <= found, name


@pytest.mark.parametrize(
    ("killed", "tried", "low", "high"),
    [(85, 100, 0.7672, 0.9069), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0)],
)
def test_intervals_are_those_of_the_books(
    script: ModuleType, killed: int, tried: int, low: float, high: float
) -> None:
    assert script.interval(killed, tried) == (pytest.approx(low, abs=5e-4), pytest.approx(high, abs=5e-4))
