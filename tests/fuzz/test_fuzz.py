"""Every parser, fuzzed: only typed errors escape, in bounded time and memory (figure R14).

What is accepted is read again as it is written; see the targets. `make soak` gives each target
``DSVC_FUZZ_SECONDS`` (20), `make test` a number of inputs.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsvc.testing.faults import BrokenPromiseError, tried
from tests.fuzz.driving import Trial, watch_the_processor
from tests.fuzz.mutating import mutants
from tests.fuzz.registry import GROUPS, found_inputs, targets

ROOT = Path(__file__).resolve().parents[2]
NIGHT_SECONDS = int(os.environ.get("DSVC_FUZZ_SECONDS", "20"))
_SEED = 7


@pytest.fixture
def watched() -> Iterator[None]:
    """The handler of inputs that take too long."""
    before = signal.getsignal(signal.SIGPROF)
    watch_the_processor()
    yield
    signal.signal(signal.SIGPROF, before)


@pytest.mark.usefixtures("watched")
@pytest.mark.parametrize("group", GROUPS)
def test_h15_h16_inputs_of_parsers_with_values_exchanged(group: str, tmp_path: Path) -> None:
    """What dsvc writes is accepted; that with values exchanged, or what was found once, may be refused."""
    for each in targets([group]):
        folder = tmp_path / each.name
        folder.mkdir()
        trial = Trial(each, folder)
        seeds = each.seeds()
        for number, data in enumerate(seeds):
            trial(data)
            assert trial.accepted == number + 1 or trial.findings(), f"{each.name} refuses seed {number}"
        others = [other for data in seeds for other in mutants(each.form, data, 10, _SEED)]
        for data in [*found_inputs(each.name), *others, b""]:
            trial(data)
        tried("hostile cases", len(others) + 1)
        if findings := trial.findings():
            raise BrokenPromiseError(f"{each.name}: {findings}")


@pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris is not installed: no fuzzing"
)
@pytest.mark.parametrize(
    ("group", "seconds"),
    [
        *(pytest.param(group, 0, id=group) for group in GROUPS),
        *(
            pytest.param(group, NIGHT_SECONDS, id=f"{group}-night", marks=pytest.mark.soak)
            for group in GROUPS
        ),
    ],
)
def test_h15_h16_fuzzed_parsers(group: str, seconds: int, tmp_path: Path) -> None:
    """In a child with libFuzzer; `seconds` 0: as many inputs for each target as it says."""
    seed = random.SystemRandom().randrange(1, 1 << 31) if seconds else _SEED
    print(f"seed {seed}")
    words = ["--seconds", str(seconds), *([] if seconds else ["--usual-runs"]), "--seed", str(seed)]
    words += ["--keep", str(tmp_path / "found"), "--json", str(tmp_path / "results.json")]
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", group, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    assert (tmp_path / "results.json").exists(), done.stderr[-3000:]
    for name, runs, accepted, findings in json.loads((tmp_path / "results.json").read_text("utf-8")):
        tried("fuzz runs", runs)
        if findings:
            raise BrokenPromiseError(f"{name}: {findings}; python -m tests.fuzz {name} --seed {seed}")
        assert accepted, f"{name} accepted nothing of {runs} inputs"
