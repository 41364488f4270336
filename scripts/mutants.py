"""How many small bugs the tests notice: ``python scripts/mutants.py TESTS… [--sample N] [--module NAME…]``.

Each change of `mutations.py` is made in memory, in a forked child of a process that has the tests
collected. The child runs the tests that reach the changed statement, quick ones first, until one fails.
Which test reaches what is found out by coverage, with each test in a child of its own. What runs in another
process than the test and its forks isn't reached. A child that takes ten times what the tests took, and
twenty seconds more, counts as noticed.

Modules are those that ``make coverage`` looks at: ``[coverage:run] source`` in setup.cfg. Writes
benchmarks/results/mutants.json, or what ``--results`` names; `mutants_page.py` makes the page of it.
"""

from __future__ import annotations

import argparse
import configparser
import contextlib
import importlib
import json
import os
import pkgutil
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NoReturn

import coverage
import pytest

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]
from mutant_patch import Functions, functions, put_in_place  # noqa: E402
from mutations import Mutation, mutations  # noqa: E402

RESULTS: Final = ROOT / "benchmarks" / "results" / "mutants.json"
LONGEST_TEST: Final = 3.0
LONGEST_RUN: Final = 30.0
MEMORY: Final = 8 << 30
KILLED, SURVIVED, LATE = 0, 9, "out of time"


@dataclass(slots=True)
class Test:
    """A collected test: how long it took, and the lines it ran by file."""

    item: pytest.Item
    seconds: float = 0.0
    lines: dict[str, set[int]] = field(default_factory=dict)

    def share(self, path: str) -> float:
        """How much of what it ran is in a file."""
        return len(self.lines[path]) / sum(map(len, self.lines.values()))


def looked_at() -> list[ModuleType]:
    """The modules that ``make coverage`` looks at."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    found = []
    for name in config["coverage:run"]["source"].split():
        module = importlib.import_module(name)
        found.append(module)
        for each in pkgutil.walk_packages(getattr(module, "__path__", ()), f"{name}."):
            found.append(importlib.import_module(each.name))
    return found


def run_tests(tests: Sequence[Test]) -> bool:
    """Whether all of these pass, up to the first that doesn't."""
    from _pytest.runner import runtestprotocol

    for at, test in enumerate(tests):
        following = tests[at + 1].item if at + 1 < len(tests) else None
        reports = runtestprotocol(test.item, log=False, nextitem=following)
        if any(report.failed for report in reports):
            return False
    return True


def forked(work: Any, *arguments: object) -> int:
    """Start a child that does this, quietly and in a group of its own; its exit code is what it returns."""
    pid = os.fork()
    if pid:
        return pid
    status = KILLED
    try:
        os.setsid()
        silent = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(silent, number)
        status = work(*arguments)
    finally:
        os._exit(status)


def ended(pid: int, deadline: float, *, wait: bool) -> int | None:
    """Exit code of a child, once it has ended or its time is over; its descendants end with it."""
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done == 0 and time.monotonic() < deadline:
            if not wait:
                return None
            time.sleep(0.002)
            continue
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        if done == 0:
            os.waitpid(pid, 0)
            return -1
        return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else KILLED


def spent() -> float:
    """Processor time of the children so far, in seconds: other work on the machine changes nothing."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def look(test: Test, files: set[str]) -> None:
    """Run a test in a child under coverage, and note what it ran."""
    with tempfile.TemporaryDirectory(prefix="dsvc-mutants-") as folder:
        data = os.path.join(folder, "data")

        def measured() -> int:
            measuring = coverage.Coverage(
                data_file=data, data_suffix=True, config_file=False, include=[*files]
            )
            measuring.set_option("run:patch", ["_exit"])
            measuring.set_option("run:disable_warnings", ["no-data-collected"])
            measuring.start()
            passed = run_tests([test])
            measuring.stop()
            measuring.save()
            return KILLED if not passed else SURVIVED

        before = spent()
        passed = ended(forked(measured), time.monotonic() + 120, wait=True) == SURVIVED
        test.seconds = spent() - before
        if not passed or test.seconds > LONGEST_TEST:
            return
        both = coverage.CoverageData(basename=os.path.join(folder, "both"))
        for name in os.listdir(folder):
            if name.startswith("data."):
                try:
                    part = coverage.CoverageData(basename=os.path.join(folder, name))
                    part.read()
                    both.update(part)
                except coverage.CoverageException:
                    continue  # of a process that was killed while it wrote
        test.lines = {name: set(both.lines(name) or ()) for name in both.measured_files()}


class Driver:
    """A plugin of pytest that runs mutants where pytest would run the tests."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.modules = looked_at()
        self.tests: list[Test] = []

    def pytest_configure(self) -> None:
        """Have no failing example made smaller."""
        from hypothesis import Phase, settings

        phases = [Phase.explicit, Phase.generate]
        settings.register_profile("mutants", phases=phases, derandomize=True, database=None)
        settings.load_profile("mutants")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Look at all tests, then try the changes of one module after the other."""
        files = {str(module.__file__) for module in self.modules}
        self.tests = [Test(item) for item in session.items]
        for number, test in enumerate(self.tests, 1):
            look(test, files)
            if number % 100 == 0:
                print(f"{number} of {len(self.tests)} tests looked at", flush=True)
        self.tests = sorted((test for test in self.tests if test.lines), key=lambda test: test.seconds)
        known = functions()
        found = {
            module.__name__: self.try_module(module, known)
            for module in self.modules
            if not self.options.module or module.__name__ in self.options.module
        }
        write({name: each for name, each in found.items() if each["mutants"]}, self.options)
        return True

    def try_module(self, module: ModuleType, known: Functions) -> Any:
        """Try a sample of the changes of a module, as many at a time as there are jobs."""
        path = str(module.__file__)
        every = list(enumerate(mutations(Path(path).read_text(encoding="utf-8"))))
        generator = random.Random(f"{self.options.seed} {module.__name__}")
        waiting = sorted(generator.sample(every, min(self.options.sample or len(every), len(every))))
        found: dict[str, Any] = {
            "mutants": len(every),
            "tried": len(waiting),
            "killed": 0,
            LATE: 0,
            "survivors": [],
        }
        running: dict[int, tuple[float, Mutation, int]] = {}
        while waiting or running:
            while waiting and len(running) < self.options.jobs:
                number, change = waiting.pop(0)
                tests = self.reaching(path, change)
                if not tests:
                    found["survivors"].append(told(module, change, 0))
                    continue
                limit = time.monotonic() + 20 + 10 * sum(test.seconds for test in tests)
                running[forked(child, module, number, known, tests)] = limit, change, len(tests)
            for pid, (deadline, change, count) in list(running.items()):
                code = ended(pid, deadline, wait=False)
                if code is None:
                    continue
                del running[pid]
                if code == SURVIVED:
                    found["survivors"].append(told(module, change, count))
                else:
                    found["killed"] += 1
                    found[LATE] += code == -1
            time.sleep(0.002)
        found["survivors"].sort(key=lambda each: (each["line"], each["change"]))
        print(f"{module.__name__}: {found['killed']} of {found['tried']} ({len(every)})", flush=True)
        return found

    def reaching(self, path: str, change: Mutation) -> list[Test]:
        """The tests that run the changed statement, quick ones first, up to a sum of time.

        Half of the time is for those that are about the module: most of what they run is in it.
        """
        lines = change.lines
        found = [
            test
            for test in self.tests
            if test.lines.get(path) and (change.holder is not None or not test.lines[path].isdisjoint(lines))
        ]
        chosen: dict[int, Test] = {}
        total = 0.0
        for limit, tests in (
            (LONGEST_RUN / 2, sorted(found, key=lambda test: test.share(path), reverse=True)),
            (LONGEST_RUN, found),
        ):
            for test in tests:
                if id(test) not in chosen and total + test.seconds <= limit:
                    chosen[id(test)] = test
                    total += test.seconds
        return sorted(chosen.values(), key=lambda test: test.seconds)


def child(
    module: ModuleType,
    number: int,
    known: Functions,
    tests: Sequence[Test],
) -> int:
    """What a child does: the change, then the tests; anything but their success is the change noticed."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    put_in_place(module, number, known)
    return SURVIVED if run_tests(tests) else KILLED


def told(module: ModuleType, change: Mutation, tests: int) -> dict[str, Any]:
    """A survivor, as it's written down: with its line in words, since numbers move."""
    path = Path(str(module.__file__))
    text = path.read_text(encoding="utf-8").splitlines()[change.line - 1].strip()
    return {"line": change.line, "text": text, "change": change.change, "tests": tests}


def write(found: dict[str, Any], options: argparse.Namespace) -> None:
    """Write the figures; those of modules that weren't asked for stay."""
    results: Path = options.results
    kept = json.loads(results.read_text(encoding="utf-8")) if options.module and results.exists() else {}
    modules = {**kept.get("modules", {}), **found}
    data = {"seed": options.seed, "sample": options.sample, "modules": dict(sorted(modules.items()))}
    results.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> NoReturn:
    """Collect the tests, and let the driver take over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tests", nargs="+")
    parser.add_argument("--sample", type=int, default=0, help="changes of each module; 0: all")
    parser.add_argument("--module", action="append", default=[], help="only these")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--results", type=Path, default=RESULTS, help="written here")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    wanted = ["-q", "-p", "no:cacheprovider", "--timeout", "0", "-m", "not soak", *options.tests]
    sys.exit(pytest.main(wanted, plugins=[Driver(options)]))


if __name__ == "__main__":
    main()
