"""F24: clocks that jump by ten and twenty years; order comes from the graph, nothing is deleted early."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dsvc.porcelain.repository import Repository
from dsvc.testing.checker import Expected, check, commit_contents
from dsvc.testing.faults import tried
from tests.faultkit import commit_all, open_in, repository, write

ROOT = Path(__file__).resolve().parents[2]


def _at(offset: str, root: str, *arguments: str) -> str:
    program = shutil.which("faketime")
    if program is None:
        pytest.skip("faketime is not installed")
    command = [program, "-f", offset, sys.executable, "-m", "dsvc", "-C", root, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("offset", ["-10y", "+20y"])
def test_a_clock_that_jumps(fast_path: Path, offset: str) -> None:
    root = str(fast_path / "repo")
    Repository.init(root)
    write(root, {b"file": b"one\n", b"gone": b"needed by the first\n"})
    with repository(root) as repo:
        first = commit_all(repo, "first")
    write(root, {b"file": b"two\n"})
    os.remove(os.path.join(root, "gone"))
    _at(offset, root, "add", "--all")
    _at(offset, root, "commit", "-m", "second, at another time")
    write(root, {b"file": b"three\n"})
    with repository(root) as repo:
        commit_all(repo, "third")
        messages = [entry.commit.message.strip() for entry in repo.log()]
        assert messages == ["third", "second, at another time", "first"]
        write(root, {b"scratch": b"staged, then forgotten\n"})
        repo.add(all=True)
        repo.reset("HEAD", paths=[b"scratch"])
    _at(offset, root, "gc")
    with repository(root) as repo:
        assert commit_contents(repo, first) == {b"file": b"one\n", b"gone": b"needed by the first\n"}
        contents = {entry.commit.id: commit_contents(repo, entry.commit.id) for entry in repo.log()}
        # The staged state of before is what undo goes back to.
        repo.undo()
        assert [c.path for c in repo.status().staged] == [b"scratch"]
    # A status by the other clock sees the same edit.
    write(root, {b"file": b"four\n"})
    assert "file" in _at(offset, root, "status")
    check(root, Expected(commits=contents), rerun=lambda r: open_in(r.root).add(all=True))
    tried("clock jumps")
