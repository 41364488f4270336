"""rm."""

from __future__ import annotations

import os

import pytest

from dsvc.model.errors import NotFoundError, UsageError, WouldOverwriteError
from tests.porcelain.working import EMPTY_FOLDER, Work, link, text


@pytest.fixture
def data(work: Work) -> Work:
    work.commit(
        "base",
        {
            b"a": b"1",
            "数据/一".encode(): b"1",
            "数据/二".encode(): b"2",
            b"l": link(b"a"),
            b"e": EMPTY_FOLDER,
        },
    )
    return work


def test_removes_and_stages(data: Work) -> None:
    result = data.repo.remove([b"a", b"l", "数据/一".encode()])
    assert result.removed == 3
    assert data.tree() == {"数据/二".encode(): text("2"), b"e": EMPTY_FOLDER}
    status = data.reopen().status()
    assert {(c.path, c.change) for c in status.staged} == {
        (b"a", "removed"),
        (b"l", "removed"),
        ("数据/一".encode(), "removed"),
    }
    assert not status.unstaged
    data.repo.undo()
    assert data.clean()


def test_folders_need_recursive_and_go_when_empty(data: Work) -> None:
    before = data.everything()
    for folder in ("数据".encode(), b"e", b""):
        with pytest.raises(UsageError):
            data.repo.remove([folder])
    assert data.everything() == before
    data.repo.remove(["数据".encode(), b"e"], recursive=True)
    assert data.tree() == {b"a": text("1"), b"l": link(b"a")}
    data.repo.undo()
    assert data.everything() == before


def test_untracked_is_not_found_and_stays(data: Work) -> None:
    data.write({b"u": b"1"})
    before = data.everything()
    for path in (b"u", b"nothing"):
        with pytest.raises(NotFoundError):
            data.repo.remove([b"a", path])
    assert data.everything() == before


def test_untracked_files_in_a_folder_stay(data: Work) -> None:
    data.write({"数据/new".encode(): b"1"})
    data.repo.remove(["数据".encode()], recursive=True)
    assert data.tree()["数据/new".encode()] == text("1")


@pytest.mark.parametrize("staged", [False, True])
def test_changed_files_are_refused_then_stored(data: Work, staged: bool) -> None:
    data.write({b"a": b"edited"})
    if staged:
        data.repo.add([b"a"])
    before = data.everything()
    with pytest.raises(WouldOverwriteError):
        data.repo.remove([b"a", b"l"])
    assert data.everything() == before
    result = data.repo.remove([b"a", b"l"], force=True)
    assert b"a" not in data.tree()
    assert result.saved == (0 if staged else 1)
    data.repo.undo()
    assert data.everything() == before


def test_staged_and_edited_again(data: Work) -> None:
    data.write({b"a": b"staged"})
    data.repo.add([b"a"])
    data.write({b"a": b"edited again"})
    before = data.everything()
    for cached in (False, True):
        with pytest.raises(WouldOverwriteError):
            data.repo.remove([b"a"], cached=cached)
    data.repo.remove([b"a"], force=True)
    data.repo.undo()
    assert data.everything() == before


def test_cached_keeps_the_file(data: Work) -> None:
    data.write({b"a": b"edited"})
    before = data.everything()
    data.repo.remove([b"a"], cached=True)
    assert data.tree()[b"a"] == text("edited")
    status = data.reopen().status()
    assert [c.path for c in status.staged] == [b"a"]
    assert [c.path for c in status.untracked] == [b"a"]
    data.repo.undo()
    assert data.everything() == before


def test_a_file_that_is_gone_already(data: Work) -> None:
    data.write({b"a": None})
    data.repo.remove([b"a"])
    assert [c.path for c in data.reopen().status().staged] == [b"a"]


def test_a_folder_that_became_a_link_is_not_followed(data: Work) -> None:
    outside = data.folder.parent / "outside"
    outside.mkdir()
    (outside / "一").write_bytes(b"1")
    data.write({"数据".encode(): None})
    os.symlink(outside, data.path("数据".encode()))
    data.repo.remove(["数据/一".encode()], force=True)
    assert (outside / "一").read_bytes() == b"1"
