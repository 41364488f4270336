"""Nothing is written or removed through a symlink, not even through one planted meanwhile."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from zlib import crc32

import pytest

from dsvc.fs import failpoints
from dsvc.fs.failpoints import Plan
from dsvc.model.errors import DsvcError
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.state.values import ResetMode
from tests.porcelain.working import Work, link, text

Snapshot = dict[str, tuple[object, ...]]
Command = Callable[[Repository], object]
# Versions: one has all files, two changes each, three has none of the folder but a file in its place.
FILES = {
    b"data/a.csv": b"a\n1\n",
    b"data/b.bin": b"\0b" * 50,
    b"data/sub/c.csv": b"c\n1\n",
    b"top.txt": b"top\n",
}
CHANGED = {path: content + b"more\n" for path, content in FILES.items()}
# Against version two: a file changes, one comes, one goes, all below the folder.
PATCH = b"""diff --git a/data/a.csv b/data/a.csv
--- a/data/a.csv
+++ b/data/a.csv
@@ -1,3 +1,3 @@
 a
-1
+9
 more
diff --git a/data/sub/new.csv b/data/sub/new.csv
new file mode 100644
--- /dev/null
+++ b/data/sub/new.csv
@@ -0,0 +1 @@
+new
diff --git a/data/sub/c.csv b/data/sub/c.csv
deleted file mode 100644
--- a/data/sub/c.csv
+++ /dev/null
@@ -1,3 +0,0 @@
-c
-1
-more
"""

COMMANDS: dict[str, Command] = {
    "checkout": lambda repo: repo.checkout("one"),
    "checkout forced": lambda repo: repo.checkout("one", force=True),
    "checkout of a version without the folder": lambda repo: repo.checkout("none"),
    "checkout of paths": lambda repo: repo.checkout("one", [b"data"]),
    "sparse checkout": lambda repo: repo.checkout("two", sparse=["top.txt"]),
    "restore": lambda repo: repo.restore([b"data"], source="one"),
    "restore of a file": lambda repo: repo.restore([b"data/sub/c.csv"], source="one"),
    "reset": lambda repo: repo.reset("one", ResetMode.HARD),
    "rm": lambda repo: repo.remove([b"data"], recursive=True, force=True),
    "rm of a file": lambda repo: repo.remove([b"data/sub/c.csv"], force=True),
    "mv": lambda repo: repo.move(b"data/sub", b"data/moved"),
    "mv out": lambda repo: repo.move(b"data/sub", b"elsewhere"),
    "clean": lambda repo: repo.clean(),
    "undo": lambda repo: repo.undo(),
    "stash": lambda repo: repo.stash(),
    "merge": lambda repo: repo.merge("side"),
    "revert": lambda repo: repo.revert("HEAD"),
    "cherry-pick": lambda repo: repo.cherry_pick("side"),
    "add": lambda repo: repo.add(all=True),
    "apply": lambda repo: repo.apply(PATCH),
    "stash and pop": lambda repo: (repo.stash(), repo.stash_pop()),
    "undo of a checkout": lambda repo: (repo.checkout("one", force=True), repo.undo()),
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Branch two checked out, with untracked and changed files; its last operation wrote the tree."""
    base = tmp_path_factory.mktemp("template")
    work = Work(base / "work")
    work.commit("one", FILES)
    work.branch("one")
    work.branch("side")
    work.commit("side", {b"data/sub/new.csv": b"new\n", b"data/sub/c.csv": b"c\n0\n1\n"})
    work.repo.checkout("one", new_branch="none")
    work.commit("none", {**dict.fromkeys(FILES), b"data": b"a file now"})
    work.repo.checkout("one", new_branch="two")
    work.commit("two", CHANGED)
    work.repo.checkout("one")
    work.repo.checkout("two")
    return base


def make_outside(base: Path) -> Path:
    """Files of the same names, which somebody wants to keep."""
    outside = base / "outside"
    for path in (*FILES, b"data/untracked.txt", b"data/sub/new.csv"):
        file = outside / os.fsdecode(path).removeprefix("data/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"precious: " + path)
    (outside / "empty").mkdir()
    return outside


def snapshot(folder: Path) -> Snapshot:
    found: Snapshot = {}
    for path in sorted([folder, *folder.rglob("*")]):
        stat = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        found[str(path)] = (stat.st_ino, stat.st_mode, stat.st_nlink, stat.st_mtime_ns, content)
    return found


def fresh(template: Path, base: Path) -> Work:
    """A copy of the template, with uncommitted work in it."""
    shutil.copytree(template / "work", base / "work", symlinks=True)
    work = Work(base / "work")
    work.write({b"data/untracked.txt": b"untracked\n", b"data/sub/untracked.txt": b"untracked\n"})
    return work


def swap(folder: Path, target: Path) -> None:
    """Move a folder aside and put a symlink in its place."""
    if folder.is_dir() and not folder.is_symlink():
        folder.rename(folder.with_name(folder.name + ".aside"))
    if not os.path.lexists(folder):
        folder.symlink_to(target)


@pytest.mark.parametrize("at", ["data", "data/sub"])
@pytest.mark.parametrize("name", COMMANDS)
def test_h8_a_folder_that_is_a_symlink_now(template: Path, tmp_path: Path, name: str, at: str) -> None:
    outside = make_outside(tmp_path)
    work = fresh(template, tmp_path)
    shutil.rmtree(work.folder / at)
    (work.folder / at).symlink_to(outside / "sub" if at.endswith("sub") else outside)
    before = snapshot(outside)
    with suppress(DsvcError):
        COMMANDS[name](work.reopen())
    assert snapshot(outside) == before


def moments(counted: Plan) -> list[int]:
    """Each operation in the tree (their names are relative) and the one before it, and some of the others."""
    in_tree = {i for i, (_, path) in enumerate(counted.seen, 1) if not path.startswith("/")}
    before = {i - 1 for i in in_tree if i > 1}
    return sorted(in_tree | before | set(range(1, len(counted.seen) + 1, 9)))


@pytest.mark.parametrize("step", [3, pytest.param(1, marks=pytest.mark.soak)])
@pytest.mark.parametrize("at", ["data", "data/sub"])
@pytest.mark.parametrize("name", COMMANDS)
def test_h8_a_symlink_planted_meanwhile(
    template: Path, fast_path: Path, name: str, at: str, step: int
) -> None:
    """Before operations of the command in the tree, the folder is exchanged for a symlink.

    The two folders take other operations each; the soak tests take all.
    """
    counted = Plan()
    with suppress(DsvcError), failpoints.armed(counted):
        COMMANDS[name](fresh(template, fast_path / "count").repo)
    outside = make_outside(fast_path)
    target = outside / "sub" if at.endswith("sub") else outside
    before = snapshot(outside)
    assert counted.seen or name == "sparse checkout"
    found = moments(counted)
    for number in sorted({*found[:1], *found[crc32(f"{name} {at}".encode()) % step :: step], *found[-1:]}):
        base = fast_path / str(number)
        work = fresh(template, base)

        def plant(now: int, _name: str, _path: str, number: int = number, work: Work = work) -> None:
            if now == number:
                swap(work.folder / at, target)

        with suppress(DsvcError), failpoints.armed(Plan(observer=plant)):
            COMMANDS[name](work.repo)
        assert snapshot(outside) == before, f"{name}: symlink planted before {counted.seen[number - 1]}"
        shutil.rmtree(base)


def test_h8_a_file_that_is_a_symlink_now(template: Path, tmp_path: Path) -> None:
    """Replaced as a name, never written through."""
    outside = make_outside(tmp_path)
    work = fresh(template, tmp_path)
    for name in ("data/a.csv", "data/sub/c.csv"):
        (work.folder / name).unlink()
        (work.folder / name).symlink_to(outside / name.removeprefix("data/"))
    before = snapshot(outside)
    work.reopen().restore([b"data"], source="one")
    assert snapshot(outside) == before
    assert work.tree()[b"data/a.csv"] == text(FILES[b"data/a.csv"])
    work.repo.undo()
    assert snapshot(outside) == before
    assert work.tree()[b"data/a.csv"] == link(os.fsencode(outside / "a.csv"))


def test_h7_h9_versioned_links_lead_nowhere(tmp_path: Path) -> None:
    """One version has a link where the next has a folder: files go into the folder."""
    outside = make_outside(tmp_path)
    before = snapshot(outside)
    work = Work(tmp_path / "work")
    target = link(os.fsencode(outside))
    work.commit("link", {b"data": target, b"up": link(b"../.."), b"x": b"x"})
    work.branch("folder")
    work.commit("folder", {b"data": None, **FILES})
    for _ in range(2):
        work.reopen().checkout("main")
        assert work.tree()[b"data"] == target
        work.reopen().checkout("folder")
        assert work.tree()[b"data/a.csv"] == text(FILES[b"data/a.csv"])
    assert snapshot(outside) == before


def test_h8_h9_content_behind_a_symlink_is_not_taken(template: Path, tmp_path: Path) -> None:
    outside = make_outside(tmp_path)
    work = fresh(template, tmp_path)
    shutil.rmtree(work.folder / "data")
    (work.folder / "data").symlink_to(outside)
    work.reopen().add(all=True)
    entries = {entry.path: entry.mode for entry in work.repo.manifest_of("STAGED").entries()}
    assert entries == {b"data": 0o120000, b"top.txt": 0o100644}
    with suppress(DsvcError):
        work.repo.add([b"data/a.csv"])
    assert set(work.staged_state()) == {b"data", b"top.txt"}
