"""Folders that live as long as one command: gone afterwards, whatever was put into them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dsvc.fs.temporary_folder import temporary_folder
from dsvc.porcelain.care.gc import leftovers
from dsvc.porcelain.repository import Repository


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
