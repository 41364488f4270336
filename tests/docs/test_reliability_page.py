"""docs/reliability.md names the tests that there are; every row has one, or says why not."""

from __future__ import annotations

import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.matrix.row_tests import RowResults, rows_of

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "reliability.py"
ROWS = tomllib.loads((ROOT / "tests" / "matrix" / "rows.toml").read_text(encoding="utf-8"))


def test_page_is_up_to_date() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_rows_are_those_of_the_matrix() -> None:
    assert list(ROWS) == [f"F{n}" for n in range(1, 45)] + [f"H{n}" for n in range(1, 63)]


def test_every_row_has_a_test_or_a_reason() -> None:
    tests = runpy.run_path(str(SCRIPT))["tests_by_row"]()
    assert not tests.keys() - ROWS.keys()
    applicable = {row for row, text in ROWS.items() if "later" not in text}
    assert not applicable - tests.keys()
    # At night alone is not enough.
    assert not {row for row in applicable if all(test.soak for test in tests[row])}


def test_a_name_says_its_rows() -> None:
    assert rows_of("test_f7_a_full_disk[x]") == ("F7",)
    assert rows_of("test_h41_h43_no_mutant") == ("H41", "H43")
    assert rows_of("test_h264_is_no_row") == ()
    assert rows_of("test_files") == ()


def test_what_was_tried_is_added_up() -> None:
    results = RowResults()
    results.passed("test_f7_full", {"disk errors": 3})
    results.passed("test_f7_h1_again", {})
    results.passed("test_something", {"flips": 2})
    results.skipped("test_f9_inodes", "needs root")
    assert results.summary() == "3 disk errors, 2 flips, 1 faults tried; lost: 0"
    assert results.counts() == (
        "2 rows of the fault matrix tried, 1 of their tests skipped; not tried here: F9"
    )
    results.failed("test_f7_full", {})
    assert results.summary().endswith("lost: 1")
