"""What the tests beside git share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hookkit import POLICY, Place


@pytest.fixture
def place(fast_path: Path) -> Place:
    """A git repository with dsvc at its top and the policy ``default``; nothing is committed."""
    made = Place(fast_path / "data", fast_path)
    made.git("init", "-q", "-b", "main")
    made.dsvc("init", "-q")
    made.write({"dsvc.toml": POLICY})
    return made
