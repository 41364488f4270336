"""Hostile names and ids given to every verb that takes one: refused, escaped, and nothing written elsewhere.

The command line runs in a child that is watched from outside; what it prints is looked at as well.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from dsvc.cli.main import run as dsvc
from dsvc.testing.faults import BrokenPromiseError
from tests.hostile.test_terminal import COLOR, CONTROL, EVIL_NAMES, EVIL_TEXT
from tests.lineagekit import Lab
from tests.outside import watched
from tests.porcelain.test_check import chain
from tests.porcelain.working import Work

REFUSED = (2, 14, 41)
NAMES = [
    "refs/../x",
    "../x",
    "../../../../../../../../etc/passwd",
    "a/../../x",
    "/etc/x",
    "-x",
    "--help-me",
    "a..b",
    "a.lock",
    "a.lock/b",
    "@{",
    "@",
    "x@{1}",
    "x" * 5000,
    "x" * 251,
    "y/" * 600 + "y",
    "HEAD",
    "STAGED",
    "WORKTREE",
    "0" * 40,
    ".x",
    "x.",
    "x/",
    "/x",
    "x//y",
    "x y",
    "x~1",
    "x^",
    "x:y",
    "x?",
    "x*",
    "x[",
    "x\\y",
    "x\x7f",
    "x\ny",
    "x\0",
    "x\x1b[2J",
    "x\udcff",
    "",
]
IDS = [
    "../../../../../../../../etc/passwd",
    "/etc/passwd",
    "..",
    ".",
    "a/../../x",
    "..\\..\\x",
    "%2e%2e%2fx",
    "~/x",
    "file:///etc/passwd",
    "0" * 39,
    "0" * 41,
    "0" * 63,
    "0" * 65,
    "A" * 64,
    "0" * 64 + "\n",
    "0" * 63 + "/",
    "\0" * 64,
    "x" * 100_000,
    "\x1b]0;x\x07",
    "٣" * 64,
    "\udcff",
]
# Every verb that makes something of the name that it is given.
MAKERS: Sequence[Sequence[str]] = (
    ["branch", "--", "{}"],
    ["branch", "--move", "--", "main", "{}"],
    ["checkout", "-b", "{}"],
    ["tag", "--", "{}"],
    ["tag", "-m", "text", "--", "{}"],
    ["release", "create", "--", "{}"],
    ["source", "add", "--title", "t", "--", "{}"],
    ["request", "add", "--", "{}"],
)
# Every verb that looks for what has such an id, or such a name.
SEEKERS: Sequence[Sequence[str]] = (
    ["log", "{}", "--"],
    ["show", "--", "{}"],
    ["diff", "{}", "HEAD", "--"],
    ["blame", "--", "{}:final.csv"],
    ["cat", "--", "{}:final.csv"],
    ["ls", "--", "{}:"],
    ["archive", "-o", "out.tar", "--", "{}"],
    ["checkout", "{}", "--"],
    ["branch", "new", "{}"],
    ["branch", "--delete", "--", "{}"],
    ["tag", "new", "{}"],
    ["tag", "--delete", "--", "{}"],
    ["merge", "--", "{}"],
    ["cherry-pick", "--", "{}"],
    ["revert", "--", "{}"],
    ["reset", "{}", "--"],
    ["restore", "--source", "{}", "final.csv"],
    ["undo", "--", "{}"],
    ["reflog", "--", "{}"],
    ["source", "update", "--", "{}"],
    ["source", "show", "--", "{}"],
    ["source", "withdraw", "--", "{}"],
    ["source", "export", "--", "{}"],
    ["source", "template", "--", "{}"],
    ["rerun", "--", "{}"],
    ["rerun", "--", "run:{}"],
    ["lineage", "--", "run:{}"],
    ["trace", "--", "run:{}"],
    ["trace", "--", "source:{}"],
    ["impact", "--", "run:{}"],
    ["impact", "--", "source:{}"],
    ["show", "--", "run:{}"],
    ["check", "--", "{}"],
    ["request", "show", "--", "{}"],
    ["request", "find", "--", "{}"],
    ["request", "seal", "--", "{}"],
    ["request", "erase", "--yes", "--", "{}"],
    ["policy", "show", "--", "{}"],
    ["policy", "explain", "--", "{}"],
    ["policy", "detections", "--", "{}"],
    ["hook", "install", "--", "{}"],
    ["hook", "allow", "--", "{}"],
    ["waive", "--", "{}"],
    ["waive", "--revoke", "{}"],
    ["feedback", "show", "--", "{}"],
    ["defect", "show", "--", "{}"],
    ["defect", "confirm", "--", "{}"],
    ["defect", "comment", "-m", "x", "--", "{}"],
    ["defect", "join", "--", "{}", "d-00000000"],
    ["repair", "plan", "--", "{}"],
    ["repair", "apply", "--", "{}"],
    ["repair", "verify", "--", "{}"],
    ["repair", "show", "--", "{}"],
    ["release", "show", "--", "{}"],
    ["release", "verify", "--", "{}"],
    ["release", "announce", "--", "{}"],
    ["release", "export", "--", "{}"],
    ["completion", "--", "{}"],
    ["help", "--", "{}"],
)


@pytest.fixture(autouse=True)
def _back_to_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("names") / "data"
    lab = Lab(Work(folder))
    chain(lab)
    lab.commit()
    return folder


@pytest.fixture
def folder(template: Path, fast_path: Path) -> Path:
    """In a folder that is deep, so that names which climb out have somewhere to go."""
    return Path(shutil.copytree(template, fast_path / "a/b/c/data", symlinks=True))


def words_of(pattern: Sequence[str], name: str) -> list[str]:
    return [word.format(name) if "{}" in word else word for word in pattern]


def ask(folder: Path, words: Sequence[str]) -> Callable[[], int]:
    def command() -> int:
        os.chdir(folder)
        return dsvc(list(words))

    return command


def refs(folder: Path) -> set[str]:
    git = folder / ".dsvc/git"
    found = {str(path.relative_to(git)) for path in (git / "refs").rglob("*") if path.is_file()}
    return found - {"refs/dsvc/operations"}


def swept(folder: Path, patterns: Sequence[Sequence[str]], names: Sequence[str], step: int) -> None:
    """Ask each verb for each name (at CI size: every so many), all in one watched process."""
    asked = [words_of(pattern, name) for pattern in patterns for name in names]
    # Each verb and each name comes up whatever the step: it has no factor in common with their numbers.
    cases = {
        repr(words)[:300] + str(at): ask(folder, words) for at, words in enumerate(asked) if at % step == 0
    }
    before = refs(folder)
    wrong = []
    for what, ended in watched(cases, folder).items():
        if ended.value not in REFUSED:
            wrong.append(f"{what}: {ended.value} {ended.output[-500:]}")
        said = COLOR.sub(b"", ended.output.encode("utf-8", "surrogateescape"))
        if CONTROL.search(said) or "Traceback" in ended.output:
            wrong.append(f"{what} says {said[-500:]!r}")
    if refs(folder) != before:
        wrong.append(f"refs: {refs(folder) ^ before}")
    if wrong:
        raise BrokenPromiseError("\n".join(wrong))


@pytest.mark.parametrize("step", [3, pytest.param(1, marks=pytest.mark.soak)])
def test_h25_names_that_no_verb_makes(folder: Path, step: int) -> None:
    swept(folder, MAKERS, NAMES, step)


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.soak)])
def test_h27_ids_that_no_verb_follows(folder: Path, step: int) -> None:
    swept(folder, SEEKERS, IDS, step)


EVIL_REFS = ["x\u202ey", "\u2066z", "c1\u009bx", "数据\u2028"]
# What shows names, messages, authors and titles that somebody else wrote; `{}` is one of the files.
SHOWING: Sequence[Sequence[str]] = (
    ["status"],
    ["log"],
    ["log", "--graph", "--", "{}"],
    ["show"],
    ["diff", "HEAD~1", "HEAD", "--stat"],
    ["diff", "HEAD~1", "HEAD", "--name-only", "--", "{}"],
    ["blame", "--", "{}"],
    ["ls", "-r"],
    ["ls", "--", "HEAD:{}"],
    ["du"],
    ["du", "--json"],
    ["op", "log"],
    ["reflog"],
    ["branch"],
    ["tag"],
    ["stash", "list"],
    ["conflicts"],
    ["conflicts", "--", "{}"],
    ["resolve", "--ours", "--", "{}"],
    ["lineage"],
    ["trace", "--", "{}"],
    ["impact", "--", "{}"],
    ["impact", "source:web"],
    ["check"],
    ["source", "list"],
    ["policy", "licence", "--", "{}"],
    ["policy", "detections"],
    ["feedback", "list"],
    ["feedback", "ref", "--", "{}"],
    ["release", "list"],
    ["defect", "list"],
    ["request", "list"],
    ["fsck"],
    ["gc", "--dry-run"],
    ["archive", "-o", "out.tar", "HEAD"],
    ["normalize", "--", "{}"],
    ["mv", "--", "{}", "moved\x1b[2J"],
    ["rm", "--", "{}"],
    ["restore", "--", "{}"],
    ["reset", "--", "{}"],
    ["add", "--", "{}"],
    ["checkout", "HEAD", "--", "{}"],
    ["sql", 'select * from "{}"'],
    ["cat", "--", "{}/x"],
    ["run", "--in", "{}", "--out", "{}x", "--", "true"],
    ["rerun", "--", "{}"],
    ["clean", "--dry-run"],
    ["stash"],
    ["stash", "pop"],
    ["commit", "-m", EVIL_TEXT],
    ["undo"],
)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of hostile names and texts, in the middle of a merge."""
    work = Work(tmp_path_factory.mktemp("shown") / "data")
    lab = Lab(work)
    files = lab.put(dict.fromkeys(EVIL_NAMES, b"id,v\n1,x\n"))
    lab.source("web", list(files.values())[:3])
    work.commit("first " + EVIL_TEXT)
    for name in EVIL_REFS:
        work.repo.create_branch(name)
        work.repo.create_tag(name + "t", message=EVIL_TEXT)
    work.branch("theirs")
    work.commit("theirs " + EVIL_TEXT, dict.fromkeys(EVIL_NAMES, b"id,v\n1,theirs\n"))
    work.repo.checkout("main")
    work.commit("ours " + EVIL_TEXT, dict.fromkeys(EVIL_NAMES, b"id,v\n1,ours\n"))
    work.repo.merge("theirs")
    return work.folder


@pytest.mark.parametrize("files", [slice(1, None, 6), pytest.param(slice(None), marks=pytest.mark.soak)])
def test_h6_no_verb_sends_names_and_texts_as_they_are(shown: Path, fast_path: Path, files: slice) -> None:
    folder = Path(shutil.copytree(shown, fast_path / "data", symlinks=True))
    cases: dict[str, Callable[[], int]] = {}
    for pattern in SHOWING:
        for name in EVIL_NAMES[files] if any("{}" in word for word in pattern) else [b""]:
            words = words_of(pattern, os.fsdecode(name))
            cases[repr(words)] = ask(folder, words)
            if "--json" not in words and len(words) < 4:
                cases[repr(["--json", *words])] = ask(folder, ["--json", *words])
    for what, ended in watched(cases, folder).items():
        assert ended.value in (0, 1, 2, 14, 15, 16, 20, 21, 22, 41), f"{what}: {ended.value} {ended.output}"
        said = COLOR.sub(b"", ended.output.encode("utf-8", "surrogateescape"))
        assert not CONTROL.search(said), f"{what}: {said!r}"
        assert "Traceback" not in ended.output, what
