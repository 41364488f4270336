"""The hook in the real pre-commit framework."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.hookkit import ROOT, Place

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def test_the_pre_commit_framework_runs_it(place: Place) -> None:
    config = """
repos:
- repo: local
  hooks:
  - {id: dsvc-check, name: dsvc, entry: dsvc hook run pre-commit, language: system,
     pass_filenames: false, always_run: true, stages: [pre-commit]}
  - {id: dsvc-push, name: dsvc push, entry: dsvc hook run pre-push, language: system,
     pass_filenames: false, always_run: true, stages: [pre-push]}
"""
    place.write({".pre-commit-config.yaml": config, "raw.csv": "id,v\n1,a\n"})
    place.run("pre-commit", "install", "-t", "pre-commit", "-t", "pre-push")
    place.git("add", "-A")
    said = place.git("commit", "-m", "one", code=1)
    assert "raw.csv has no source" in said
    assert "exit code: 22" in said
    place.git("commit", "-q", "--no-verify", "-m", "one")
    place.dsvc("add", "-q", "raw.csv", "dsvc.toml")
    place.dsvc("commit", "-q", "--no-verify", "-m", "one")
    assert "raw.csv has no source" in place.dsvc("check", code=1)
    place.git("init", "-q", "--bare", "../remote.git")
    assert "raw.csv has no source" in place.git("push", "../remote.git", "main", code=1)
    # The framework puts aside what is only in the folder; git commits what is in its index.
    place.cover("raw.csv")
    place.git("rm", "-q", "--cached", "raw.csv")
    place.git("commit", "-q", "--no-verify", "-m", "two")
    place.git("add", "raw.csv")
    place.write({"raw.csv": "id,v\n1,b\n"})
    place.git("commit", "-q", "-m", "three")


def test_the_frameworks_file_is_as_it_wants_it(place: Place) -> None:
    place.run("pre-commit", "validate-manifest", str(ROOT / ".pre-commit-hooks.yaml"))


@pytest.mark.soak
def test_the_framework_installs_dsvc_from_its_repository(place: Place, fast_path: Path) -> None:
    """As users have it: it builds an environment with pip, which takes minutes and the network."""
    copy = fast_path / "dsvc"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "benchmarks", "tests", "*.egg-info"))
    shutil.copyfile(ROOT / ".pre-commit-hooks.yaml", copy / ".pre-commit-hooks.yaml")
    place.git("init", "-q", str(copy))
    place.git("-C", str(copy), "add", "-A")
    place.git("-C", str(copy), "commit", "-q", "-m", "dsvc")
    place.write({"raw.csv": "id,v\n1,a\n"})
    place.git("add", "-A")
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_", "SSL_"))}
    said = place.run("pre-commit", "try-repo", str(copy), "dsvc-check", code=1, **kept)
    assert "raw.csv has no source" in said
    place.cover("raw.csv")
    place.run("pre-commit", "try-repo", str(copy), "dsvc-check", **kept)
