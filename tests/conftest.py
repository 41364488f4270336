"""Test folders in memory, and the sum of the faults that were tried, row by row of the fault matrix."""

from __future__ import annotations

import datetime
import os
import platform
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from dsvc.testing.faults import tally
from tests.matrix.row_tests import RowResults, rows_of

_MEMORY = "/dev/shm"
# Containers often have 64 MiB of it.
_ENOUGH = 1 << 30
_PROPERTY = "tried"
_results = RowResults()
_started = time.monotonic()

# No test measures time: on a machine that has much to do, an example may take any.
hypothesis.settings.register_profile("dsvc", parent=hypothesis.settings(), deadline=None)
hypothesis.settings.load_profile("dsvc")


@pytest.fixture
def fast_path(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory, where there is enough of such a thing: fault loops flush a thousand times."""
    if not os.access(_MEMORY, os.W_OK) or shutil.disk_usage(_MEMORY).free < _ENOUGH:
        yield tmp_path
        return
    folder = tempfile.mkdtemp(prefix="dsvc-test-", dir=_MEMORY)
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the targets that make docs/reliability.md."""
    parser.addoption(
        "--rows-only", action="store_true", help="run only the tests of rows of the fault matrix"
    )
    parser.addoption("--rows-results", metavar="FILE", help="write what each row came to into FILE")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what stands for no row, if only rows are wanted."""
    if config.getoption("--rows-only"):
        others = [item for item in items if not rows_of(item.name)]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if rows_of(item.name)]


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Leave this process as tests expect it: ``dsvc -C`` leads into folders that are removed."""
    os.chdir(item.config.rootpath)
    # A process with threads is not forked, and some tests fork; bars of progress start one.
    for thread in threading.enumerate():
        if type(thread).__module__ == "tqdm._monitor":
            thread.exit()  # type: ignore[attr-defined]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Note what the test counted; its report takes that to the process that adds up."""
    before = Counter(tally)
    yield
    item.user_properties.append((_PROPERTY, dict(tally - before)))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Take what a test came to, in the process that reports."""
    name = report.nodeid.partition("[")[0].rpartition("::")[2]
    tried = dict(report.user_properties).get(_PROPERTY, {})
    if report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        _results.skipped(name, reason.removeprefix("Skipped: "))
    elif report.failed:
        _results.failed(name, tried)
    elif report.when == "call":
        _results.passed(name, tried)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say how many faults were tried, and how many broke a promise."""
    if not _results.total:
        return
    terminalreporter.write_line(_results.summary())
    terminalreporter.write_line(_results.counts())
    if file := config.getoption("--rows-results"):
        about = {
            "day": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.release()}, Python "
            f"{platform.python_version()}",
            "seconds": round(time.monotonic() - _started),
        }
        _results.write(Path(file), "soak" if config.getoption("-m") == "soak" else "test", about)
