"""A repository that is another user's, or leads elsewhere by links, is not opened before somebody vouches."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dsvc.filesystem import DsvcFileSystem
from dsvc.model.errors import NoRepositoryError
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.state.placement import UnsafeRepositoryError
from dsvc.testing.faults import BrokenPromiseError, tried

PARTS = ["", "packs", "trash", "work", "cache", "locks", "tmp", "git", "config"]
VERBS = [["status"], ["add", "-A"], ["commit", "-m", "x"], ["gc"], ["fsck"], ["checkout", "main"], ["log"]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    place = tmp_path / "数据 set"
    repo = Repository.init(str(place))
    (place / "a.txt").write_text("a\n")
    repo.add(all=True)
    repo.commit("first")
    repo.close()
    return place


def dsvc(root: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "SUDO_"))}
    return subprocess.run(
        [sys.executable, "-m", "dsvc", *words],
        cwd=root,
        env={**clean, "GIT_CONFIG_NOSYSTEM": "1", "PYTHONPATH": os.getcwd(), **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def files_of(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.lstat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("part", PARTS)
def test_h40_a_part_that_is_a_link_to_another_place_is_refused(root: Path, tmp_path: Path, part: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    place = root / ".dsvc" / part if part else root / ".dsvc"
    os.rename(place, elsewhere)
    os.symlink(elsewhere, place)
    before = files_of(elsewhere) if elsewhere.is_dir() else {}
    with pytest.raises(UnsafeRepositoryError, match="symbolic link") as caught:
        Repository.open(str(root))
    assert caught.value.exit_code == 41
    with pytest.raises(UnsafeRepositoryError):
        DsvcFileSystem(str(root))
    if elsewhere.is_dir() and files_of(elsewhere) != before:
        raise BrokenPromiseError(f"{part} was written through a link")
    with Repository.open(str(root), vouches=lambda place, owner: place == str(root)) as repo:
        assert repo.status().head is not None
    tried("hostile cases", 2)


def test_h40_a_file_in_place_of_the_repository_leads_nowhere(root: Path, tmp_path: Path) -> None:
    os.rename(root / ".dsvc", tmp_path / "elsewhere")
    for text in (f"dsvcdir: {tmp_path / 'elsewhere'}\n", f"gitdir: {tmp_path / 'elsewhere'}\n"):
        (root / ".dsvc").write_text(text)
        with pytest.raises(NoRepositoryError):
            Repository.open(str(root))
    tried("hostile cases", 2)


def test_h40_a_working_tree_behind_a_link_is_resolved_once(root: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(root)
    decoy = tmp_path / "decoy"
    with Repository.open(str(link)) as repo:
        link.unlink()
        link.symlink_to(decoy)
        (root / "b.txt").write_text("b\n")
        repo.add(all=True)
        repo.commit("second")
    assert not decoy.exists()
    assert (root / ".dsvc").is_dir()
    tried("hostile cases")


@pytest.fixture
def foreign(root: Path) -> Path:
    if os.geteuid() != 0:
        pytest.skip("giving files to another user needs root")
    shutil.chown(root / ".dsvc", 1000, 1000)
    return root


@pytest.mark.parametrize("verb", VERBS, ids=lambda words: words[0])
def test_h40_a_repository_of_another_user_is_refused(foreign: Path, verb: list[str], tmp_path: Path) -> None:
    before = files_of(foreign)
    done = dsvc(foreign, *verb, HOME=str(tmp_path))
    assert done.returncode == 41, done.stderr
    assert "belongs to another user (1000)" in done.stderr
    assert "safe.directory" in done.stderr
    assert files_of(foreign) == before
    tried("hostile cases")


def test_h40_a_user_vouches_where_git_looks_and_no_repository_does(foreign: Path, tmp_path: Path) -> None:
    def opens(*lines: str, **environ: str) -> bool:
        (tmp_path / ".gitconfig").write_text(
            "[safe]\n" + "".join(f"\tdirectory = {line}\n" for line in lines)
        )
        return dsvc(foreign, "status", HOME=str(tmp_path), **environ).returncode == 0

    assert opens(f'"{foreign}"')
    assert opens("*")
    assert opens(f'"{foreign.parent}/*"')
    assert opens("~/" + foreign.name)
    assert opens(SUDO_UID="1000")
    assert not opens()
    assert not opens(SUDO_UID="1001")
    assert not opens(f'"{foreign.parent}"')
    assert not opens("*", "")
    assert not opens(".")
    # What the repository itself says of it doesn't count.
    subprocess.run(["git", "init", "-q", str(foreign)], check=True)
    subprocess.run(["git", "-C", str(foreign), "config", "safe.directory", "*"], check=True)
    assert not opens()
    tried("hostile cases", 11)
