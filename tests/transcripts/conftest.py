"""What the tests of the command line share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.transcripts.shell import Shell


@pytest.fixture
def shell(fast_path: Path) -> Shell:
    made = Shell(fast_path / "data")
    made.run("init")
    return made


@pytest.fixture
def filled(shell: Shell) -> Shell:
    """Return a repository of two commits: one file changed, one renamed, one removed, one added."""
    for name in ("changed.csv", "old.txt", "gone"):
        shell.write(name, f"id\n1\n{name}\n")
    shell.run("add", "-A")
    shell.run("commit", "-m", "First")
    shell.write("changed.csv", "id\n1\n2\n")
    (shell.folder / "old.txt").rename(shell.folder / "new.txt")
    (shell.folder / "gone").unlink()
    shell.write("数据", "new")
    shell.run("add", "-A")
    shell.run("commit", "-m", "Second\n\nWith a body.\n\nReviewed-by: Grace <grace@example.org>")
    return shell
