"""Folders that live as long as one command: gone afterwards, whatever was put into them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from dsvc.fs.recording import Change, recorded
from dsvc.fs.temporary_folder import discard_tree, temporary_folder
from dsvc.model.errors import StorageError
from dsvc.porcelain.care.gc import leftovers
from dsvc.porcelain.repository import Repository
from dsvc.testing.faults import run_in_child


def test_it_goes_with_all_that_is_in_it(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    with temporary_folder(str(tmp_path), "scratch") as path:
        inner = Path(path, "数据", "closed")
        inner.mkdir(parents=True)
        (inner / "file").write_text("x")
        (Path(path) / "link").symlink_to(outside)
        inner.chmod(0)
        Path(path).chmod(0o500)
    assert os.listdir(tmp_path) == ["outside"]
    assert (outside / "kept").read_text() == "kept"
    assert outside.stat().st_mode & 0o700 == 0o700


def test_it_goes_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), temporary_folder(str(tmp_path), "scratch"):
        _ = 1 / 0
    assert os.listdir(tmp_path) == []


def test_gc_removes_what_a_killed_process_left_and_nothing_of_a_living_one(tmp_path: Path) -> None:
    repo = Repository.init(str(tmp_path))
    code = (
        "import os, sys\n"
        "from dsvc.fs.temporary_folder import temporary_folder\n"
        "with temporary_folder(sys.argv[1], 'scratch') as path:\n"
        "    os.mkdir(path + '/inner')\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code, repo.layout.temporary], check=False)
    (left,) = os.listdir(repo.layout.temporary)
    with temporary_folder(repo.layout.temporary, "scratch") as living:
        os.utime(living, (0, 0))
        assert [os.path.basename(path) for path in leftovers(repo.layout)] == [left]
        repo.gc()
        assert os.listdir(repo.layout.temporary) == [os.path.basename(living)]


def test_a_user_gets_rid_of_folders_that_were_closed(tmp_path: Path) -> None:
    """As root nothing is ever closed, so this is looked at as nobody."""
    if os.getuid() != 0:
        pytest.skip("needs root, to become another user")
    folder = tempfile.mkdtemp(dir="/tmp")
    os.chown(folder, 65534, 65534)

    def as_nobody() -> None:
        os.setgroups([])
        os.setresuid(65534, 65534, 0)
        try:
            with temporary_folder(folder, "scratch") as path:
                inner = Path(path, "a", "b")
                inner.mkdir(parents=True)
                (inner / "file").write_text("x")
                (inner / "link").symlink_to("/")
                for each in (inner, inner.parent, Path(path)):
                    each.chmod(0)
            assert os.listdir(folder) == []
        finally:
            os.setresuid(0, 0, 0)  # what measures branches writes a file in the end

    try:
        error = run_in_child(as_nobody).error
        assert error is None
        assert os.listdir(folder) == []
    finally:
        shutil.rmtree(folder)


def test_what_can_not_go_stays_and_nothing_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    discard_tree(str(tmp_path / "missing"))
    discard_tree(str(tmp_path / "file"))
    assert os.listdir(tmp_path) == ["file"]


def test_it_is_nobody_elses_and_leaves_nothing_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "urandom", bytes)
    before = os.listdir("/proc/self/fd")
    told: list[Change] = []
    with recorded(told.append), temporary_folder(str(tmp_path), "scratch") as path:
        Path(path, "file").write_text("mine")
        with pytest.raises(StorageError), temporary_folder(str(tmp_path), "scratch"):
            pass
        assert os.listdir(path) == ["file"]
    assert os.listdir("/proc/self/fd") == before
    assert [(each.name, each.path) for each in told] == [("make_folder", path), ("discard_tree", path)]
