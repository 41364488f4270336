"""mv."""

from __future__ import annotations

import contextlib
import os
import time

import pytest

from dsvc.fs.failpoints import Action, Plan, armed
from dsvc.model.errors import NotFoundError, StorageError, UsageError, WouldOverwriteError
from dsvc.porcelain.state.values import ResetMode
from tests.porcelain.working import EMPTY_FOLDER, Work, link, program, text

ONE, TWO = "数据/一".encode(), "数据/二".encode()


@pytest.fixture
def data(work: Work) -> Work:
    work.commit(
        "base",
        {b"a": program(b"1"), ONE: b"1", TWO: b"2", b"l": link(b"a"), b"e": EMPTY_FOLDER, b"d/deep/x": b"x"},
    )
    return work


def test_a_file_is_renamed(data: Work) -> None:
    before = data.everything()
    data.repo.move(b"a", b"new/b")
    assert data.tree()[b"new/b"] == program(b"1")
    assert b"a" not in data.tree()
    status = data.reopen().status()
    assert [(c.path, c.change, c.old_path) for c in status.staged] == [(b"new/b", "renamed", b"a")]
    assert not status.unstaged
    data.repo.undo()
    assert data.everything() == before


def test_into_a_folder(data: Work) -> None:
    data.repo.move(b"l", "数据".encode())
    data.repo.move(ONE, b"")
    data.repo.move(b"a", b"e")
    assert data.tree() == {
        "一".encode(): text("1"),
        TWO: text("2"),
        "数据/l".encode(): link(b"a"),
        b"e/a": program(b"1"),
        b"d/deep/x": text("x"),
    }
    data.repo.commit("moved")
    assert data.clean()


def test_a_folder_moves_with_what_is_untracked(data: Work) -> None:
    data.write({b"d/deep/untracked": b"u", TWO: b"edited"})
    before = data.everything()
    data.repo.move(b"d", "数据".encode())
    data.repo.move("数据".encode(), b"data")
    assert data.tree()[b"data/d/deep/untracked"] == text("u")
    assert data.tree()["data/二".encode()] == text("edited")
    assert [c.path for c in data.reopen().status().unstaged] == ["data/二".encode()]
    data.repo.undo()
    data.repo.undo()
    # What was never tracked stays where it was moved.
    data.write({b"data/d/deep/untracked": None, b"d/deep/untracked": b"u"})
    assert data.everything() == before


def test_an_empty_folder_moves(data: Work) -> None:
    data.repo.move(b"e", b"d")
    assert data.tree()[b"d/e"] == EMPTY_FOLDER
    assert not data.reopen().status().unstaged
    data.repo.undo()
    assert data.clean()


def test_edits_move_along_and_undo_brings_them_back(data: Work) -> None:
    data.write({b"a": b"edited"})
    before = data.everything()
    data.repo.move(b"a", b"b")
    assert data.tree()[b"b"] == text("edited")
    assert [c.path for c in data.reopen().status().unstaged] == [b"b"]
    undone = data.repo.undo()
    assert data.everything() == before
    data.repo.undo(undone.operation)
    assert data.tree()[b"b"] == text("edited")


def test_refusals(data: Work) -> None:
    data.write({b"untracked": b"1"})
    before = data.everything()
    for source, target, error in (
        (b"a", ONE, WouldOverwriteError),
        (b"a", b"untracked", WouldOverwriteError),
        (b"untracked", b"b", NotFoundError),
        (b"nothing", b"b", NotFoundError),
        (b"", b"b", NotFoundError),
        (b"d", b"d/deep", UsageError),
        (b"a", b"a", WouldOverwriteError),
        (b"a", b"l/x", WouldOverwriteError),
    ):
        with pytest.raises((error, UsageError)):
            data.repo.move(source, target)
    assert data.everything() == before


def test_a_missing_file_is_not_moved(data: Work) -> None:
    data.write({b"a": None})
    with pytest.raises(NotFoundError):
        data.repo.move(b"a", b"b")


def test_the_stat_cache_follows(data: Work) -> None:
    time.sleep(0.05)  # files that were written just before they were read are looked at again
    data.repo.status()
    data.repo.move("数据".encode(), b"d")
    opened: list[bytes] = []
    real = os.open

    def watched(path, *args, **kwargs):  # type: ignore[no-untyped-def]
        opened.append(path)
        return real(path, *args, **kwargs)

    os.open = watched
    try:
        assert not data.reopen().status().unstaged
    finally:
        os.open = real
    assert "一".encode() not in opened


def test_goes_on_after_a_failure_at_every_step(data: Work) -> None:
    for at in range(1, 200):
        plan = Plan(action=Action.EIO, at=at)
        with armed(plan), contextlib.suppress(StorageError, OSError):
            data.repo.move(b"a", b"d")
        if not plan.fired:
            break
        if b"a" in data.staged_state():
            data.reopen().move(b"a", b"d")
        assert data.tree()[b"d/a"] == program(b"1")
        assert not data.reopen().status().unstaged
        data.repo.reset(mode=ResetMode.HARD)
        data.repo.clean()
        assert data.clean()
    assert at > 10
