"""What porcelain tests share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.officekit import OFFICER, OTHER, Office, roles
from tests.porcelain.people import make_people
from tests.porcelain.working import Work


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "数据")


@pytest.fixture(scope="session")
def made_people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people") / "数据"
    make_people(folder)
    return folder


@pytest.fixture
def peopled(tmp_path: Path, made_people: Path) -> Work:
    """A copy of a repository with a person in several tables and versions."""
    shutil.copytree(made_people, tmp_path / "数据")
    return Work(tmp_path / "数据")


@pytest.fixture
def office(work: Work, tmp_path: Path) -> Office:
    made = Office(work, tmp_path)
    made.save(OTHER, toml=roles(OFFICER))
    made.save(a=b"id\n1\n", b=b"id\n2\n")
    return made
