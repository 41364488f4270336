"""Nothing in a repository is run: no hook, no filter, no command from its configuration."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from dsvc.cli.environment.settings import Settings
from dsvc.cli.terminal.pager import pager_command
from dsvc.model.errors import DsvcError
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.state.values import ResetMode
from tests.porcelain.working import Work

ROOT = Path(__file__).resolve().parents[2]
HOOKS = [
    "applypatch-msg",
    "pre-applypatch",
    "post-applypatch",
    "pre-commit",
    "pre-merge-commit",
    "prepare-commit-msg",
    "commit-msg",
    "post-commit",
    "pre-rebase",
    "post-checkout",
    "post-merge",
    "pre-push",
    "pre-receive",
    "update",
    "proc-receive",
    "post-receive",
    "post-update",
    "reference-transaction",
    "push-to-checkout",
    "pre-auto-gc",
    "post-rewrite",
    "sendemail-validate",
    "fsmonitor-watchman",
    "post-index-change",
    "pre-add",
    "post-add",
    "pre-gc",
    "post-gc",
]
CONFIG = """
[core]
\tfsmonitor = {run}
\tsshCommand = {run}
\tpager = {run}
\teditor = {run}
\taskPass = {run}
\tgitProxy = {run}
\talternateRefsCommand = {run}
\thooksPath = {folder}
\tattributesFile = {folder}/attributes
[filter "canary"]
\tclean = {run}
\tsmudge = {run}
\tprocess = {run}
\trequired = true
[diff]
\texternal = {run}
[diff "canary"]
\tcommand = {run}
\ttextconv = {run}
[merge "canary"]
\tdriver = {run} %O %A %B
[alias]
\tstatus = !{run}
\tlog = !{run}
\tadd = !{run}
\tx = !{run}
[pager]
\tlog = {run}
[credential]
\thelper = !{run}
[gpg]
\tprogram = {run}
[commit]
\tgpgSign = true
[gc]
\trecentObjectsHook = {run}
[uploadpack]
\tpackObjectsHook = {run}
[include]
\tpath = {folder}/config
"""
ATTRIBUTES = "* filter=canary diff=canary merge=canary\n"
MODULES = ["msgspec", "xxhash", "blake3", "zstandard", "json", "dsvc_hook", "sitecustomize", "usercustomize"]
PROGRAMS = ["git", "less", "more", "pager", "python3", "ssh", "sh"]


def plant(folder: Path, base: Path) -> Path:
    """Put the canary wherever somebody could look for a command; returns the file that it would make."""
    sung = base / "sung"
    script = f"#!/bin/sh\necho \"$0 $*\" >> '{sung}'\n"
    hooks = base / "hooks"
    run = hooks / "canary"
    for place in (hooks, folder / ".dsvc/git/hooks", folder / ".dsvc/hooks", folder / "hooks"):
        place.mkdir(exist_ok=True)
        for name in [*HOOKS, "canary"]:
            (place / name).write_text(script)
            (place / name).chmod(0o755)
    config = CONFIG.format(run=run, folder=hooks)
    (hooks / "config").write_text(config.split("[include]")[0])
    (hooks / "attributes").write_text(ATTRIBUTES)
    with open(folder / ".dsvc/git/config", "a") as file:
        file.write(config)
    (folder / ".dsvc/git/info").mkdir(exist_ok=True)
    (folder / ".dsvc/git/info/attributes").write_text(ATTRIBUTES)
    (folder / ".gitattributes").write_text(ATTRIBUTES)
    (folder / ".gitconfig").write_text(config)
    for name in PROGRAMS:
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)
    for name in MODULES:
        (folder / f"{name}.py").write_text(f"open({str(sung)!r}, 'a').write({name!r})\n")
    subprocess.run([str(run), "works"], check=True)
    assert sung.read_text()
    sung.unlink()
    return sung


@pytest.fixture
def work(tmp_path: Path) -> Work:
    work = Work(tmp_path / "data")
    names = {b"$(touch sung)": b"1\n", b"`touch sung`": b"1\n", b";touch sung": b"1\n", b"-rf": b"1\n"}
    work.commit("one", {b"a.csv": b"id,v\n1,2\n", b"b.txt": b"b\n", **names})
    work.branch("topic")
    work.commit("topic $(touch sung)", {b"a.csv": b"id,v\n1,2\n2,3\n"})
    work.repo.checkout("main")
    work.commit("two `touch sung`", {b"b.txt": b"b\nc\n"})
    return work


API: dict[str, Callable[[Repository], object]] = {
    "status": lambda r: r.status(untracked="all"),
    "add": lambda r: r.add(all=True),
    "commit": lambda r: r.commit("three $(touch sung)"),
    "amend": lambda r: r.commit("three; touch sung", amend=True, allow_empty=True),
    "log": lambda r: list(r.log(all=True)),
    "show": lambda r: r.show(),
    "diff": lambda r: [r.diff_stat(c, d) for d in [r.diff("HEAD~1", "HEAD")] for c in d.changes],
    "diff of the tree": lambda r: r.diff(),
    "ls": lambda r: list(r.ls(recursive=True)),
    "open": lambda r: r.open(b"a.csv", "topic").read(),
    "archive": lambda r: r.archive("HEAD", os.path.join(r.root, "../out.tar")),
    "branch": lambda r: r.create_branch("x"),
    "rename": lambda r: r.rename_branch("x", "y"),
    "delete": lambda r: r.delete_branch("y", force=True),
    "tag": lambda r: r.create_tag("v1", message="tag"),
    "tags": lambda r: (r.tags(), r.branches(), r.operations(), r.reflog()),
    "merge": lambda r: r.merge("topic"),
    "checkout": lambda r: r.checkout("topic"),
    "checkout back": lambda r: r.checkout("main"),
    "revert": lambda r: r.revert("HEAD~1"),
    "cherry-pick": lambda r: r.cherry_pick("topic"),
    "restore": lambda r: r.restore([b""], source="topic"),
    "stash": lambda r: r.stash(),
    "pop": lambda r: r.stash_pop(),
    "reset": lambda r: r.reset("HEAD", ResetMode.HARD),
    "mv": lambda r: r.move(b"b.txt", b"c.txt"),
    "rm": lambda r: r.remove([b"c.txt"], force=True),
    "undo": lambda r: r.undo(),
    "clean": lambda r: r.clean(),
    "fsck": lambda r: r.fsck(read_data=True),
    "gc": lambda r: r.gc(grace_seconds=0),
    "usage": lambda r: r.usage(),
}


def test_no_verb_of_the_api_runs_anything(
    work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sung = plant(work.folder, tmp_path)
    monkeypatch.chdir(work.folder)
    for name, verb in API.items():
        with suppress(DsvcError):
            verb(work.reopen())
        assert not sung.exists(), f"{name} ran {sung.read_text()}"
        assert not (work.folder / "sung").exists(), name
    assert work.repo.history.refs.get("refs/tags/v1") is not None


CLI = [
    "status",
    "add .",
    "commit -m three",
    "log",
    "log --all",
    "show HEAD",
    "diff HEAD~1 HEAD",
    "diff",
    "cat HEAD:a.csv",
    "ls",
    "archive HEAD -o ../out.zip",
    "branch x",
    "tag v1",
    "checkout topic",
    "checkout main",
    "merge topic",
    "revert HEAD",
    "cherry-pick topic",
    "conflicts",
    "restore a.csv",
    "stash",
    "stash pop",
    "reset HEAD",
    "mv b.txt c.txt",
    "rm c.txt",
    "undo",
    "op",
    "reflog",
    "config",
    "fsck",
    "gc",
    "du",
    "x",
]


def test_no_verb_of_the_command_line_runs_anything(work: Work, tmp_path: Path) -> None:
    sung = plant(work.folder, tmp_path)
    home = tmp_path / "home"
    home.mkdir()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": str(ROOT),
    }
    for line in CLI:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "dsvc", *line.split()],
            cwd=work.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert done.returncode != 50, (line, done.stderr)
        assert not sung.exists(), f"{line} ran {sung.read_text()}"
        assert not (work.folder / "sung").exists(), line


@pytest.mark.parametrize("key", ["core.sshCommand", "alias.x", "core.fsmonitor", "core.hooksPath"])
def test_no_setting_of_a_repository_is_a_command(work: Work, key: str) -> None:
    with pytest.raises(DsvcError):
        work.repo.config.set(key, "touch sung")


def test_a_pager_from_a_repository_is_a_known_name_or_none() -> None:
    settings = Settings(environ={})
    for command in ("touch sung", "./less", "less; touch sung", "less -o sung", "$(touch sung)"):
        assert pager_command(settings, command) in {"less", None}
    assert pager_command(settings, "more") == "more"


@pytest.mark.skipif(shutil.which("git") is None, reason="git is missing")
def test_the_canary_sings_for_git(work: Work, tmp_path: Path) -> None:
    """What is planted is alive: git itself runs it."""
    sung = plant(work.folder, tmp_path)
    git_dir = f"--git-dir={work.folder / '.dsvc/git'}"
    subprocess.run(["git", git_dir, "x"], cwd=tmp_path, capture_output=True, check=False, timeout=60)
    assert sung.exists()
