"""The demo runs, on the data it was written for."""

from __future__ import annotations

import importlib.util
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.resident import resident

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "demo.py"

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("vega_datasets") is None,
    reason="the demo's data are not installed (make demo installs them)",
)


def test_it_corrects_what_its_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(SCRIPT.parent)
    demo = runpy.run_path(str(SCRIPT))
    before, after = tmp_path / "before", tmp_path / "after"
    for folder in (before, after):
        folder.mkdir()
        for name in demo["FILES"]:
            shutil.copyfile(demo["data_folder"]() / name, folder / name)
    demo["edit_by_hand"](after)

    def changed_lines(name: str) -> int:
        old, new = ((folder / name).read_bytes().split(b"\n") for folder in (before, after))
        return sum(a != b for a, b in zip(old, new, strict=True))

    assert changed_lines("cars.json") == 5
    assert changed_lines("airports.csv") == 8
    assert (after / "vix-2009.json").read_bytes() == (before / "ohlc.json").read_bytes()
    old, new = demo["digests"](before), demo["digests"](after)
    assert new.keys() - old.keys() == {"vix-2009.json", "说明.txt"}
    assert old.keys() - new.keys() == {"ohlc.json", "anscombe.json"}


@pytest.mark.parametrize("started", [False, pytest.param(True, marks=pytest.mark.soak)])
def test_it_runs_to_its_end(tmp_path: Path, started: bool) -> None:
    # Most of the time goes into starting the program a hundred times; `make demo` does that.
    program = [] if started else ["--program", f"{resident().folder}/dsvc"]
    # Without any settings of the person who runs the tests.
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, SCRIPT, *program],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Version 1 came back byte for byte: 16 files" in done.stdout
    assert "airports.csv has what both did: 3,378 rows, each once" in done.stdout
    assert "The trace is complete" in done.stdout
    assert "It has both sources" in done.stdout
    assert "row 2251: left out by run" in done.stdout
    assert "The hook names the rule that the source breaks" in done.stdout
    assert "The clause is named" in done.stdout
    assert "Nobody waives what is their own" in done.stdout
    assert "It passes, and the waiver is printed with its reason" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
