"""Test folders in memory, and the sum of the faults that were tried."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dsvc.testing.faults import tally

_KINDS = ("kill points", "disk errors", "cuts", "flips", "hostile cases")
_MEMORY = "/dev/shm"
# Containers often have 64 MiB of it.
_ENOUGH = 1 << 30
_total: Counter[str] = Counter()


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


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker process sends what it tried to the process that reports."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["dsvc_tally"] = dict(tally)
    else:
        _total.update(tally)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Take what a worker process tried."""
    _total.update(getattr(node, "workeroutput", {}).get("dsvc_tally", {}))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how many faults were tried, and how many broke a promise."""
    if not _total:
        return
    parts = [f"{_total[kind]:,} {kind}" for kind in _KINDS]
    parts += [f"{count:,} {kind}" for kind, count in sorted(_total.items()) if kind not in (*_KINDS, "lost")]
    terminalreporter.write_line(f"{', '.join(parts)} tried; lost: {_total['lost']}")
