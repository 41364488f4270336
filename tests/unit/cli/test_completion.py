"""Shell completion: verbs, options, branches, files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def dsvc(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dsvc", *arguments],
        capture_output=True,
        encoding="utf-8",
        check=False,
        cwd=cwd,
        env={**os.environ, "LC_ALL": "C.UTF-8", **environment},
    )


def complete(line: str, cwd: Path) -> list[str]:
    words = line.split(" ")
    done = dsvc(cwd=cwd, _DSVC_COMPLETE="bash_complete", COMP_WORDS=line, COMP_CWORD=str(len(words) - 1))
    assert done.stderr == ""
    return [item.partition(",")[2] for item in done.stdout.splitlines() if item]


def test_verbs_and_options_are_completed(tmp_path: Path) -> None:
    assert complete("dsvc chec", tmp_path) == ["checkout", "check"]
    assert "--allow-empty" in complete("dsvc commit --a", tmp_path)
    assert complete("dsvc stash p", tmp_path) == ["push", "pop"]


def test_branches_are_completed_and_nothing_outside_a_repository(tmp_path: Path) -> None:
    assert complete("dsvc branch m", tmp_path) == []
    for arguments in (
        ["init"],
        ["add", "."],
        ["commit", "--allow-empty", "-m", "x"],
        ["branch", "more/数据"],
    ):
        assert dsvc(*arguments, cwd=tmp_path).returncode == 0, arguments
    assert complete("dsvc checkout m", tmp_path) == ["main", "more/数据"]
    assert complete("dsvc merge H", tmp_path) == ["HEAD"]
    # What is no revision may be a file: the shell completes it.
    done = dsvc(cwd=tmp_path, _DSVC_COMPLETE="bash_complete", COMP_WORDS="dsvc diff lab", COMP_CWORD="2")
    assert done.stdout.strip() == "file,lab"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_is_sound(shell: str, tmp_path: Path) -> None:
    done = dsvc("completion", shell, cwd=tmp_path)
    assert done.returncode == 0
    assert "_DSVC_COMPLETE" in done.stdout
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    script = tmp_path / "script"
    script.write_text(done.stdout)
    checked = subprocess.run([shell, "-n", script], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_verbs_below_a_verb_and_ids_of_sources_are_completed(tmp_path: Path) -> None:
    assert complete("dsvc source wi", tmp_path) == ["withdraw"]
    assert dsvc("init", cwd=tmp_path).returncode == 0
    (tmp_path / "a").write_text("1")
    given = [
        "--path",
        "a",
        "--title",
        "A",
        "--license",
        "MIT",
        "--acquisition",
        "bulk",
        "--legal-basis",
        "licence",
    ]
    assert dsvc("source", "add", "网页", *given, cwd=tmp_path).returncode == 0
    assert complete("dsvc source show 网", tmp_path) == ["网页"]
