"""Walks below a root: no component is ever a link, whenever it was planted."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dsvc.fs.beneath import Beneath, NotAFolderError
from dsvc.fs.failpoints import Plan, armed
from dsvc.model.errors import StorageError
from dsvc.testing.faults import run_in_child


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "file").write_bytes(b"theirs")
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "file").write_bytes(b"mine")
    return folder


@pytest.mark.parametrize("create", [False, True])
@pytest.mark.parametrize("path", [b"link", b"link/deeper", b"a/link", b"file", b"file/x"])
def test_what_is_no_folder_is_refused(root: Path, outside: Path, path: bytes, create: bool) -> None:
    (root / "link").symlink_to(outside)
    (root / "a" / "link").symlink_to("..")
    with Beneath(str(root)) as tree, pytest.raises(NotAFolderError) as caught:
        tree.folder(path, create=create)
    assert caught.value.exit_code == 15
    assert os.listdir(outside) == ["file"]


def test_folders_are_made_and_found(root: Path) -> None:
    with Beneath(str(root)) as tree:
        fd, name = tree.split(b"new/\xff/deep/file", create=True)
        assert name == b"file"
        assert os.fstat(fd).st_ino == os.stat(os.fsencode(root) + b"/new/\xff/deep").st_ino
        with pytest.raises(FileNotFoundError):
            tree.folder(b"missing")
        assert tree.lstat(b"missing/x") is None
        assert tree.lstat(b"file/x") is None
        assert tree.lstat(b"file") is not None


def test_a_link_planted_before_the_folder_is_made(root: Path, outside: Path) -> None:
    def plant(_number: int, name: str, _path: str) -> None:
        if name == "mkdir" and not (root / "new").is_symlink():
            (root / "new").symlink_to(outside)

    with Beneath(str(root)) as tree, armed(Plan(observer=plant)), pytest.raises(NotAFolderError):
        tree.folder(b"new/inner", create=True)
    assert os.listdir(outside) == ["file"]


def test_descriptors_are_bounded_and_closed(root: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with Beneath(str(root)) as tree:
        for number in range(200):
            tree.folder(b"many/%d" % number, create=True)
        assert len(os.listdir("/proc/self/fd")) < before + 50
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_deep_path(root: Path) -> None:
    deep = b"/".join([b"d"] * 200)
    with Beneath(str(root)) as tree:
        fd, _ = tree.split(deep + b"/file", create=True)
        os.close(os.open(b"file", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
        assert tree.lstat(deep + b"/file") is not None
        tree.remove(deep + b"/file")
        tree.remove_empty_folders(deep)
    assert not (root / "d").exists()


def test_only_empty_folders_go(root: Path) -> None:
    (root / "a" / "kept").write_bytes(b"x")
    with Beneath(str(root)) as tree:
        tree.remove_empty_folders(b"a/b")
        tree.remove_empty_folders(b"a/b")
        tree.remove(b"missing/file")
        tree.remove(b"file/x")
        tree.remove(b"a/nothing")
    assert sorted(os.listdir(root)) == ["a", "file"]
    assert os.listdir(root / "a") == ["kept"]


@contextmanager
def few_descriptors() -> Iterator[None]:
    """No further file can be opened; afterwards it can, since the process has something to tell."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_too_few_descriptors_are_told(root: Path) -> None:
    (root / "c").mkdir()

    def walk() -> None:
        with Beneath(str(root)) as tree, few_descriptors():
            tree.folder(b"a")

    def begin() -> None:
        with few_descriptors():
            Beneath(str(root))

    for work in (walk, begin):
        error = run_in_child(work).error
        assert isinstance(error, StorageError)
        assert error.details["errno"] == "EMFILE"
        assert "ulimit" in str(error.hint)


def test_a_root_that_is_not_there(root: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(FileNotFoundError):
        Beneath(str(root / "missing"))
    with pytest.raises(NotADirectoryError):
        Beneath(str(root / "file"))
    assert len(os.listdir("/proc/self/fd")) == before


def test_folders_that_went_meanwhile_are_no_error(root: Path, outside: Path) -> None:
    with Beneath(str(root)) as tree:
        tree.remove_empty_folders(b"missing/deep")
        tree.remove_empty_folders(b"file/deep")
        (root / "link").symlink_to(outside)
        tree.remove_empty_folders(b"link/deep")
        tree.remove_empty_folders(b"a/b")
    assert not (root / "a").exists()
    assert os.listdir(outside) == ["file"]


def test_a_folder_that_was_removed_is_made_anew(root: Path) -> None:
    with Beneath(str(root)) as tree:
        tree.folder(b"x/y/z", create=True)
        tree.remove_empty_folders(b"x/y/z")
        assert not (root / "x").exists()
        with pytest.raises(FileNotFoundError):
            tree.folder(b"x/y")
        assert os.fstat(tree.folder(b"x/y", create=True)).st_ino == (root / "x" / "y").stat().st_ino


def test_the_target_of_a_link_is_read_below_the_root(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "a" / "link").symlink_to(b"\xff/elsewhere".decode("utf-8", "surrogateescape"))
    (root / "link").symlink_to("other")
    monkeypatch.chdir(root)
    with Beneath(str(root)) as tree:
        assert tree.readlink(b"a/link") == b"\xff/elsewhere"
        assert tree.readlink(b"link") == b"other"


def test_descriptors_go_with_the_object_and_only_once(root: Path) -> None:
    before = os.listdir("/proc/self/fd")
    dropped = Beneath(str(root))
    dropped.folder(b"a/b")
    assert len(os.listdir("/proc/self/fd")) == len(before) + 3
    del dropped
    assert os.listdir("/proc/self/fd") == before
    tree = Beneath(str(root))
    tree.close()
    tree.close()
    del tree
    assert os.listdir("/proc/self/fd") == before
