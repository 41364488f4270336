"""What porcelain tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.porcelain.working import Work


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "数据")
