"""A small history to test with."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.historykit import Killed, Repo, run_in_child


@pytest.fixture
def repo(fast_path: Path) -> Repo:
    return Repo(fast_path)


@pytest.fixture
def killed() -> Killed:
    """Run an action in a forked child under a plan; whether it was killed (it must not fail)."""
    return run_in_child
