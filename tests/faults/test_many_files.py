"""F37: many files, long names, deep paths; work grows with the files, in no step with their square."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from dsvc.porcelain.repository import Repository
from dsvc.testing.faults import tried
from tests.cgroupkit import bounded
from tests.faultkit import open_in, repository, write

VERBS: dict[str, Callable[[Repository], object]] = {
    "add": lambda repo: repo.add(all=True),
    "status": lambda repo: repo.status(),
    "commit": lambda repo: repo.commit("all"),
    "status again": lambda repo: repo.status(),
    "remove": lambda repo: repo.remove([b"many"], recursive=True),
    "commit of nothing": lambda repo: repo.commit("none"),
    "diff": lambda repo: repo.diff("HEAD~1", "HEAD"),
    "checkout": lambda repo: repo.checkout("HEAD~1"),
    "fsck": lambda repo: repo.fsck(read_data=True),
    "gc": lambda repo: repo.gc(grace_seconds=0),
}


def _counted(work: Callable[[], object]) -> Counter[str]:
    """Calls that are made in this process, by kind."""
    counted: Counter[str] = Counter()
    before = sys.getprofile()
    sys.setprofile(lambda _frame, event, _argument: counted.update((event,)))
    try:
        work()
    finally:
        sys.setprofile(before)
    return counted


def _calls(root: str, count: int, in_folders: int) -> dict[str, int]:
    """How many calls of functions each verb makes."""
    Repository.init(root)
    write(root, {b"many/%d/%d" % (n % in_folders, n): b"%d\n" % n for n in range(count)})
    found = {}
    for name, verb in VERBS.items():
        repo = open_in(root)
        counted = _counted(lambda repo=repo, verb=verb: verb(repo))  # type: ignore[misc]
        repo.backend.forget()
        found[name] = counted["call"] + counted["c_call"]
    return found


@pytest.mark.parametrize("folders", ["one folder", "a folder each"])
def test_f37_four_times_the_files_are_four_times_the_work(fast_path: Path, folders: str) -> None:
    """Counted in calls, not in time; what a verb does once makes the ratio smaller, never larger."""
    few, many = 150, 600
    first = _calls(str(fast_path / "few"), few, 1 if folders == "one folder" else few)
    second = _calls(str(fast_path / "many"), many, 1 if folders == "one folder" else many)
    grown = {name: second[name] / first[name] for name in VERBS}
    assert max(grown.values()) < 5, grown
    tried("disk states", 2 * len(VERBS))


def _deep(root: str, names: list[bytes], data: bytes) -> None:
    """Write a file whose whole path no system call would take."""
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    for name in names[:-1]:
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=fd)
        below = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
        os.close(fd)
        fd = below
    file = os.open(names[-1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644, dir_fd=fd)
    os.write(file, data)
    os.close(file)
    os.close(fd)


def test_f37_names_of_255_bytes_in_paths_of_4096(fast_path: Path) -> None:
    root = str(fast_path / "repo")
    Repository.init(root)
    part = "长".encode() * 85
    deep = [part] * 15 + [b"x" * 255]
    path = b"/".join(deep)
    assert (len(part), len(path)) == (255, 4095)
    flat = {b"%04d" % n + b"n" * 251: b"%d\n" % n for n in range(60)}
    _deep(root, deep, b"one\n")
    write(root, flat)
    with repository(root) as repo:
        assert repo.add(all=True).skipped == []
        repo.commit("one")
        assert {entry.path for entry in repo.manifest_of("HEAD").entries()} == {path, *flat}
        _deep(root, deep, b"two\n")
        assert [each.path for each in repo.status().unstaged] == [path]
        repo.commit("two", all=True)
        repo.checkout("HEAD~1")
        assert repo.open_file(path, "WORKTREE").read() == b"one\n"
        repo.checkout("main")
        assert repo.open_file(path, "WORKTREE").read() == b"two\n"
        repo.move(path, b"short")
        repo.undo()
        assert repo.status().clean
        # One more byte than a path may have is named, not taken.
        _deep(root, [*deep[:-1], b"x" * 253, b"yyy"], b"too long\n")
        assert b"x" * 253 + b"/yyy" in repo.add(all=True).skipped[0].path
        repo.remove([deep[0]], recursive=True, force=True)
        assert repo.fsck(read_data=True).ok
    tried("hostile cases", 2 + len(flat))


@pytest.mark.parametrize(
    ("count", "folders"),
    [
        pytest.param(4_000, 1, id="4,000-in-one"),
        pytest.param(100_000, 1, id="100,000-in-one", marks=pytest.mark.soak),
        pytest.param(1_000_000, 1000, id="1,000,000", marks=pytest.mark.soak),
    ],
)
def test_f37_many_files_in_bounded_memory(fast_path: Path, count: int, folders: int) -> None:
    root = fast_path / "repo"
    Repository.init(str(root))
    for folder in range(folders):
        (root / f"d{folder}").mkdir()
        for number in range(folder, count, folders):
            fd = os.open(root / f"d{folder}" / f"文件{number}", os.O_WRONLY | os.O_CREAT, 0o644)
            os.write(fd, b"%d\n" % number)
            os.close(fd)
    with bounded(20 << 30) as group:
        for words in (
            ["add", "-A", "-q"],
            ["status"],
            ["commit", "-m", "all", "-q"],
            ["status"],
            ["fsck"],
            ["rm", "-r", "-q", "d0"],
            ["checkout", "--force", "HEAD"],
            ["status"],
        ):
            ended = group.dsvc(root, *words)
            assert ended.code == 0, (words, ended.said)
            assert ended.peak < 1 << 30, words
    with repository(str(root)) as repo:
        assert repo.status().clean
        assert repo.manifest_of("HEAD").totals()[0] == count
    tried("disk states", 8)
