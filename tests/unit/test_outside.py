"""The detector of writes elsewhere finds each way of writing, and lets pass what is inside."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from dsvc.model.errors import MalformedInputError
from dsvc.testing import faults
from dsvc.testing.faults import BrokenPromiseError
from tests.outside import watched


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    inside, outside = tmp_path / "in >\n里", tmp_path / "out"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "file").write_bytes(b"x")
        (folder / "empty").mkdir()
    (inside / "door").symlink_to(outside)
    return inside, outside


@pytest.fixture(autouse=True)
def _not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is broken here on purpose is counted nowhere."""
    monkeypatch.setattr(faults, "tally", faults.tally.copy())


def at(folder: Path, work: Callable[[int], object]) -> object:
    """Do something by a descriptor of a folder."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        return work(fd)
    finally:
        os.close(fd)


@pytest.fixture(autouse=True)
def _here(places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(places[0])


def from_(folder: Path, work: Callable[[], object]) -> object:
    """Do something from a folder."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        return work()
    finally:
        os.chdir(before)


WAYS: dict[str, Callable[[Path], object]] = {
    "write": lambda to: (to / "new").write_bytes(b"x"),
    "open to write": lambda to: os.close(os.open(to / "file", os.O_RDWR)),
    "rename": lambda to: (to / "file").rename(to / "other"),
    "rename by descriptor": lambda to: at(
        to, lambda fd: os.rename("file", "x", src_dir_fd=fd, dst_dir_fd=fd)
    ),
    "link": lambda to: os.link(to / "file", to / "hard"),
    "symlink": lambda to: (to / "soft").symlink_to("file"),
    "mkdir by descriptor": lambda to: at(to, lambda fd: os.mkdir("more", dir_fd=fd)),
    "remove from there": lambda to: from_(to, lambda: os.unlink("file")),
    "remove by descriptor": lambda to: at(to, lambda fd: os.unlink("file", dir_fd=fd)),
    "remove a folder": lambda to: (to / "empty").rmdir(),
    "mode": lambda to: (to / "file").chmod(0o600),
    "mode of the folder": lambda to: at(to, lambda fd: os.fchmod(fd, 0o700)),
    "mode through a link": lambda to: (os.symlink(to / "file", "soft2"), os.chmod("soft2", 0o600)),
    "times": lambda to: os.utime(to / "file", (1, 1)),
    "cut": lambda to: os.truncate(to / "file", 0),
    "named pipe": lambda to: os.mkfifo(to / "pipe"),
    "without a name": lambda to: os.close(os.open(to, os.O_TMPFILE | os.O_WRONLY)),
    "another process": lambda to: subprocess.run(
        [sys.executable, "-c", "open('file2', 'w')"], cwd=to, check=True
    ),
}


@pytest.mark.parametrize("through", ["path", "door"])
def test_each_way_of_writing_elsewhere_is_found(places: tuple[Path, Path], through: str) -> None:
    inside, outside = places
    there = outside if through == "path" else inside / "door"

    def tolerant(work: Callable[[Path], object]) -> Callable[[], None]:
        def run() -> None:
            with suppress(FileNotFoundError):
                work(there)

        return run

    with pytest.raises(BrokenPromiseError) as caught:
        watched({"nothing": lambda: None, **{name: tolerant(work) for name, work in WAYS.items()}}, inside)
    said = str(caught.value)
    assert [name for name in WAYS if f"\n{name}: " not in "\n" + said] == []
    assert "nothing:" not in said
    assert "Traceback" not in said


def test_what_is_written_inside_is_let_pass(places: tuple[Path, Path]) -> None:
    inside, outside = places

    def again(work: Callable[[Path], object]) -> Callable[[], object]:
        def run() -> object:
            (inside / "file").write_bytes(b"x")
            (outside / "file").read_bytes()
            work(inside)
            return os.listdir(outside)

        return run

    ended = watched({name: again(work) for name, work in WAYS.items()}, inside)
    assert [sorted(each.value) for each in ended.values()] == [["empty", "file"]] * len(WAYS)


def test_what_a_case_came_to_is_told(tmp_path: Path) -> None:
    def refuse() -> None:
        print("数据")
        raise MalformedInputError("no", details={"path": "a"})

    ended = watched({"refused": refuse, "done": lambda: 7}, tmp_path)
    assert ended["refused"].code == 41
    assert ended["refused"].output == "数据\n"
    assert ended["done"] == (None, "", 7)


@pytest.mark.parametrize(
    ("case", "said"),
    [
        (lambda: bytearray(600 << 20), "MemoryError"),
        (lambda: 1 // 0, "ZeroDivisionError"),
        (lambda: all(True for _ in iter(int, 1)), "SIGXCPU"),
        (lambda: os._exit(3), "exit 3"),
    ],
)
def test_limits_and_bugs_are_broken_promises(tmp_path: Path, case: Callable[[], object], said: str) -> None:
    with pytest.raises(BrokenPromiseError, match=said):
        watched({"this one": case}, tmp_path, seconds=1)
